"""`axolotl-cft study`: train and evaluate several arms and seeds; resumable."""

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

import click

from axolotl_cft.cli.progress import Work, is_quiet, progress
from axolotl_cft.cli.shared_options import AS_JSON, output_folder
from axolotl_cft.errors import CFTError

if TYPE_CHECKING:
    from axolotl_cft.study.parallel import Slot
    from axolotl_cft.study.plan import Step
    from axolotl_cft.study.progress import TrainingProgress
    from axolotl_cft.study.running import CheckedStudy
    from axolotl_cft.study.spec import Study


@click.command(
    epilog="""\b
Examples:
  axolotl-cft demo --prepare-only && axolotl-cft init study_demo
  axolotl-cft study study_demo.yml
  axolotl-cft study study.yml --dry-run
  axolotl-cft study study.yml --only cft,negative
  axolotl-cft study study.yml --parallel 4
  axolotl-cft study study.yml --slurm slurm.yml

After any interruption the same command carries on where it stopped. docs/study.md explains the
file.
"""
)
@click.argument("study_file", metavar="STUDY.yml", type=click.Path(path_type=Path, dir_okay=False))
@output_folder("configs, models, evaluations, logs and the report", "default: ./<name>")
@click.option("--only", metavar="ARM[,ARM]", help="Run only these arms.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Check the study, print its commands, what prepared arms will train, and how small a "
    "difference it can find.",
)
@click.option("--report/--no-report", default=True, help="Write the report at the end.")
@click.option(
    "--parallel",
    metavar="N",
    type=click.IntRange(min=1),
    help="Run N arms and seeds side by side; the GPUs of this machine are shared out evenly.",
)
@click.option(
    "--step",
    metavar="ARM/SEED/STAGE/KIND",
    help="Run this step alone, as jobs of a cluster do: `cft/seed1/train`. Status 75: a signal "
    "ended it, and the same command carries on.",
)
@click.option(
    "--slurm",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Submit what is missing as Slurm jobs, with sbatch's options from FILE, and return; with "
    "--dry-run, print their scripts. docs/cluster.md explains it.",
)
@click.option(
    "--status", is_flag=True, help="Show what every step is doing (with --json too), and return."
)
@AS_JSON
@click.option("--cancel", is_flag=True, help="Cancel the jobs that --slurm submitted.")
def study(
    study_file: Path,
    output_dir: Path | None,
    only: str | None,
    dry_run: bool,
    report: bool,
    parallel: int | None,
    step: str | None,
    slurm: Path | None,
    status: bool,
    as_json: bool,
    cancel: bool,
) -> None:
    """Run a comparison: arms x seeds x stages, trained, evaluated and reported.

    Derives a complete Axolotl config for every training run, checks that the arms differ only in
    what was meant to differ, trains with Axolotl's own commands, evaluates with lm_eval, and writes
    the report. Failed arms do not stop the others; the exit status is 1 if there are any.
    """
    from axolotl_cft.cli import study_cluster
    from axolotl_cft.study.making import make_all, makings, shared_makings
    from axolotl_cft.study.parallel import INTERRUPTED, slots, visible_devices
    from axolotl_cft.study.plan import expand
    from axolotl_cft.study.running import check_before_making, check_study
    from axolotl_cft.study.slurm.options import read_slurm_options
    from axolotl_cft.study.spec import read_study

    _one_of(parallel=parallel, step=step, slurm=slurm, status=status, cancel=cancel)
    if as_json and not status:
        raise CFTError("--json says how --status answers; give both")
    if cancel and (dry_run or only):
        raise CFTError(
            "--cancel takes back all that --slurm submitted; --only and --dry-run cannot limit it"
        )
    if step and only:
        raise CFTError("--step names its arm; leave --only out")
    spec = read_study(study_file)
    cluster = None if slurm is None else read_slurm_options(slurm)
    root = (output_dir or Path(spec.name)).resolve()
    arms = _chosen(only, list(spec.arms))
    if status or cancel:
        with progress("Looking at the study"):
            plan = expand(spec, study_file, root)
        if cancel:
            study_cluster.cancel_jobs(plan)
        else:
            study_cluster.show(plan, plan.only(arms), as_json)
        return
    # A budget counts what all arms have, whichever are run now.
    wanted = shared_makings(spec.make, spec.launch.train, study_file.parent)
    wanted += makings(spec.arms, arms if spec.budget is None else spec.arms)
    if dry_run:
        for making in wanted:
            click.echo(f"# {making.name}\n{shlex.join(making.command)}")
        if spec.budget is not None and any(making.is_absent for making in wanted):
            click.echo("# the rest is known once these have made their data, for the budget")
            return
    elif step is None:  # which is one of a study that was checked, and so made, before
        if spec.budget is None and any(making.is_absent for making in wanted):
            with progress("Looking at data and models"):
                check_before_making(spec, study_file, root)
        with _told_to_stop():
            make_all(wanted, root, progress)
    if spec.budget is not None and not dry_run:
        root.mkdir(parents=True, exist_ok=True)  # what is counted for the budget is kept there
    places = None if parallel is None else slots(parallel, visible_devices(os.environ))
    with progress("Checking configs and tasks"):
        checked = check_study(spec, study_file, root, arms, check=False)
        told = [] if step or dry_run else checked.check(here=cluster is None)
    for remark in told:
        click.echo(remark, err=True)
    if cluster is not None:
        if dry_run:
            checked.check(here=False)
        show = study_cluster.print_scripts if dry_run else study_cluster.submit_jobs
        show(checked, cluster)
        return
    if dry_run:
        for each in checked.steps:
            click.echo(f"# {each.name}\n{shlex.join(each.command)}")
        lines = [
            *(checked.schedules() or "").splitlines(),
            *what_can_be_found(spec),
            *how_long(spec),
        ]
        click.echo("\n".join(f"# {line}" for line in lines))
        with progress("Looking at keys, tasks, data and models"):
            told = checked.check()
        click.echo("".join(f"# {remark}\n" for remark in told), nl=False)
        return
    with _told_to_stop(INTERRUPTED if step else None):
        if step is not None:
            run_step(checked, step)
            return
        failures = run_steps(checked, places)
    if report:
        _report(root)
    if failures:
        raise CFTError(
            f"some runs failed; fix the cause and run the same command again\n{failures}"
        )


