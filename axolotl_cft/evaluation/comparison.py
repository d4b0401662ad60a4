"""From runs to comparisons: which tasks belong together, and how the rows differ on them."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from axolotl_cft.evaluation import statistics
from axolotl_cft.evaluation.agreement import agreeing, same_answers, seed_warnings
from axolotl_cft.evaluation.caveats import (
    Constant,
    best_constant,
    control_warnings,
    run_warnings,
    software_warnings,
    training_warnings,
)
from axolotl_cft.evaluation.controls import Control, check_controls
from axolotl_cft.evaluation.cost import TrainingCost
from axolotl_cft.evaluation.groups import Group, average_of, make_groups
from axolotl_cft.evaluation.results import Evaluation, is_percent
from axolotl_cft.evaluation.sources import ReportPlan, Training
from axolotl_cft.evaluation.statistics import Difference, Outcomes, Scores

FEW_DISCORDANT = 10  # below this a bootstrap sees too few changes to know their spread
MARGIN = 0.01  # a difference that would not matter, unless the user says otherwise


@dataclass(frozen=True)
class Comparison:
    """One row against the baseline on one task, or on a group's average (`task` is empty).

    Attributes:
        metric: the metric compared.
        tasks: the tasks that an average is over: those that both rows have.
        items: number of paired items; 0 where nothing tells.
        units: what the items share, as (how many, of what); None if they stand for themselves.
        arm, baseline: scores, each the mean over the row's runs.
        runs: how many runs of each row are behind them.
        untrained: whether the row, and the baseline, is a model that was not trained here, so that
            one run of it is all there is.
        difference: with its variance over items and seeds; None without sample logs (`logged` is
            false), and for metrics that cannot be recomputed from single items.
        by_seed: the difference for each seed, where the seeds are paired.
        discordant: items that only the arm, and that only the baseline has right; single runs only.
        mcnemar: exact p of the accuracies; single runs only.
        p: p of the difference; McNemar's for an accuracy of single runs, else its t test's.
        holm: `p` after Holm's correction: of a task over the group's tasks, of an average over all
            averages; both over all rows of the report.
        family: how many comparisons `holm` corrects for.
    """

    group: str
    task: str
    row: str
    against: str
    metric: str
    tasks: tuple[str, ...]
    items: int
    units: tuple[int, str] | None
    arm: float
    baseline: float
    runs: tuple[int, int]
    untrained: tuple[bool, bool]
    difference: Difference | None
    logged: bool
    higher_is_better: bool
    by_seed: tuple[float, ...] = ()
    discordant: tuple[int, int] | None = None
    mcnemar: float | None = None
    p: float | None = None
    holm: float | None = None
    family: int = 1

    @property
    def value(self) -> float:
        """Arm minus baseline."""
        return self.difference.value if self.difference else self.arm - self.baseline

    @property
    def single(self) -> tuple[bool, bool]:
        """Whether the row, and the baseline, is a single training of several there could be."""
        return tuple(n == 1 and not u for n, u in zip(self.runs, self.untrained, strict=True))  # type: ignore[return-value]

    @property
    def of_models(self) -> bool:
        """Whether it can only speak of two models, not of the methods that trained them."""
        return any(self.single)

    @property
    def smallest_detectable(self) -> float | None:
        """About the true difference found in 80 % of such comparisons, correction included."""
        if self.difference is None or np.isnan(self.difference.standard_error):
            return None
        return self.difference.detectable(self.family)

    def verdict(self, margin: float = MARGIN) -> "Verdict":
        """What may be said. An effect needs the interval and the corrected test to agree.

        Args:
            margin: a difference that would not matter, for scores that are shares of one.
        """
        if self.difference is None or np.isnan(self.difference.standard_error):
            return Verdict.UNTESTED
        if self.value == 0 and self.difference.never_varies:
            return Verdict.ALIKE
        low, high = self.difference.interval()
        if low > 0 or high < 0:
            if self.holm is None or self.holm >= 1 - statistics.LEVEL:
                return Verdict.UNCORRECTED
            return Verdict.BETTER if (self.value > 0) == self.higher_is_better else Verdict.WORSE
        if is_percent(self.metric) and self.difference.within(margin):
            return Verdict.EQUIVALENT
        return Verdict.UNDECIDED


class Verdict(StrEnum):
    """What a comparison shows; of methods, or where `of_models` of two models only."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "no difference larger than the margin"
    UNDECIDED = "not distinguishable"
    UNCORRECTED = "not distinguishable after correction"
    ALIKE = "alike on every item"
    UNTESTED = "not tested"


