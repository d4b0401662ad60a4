"""`axolotl-cft icl`: run and plot the paper's synthetic experiments."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from axolotl_cft.cli.shared_options import output_folder
from axolotl_cft.errors import CFTError
from axolotl_cft.icl.presets import PRESETS, Settings

if TYPE_CHECKING:
    import torch

    from axolotl_cft.cli.progress import Work
    from axolotl_cft.icl.training import OnProgress, Trial


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def icl() -> None:
    """The paper's synthetic experiments: why context helps.

    A small transformer first learns in-context linear regression. It is then trained on a
    function g built from the f it knows: with f's values in its context (CFT), without (CPT),
    with noise there (NEG-CFT), or with another function's values (our own control).
    """


@icl.command(
    epilog="""Example: `axolotl-cft icl run --preset quick --output-dir icl-quick`. Interrupted
    and run again, it continues from its checkpoints to the very same curves. Any setting can be
    changed: `--set finetune_steps=3000 --set seeds=0,1,2,3,4`; config.json in the output
    folder lists them all."""
)
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    default="quick",
    show_default=True,
    help="quick: d=2, 5 points, 3 layers, three seeds, minutes on two CPU cores. "
    "paper: d=20, 41 points, 12 layers, 50,000 steps per arm, one seed, for a GPU.",
)
@output_folder(
    "config.json, curves.csv, summary.json, figures and checkpoints/", "default: ./icl-PRESET"
)
@click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help="Change a setting.")
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="auto: the GPU if there is one. bf16 and compilation are used on a GPU only.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Processes that train at the same time.  [default: one per CPU core, or one on a GPU]",
)
def run(
    preset: str, output_dir: Path | None, changes: tuple[str, ...], device: str, workers: int | None
) -> None:
    """Train every arm and write curves, summary and figures to one folder."""
    settings = PRESETS[preset].changed(changes)
    output_dir = output_dir or Path(f"icl-{preset}")
    from axolotl_cft.cli.progress import progress

    with progress("Loading PyTorch"):
        import torch

        import axolotl_cft.icl.experiment  # noqa: F401  (brings what takes its time)
    from axolotl_cft.icl.plots import plot as draw

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    elif device == "cuda" and not torch.cuda.is_available():
        raise CFTError("--device cuda: PyTorch sees no GPU here; use --device cpu")
    if workers is None:
        workers = 1 if device == "cuda" else _cores()
    try:
        summary = _run(settings, output_dir, torch.device(device), workers)
    except KeyboardInterrupt:
        raise CFTError(
            "interrupted; the same command continues from the last checkpoints"
        ) from None
    _print_summary(settings, summary)
    for path in [
        output_dir / "curves.csv",
        output_dir / "summary.json",
        *draw(output_dir, output_dir),
    ]:
        click.echo(path)


@icl.command(epilog="Example: `axolotl-cft icl plot icl-quick --output-dir figures`")
@click.argument("run_dir", type=click.Path(path_type=Path))
@output_folder("the figures", "default: RUN_DIR")
def plot(run_dir: Path, output_dir: Path | None) -> None:
    """Draw the figures of the finished run in RUN_DIR again.

    Lines are medians over seeds and bands their range; over a run of the paper's sizes the
    published curves are drawn dotted.
    """
    from axolotl_cft.icl.plots import plot as draw

    for path in draw(run_dir, output_dir or run_dir):
        click.echo(path)


def _cores() -> int:
    """Cores this process may use, if the system says; otherwise all of them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _run(settings: Settings, folder: Path, device: torch.device, workers: int) -> dict[str, Any]:
    """Run all trials and show how far they are."""
    from axolotl_cft.cli.progress import progress
    from axolotl_cft.icl.experiment import arms
    from axolotl_cft.icl.experiment import run as run_experiment
    from axolotl_cft.icl.training import Trial

    trials = [trial for seed in settings.seeds for trial in (Trial(seed), *arms(settings, seed))]
    total = sum(_cost(trial) * trial.steps(settings) for trial in trials)
    with progress("Training", total) as work:
        on_progress = _reporter(work, settings, len(trials))
        return run_experiment(settings, folder, device, workers, on_progress)


def _cost(trial: Trial) -> int:
    """Of a step, relative to others: one of CPT reads half of the tokens."""
    return 1 if trial.method == "cpt" else 2


def _reporter(work: Work, settings: Settings, trials: int) -> OnProgress:
    """A callback that adds up what the trials, several at a time, have done."""
    steps: dict[Trial, int] = {}

    def report(trial: Trial, step: int, loss: float) -> None:
        steps[trial] = step
        ended = sum(step == trial.steps(settings) for trial, step in steps.items())
        work.update(
            done=sum(_cost(trial) * step for trial, step in steps.items()),
            note=f"{ended} of {trials} trials, {trial.name}: excess loss {loss:.3g}",
        )

    return report


def _print_summary(settings: Settings, summary: dict[str, Any]) -> None:
    """One table per task: medians over seeds, with their range in parentheses."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for task, result in summary["tasks"].items():
        table = Table(title=f"{task}, step {settings.finetune_steps}: median (range) of the seeds")
        for column in ("method", "excess loss", "curve mean", "inner product"):
            table.add_column(column)
        for method, numbers in result["methods"].items():
            table.add_row(
                method,
                _with_range(numbers["final_excess_loss"]),
                f"{numbers['auc_excess_loss']['median']:.3g}",
                _with_range(numbers["final_inner_product"]),
            )
        for name, numbers in result["baselines"].items():
            table.add_row(f"{name.replace('_', ' ')} on g", _with_range(numbers))
        console.print(table)
    table = Table("predictor", "excess loss", title=f"stage 1, step {settings.pretrain_steps}")
    for name, numbers in summary["stage1"]["excess_loss"].items():
        table.add_row(name.replace("_", " "), _with_range(numbers))
    console.print(table)


def _with_range(numbers: dict[str, Any]) -> str:
    from axolotl_cft.evaluation.ranges import between

    low, high = (f"{end(numbers['per_seed'].values()):.3g}" for end in (min, max))
    return f"{numbers['median']:.3g}" + (f" ({between(low, high, '–')})" if low != high else "")
