"""Whether runs can be compared at all: one harness, the same items, as many seeds, no run twice."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from axolotl_cft.errors import CFTError
from axolotl_cft.evaluation.results import OURS, Evaluation, Items


def agreeing(runs: Sequence[Evaluation]) -> tuple[list[Evaluation], list[str]]:
    """The runs with the tasks on which they can be compared.

    Returns:
        The runs, and a sentence for each task of others that was left out because it is not the
        same test in all of them.

    Raises:
        CFTError: different harnesses, or a task of ours that is not the same test in all runs.
    """
    first, notes, out = runs[0], [], set()
    for run in runs[1:]:
        if run.facts["lm-eval"] != first.facts["lm-eval"]:
            raise CFTError(
                f"{first.name} was evaluated with lm-eval {first.facts['lm-eval']} and {run.name} "
                f"with {run.facts['lm-eval']}; evaluate both with one version"
            )
    for task in dict.fromkeys(task for run in runs for task in run.tasks):
        having = [run for run in runs if task in run.tasks]
        try:
            _check_versions(task, having)
            _check_items(task, having)
        except CFTError as exc:
            if task.startswith(OURS):
                raise
            notes.append(f"{task} is left out: {exc}")
            out.add(task)
    kept = [
        replace(run, tasks={task: r for task, r in run.tasks.items() if task not in out})
        for run in runs
    ]
    return kept, notes


def _check_versions(task: str, runs: Sequence[Evaluation]) -> None:
    """One version and one headline metric."""
    first = runs[0]
    for run in runs[1:]:
        for what in ("version", "metric"):
            ours, theirs = getattr(run.tasks[task], what), getattr(first.tasks[task], what)
            if ours != theirs:
                raise CFTError(
                    f"{task} has {what} {theirs} in {first.name} and {ours} in {run.name}; "
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
        elif first.count and result.count and first.count != result.count:
            raise CFTError(
                f"{pair} in number ({first.count} and {result.count}); evaluate both on the same "
                "data with the same --limit"
            )


def seed_warnings(pairs: Iterable[tuple[Sequence[Evaluation], Sequence[Evaluation]]]) -> list[str]:
    """Seeds that one of two compared rows lacks."""
    found = []
    for pair in pairs:
        for runs, others in (pair, pair[::-1]):
            here, there = ([r.seed for r in side if r.numbered] for side in (runs, others))
            lacking = [seed for seed in there if seed not in here]
            if lacking and here:
                number = f"seed{'s' * (len(lacking) > 1)} {', '.join(lacking)}"
                found.append(f"{runs[0].name} has no run of {number}, and {others[0].name} has")
    return list(dict.fromkeys(found))


def same_answers(runs: Sequence[Evaluation]) -> list[str]:
    """Runs of one row with equal answers are hardly two trainings."""
    found = []
    for one, other in itertools.combinations(runs, 2):
        logs = [(r.items, other.tasks[t].items) for t, r in one.tasks.items() if t in other.tasks]
        answers = [(a, b) for a, b in logs if a and b]
        if answers and all(_equal(a, b) for a, b in answers):
            found.append(
                f"{one.label} and {other.label} gave the same answer to every item: if they are "
                "one model evaluated twice, name it once"
            )
    return found


def _equal(one: Items, other: Items) -> bool:
    if one.predicted is not None and other.predicted is not None:
        return np.array_equal(one.predicted, other.predicted)
    if one.values is None or other.values is None:
        return False
    return np.array_equal(one.values, other.values)