@dataclass(frozen=True)
class Report:
    """All that a report says, free of any layout.

    `general` are the tasks and groups that show general ability, and `against_untouched` what
    became of it in training: every trained row on them against the model that it started from,
    unless `comparisons` has that already. `controls` are the runs' scores where only chance scores.
    """

    plan: ReportPlan
    rows: dict[str, tuple[Evaluation, ...]]
    groups: tuple[Group, ...]
    comparisons: tuple[Comparison, ...]
    constants: tuple[Constant, ...]
    warnings: tuple[str, ...]
    costs: tuple[tuple[Training, TrainingCost], ...]
    logged: bool
    margin: float
    general: frozenset[str] = frozenset()
    against_untouched: tuple[Comparison, ...] = ()
    controls: tuple[Control, ...] = ()

    def is_control(self, comparison: Comparison) -> bool:
        """Whether a comparison is about a control, on which nothing can be gained."""
        controls = {control.task for control in self.controls}
        results = (run.tasks.get(comparison.task) for runs in self.rows.values() for run in runs)
        return any(result is not None and result.task in controls for result in results)

    def is_general(self, comparison: Comparison) -> bool:
        """Whether a comparison is about general ability."""
        return (comparison.task or comparison.group) in self.general

    def scores(self, row: str, task: str) -> list[float]:
        """The headline score of a task in each of a row's runs that has it."""
        return [run.tasks[task].score for run in self.rows[row] if task in run.tasks]

    def averaged(self, group: Group) -> list[str]:
        """The averaged tasks that every row with any of them has; what the averages are over."""
        tasks = [_tasks(row, group.averaged) for row in self.rows.values()]
        return [task for task in group.averaged if all(task in has for has in tasks if has)]

    def averages(self, row: str, group: Group) -> list[float]:
        """The average over `averaged` in each of a row's runs that has all these tasks."""
        tasks = self.averaged(group)
        if group.weights is None or len(tasks) < 2:
            return []
        return [average_of(run, group, tasks) for run in _complete(self.rows[row], tasks)]


def compare(
    plan: ReportPlan,
    runs: Sequence[Evaluation],
    costs: Sequence[tuple[Training, TrainingCost]] = (),
    margin: float = MARGIN,
    groups: tuple[Group, ...] | None = None,
) -> Report:
    """Pair the runs item by item and compare every row with the plan's baseline.

    Args:
        plan: the rows, and which of them is the baseline.
        runs: the evaluations of all rows.
        costs: of the trainings behind them.
        margin: a difference that would not matter, for scores that are shares of one.
        groups: which tasks belong together; None to find out.

    Raises:
        CFTError: runs of different harnesses, or a task of ours that is not the same test in all.
    """
    runs, left_out = agreeing(runs)
    tasks = list(dict.fromkeys(task for run in runs for task in run.tasks))
    evaluated = list(dict.fromkeys(task for run in runs for task in run.evaluated))
    rows: dict[str, tuple[Evaluation, ...]] = {}
    for run in runs:
        rows[run.name] = (*rows.get(run.name, ()), run)
    rows = {name: tuple(sorted(of, key=_order)) for name, of in rows.items()}
    groups = make_groups(runs, tasks) if groups is None else groups
    pairs = [
        _Pair(
            row,
            against,
            rows[row],
            rows[against],
            (row in plan.untrained, against in plan.untrained),
        )
        for row in rows
        if (against := plan.baseline_of(row))
    ]
    general = frozenset[str]().union(*(run.general for run in runs))
    about_general = [part for group in groups if (part := _general_part(group, general))]
    constants = [c for task in tasks for row in rows if (c := best_constant(task, row, rows[row]))]
    controls = check_controls(run for of in rows.values() for run in of)
    return Report(
        plan=plan,
        rows=rows,
        groups=groups,
        comparisons=_compare_all(groups, pairs),
        constants=tuple(constants),
        controls=controls,
        warnings=(
            *control_warnings(controls),
            *software_warnings(plan.trainings),
            *run_warnings(plan, rows, evaluated),
            *left_out,
            *seed_warnings((pair.arm, pair.baseline) for pair in pairs),
            *(sentence for runs in rows.values() for sentence in same_answers(runs)),
            *training_warnings(costs),
        ),
        costs=tuple(costs),
        logged=all(r.logged for run in runs for r in run.tasks.values()),
        margin=margin,
        general=general,
        against_untouched=_compare_all(about_general, _untouched_pairs(plan, rows)),
    )


