"""Which tasks are reported together, and how they are averaged."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from axolotl_cft.evaluation.ranges import between
from axolotl_cft.evaluation.results import Evaluation, in_metric
from axolotl_cft.evaluation.tasks import task_groups

HELD_OUT = "cft_heldout"
BY_POSITION = "cft_heldout_positions@"
_POSITIONS = (
    "Bits per byte of bare text, lower is better, by the position in its document: tokens of a "
    "stretch are predicted from all before them. Only documents that reach it count."
)
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Group:
    """Tasks reported together: task name -> column heading, and how they are averaged.

    `weights` are the tasks' shares in the average (None: the group has no average); a task whose
    share is 0 stands beside it. `note` is what a reader of the scores has to know.
    """

    name: str
    tasks: dict[str, str]
    metric: str | None
    weights: tuple[float, ...] | None
    note: str = ""

    def weights_of(self, tasks: Sequence[str]) -> list[float]:
        """The weights of some of the tasks."""
        assert self.weights is not None
        weight = dict(zip(self.tasks, self.weights, strict=True))
        return [weight[task] for task in tasks]

    @property
    def averaged(self) -> list[str]:
        """The tasks that the average is over; none if the group has none."""
        shares = zip(self.tasks, self.weights or (), strict=bool(self.weights))
        return [task for task, share in shares if share > 0]

    def in_metric(self, metric: str, present: Collection[str]) -> "Group | None":
        """The same group by another metric of its tasks; None where no run has that of any."""
        titles = {in_metric(task, metric): title for task, title in self.tasks.items()}
        here = {task: title for task, title in titles.items() if task in present}
        if not here:
            return None
        weights = self.weights
        if weights is not None:
            weight = dict(zip(titles, weights, strict=True))
            whole = {task for task, share in weight.items() if share > 0} <= here.keys()
            weights = tuple(weight[task] for task in here) if whole else None
        return Group(in_metric(self.name, metric), here, metric, weights)


def make_groups(runs: Sequence[Evaluation], tasks: Sequence[str]) -> tuple[Group, ...]:
    """Held-out text, our groups, the harness's averaged ones, then what is left over.

    Each is followed by itself in the further metrics that its tasks want compared.
    """
    results = {task: result for run in runs for task, result in run.tasks.items()}
    groups = _by_task(runs, [task for task in tasks if not results[task].further])
    further = dict.fromkeys(result.further for result in results.values() if result.further)
    return tuple(
        found
        for group in groups
        for found in (group, *(group.in_metric(metric, tasks) for metric in further))
        if found
    )


def _by_task(runs: Sequence[Evaluation], tasks: Sequence[str]) -> list[Group]:
    """The groups of tasks, each by its first metric."""
    groups, left = [], [task for task in tasks if not task.startswith(HELD_OUT)]
    if HELD_OUT in tasks:
        groups.append(Group("held-out text", {HELD_OUT: "held-out documents"}, None, None))
    if positions := _positions(tasks):
        name = "held-out text by position"
        groups.append(Group(name, positions, "bits_per_byte", None, _POSITIONS))
    for ours in task_groups():
        present = {task: title for task, title in ours.tasks.items() if task in left}
        if present:
            # These averages weigh every task alike, whatever its number of items.
            shares = tuple(float(task in ours.averaged) for task in present)
            weights = shares if present.keys() >= set(ours.averaged) else None
            groups.append(Group(ours.name, present, ours.metric, weights))
            left = [task for task in left if task not in present]
    harness = {name: members for run in runs for name, members in run.groups.items()}
    for name, (metric, _, leaves) in sorted(harness.items(), key=lambda g: (-len(g[1][2]), g[0])):
        if set(leaves) <= set(left):
            weights = _weights(name, metric, leaves, runs)
            groups.append(Group(name, {leaf: leaf for leaf in leaves}, metric, weights))
            left = [task for task in left if task not in leaves]
    if left:
        groups.append(Group("other tasks", {task: task for task in sorted(left)}, None, None))
    return groups


def _positions(tasks: Sequence[str]) -> dict[str, str]:
    """The stretches of held-out documents, from the first tokens to the last, by their titles."""
    begins = (task.removeprefix(BY_POSITION) for task in tasks if task.startswith(BY_POSITION))
    titles: dict[str, str] = {}
    last: int | None = None
    for begin in sorted(map(int, begins), reverse=True):
        title = f"{begin:,} on" if last is None else between(f"{begin:,}", f"{last:,}", "–")
        titles = {f"{BY_POSITION}{begin}": f"tokens {title}", **titles}
        last = begin - 1
    return titles


def _weights(
    name: str, metric: str, leaves: tuple[str, ...], runs: Sequence[Evaluation]
) -> tuple[float, ...] | None:
    """The weighting (by items, or none) that gives the harness's own average in every run."""
    having = [run for run in runs if name in run.groups and run.tasks.keys() >= set(leaves)]
    if not having:
        return None
    for by_size in (True, False):
        weights = tuple(float(having[0].tasks[leaf].count) if by_size else 1.0 for leaf in leaves)
        group = Group(name, {leaf: leaf for leaf in leaves}, metric, weights)
        if all(
            all(run.tasks[leaf].metric == metric for leaf in leaves)
            and abs(average_of(run, group, leaves) - run.groups[name][1]) < _TOLERANCE
            for run in having
        ):
            return weights
    return None


def average_of(run: Evaluation, group: Group, tasks: Sequence[str]) -> float:
    """The average over some of the group's tasks, with the group's weights, in one run."""
    return float(np.average([run.tasks[t].score for t in tasks], weights=group.weights_of(tasks)))
