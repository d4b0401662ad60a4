"""From runs to comparisons: which tasks belong together, and how the rows differ on them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from axolotl_cft.errors import CFTError
from axolotl_cft.evaluation import statistics
from axolotl_cft.evaluation.caveats import Constant, best_constant, run_warnings, training_warnings
from axolotl_cft.evaluation.cost import TrainingCost
from axolotl_cft.evaluation.results import Evaluation, TaskResult
from axolotl_cft.evaluation.sources import ReportPlan, Training
from axolotl_cft.evaluation.statistics import Difference, Outcomes
from axolotl_cft.evaluation.tasks import task_groups

SEEDS_FOR_INTERVAL = 5  # Student's t over fewer seeds is mostly the t quantile (4.3 at three)
FEW_DISCORDANT = 10  # below this a bootstrap sees too few changes to know their spread
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Group:
    """Tasks reported together: task name -> column heading, and how they are averaged.

    `weights` are the tasks' shares in the average (None: the group has no average).
    """

    name: str
    tasks: dict[str, str]
    metric: str | None
    weights: tuple[float, ...] | None


@dataclass(frozen=True)
class Comparison:
    """One row against the baseline on one task, or on a group's average (`task` is empty).

    Attributes:
        metric: the metric compared.
        items: number of paired items.
        arm, baseline: scores, each the mean over the row's runs.
        difference: with its bootstrap distribution; None without sample logs (`logged` is false),
            and for metrics that cannot be recomputed from single items.
        discordant: items that only the arm, and that only the baseline has right; single runs only.
        mcnemar: exact p of the accuracies; single runs only.
        p: p of the difference; McNemar's for an accuracy of single runs, else the bootstrap's.
        holm: `p` after Holm's correction: of a task over the group's tasks, of an average over all
            averages of the report.
        seeds: the difference for each seed, where the seeds can be paired.
    """

    group: str
    task: str
    row: str
    against: str
    metric: str
    items: int
    arm: float
    baseline: float
    difference: Difference | None
    logged: bool
    higher_is_better: bool
    discordant: tuple[int, int] | None = None
    mcnemar: float | None = None
    p: float | None = None
    holm: float | None = None
    seeds: tuple[float, ...] = ()

    @property
    def seed_interval(self) -> tuple[float, float] | None:
        """Student's t interval over seeds, where there are enough of them."""
        enough = len(self.seeds) >= SEEDS_FOR_INTERVAL
        return statistics.t_interval(list(self.seeds)) if enough else None

    @property
    def seeds_agree(self) -> bool:
        """Whether what is known of the seeds excludes zero: their interval, else their range."""
        low, high = self.seed_interval or (min(self.seeds, default=1), max(self.seeds, default=1))
        return low > 0 or high < 0

    @property
    def value(self) -> float:
        """Arm minus baseline."""
        return self.difference.value if self.difference else self.arm - self.baseline


@dataclass(frozen=True)
class Report:
    """All that a report says, free of any layout."""

    plan: ReportPlan
    rows: dict[str, tuple[Evaluation, ...]]
    groups: tuple[Group, ...]
    comparisons: tuple[Comparison, ...]
    constants: tuple[Constant, ...]
    warnings: tuple[str, ...]
    costs: tuple[tuple[Training, TrainingCost], ...]
    logged: bool

    def scores(self, row: str, task: str) -> list[float]:
        """The headline score of a task in each of a row's runs that has it."""
        return [run.tasks[task].score for run in self.rows[row] if task in run.tasks]

    def averages(self, row: str, group: Group) -> list[float]:
        """The group's average in each of a row's runs that has all its tasks."""
        return [_average(run, group) for run in self.rows[row] if _complete(run, group)]


def compare(
    plan: ReportPlan,
    runs: Sequence[Evaluation],
    costs: Sequence[tuple[Training, TrainingCost]] = (),
) -> Report:
    """Pair the runs item by item and compare every row with the plan's baseline.

    Raises:
        CFTError: runs of different harness or task versions, or different items in one task.
    """
    _check_versions(runs)
    tasks = list(dict.fromkeys(task for run in runs for task in run.tasks))
    for task in tasks:
        _check_items(task, [run for run in runs if task in run.tasks])
    rows: dict[str, tuple[Evaluation, ...]] = {}
    for run in runs:
        rows[run.name] = (*rows.get(run.name, ()), run)
    groups = _groups(runs, tasks)
    comparisons = [
        comparison
        for group in groups
        for row in rows
        if (against := plan.baseline_of(row))
        for comparison in _compare_group(group, row, rows[row], against, rows[against])
    ]
    constants = [c for task in tasks for row in rows if (c := best_constant(task, row, rows[row]))]
    return Report(
        plan=plan,
        rows=rows,
        groups=groups,
        comparisons=tuple(_corrected(comparisons, lambda comparison: not comparison.task)),
        constants=tuple(constants),
        warnings=(*run_warnings(plan, rows, tasks), *training_warnings(costs)),
        costs=tuple(costs),
        logged=all(r.logged for run in runs for r in run.tasks.values()),
    )