def _general_part(group: Group, general: Collection[str]) -> Group | None:
    """A group with those of its tasks that show general ability; all, if it was named itself."""
    if group.name in general:
        return group
    tasks = {task: title for task, title in group.tasks.items() if task in general}
    return replace(group, tasks=tasks, weights=None) if tasks else None


def _untouched_pairs(plan: ReportPlan, rows: Mapping[str, Sequence[Evaluation]]) -> list["_Pair"]:
    """Every trained row with the model that it started from, where that is not its baseline."""
    if plan.untouched is None:
        return []
    return [
        _Pair(row, plan.untouched, rows[row], rows[plan.untouched], (False, True))
        for row in rows
        if row not in plan.untrained and plan.baseline_of(row) != plan.untouched
    ]


def _compare_all(groups: Iterable[Group], pairs: Sequence["_Pair"]) -> tuple[Comparison, ...]:
    """All pairs on all groups, each p corrected over its family."""
    comparisons: list[Comparison] = []
    for group in groups:
        done = [comparison for pair in pairs for comparison in _compare_group(group, pair)]
        comparisons += _corrected(done, lambda comparison: bool(comparison.task))
    return tuple(_corrected(comparisons, lambda comparison: not comparison.task))


def _order(run: Evaluation) -> int:
    """Runs whose seed is known stand in its order, so that arguments' order means nothing."""
    return int(run.seed) if run.numbered else 0


def _tasks(runs: Sequence[Evaluation], tasks: Iterable[str]) -> list[str]:
    """Those of some tasks that a row has in some run."""
    return [task for task in tasks if any(task in run.tasks for run in runs)]


def _complete(runs: Sequence[Evaluation], tasks: Sequence[str]) -> list[Evaluation]:
    return [run for run in runs if all(task in run.tasks for task in tasks)]


@dataclass(frozen=True)
class _Pair:
    """A row and the one it is compared with."""

    row: str
    against: str
    arm: Sequence[Evaluation]
    baseline: Sequence[Evaluation]
    untrained: tuple[bool, bool]

    def on(self, tasks: Sequence[str]) -> "_Pair":
        """The same with the runs that have all of the tasks."""
        arm, baseline = _complete(self.arm, tasks), _complete(self.baseline, tasks)
        return replace(self, arm=arm, baseline=baseline)

    @property
    def paired(self) -> bool:
        """Whether both rows have the same seeds, by their numbers."""
        ours, theirs = [[run.seed for run in runs] for runs in (self.arm, self.baseline)]
        return ours == theirs and all(run.numbered for run in (*self.arm, *self.baseline))

    @property
    def runs(self) -> tuple[int, int]:
        return len(self.arm), len(self.baseline)


def _compare_group(group: Group, pair: _Pair) -> list[Comparison]:
    """A row's tasks and average against the baseline's."""
    common = [
        task for task in group.tasks if _tasks(pair.arm, [task]) and _tasks(pair.baseline, [task])
    ]
    having = {task: pair.on([task]) for task in common}
    measured = {task: _measure(task, runs) for task, runs in having.items()}
    done = [_compare_task(group, task, having[task], measured[task]) for task in common]
    over = [task for task in common if task in group.averaged]
    whole = pair.on(over)
    if len(over) < 2 or not whole.arm or not whole.baseline:
        return done
    for task in over:
        if having[task].runs != whole.runs:  # runs that lack another task
            measured[task] = _measure(task, whole)
    alone = [scores for task in over if (scores := measured[task])]
    return [*done, _compare_average(group, whole, [c for c in done if c.task in over], alone)]


def _compare_average(
    group: Group, pair: _Pair, done: Sequence[Comparison], measured: Sequence[Scores]
) -> Comparison:
    """The average over tasks that all runs have.

    Args:
        group: whose average it is.
        pair: the runs of both rows.
        done: the comparisons on each of the tasks.
        measured: the scores on each, as far as it has sample logs.
    """
    tasks = [c.task for c in done]
    arm, baseline = ([average_of(r, group, tasks) for r in rs] for rs in (pair.arm, pair.baseline))
    weights = group.weights_of(tasks)
    together = _measure_together(tasks, pair, weights)
    total = None
    if len(measured) == len(tasks):
        total = together or statistics.average(measured, weights)
    difference = statistics.difference(total, len(arm), pair.paired) if total else None
    shared = [c.units for c in done if c.units]
    units = shared[0] if len(shared) == 1 else None
    return Comparison(
        group=group.name,
        task="",
        row=pair.row,
        against=pair.against,
        metric=str(group.metric),
        tasks=tuple(tasks),
        items=sum(c.items for c in done),
        units=(together.units, shared[0][1]) if together else units,
        arm=float(np.mean(arm)),
        baseline=float(np.mean(baseline)),
        runs=pair.runs,
        untrained=pair.untrained,
        difference=difference,
        logged=all(c.logged for c in done),
        higher_is_better=all(c.higher_is_better for c in done),
        by_seed=_by_seed(pair, arm, baseline),
        p=difference.p_value() if difference else None,
    )


