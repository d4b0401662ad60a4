"""Which tasks are reported together, and how they are averaged."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from axolotl_cft.evaluation.results import Evaluation
from axolotl_cft.evaluation.tasks import task_groups

HELD_OUT = "cft_heldout"
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

    def weights_of(self, tasks: Sequence[str]) -> list[float]:
        """The weights of some of the tasks."""
        assert self.weights is not None
        weight = dict(zip(self.tasks, self.weights, strict=True))
        return [weight[task] for task in tasks]


def make_groups(runs: Sequence[Evaluation], tasks: Sequence[str]) -> tuple[Group, ...]:
    """Held-out text, the paper's groups, the harness's averaged ones, then what is left over."""
    groups, left = [], [task for task in tasks if task != HELD_OUT]
    if HELD_OUT in tasks:
        groups.append(Group("held-out text", {HELD_OUT: "held-out documents"}, None, None))
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
