"""Runs without the test items that occur in the training corpus."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any

import numpy as np

from axolotl_cft.evaluation.results import Evaluation, Items, TaskResult
from axolotl_cft.evaluation.statistics import Outcomes


def without_items(
    runs: Sequence[Evaluation], contaminated: Mapping[str, AbstractSet[int]]
) -> tuple[list[Evaluation], list[str]]:
    """Score runs anew on the items that are left.

    Args:
        runs: as they were read.
        contaminated: task -> lm-eval's `doc_id` of the items to leave out.

    Returns:
        The runs, and a sentence for each task that could not be scored without them. A task of
        which fewer than two items are left, and one without a sample log, is left out.
    """
    found, notes = [], dict[str, None]()
    for run in runs:
        tasks = {}
        for task, result in run.tasks.items():
            out = contaminated.get(_base(result.task, contaminated), frozenset())
            if not out:
                tasks[task] = result
            elif result.items is None:
                notes[f"{task} has contaminated items, but its scores cannot be taken apart"] = None
            elif rest := _rest(result, result.items, out):
                tasks[task] = rest
            else:
                notes[f"of {task} no two items are left without the contaminated ones"] = None
        found.append(replace(run, tasks=tasks, groups={}))
    return found, list(notes)


def _base(task: str, contaminated: Mapping[str, AbstractSet[int]]) -> str:
    """The task whose items these are: another reading of a task has the items of the task."""
    for name in (task, task.removesuffix("_mc"), task.removesuffix("_gen")):
        if name in contaminated:
            return name
    return task


def _rest(result: TaskResult, items: Items, out: AbstractSet[int]) -> TaskResult | None:
    keep = np.array([number not in out for number in items.keys], bool)
    if keep.sum() < 2:  # one item tells nothing, and would make an average tell nothing
        return None

    def kept(values: Any) -> Any:
        return None if values is None else values[keep]

    rest = replace(
        items,
        keys={number: key for number, key in items.keys.items() if number not in out},
        prompts=tuple(np.array(items.prompts, object)[keep]),
        values=kept(items.values),
        gold=kept(items.gold),
        predicted=kept(items.predicted),
        weights=kept(items.weights),
        units=kept(items.units),
        densities=kept(items.densities),
    )
    if rest.values is not None:
        score = Outcomes(rest.values[None, :], weights=rest.weights).scores()[0]
    else:
        assert rest.predicted is not None
        score = Outcomes(rest.predicted[None, :], rest.gold).scores()[0]
    return replace(
        result,
        score=float(score),
        metrics={result.metric: float(score)},
        count=int(keep.sum()),
        items=rest,
    )
