"""How the state of a study is shown: a table for 80 columns, or JSON."""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from axolotl_cft.study.slurm.status import StepStatus

_STYLES = {
    "done": "green",
    "running": "bold cyan",
    "requeued": "yellow",
    "interrupted": "yellow",
    "failed": "bold red",
}


def show_status(rows: "Sequence[StepStatus]", as_json: bool) -> None:
    """Print the rows; in a table, what failed is explained below it."""
    if as_json:
        click.echo(json.dumps([row.content() for row in rows], indent=2))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("Step", "State", "Node", "Elapsed", "Steps", "Steps/s", "Left"):
        fold = name == "Step"
        table.add_column(
            name,
            justify="left" if len(table.columns) < 3 else "right",
            overflow="fold" if fold else "ellipsis",
            no_wrap=not fold,
            max_width=14 if name == "Node" else None,
        )
    for row in rows:
        table.add_row(row.step, Text(row.state, _STYLES.get(row.state, "")), *_facts(row))
    console = Console(highlight=False)
    console.print(table)
    for row in rows:
        if row.error:
            console.print(f"{row.step}: {row.error}", markup=False, soft_wrap=True)
    console.print(summary(rows), soft_wrap=True)


def summary(rows: "Sequence[StepStatus]") -> str:
    """`12 steps: 3 done, 2 running, 7 waiting`."""
    counts = Counter(row.state for row in rows)
    return f"{len(rows)} steps: " + ", ".join(f"{n} {state}" for state, n in counts.items())


def _facts(row: "StepStatus") -> list[str]:
    training = row.training
    step = rate = left = ""
    if training:
        step = f"{training.step}/{training.steps}" if training.steps else str(training.step)
        if row.state == "running":
            rate = f"{training.per_second:.3g}" if training.per_second else ""
            left = _time(training.seconds_left)
    return [row.node or "", _time(row.seconds), step, rate, left]


def _time(seconds: float | None) -> str:
    """`1:02:03`; from the first day on `2d 01:02`."""
    if seconds is None:
        return ""
    days, rest = divmod(round(seconds), 86_400)
    if days:
        return f"{days}d {rest // 3600:02}:{rest // 60 % 60:02}"
    return str(timedelta(seconds=rest))
