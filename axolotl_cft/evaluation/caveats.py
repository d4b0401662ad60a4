"""What should make a reader doubt a score: constant answers, unread ones, unlike conditions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from axolotl_cft.evaluation import statistics
from axolotl_cft.evaluation.cost import TrainingCost
from axolotl_cft.evaluation.results import Evaluation, TaskResult
from axolotl_cft.evaluation.sources import ReportPlan, Training
from axolotl_cft.evaluation.statistics import Outcomes

MISSING_SHARE = 0.05
CONSTANT_SHARE = 0.98
FIRST_LINE_POINTS = 0.02
TRAINED_POINTS = 0.001


@dataclass(frozen=True)
class Constant:
    """A row's task beside the best constant answer to it, in the headline metric.

    Attributes:
        label: the answer whose constant repetition scores best.
        score: what it scores.
        usual: the row's most common prediction, and `share` of its answers.
        beaten: whether the row's 95 % interval above the constant answer excludes zero.
    """

    task: str
    row: str
    label: str
    score: float
    usual: str
    share: float
    gold_share: float
    beaten: bool


def best_constant(task: str, row: str, runs: Sequence[Evaluation]) -> Constant | None:
    """The row against the best constant answer, where the log tells gold and predicted labels."""
    results = [run.tasks[task] for run in runs if task in run.tasks]
    items = [r.items for r in results if r.items and r.items.gold is not None]
    if not items or len(items) < len(runs):
        return None
    gold = items[0].gold
    assert gold is not None
    labels, counts = np.unique(gold, return_counts=True)
    weighted = items[0].values is None
    answers = np.stack([np.full(len(gold), label) for label in labels])
    scores = Outcomes(answers, gold).scores() if weighted else counts / len(gold)
    best = int(np.argmax(scores))
    if weighted:
        rivals = Outcomes(np.stack([i.predicted for i in items] + [answers[best]]), gold)
    else:
        constant = (gold == labels[best]).astype(float)
        rivals = Outcomes(np.stack([i.values for i in items] + [constant]))
    rivals = replace(rivals, units=items[0].units)
    difference = statistics.difference(rivals.measure(task), len(items))
    usual, often = np.unique(
        np.concatenate([i.predicted for i in items if i.predicted is not None]), return_counts=True
    )
    top = int(np.argmax(often))
    gold_share = float(np.mean(gold == usual[top]))
    return Constant(
        task=task,
        row=row,
        label=str(labels[best]),
        score=float(scores[best]),
        usual=str(usual[top]),
        share=float(often[top] / often.sum()),
        gold_share=gold_share,
        beaten=difference.interval()[0] > 0,
    )


def run_warnings(
    plan: ReportPlan, rows: dict[str, tuple[Evaluation, ...]], tasks: Sequence[str]
) -> list[str]:
    """What a reader should know before believing a number, one sentence each."""
    found = list(plan.notes)
    for row, runs in rows.items():
        for run in runs:
            found += run.notes
        if against := plan.baseline_of(row):
            found += _prompt_warnings(row, runs, against, rows[against], tasks)
    for task in tasks:
        for runs in rows.values():
            for run in runs:
                if task in run.tasks:
                    found += _reading_warnings(run, run.tasks[task])
    return found


def training_warnings(costs: Sequence[tuple[Training, TrainingCost]]) -> list[str]:
    """Trainings that went wrong, and arms that did not train on the same tokens."""
    found = [
        f"the training loss of {training.label} (or its gradient) was not finite at step "
        f"{cost.nan_step}"
        for training, cost in costs
        if cost.nan_step is not None
    ]
    for stage in dict.fromkeys(training.stage for training, _ in costs):
        runs = f"the runs {f'of stage {stage} ' if stage else ''}"
        found += _unlike([cost for training, cost in costs if training.stage == stage], runs)
    return found


def _unlike(costs: Sequence[TrainingCost], runs: str) -> list[str]:
    """In what the trainings of one stage differ beside their arm; `runs` begins each sentence."""
    found = []
    if len({cost.targets_digest for cost in costs} - {None}) > 1:
        found.append(
            f"{runs}did not all train on the same tokens (their targets digests differ), so a "
            "difference may be due to the data"
        )
    shares = [cost.share_trained for cost in costs if cost.share_trained is not None]
    if shares and max(shares) - min(shares) > TRAINED_POINTS:
        found.append(
            f"{runs}lost different shares of their tokens in the host's sampler "
            f"({100 * min(shares):.2f} to {100 * max(shares):.2f} % were trained), so a difference "
            "may be due to the data"
        )
    steps = [cost.steps for cost in costs if cost.steps is not None]
    if steps and min(steps) < max(steps):
        found.append(
            f"{runs}took different numbers of optimizer steps ({min(steps):,} to {max(steps):,}): "
            "in packed rows prompts take room"
        )
    return found


def _prompt_warnings(
    row: str,
    arm: Sequence[Evaluation],
    against: str,
    baseline: Sequence[Evaluation],
    tasks: Sequence[str],
) -> list[str]:
    """Rows whose models saw different prompts for the same items (template, few-shot)."""
    differing = [
        task
        for task in tasks
        if (ours := _prompts(arm, task)) and (theirs := _prompts(baseline, task)) and ours != theirs
    ]
    if not differing:
        return []
    return [
        f"{row} and {against} saw different prompts on {listed(differing)} (chat template, system "
        "instruction or few-shot examples), so their difference is not due to the weights alone"
    ]


def _prompts(runs: Sequence[Evaluation], task: str) -> set[tuple[str, ...]]:
    found = (run.tasks[task].items for run in runs if task in run.tasks)
    return {items.prompts for items in found if items}


def _reading_warnings(run: Evaluation, result: TaskResult) -> list[str]:
    """Answers that could not be read, or whose label depends on how much of them is read."""
    found = []
    missing = result.metrics.get("missing", 0.0)
    if missing > MISSING_SHARE:
        found.append(
            f"{run.label}: {100 * missing:.1f} % of the answers to {result.task} name no label "
            "and count as wrong"
        )
    first_line = result.metrics.get("f1_first_line", result.score)
    if abs(first_line - result.score) > FIRST_LINE_POINTS:
        found.append(
            f"{run.label}: {result.task} scores {100 * result.score:.2f} on the whole answer but "
            f"{100 * first_line:.2f} on its first line; the model keeps writing after its answer"
        )
    return found


def listed(names: Sequence[str], most: int = 4) -> str:
    """`a, b and 3 more`."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
