"""What there is to report on: lm-eval folders named on the command line, or a study's folder."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from axolotl_cft.errors import CFTError
from axolotl_cft.evaluation.cost import TrainingCost, read_cost
from axolotl_cft.evaluation.results import Evaluation, read_run
from axolotl_cft.records import STUDY_FILE, LLMUse, StudyRecord, StudyRun


@dataclass(frozen=True)
class Source:
    """One evaluation to read: its row, which of the row's seeds it is, and its folder.

    `heldout` is the folder of its evaluation on held-out documents, if it has one, and `tasks` what
    to read of the other, as `--tasks` takes it; None for all that is there. `general` are those of
    them that show general ability.
    """

    name: str
    seed: str
    folder: Path
    heldout: Path | None = None
    tasks: tuple[str, ...] | None = None
    general: tuple[str, ...] = ()


@dataclass(frozen=True)
class Training:
    """One training run to account for; `processes` and `seconds` as the study recorded them.

    `row` is the report's row for it, whether or not it was evaluated; `software` names versions and
    the GPU's model. `llm` is what an LLM was asked for its data; None where that is not known.
    """

    label: str
    row: str
    stage: str
    folder: Path
    processes: int | None
    seconds: float | None
    software: Mapping[str, str] = field(default_factory=dict)
    llm: LLMUse | None = None


@dataclass(frozen=True)
class ReportPlan:
    """Everything a report is made from, before any result is read.

    Attributes:
        title: heading of the report.
        baseline: the row that all others are compared with.
        sources: the evaluations, in the order of the rows.
        trainings: the training runs, evaluated or not.
        notes: a sentence for each run of a study that is not there.
        stages: row name -> (arm, stage), for studies.
        untrained: rows that are a model as it was found; one run of such a row is all there is.
        untouched: the one of them that the trainings started from; None where there is none.
        no_heldout: why a study has no held-out text, in a sentence; None where it has some.
    """

    title: str
    baseline: str
    sources: tuple[Source, ...]
    trainings: tuple[Training, ...] = ()
    notes: tuple[str, ...] = ()
    stages: dict[str, tuple[str, str]] = field(default_factory=dict)
    untrained: frozenset[str] = frozenset()
    untouched: str | None = None
    no_heldout: str | None = None

    def baseline_of(self, row: str) -> str | None:
        """The row to compare `row` with: the baseline arm at the same stage, else its first."""
        if not self.stages:
            return self.baseline if row != self.baseline else None
        arm, stage = self.stages[row]
        if arm == self.baseline:
            return None
        rows = [name for name, (other, _) in self.stages.items() if other == self.baseline]
        same = [name for name in rows if self.stages[name][1] == stage]
        return (same or rows)[0]


def plan_folders(arguments: list[str], baseline: str | None) -> ReportPlan:
    """Rows from `DIR`, `NAME=DIR` or `NAME@SEED=DIR`; a name given twice makes one row of two runs.

    Raises:
        CFTError: two folders of one name without `NAME=`, one folder or one seed twice in a row, or
            an unknown baseline.
    """
    sources: list[Source] = []
    named: dict[str, bool] = {}
    for argument in arguments:
        name, seed, folder = _named(argument)
        explicit = folder is not argument
        if name in named and not (explicit and named[name]):
            raise CFTError(
                f"two folders are called {name!r}: name them (cpt={folder}), or give the same "
                "NAME= to both if they are two trainings of one arm"
            )
        if (Path(folder) / STUDY_FILE).is_file():
            raise CFTError(
                f"{folder} is a study, which is reported alone; name the folders of its evaluations"
            )
        mine = [source for source in sources if source.name == name]
        if any(source.folder.resolve() == Path(folder).resolve() for source in mine):
            raise CFTError(f"{folder} is given twice as {name!r}; name every run once")
        if seed and any(source.seed == seed for source in mine):
            raise CFTError(f"{name!r} has two runs of seed {seed}; name every seed once")
        named[name] = explicit
        sources.append(Source(name, seed or f"run {len(mine) + 1}", Path(folder)))
    names = [source.name for source in sources]
    sources = [s if names.count(s.name) > 1 else replace(s, seed="") for s in sources]
    baseline = _known(baseline or names[0], list(named))
    return ReportPlan("Evaluation report", baseline, tuple(sources))


def _named(argument: str) -> tuple[str, str, str]:
    """Name, seed and folder of one argument; the folder is the argument itself without `NAME=`."""
    name, equals, folder = argument.partition("=")
    if not equals or Path(argument).exists():
        return Path(argument).resolve().name, "", argument
    name, at, seed = name.partition("@")
    if not name or not folder or (at and not re.fullmatch("-?[0-9]+", seed)):
        raise CFTError(
            f"{argument!r}: write NAME=DIR or NAME@SEED=DIR, with a name and a whole number"
        )
    return name, str(int(seed)) if seed else "", folder


def plan_study(folder: Path, baseline: str | None) -> ReportPlan:
    """Rows from the folder of `axolotl-cft study`.

    Raises:
        CFTError: `study.json` damaged, no run finished, or an unknown baseline.
    """
    record = StudyRecord.read(folder / STUDY_FILE)
    arms = list(dict.fromkeys(run.arm for run in record.runs))
    done = [run for run in record.runs if run.status == "done"]
    evaluated = [run for run in done if run.eval_dir]
    if not evaluated:
        raise CFTError(f"no run of the study in {folder} has been evaluated; run it to its end")
    staged = len({run.stage for run in evaluated} - {None}) > 1
    rows = {_row(run, staged): (run.arm, run.stage or "") for run in evaluated}
    wanted = _known(baseline or record.baseline or arms[0], arms)
    if wanted not in {arm for arm, _ in rows.values()}:
        raise CFTError(
            f"no run of the baseline {wanted!r} has been evaluated; finish it, or choose another "
            "baseline"
        )
    seeds = {_seed(run) for run in evaluated}
    tasks = None if record.tasks is None else tuple(record.tasks)
    return ReportPlan(
        title=record.name or folder.name,
        baseline=wanted,
        sources=tuple(
            Source(
                _row(run, staged),
                _seed(run) if len(seeds - {""}) > 1 else "",
                folder / str(run.eval_dir),
                folder / run.heldout_dir if run.heldout_dir else None,
                tasks,
                tuple(record.general),
            )
            for run in evaluated
        ),
        trainings=tuple(_training(folder, run, staged) for run in done if run.train_dir),
        notes=tuple(_absence(run) for run in record.runs if run.status != "done"),
        stages=rows,
        no_heldout=record.heldout.absent if record.heldout else None,
        untrained=frozenset(_row(run, staged) for run in evaluated if not run.train_dir),
        untouched=record.untouched if record.untouched in rows else None,
    )


def read_runs(plan: ReportPlan) -> list[Evaluation]:
    """Read the results of every source of a plan."""
    return [_read(source) for source in plan.sources]


def _read(source: Source) -> Evaluation:
    run = read_run(source.folder, source.name, source.seed, source.tasks, source.general)
    if source.heldout is None:
        return run
    if not source.heldout.is_dir():
        gone = f"the evaluation of {run.label} on held-out text is gone ({source.heldout})"
        return replace(run, notes=(*run.notes, gone))
    heldout = read_run(source.heldout, source.name, source.seed)
    # How the questions were asked is told of the run; bare text is scored in one way only.
    notes = (*run.notes, *heldout.notes)
    return replace(run, tasks=run.tasks | heldout.tasks, notes=notes)


def read_costs(plan: ReportPlan) -> list[tuple[Training, TrainingCost]]:
    """What every training run of a plan cost."""
    return [(t, read_cost(t.folder, t.processes, t.seconds)) for t in plan.trainings]


def _row(run: StudyRun, staged: bool) -> str:
    return f"{run.arm} / {run.stage}" if staged and run.stage else run.arm


def _seed(run: StudyRun) -> str:
    return "" if run.seed is None else str(run.seed)


def _label(run: StudyRun) -> str:
    seed = f", seed {_seed(run)}" if _seed(run) else ""
    return _row(run, staged=True) + seed


def _training(folder: Path, run: StudyRun, staged: bool) -> Training:
    return Training(
        label=_label(run),
        row=_row(run, staged),
        stage=run.stage or "",
        folder=folder / str(run.train_dir),
        processes=run.world_size,
        seconds=run.train_seconds,
        software=run.software,
        llm=run.llm,
    )


def _absence(run: StudyRun) -> str:
    if run.status == "failed":
        return f"{_label(run)} failed: {run.error or 'no reason recorded'}"
    return f"{_label(run)} is not finished and not in this report"


def _known(baseline: str, names: list[str]) -> str:
    if baseline not in names:
        raise CFTError(f"unknown baseline {baseline!r}; there are {', '.join(names)}")
    return baseline
