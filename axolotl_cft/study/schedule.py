"""How many steps each arm will train, and at which learning rate, told before the first training.

Arms whose rows differ (prompts of another length, other texts, `every`, packing) take another
number of steps for as many tokens, and warm-up and decay follow the steps.
"""

import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from axolotl_cft.errors import CFTError
from axolotl_cft.files import read_json
from axolotl_cft.host.plan import cft_datasets
from axolotl_cft.records import StepMark
from axolotl_cft.study.plan import PREPARED, Step, StudyPlan
from axolotl_cft.study.records import Records

if TYPE_CHECKING:
    from axolotl_cft.host.schedule import Schedule

_HEADS = ("", "rows", "trained", "tokens", "steps", "epochs", "learning rate")


def schedules(plan: StudyPlan, records: Records, gpus: int) -> str | None:
    """A table of the arms that are prepared; None where nothing is to be told.

    Args:
        plan: the study's.
        records: its marks.
        gpus: that a training may use.
    """
    training = next((step for step in plan.steps if step.kind == "train"), None)
    if training is None:
        return None
    processes = processes_of(training.command, gpus)
    lines, unknown, steps = [], [], set()
    for step in plan.steps:
        mark = records.state(step) if step.kind == "prepare" and records.is_done(step) else None
        if mark is None or mark.prepared is None:
            continue
        try:
            found = _read(step, plan.root / PREPARED / mark.prepared, processes)
        except CFTError as exc:
            unknown.append(f"Steps of {step.run.arm} are not known before it trains: {exc}")
            continue
        lines.append(_cells(step, mark, found))
        steps.add(found.steps)
    said = [_heading(plan, processes), *_aligned([_HEADS, *lines])] if lines else []
    if len(steps) > 1:
        said.append(
            f"Arms take {min(steps):,} to {max(steps):,} steps; warm-up and decay follow the steps "
            "of each."
        )
    return "\n".join([*said, *unknown]) or None


def processes_of(command: Sequence[str], gpus: int) -> int:
    """How many processes a launch command trains with, as far as its words tell.

    Args:
        command: program and arguments.
        gpus: that it may use.
    """
    halves = (word.split("=", 1) if word.startswith("-") else [word] for word in command)
    words = [half for word in halves for half in word]
    values = {option.replace("-", "_"): value for option, value in pairwise(words)}
    given = values.get("__num_processes") or values.get("__nproc_per_node") or ""
    if given.isdigit():
        nodes = values.get("__nnodes", "1")
        return int(given) * (int(nodes) if nodes.isdigit() else 1)
    launchers = {"accelerate", "accelerate.commands.launch", "axolotl", "torchrun"}
    launched = launchers & {Path(word).name for word in words}
    return max(1, gpus) if launched else 1


def _read(step: Step, prepared: Path, processes: int) -> "Schedule":
    """What a training of an arm's config will do.

    Raises:
        CFTError: the rows cannot be read, or the config is not valid.
    """
    # Looked at before the host is imported, which takes a while.
    read_json(prepared / "state.json", "delete its folder and prepare again")
    os.environ.setdefault("AXOLOTL_DO_NOT_TRACK", "1")  # looking is nothing to report
    from axolotl_cft.preview.collect import quiet_imports

    with quiet_imports():
        from axolotl_cft.host.schedule import read_schedule

        try:
            return read_schedule(step.config or {}, prepared, processes)
        except CFTError:
            raise
        except Exception as exc:  # the host's own arithmetic; nothing that only tells stops a study
            raise CFTError(f"the host failed at it ({type(exc).__name__}: {exc})") from exc


def _cells(step: Step, mark: StepMark, found: "Schedule") -> tuple[str, ...]:
    """An arm's line; its trained tokens where the ledger counts all rows, and these alone."""
    config = step.config or {}
    ours = sum(part == "train" for _, part, _ in cft_datasets(config))
    known = mark.trained_tokens if found.whole and ours == len(config["datasets"]) else None
    rate = f"{found.learning_rate:g}, {found.scheduler}"
    if found.scheduler != "constant":
        rate += f", {found.warmup:,} warm-up steps"
    return (
        step.run.arm,
        f"{found.rows:,}",
        "–" if known is None else f"{known:,}",
        f"{found.tokens:,}",
        f"{'about ' if found.drawn else ''}{found.steps:,}",
        f"{found.epochs:.3g}",
        rate,
    )


def _heading(plan: StudyPlan, processes: int) -> str:
    first = next(step.run.stage for step in plan.steps if step.kind == "prepare")
    stage = f" in {first}" if first else ""
    together = "1 process" if processes == 1 else f"{processes} processes"
    return (
        f"What each arm trains{stage}, with its first seed and on {together}; rows and tokens are "
        "those of an epoch:"
    )


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Columns of one width each: words to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    last = len(widths) - 1

    def fit(place: int, cell: str) -> str:
        return cell.ljust(widths[place]) if place in (0, last) else cell.rjust(widths[place])

    return [
        "  " + "  ".join(fit(place, cell) for place, cell in enumerate(line)).rstrip()
        for line in lines
    ]
