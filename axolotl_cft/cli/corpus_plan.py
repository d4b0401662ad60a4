"""`axolotl-cft corpus plan`: what a training, or a whole study, will need, from a sample."""

import json
import os
import sys
from contextlib import redirect_stdout
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from axolotl_cft.cli.progress import progress
from axolotl_cft.cli.shared_options import AS_JSON

if TYPE_CHECKING:
    from axolotl_cft.records import ForecastRecord, TrainingForecast


@click.command()
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--sample",
    default=1000,
    show_default=True,
    type=click.IntRange(min=6),
    help="Documents to encode of each dataset; a smaller dataset is counted whole.",
)
@click.option("--gpu", help="For GPU-hours: a100, h100, … (docs/corpora.md lists them).")
@click.option(
    "--tflops",
    type=click.FloatRange(min=0, min_open=True),
    help="Dense bf16 peak of another GPU, in TFLOP/s.",
)
@click.option(
    "--mfu",
    default=0.4,
    show_default=True,
    type=click.FloatRange(min=0, max=1, min_open=True),
    help="Share of the peak that training reaches (model FLOPs utilization).",
)
@click.option(
    "--gpus",
    type=click.IntRange(min=1),
    help="GPUs that train together, a process each.  [default: WORLD_SIZE, or 1]",
)
@click.option(
    "--params",
    type=click.FloatRange(min=1),
    help="Parameters of the model, such as 7e9, where they cannot be counted.",
)
@AS_JSON
def plan(
    config: Path,
    sample: int,
    gpu: str | None,
    tflops: float | None,
    mfu: float,
    gpus: int | None,
    params: float | None,
    as_json: bool,
) -> None:
    """Tell what CONFIG will need: tokens, rows, steps, disk, GPU-hours; from a sample.

    CONFIG is an Axolotl YAML or a study file. Documents are encoded as training encodes them, of
    the model no more than its shape is looked at, and every assumption is printed.

    \b
    Examples:
      axolotl-cft corpus plan my-cft.yml --gpu h100 --gpus 8
      axolotl-cft corpus plan study.yml --gpu a100 --mfu 0.35 --sample 5000
    """
    from axolotl_cft.forecast.compute import peak_of

    peak = peak_of(gpu, tflops)
    together = gpus or int(os.environ.get("WORLD_SIZE") or 1)
    # The host logs to stdout, which is for the figures.
    with progress("Planning") as work, redirect_stdout(sys.stderr):
        from axolotl_cft.forecast.arms import forecast
        from axolotl_cft.forecast.training import Forecaster, Machine, Sampler

        machine = Machine(together, peak, mfu, params)
        sampler = Sampler(sample, lambda label, note: work.update(label=label, note=note))
        found = forecast(config, Forecaster(sampler, machine))
    if as_json:
        click.echo(json.dumps(found.content(), indent=2))
    else:
        show(found, together)


def show(found: "ForecastRecord", gpus: int) -> None:
    """Print a row for each training, the sums, and the assumptions."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from axolotl_cft.forecast.wording import count

    console = Console(highlight=False)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    names = ["", "Runs", "Rows", "Trained", "Prompts", "Steps", "Disk", "FLOPs"]
    for name in [*names, *(["GPU-h"] if found.gpu_hours is not None else [])]:
        table.add_column(name, justify="right" if table.columns else "left", no_wrap=True)
    for row in found.trainings:
        table.add_row(*_cells(row)[: len(table.columns)])
    if len(found.trainings) > 1:
        sums = (_short(found.steps), _size(found.prepared_bytes), f"{found.flops:.3g}")
        table.add_section()
        cells = ["all", str(found.runs), "", "", "", *sums, _hours(found.gpu_hours)]
        table.add_row(*cells[: len(table.columns)])
    console.print(table)
    console.print("Rows and tokens of an epoch; steps of a run; the rest of all runs.\n")
    for row in found.trainings:
        if row.runs:
            console.print(f"{row.name}: {_details(row)}", soft_wrap=True, markup=False)
    if found.gpu_hours is not None:
        wall = timedelta(seconds=round(found.gpu_hours / gpus * 3600))
        after = ", one run after another" if found.runs > 1 else ""
        console.print(f"On {count(gpus, 'GPU')}{after}: {wall}.")
    console.print("\n[bold]Assumed[/bold]")
    for line in found.assumptions:
        console.print(line, soft_wrap=True, markup=False)


def _cells(row: "TrainingForecast") -> list[str]:
    if not row.runs:
        return [row.name, "0", *["–"] * 7]
    share = row.prompt_tokens / row.tokens if row.tokens else 0.0
    return [
        row.name,
        str(row.runs),
        _short(row.rows),
        _short(row.trained_tokens),
        f"{share:.1%}",
        _short(row.steps),
        _size(row.prepared_bytes),
        f"{row.runs * row.flops:.3g}",
        _hours(None if row.gpu_hours is None else row.runs * row.gpu_hours),
    ]


def _details(row: "TrainingForecast") -> str:
    """What else is known of a run, in a line."""
    if row.exact:
        facts = [f"all {row.documents:,} documents", f"{row.tokens:,} tokens"]
    else:
        share = row.tokens_interval / row.tokens if row.tokens else 0.0
        facts = [f"{row.drawn:,} of {row.documents:,} documents"]
        facts.append(f"{_short(row.tokens)} tokens ± {share:.1%}")
    facts += [f"{_short(row.prompt_tokens)} of them of prompts"] if row.prompt_tokens else []
    facts += [f"{_short(row.held_out)} documents held out"] if row.held_out else []
    facts += [f"{_short(row.packed_rows)} packed rows"] if row.packed_rows is not None else []
    facts += [f"{row.padding:.1%} padding", f"{_short(row.steps_an_epoch)} steps an epoch"]
    return ", ".join(facts)


def _short(count: float) -> str:
    """Digits as they are below a hundred thousand, three of them above."""
    if count < 99_999.5:
        return f"{count:,.0f}"
    power = next((power for power in (12, 9, 6) if count >= 0.9995 * 10**power), 3)
    return f"{count / 10**power:.3g} {'kMBT'[power // 3 - 1]}"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"


def _hours(hours: float | None) -> str:
    if hours is None:
        return ""
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"