@contextmanager
def _told_to_stop(status: int | None = None) -> Iterator[None]:
    """End with a line, and this status or the shell's for the signal, where one stops the study."""
    from axolotl_cft.study.processes import Stopped

    try:
        yield
    except Stopped as exc:
        click.echo("stopped; the same command carries on where it stopped", err=True)
        raise SystemExit(128 + exc.signum if status is None else status) from exc


def what_can_be_found(spec: "Study") -> list[str]:
    """Lines that say how small a difference the study can find, and what was assumed."""
    from axolotl_cft.evaluation.foresight import CHANGED, SEED_POINTS, foresee, task_sizes

    options = spec.lm_eval
    folder = options.metadata.get("cft_data_dir") or os.environ.get("CFT_DATA_DIR")
    sizes = task_sizes(Path(folder) if folder else None, options.limit)
    seeds = len(spec.seeds)
    found, unknown = foresee(spec.tasks, seeds, max(1, len(spec.arms) - 1), sizes)
    lines = [
        f"The smallest true difference that {seeds} against {seeds} seeds find in 80 %, about "
        "(all arms corrected for):"
    ]
    for each in found:
        over = f"average of {each.tasks} tasks, " if each.tasks > 1 else ""
        lines.append(f"  {each.name} ({over}{each.items:,} items): {each.points:.1f} points")
    lines += [f"  {name}: its size is not known here" for name in unknown]
    lines.append(
        f"Assumed: two trainings of one arm answer {100 * CHANGED:.0f} % of the items differently"
        + (
            f", and the score varies by {SEED_POINTS:g} point (standard deviation) between seeds."
            if seeds > 1
            else "; with one seed its luck is left out, and the report compares models, not arms."
        )
    )
    return lines