def _check_versions(runs: Sequence[Evaluation]) -> None:
    """Scores of different harness or task versions are scores of different tests."""
    first = runs[0]
    for run in runs[1:]:
        if run.facts["lm-eval"] != first.facts["lm-eval"]:
            raise CFTError(
                f"{first.name} was evaluated with lm-eval {first.facts['lm-eval']} and {run.name} "
                f"with {run.facts['lm-eval']}; evaluate both with one version"
            )
    seen: dict[str, tuple[Evaluation, TaskResult]] = {}
    for run in runs:
        for task, result in run.tasks.items():
            other, earlier = seen.setdefault(task, (run, result))
            for what in ("version", "metric"):
                ours, theirs = getattr(result, what), getattr(earlier, what)
                if ours != theirs:
                    raise CFTError(
                        f"{task} has {what} {theirs} in {other.name} and {ours} in {run.name}; "
                        "evaluate both with one version"
                    )


def _check_items(task: str, runs: Sequence[Evaluation]) -> None:
    """Every run answered the same items of a task, by document hash and target."""
    first = runs[0].tasks[task]
    for run in runs[1:]:
        result = run.tasks[task]
        pair = f"{task}: the items of {runs[0].label} and {run.label} differ"
        if first.items and result.items:
            ours, theirs = result.items.keys, first.items.keys
            odd = sorted(i for i in ours.keys() | theirs.keys() if ours.get(i) != theirs.get(i))
            if odd:
                shown = ", ".join(map(str, odd[:5])) + (", …" if len(odd) > 5 else "")
                raise CFTError(
                    f"{pair} in {len(odd)} of {max(len(ours), len(theirs))} (doc_id {shown}); "
                    "evaluate both on the same data with the same --limit"
                )
        elif first.count != result.count:
            raise CFTError(
                f"{pair} in number ({first.count} and {result.count}); evaluate both on the same "
                "data with the same --limit"
            )


def _groups(runs: Sequence[Evaluation], tasks: Sequence[str]) -> tuple[Group, ...]:
    """The paper's groups, then the harness's averaged ones, then what is left over."""
    groups, left = [], list(tasks)
    for paper in task_groups():
        present = {task: title for task, title in paper.tasks.items() if task in left}
        if present:
            # The paper's averages weigh every task alike, whatever its number of items.
            weights = (1.0,) * len(present) if len(present) == len(paper.tasks) else None
            groups.append(Group(paper.name, present, paper.metric, weights))
            left = [task for task in left if task not in present]
    harness = {name: members for run in runs for name, members in run.groups.items()}
    for name, (metric, _, leaves) in sorted(harness.items(), key=lambda g: (-len(g[1][2]), g[0])):
        if set(leaves) <= set(left):
            weights = _weights(name, metric, leaves, runs)
            groups.append(Group(name, {leaf: leaf for leaf in leaves}, metric, weights))
            left = [task for task in left if task not in leaves]
    if left:
        groups.append(Group("other tasks", {task: task for task in sorted(left)}, None, None))
    return tuple(groups)


def _weights(
    name: str, metric: str, leaves: tuple[str, ...], runs: Sequence[Evaluation]
) -> tuple[float, ...] | None:
    """The weighting (by items, or none) that gives the harness's own average in every run."""
    having = [run for run in runs if name in run.groups]
    for by_size in (True, False):
        weights = tuple(float(having[0].tasks[leaf].count) if by_size else 1.0 for leaf in leaves)
        group = Group(name, {leaf: leaf for leaf in leaves}, metric, weights)
        if all(
            all(run.tasks[leaf].metric == metric for leaf in leaves)
            and abs(_average(run, group) - run.groups[name][1]) < _TOLERANCE
            for run in having
        ):
            return weights
    return None


def _complete(run: Evaluation, group: Group) -> bool:
    return group.weights is not None and group.tasks.keys() <= run.tasks.keys()


def _average(run: Evaluation, group: Group) -> float:
    assert group.weights is not None
    return float(np.average([run.tasks[t].score for t in group.tasks], weights=group.weights))


