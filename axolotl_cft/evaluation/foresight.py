"""What a study will be able to find, before anything is trained."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from axolotl_cft.errors import CFTError
from axolotl_cft.evaluation.statistics import SEEDS_FOR_PAIRING, Difference, Part
from axolotl_cft.evaluation.tasks import catalogue, count_facts, task_benchmarks, task_groups

CHANGED = 0.15  # of the items that two trainings of one arm answer, those they answer differently
SEED_POINTS = 1.0  # standard deviation of a score between seeds


@dataclass(frozen=True)
class Foreseen:
    """A group's average, or a task, and the smallest true difference that will be found.

    Attributes:
        name: the group or task.
        tasks: how many tasks it is over.
        items: how many items, in all.
        seeds: trainings on either side; with one, seeds are left out of account.
        points: the difference that a comparison finds in 80 % of cases, at 5 %.
    """

    name: str
    tasks: int
    items: int
    seeds: int
    points: float


def foresee(
    tasks: Sequence[str], seeds: int, rivals: int, size_of: Callable[[str], int | None]
) -> tuple[list[Foreseen], list[str]]:
    """The smallest differences that a comparison of two trained arms will find.

    It is arithmetic from the two assumptions above, with weighted F1 taken for an accuracy.

    Args:
        tasks: tasks and groups, as a study names them.
        seeds: trainings of each arm, of the same numbers.
        rivals: arms that are compared with the baseline; all averages are corrected for together.
        size_of: a task's number of items, None where it is not known.

    Returns:
        Our groups and the tasks outside them; and the names of which nothing is known here.
    """
    groups = {group.name: list(group.averaged) for group in task_groups()}
    found, unknown = [], []
    comparisons = rivals * len(set(tasks))
    for name in dict.fromkeys(tasks):
        sizes = [size_of(task) for task in groups.get(name, [name])]
        known = [size for size in sizes if size]
        if len(known) < len(sizes):
            unknown.append(name)
        else:
            points = _detectable(known, seeds, comparisons)
            found.append(Foreseen(name, len(known), sum(known), seeds, points))
    return found, unknown


def _detectable(sizes: Sequence[int], seeds: int, comparisons: int) -> float:
    """In points, for the average of tasks of these sizes."""
    lucks = [CHANGED / 2 / size / len(sizes) ** 2 for size in sizes]  # of one run's score, by task
    items = tuple(
        Part(2 * luck / seeds, 2 * luck / seeds, max(1, size - 1))
        for luck, size in zip(lucks, sizes, strict=True)
    )
    between, noise = (SEED_POINTS / 100) ** 2, sum(lucks)
    sides: tuple[Part, ...] = ()
    if seeds >= SEEDS_FOR_PAIRING:
        sides = (Part(2 * between / seeds, 2 * (between + noise) / seeds, seeds - 1, True),)
    elif seeds > 1:
        sides = (Part(between / seeds, (between + noise) / seeds, seeds - 1),) * 2
    return 100 * Difference(0.0, sum(sizes), items, sides).detectable(comparisons)


def task_sizes(data_dir: Path | None, limit: float | None) -> Callable[[str], int | None]:
    """Sizes of our tasks: of the files in a data directory, else the published ones.

    Args:
        data_dir: where the benchmarks lie; None for the hub's.
        limit: lm-eval's `--limit`: a number of items, or below 1 a share of them.
    """
    module = catalogue()

    def size(task: str) -> int | None:
        found = count_facts(task, data_dir)
        if found is None:
            try:
                benchmark = task_benchmarks([task])[task]
            except CFTError:  # another's task
                return None
            found = module.BENCHMARKS[benchmark].splits["test"]
            if data_dir and module.find_file(benchmark, "test", data_dir):
                found = len(module.load_local(benchmark, "test", data_dir))
        if found is None or limit is None:
            return found
        return max(1, math.ceil(found * limit)) if limit < 1 else min(found, int(limit))

    return size