def how_long(spec: "Study") -> list[str]:
    """A line with the minutes that the study file tells, if it does."""
    if not spec.minutes:
        return []
    parts = ", ".join(f"{part} {minutes:g}" for part, minutes in spec.minutes.items())
    total = sum(spec.minutes.values())
    return [f"Minutes, by the study file: about {total:g} ({parts}); here it may be more or less."]


def run_steps(checked: "CheckedStudy", slots: "Sequence[Slot] | None" = None) -> str:
    """Carry a study out and show how far it is; returns a line for each run that failed."""
    total = len(checked.steps)
    with progress("Study", total, "steps", even=False) as work, Display(work) as display:
        failures = checked.run_parallel(slots, display) if slots else checked.run(display)
    return "\n".join(f"  {run.folder}: {error}" for run, error in failures.items())


def run_step(checked: "CheckedStudy", path: str) -> None:
    """Carry out one step and show that it goes on."""
    with progress("Study", 1, "steps", even=False) as work, Display(work) as display:
        checked.run_step(path, display)


def _one_of(**options: object) -> None:
    """Refuse two options that each want to be the whole call."""
    given = [f"--{name}" for name, value in options.items() if value]
    if len(given) > 1:
        raise CFTError(f"{given[0]} and {given[1]} cannot be given together; choose one")


def _chosen(only: str | None, arms: list[str]) -> set[str]:
    if only is None:
        return set(arms)
    chosen = {name.strip() for name in only.split(",") if name.strip()}
    for name in sorted(chosen - set(arms)) or ([] if chosen else [only]):
        raise CFTError(f"--only: there is no arm {name!r}; there are: {', '.join(arms)}")
    return chosen


def _report(root: Path) -> None:
    """Write the report of what is there; a study without any result has none."""
    from axolotl_cft.cli.report import report

    try:
        click.get_current_context().invoke(report, sources=(str(root),), paper=False)
    except CFTError as exc:
        click.echo(f"no report: {exc}", err=True)


LOOKS = 10.0
"""Seconds between two looks at how far the trainings are."""


class Display:
    """Shows the current step, where its output goes, and how the others ended.

    As a context it looks at the running trainings now and then, and shows step, loss and time left.
    """

    def __init__(self, work: Work):
        self.work = work
        self._trainings: dict[str, tuple[Path, Path]] = {}
        self._over = Event()

    def __enter__(self) -> "Display":
        Thread(target=self._follow, daemon=True).start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._over.set()

    def begin(self, step: "Step", log: Path) -> None:
        """Show the step and its log."""
        if step.kind == "train" and step.config:
            self._trainings[step.name] = (Path(step.config["output_dir"]), log)
        self.work.update(label=f"{step.name} (log: {os.path.relpath(log)})")

    def end(self, step: "Step", how: str) -> None:
        """Advance, and leave a line behind."""
        self._trainings.pop(step.name, None)
        self.work.update(advance=1, note=self.note())
        if not is_quiet():
            self.work.say(f"{how:<11} {step.name}")

    def say(self, text: str) -> None:
        """Print above the bar."""
        self.work.say(text)

    def note(self) -> str:
        """`step 12 of 100, loss 2.310, 0:00:44 left` of the training; of several, with names."""
        from axolotl_cft.study.progress import training_progress

        running = list(self._trainings.items())
        found = [(name, training_progress(train, log)) for name, (train, log) in running]
        said = [(name, how_far(training)) for name, training in found if training]
        if len(running) == 1:
            return "".join(words for _, words in said)
        return "; ".join(f"{name.removesuffix(' train')}: {words}" for name, words in said)

    def _follow(self) -> None:
        while not self._over.wait(LOOKS):
            if self._trainings:
                self.work.update(note=self.note())


def how_far(training: "TrainingProgress") -> str:
    """Step, loss and time left, as far as they are known."""
    of = f" of {training.steps:,}" if training.steps else ""
    words = [f"step {training.step:,}{of}"]
    if training.loss is not None:
        words.append(f"loss {training.loss:.3f}")
    if training.seconds_left is not None:
        words.append(f"{timedelta(seconds=round(training.seconds_left))} left")
    return ", ".join(words)