def _compare_group(
    group: Group, row: str, arm: Sequence[Evaluation], against: str, baseline: Sequence[Evaluation]
) -> list[Comparison]:
    """A row's tasks and average against the baseline's, Holm-corrected over the tasks."""
    done = [
        _compare_task(group, task, row, arm, against, baseline)
        for task in group.tasks
        if all(task in run.tasks for run in (*arm, *baseline))
    ]
    done = _corrected(done, lambda comparison: True)
    if group.weights is None or len(done) < len(group.tasks):
        return done
    differences = [c.difference for c in done if c.difference]
    difference = (
        statistics.average(differences, list(group.weights))
        if len(differences) == len(done)
        else None
    )
    arm_scores, baseline_scores = ([_average(r, group) for r in rs] for rs in (arm, baseline))
    total = Comparison(
        group=group.name,
        task="",
        row=row,
        against=against,
        metric=str(group.metric),
        items=sum(c.items for c in done),
        arm=float(np.mean(arm_scores)),
        baseline=float(np.mean(baseline_scores)),
        difference=difference,
        logged=all(c.logged for c in done),
        higher_is_better=all(c.higher_is_better for c in done),
        p=difference.p_value() if difference else None,
        seeds=_by_seed(arm, arm_scores, baseline, baseline_scores),
    )
    return [*done, total]


def _compare_task(
    group: Group,
    task: str,
    row: str,
    arm: Sequence[Evaluation],
    against: str,
    baseline: Sequence[Evaluation],
) -> Comparison:
    ours, theirs = ([run.tasks[task] for run in runs] for runs in (arm, baseline))
    arm_scores, baseline_scores = [r.score for r in ours], [r.score for r in theirs]
    outcomes = _outcomes([*ours, *theirs])
    difference = statistics.difference(outcomes, len(ours), task) if outcomes else None
    discordant, exact = None, None
    if difference and len(ours) == len(theirs) == 1:
        right = [r.items.correct for r in (ours[0], theirs[0]) if r.items]
        if len(right) == 2 and right[0] is not None and right[1] is not None:
            discordant = statistics.discordant(right[0], right[1])
            exact = statistics.mcnemar(*discordant)
    plain = exact is not None and outcomes is not None and outcomes.gold is None
    return Comparison(
        group=group.name,
        task=task,
        row=row,
        against=against,
        metric=ours[0].metric,
        items=ours[0].count,
        arm=float(np.mean(arm_scores)),
        baseline=float(np.mean(baseline_scores)),
        difference=difference,
        logged=all(result.logged for result in (*ours, *theirs)),
        higher_is_better=ours[0].higher_is_better,
        discordant=discordant,
        mcnemar=exact,
        p=exact if plain else difference.p_value() if difference else None,
        seeds=_by_seed(arm, arm_scores, baseline, baseline_scores),
    )


def _outcomes(results: Sequence[TaskResult]) -> Outcomes | None:
    """The answers of several runs side by side; None where one has no sample log."""
    items = [result.items for result in results if result.items]
    if len(items) < len(results):
        return None
    values = [i.values for i in items if i.values is not None]
    if len(values) == len(items):
        return Outcomes(np.stack(values))
    predicted = [i.predicted for i in items if i.predicted is not None]
    return Outcomes(np.stack(predicted), items[0].gold)


def _by_seed(
    arm: Sequence[Evaluation],
    arm_scores: Sequence[float],
    base: Sequence[Evaluation],
    scores: Sequence[float],
) -> tuple[float, ...]:
    """Differences by seed: same seeds paired, or every seed against a single baseline run."""
    if len(arm) < 2:
        return ()
    ours = dict(zip((run.seed for run in arm), arm_scores, strict=True))
    theirs = dict(zip((run.seed for run in base), scores, strict=True))
    if len(base) == 1:
        return tuple(score - scores[0] for score in arm_scores)
    if ours.keys() != theirs.keys():
        return ()
    return tuple(ours[seed] - theirs[seed] for seed in ours)


def _corrected(
    comparisons: list[Comparison], family: Callable[[Comparison], bool]
) -> list[Comparison]:
    """The comparisons, those of a family with Holm's correction over it."""
    chosen = [i for i, c in enumerate(comparisons) if family(c) and c.p is not None]
    adjusted = statistics.holm([comparisons[i].p or 0.0 for i in chosen])
    done = list(comparisons)
    for i, p in zip(chosen, adjusted, strict=True):
        done[i] = replace(done[i], holm=p)
    return done


def is_percent(metric: str) -> bool:
    """Whether a metric is a share of one that the report shows in percent."""
    # Not rouge and bleu: some of the harness's tasks log them as shares, others times a hundred.
    return metric.startswith(("acc", "f1", "macro_f1", "exact_match", "em", "pass@"))