def _compare_task(group: Group, task: str, pair: _Pair, scores: Scores | None) -> Comparison:
    ours, theirs = ([run.tasks[task] for run in runs] for runs in (pair.arm, pair.baseline))
    arm, baseline = [r.score for r in ours], [r.score for r in theirs]
    difference = statistics.difference(scores, len(ours), pair.paired) if scores else None
    items = ours[0].items
    shared = items is not None and items.units is not None
    discordant, exact = None, None
    if difference and pair.runs == (1, 1) and not shared:
        right = [r.items.correct for r in (ours[0], theirs[0]) if r.items]
        if len(right) == 2 and right[0] is not None and right[1] is not None:
            discordant = statistics.discordant(right[0], right[1])
            exact = statistics.mcnemar(*discordant)
    plain = exact is not None and items is not None and items.values is not None
    return Comparison(
        group=group.name,
        task=task,
        row=pair.row,
        against=pair.against,
        metric=ours[0].metric,
        tasks=(task,),
        items=ours[0].count or theirs[0].count,
        units=(scores.units, items.unit_name) if scores and items and shared else None,
        arm=float(np.mean(arm)),
        baseline=float(np.mean(baseline)),
        runs=pair.runs,
        untrained=pair.untrained,
        difference=difference,
        logged=all(result.logged for result in (*ours, *theirs)),
        higher_is_better=ours[0].higher_is_better,
        by_seed=_by_seed(pair, arm, baseline),
        discordant=discordant,
        mcnemar=exact,
        p=exact if plain else difference.p_value() if difference else None,
    )


def _measure_together(tasks: Sequence[str], pair: _Pair, weights: Sequence[float]) -> Scores | None:
    """The scores of an average over tasks that ask about the same things; None if they do not.

    They do if the items of all share values of one column, and are averaged.
    """
    logs = [pair.arm[0].tasks[task].items for task in tasks]
    columns = {items.column if items else "" for items in logs}
    if len(columns) > 1 or "" in columns:
        return None
    outcomes = [found for task in tasks if (found := _outcomes(task, pair))]
    if len(outcomes) < len(tasks) or any(each.gold is not None for each in outcomes):
        return None
    return statistics.average_of_shared(outcomes, weights)


def _measure(task: str, pair: _Pair) -> Scores | None:
    """The scores of both rows' runs on one task; None where one has no sample log."""
    outcomes = _outcomes(task, pair)
    return outcomes.measure(task) if outcomes else None


def _outcomes(task: str, pair: _Pair) -> Outcomes | None:
    """The answers of both rows' runs side by side; None where one has no sample log."""
    results = [run.tasks[task] for run in (*pair.arm, *pair.baseline)]
    items = [result.items for result in results if result.items]
    if len(items) < len(results):
        return None
    values = [i.values for i in items if i.values is not None]
    if len(values) == len(items):
        return Outcomes(np.stack(values), weights=items[0].weights, units=items[0].units)
    predicted = [i.predicted for i in items if i.predicted is not None]
    return Outcomes(np.stack(predicted), items[0].gold, units=items[0].units)


def _by_seed(pair: _Pair, arm: Sequence[float], baseline: Sequence[float]) -> tuple[float, ...]:
    """Differences by seed: the same seeds paired, or every seed against an untrained model."""
    if len(arm) == 1 and pair.untrained[0]:
        return tuple(arm[0] - score for score in baseline) if len(baseline) > 1 else ()
    if len(arm) < 2:
        return ()
    if len(baseline) == 1 and pair.untrained[1]:
        return tuple(score - baseline[0] for score in arm)
    return tuple(np.subtract(arm, baseline).tolist()) if pair.paired else ()


def _corrected(
    comparisons: list[Comparison], family: Callable[[Comparison], bool]
) -> list[Comparison]:
    """The comparisons, those of a family with Holm's correction over it."""
    chosen = [i for i, c in enumerate(comparisons) if family(c) and c.p is not None]
    adjusted = statistics.holm([comparisons[i].p or 0.0 for i in chosen])
    done = list(comparisons)
    for i, p in zip(chosen, adjusted, strict=True):
        done[i] = replace(done[i], holm=p, family=len(chosen))
    return done
