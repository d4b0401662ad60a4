"""What should make a reader doubt a score: constant answers, unread ones, unlike conditions."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeVar

import numpy as np

from axolotl_cft.evaluation import statistics
from axolotl_cft.evaluation.conditions import NOT_RECORDED
from axolotl_cft.evaluation.controls import Control
from axolotl_cft.evaluation.cost import TrainingCost
from axolotl_cft.evaluation.results import Evaluation, TaskResult
from axolotl_cft.evaluation.sources import ReportPlan, Training
from axolotl_cft.evaluation.statistics import Outcomes

MISSING_SHARE = 0.05
CONSTANT_SHARE = 0.98
FIRST_LINE_POINTS = 0.02
TRAINED_POINTS = 0.001

# Facts of an evaluation that can change scores, and how a sentence about them begins.
_CONDITIONS = {
    "backend": "the backend differs",
    "device": "the kind of device differs",
    "dtype": "the dtype differs",
    "model arguments": "the model arguments differ",
    "chat template": "the chat template differs",
    "system instruction": "the system instruction differs",
    "few-shot as turns": "few-shot examples as turns of the chat differ",
    "limit": "the limit on items differs",
    "lm-eval": "the version of lm-eval differs",
    "transformers": "the version of transformers differs",
    "torch": "the version of torch differs",
    "GPU": "the GPU's model differs",
}


class _Labelled(Protocol):
    """A run, of an evaluation or a training."""

    @property
    def label(self) -> str: ...


_Run = TypeVar("_Run", bound=_Labelled)


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
    if not items or len(items) < len(runs) or results[0].control_chance is not None:
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
    found = [*condition_warnings(plan, rows), *plan.notes, *_absent_tasks(rows, tasks)]
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


def condition_warnings(plan: ReportPlan, rows: Mapping[str, Sequence[Evaluation]]) -> list[str]:
    """In what the evaluations differ that are compared, beside their models: a sentence each.

    Two evaluations are compared if they belong to one row, or to a row and its baseline.
    """
    found = []
    for fact, differs in _CONDITIONS.items():
        shown = _differing(plan, rows, partial(_fact, fact))
        found += [f"{differs} ({shown})"] if shown else []
    tasks = dict.fromkeys(task for runs in rows.values() for run in runs for task in run.evaluated)
    by_task: dict[str, list[str]] = {}
    for task in tasks:
        for differs, value in _task_conditions(task, rows):
            if shown := _differing(plan, rows, value):
                by_task.setdefault(f"{differs} ({shown})", []).append(task)
    found += [sentence.replace("{tasks}", listed(names)) for sentence, names in by_task.items()]
    return [f"{each}, so their scores do not differ by the weights alone" for each in found]


def control_warnings(controls: Sequence[Control]) -> list[str]:
    """Controls on which a row does not score what chance does: a sentence for each of them."""
    found = []
    for task in dict.fromkeys(control.task for control in controls):
        off = [c for c in controls if c.task == task and c.off_chance]
        if off:
            shown = listed([control.shown() for control in off])
            found.append(
                f"the control {task} is off chance ({100 * off[0].chance:.2f} %): {shown}; nobody "
                "can know its answers, so the options give something away, and the scores beside "
                "it are not to be read"
            )
    return found


def _fact(name: str, run: Evaluation) -> str:
    return run.facts.get(name, NOT_RECORDED)


def _task_conditions(
    task: str, rows: Mapping[str, Sequence[Evaluation]]
) -> list[tuple[str, Callable[[Evaluation], str]]]:
    """What an evaluation's settings for one task are, in a word or in what varies of them."""
    results = [run.tasks[task] for runs in rows.values() for run in runs if task in run.tasks]
    settings = [{key: json.dumps(r.generation[key]) for key in r.generation} for r in results]
    names = sorted({key for each in settings for key in each})
    varying = [name for name in names if len({each.get(name) for each in settings}) > 1]

    def fewshot(run: Evaluation) -> str:
        shots = run.tasks[task].fewshot if task in run.tasks else "None"
        return NOT_RECORDED if shots == "None" else shots

    def generation(run: Evaluation) -> str:
        if task not in run.tasks:
            return NOT_RECORDED
        given = run.tasks[task].generation
        shown = [f"{name}={json.dumps(given[name])}" for name in varying if name in given]
        return " ".join(shown) or "the harness's defaults"

    return [
        ("the number of few-shot examples of {tasks} differs", fewshot),
        ("the generation arguments of {tasks} differ", generation),
    ]


def _differing(
    plan: ReportPlan,
    rows: Mapping[str, Sequence[Evaluation]],
    value: Callable[[Evaluation], str],
) -> str:
    """`hf in cpt; vllm in cft`: which values compared runs have, or nothing if only one."""
    involved: set[str] = set()
    for row in rows:
        compared = {row, plan.baseline_of(row) or row} & rows.keys()
        values = {value(run) for name in compared for run in rows[name]} - {NOT_RECORDED}
        involved |= compared if len(values) > 1 else set()
    return _who_has_what({row: runs for row, runs in rows.items() if row in involved}, value)


def _who_has_what(rows: Mapping[str, Sequence[_Run]], value: Callable[[_Run], str]) -> str:
    """`hf in cpt; vllm in cft, seed 1`: every value, and the rows or the runs that have it."""
    having: dict[str, list[str]] = {}
    for row, runs in rows.items():
        found = {run.label: value(run) for run in runs}
        if len(set(found.values())) == 1:
            found = {row: value(runs[0])}
        for name, each in found.items():
            having.setdefault(each, []).append(name)
    return "; ".join(
        f"{each} in {listed(names)}" for each, names in having.items() if each != NOT_RECORDED
    )


def software_warnings(trainings: Sequence[Training]) -> list[str]:
    """In which software, or GPU, the trainings of one stage differ: a sentence for each stage.

    What one of them does not say is not compared.
    """
    found = []
    for stage in dict.fromkeys(training.stage for training in trainings):
        rows: dict[str, list[Training]] = {}
        for training in (each for each in trainings if each.stage == stage):
            rows.setdefault(training.row, []).append(training)
        runs = [training for row in rows.values() for training in row]
        names = dict.fromkeys(name for run in runs for name in run.software)
        varying = [n for n in names if len({run.software.get(n) for run in runs} - {None}) > 1]
        if varying:
            shown = _who_has_what(rows, partial(_software, varying))
            of = f" of stage {stage}" if stage else ""
            found.append(
                f"the trainings{of} were not made with the same software ({shown}), so a "
                "difference may be due to that"
            )
    return found


def _software(names: Sequence[str], training: Training) -> str:
    """`torch 2.9.1, gpu NVIDIA H100`"""
    said = training.software
    return ", ".join(f"{name} {said[name]}" for name in names if name in said) or NOT_RECORDED


def _absent_tasks(rows: Mapping[str, Sequence[Evaluation]], tasks: Sequence[str]) -> list[str]:
    """Runs without a task that other runs of the report have."""
    lacking: dict[tuple[str, ...], list[str]] = {}
    for run in (run for runs in rows.values() for run in runs):
        if missing := tuple(task for task in tasks if task not in run.tasks):
            lacking.setdefault(missing, []).append(run.label)
    return [
        f"{listed(names)} {'has' if len(names) == 1 else 'have'} no result for {listed(missing)}; "
        f"averages over {'it' if len(missing) == 1 else 'them'} leave "
        f"{'that run' if len(names) == 1 else 'those runs'} out"
        for missing, names in lacking.items()
    ]


ALIKE = 0.01
"""Share by which trainings' tokens may differ and still count as as many."""


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
        tokens = [cost.trained_tokens for cost in costs if cost.trained_tokens]
        as_many = len(tokens) == len(costs) and max(tokens) - min(tokens) <= ALIKE * max(tokens)
        amount = f", though on as many ({max(tokens):,.0f}, within {ALIKE:.0%})" if as_many else ""
        found.append(
            f"{runs}did not all train on the same tokens (their targets digests differ){amount}, "
            "so a difference may be due to the data"
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
    """`a, b and c`, or `a, b, c, d and 3 more`."""
    shown = [*names[:most], *([f"{len(names) - most} more"] if len(names) > most else [])]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
