"""Scores of the financial classification tasks.

The label rule is that of PIXIU/FLARE (Xie et al. 2023): strip and lower-case what the model
wrote; the first entry of `choices`, in the order of `choices`, that occurs in it as a substring
is its label, and without one it is "missing". F1s are over the labels that occur in the gold
answers; a missing label costs recall and belongs to no label's precision.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

MISSING = "missing"


def label_of(text: str, choices: Sequence[str]) -> str:
    """The entry of `choices` that a model's text stands for, or "missing"."""
    text = text.strip().lower()
    return next((choice for choice in choices if choice.lower() in text), MISSING)


def first_line(text: str) -> str:
    """The first line that is not blank, or the empty string."""
    return next((line for line in text.splitlines() if line.strip()), "")


def score_generation(doc: dict[str, Any], results: list[str]) -> dict[str, Any]:
    """Metrics of one generated answer; the F1s are (gold, predicted) pairs until aggregated.

    `f1_first_line` reads the first non-blank line alone: in 256 tokens of run-on text another
    label is likely to occur, and the order of `choices` then beats the order in the text.
    """
    (text,) = results
    gold = doc["choices"][doc["gold"]]
    predicted = label_of(text, doc["choices"])
    return {
        "f1": (gold, predicted),
        "macro_f1": (gold, predicted),
        "acc": float(gold == predicted),
        "missing": float(predicted == MISSING),
        "f1_first_line": (gold, label_of(first_line(text), doc["choices"])),
    }


def score_choice(doc: dict[str, Any], results: list[tuple[float, bool]]) -> dict[str, Any]:
    """Metrics of one item by log-likelihood: the likeliest of `choices`, the first of equals.

    The longer of two choices has more tokens to lose likelihood on ("Tax & Accounting" beside
    "Finance"). `f1_norm` and `acc_norm` are of the choice that is likeliest per character, by the
    rule of the harness's own `acc_norm` (`lm_eval/api/task.py::process_results`).
    """
    choices, gold = doc["choices"], doc["choices"][doc["gold"]]
    likelihoods = [likelihood for likelihood, _ in results]
    by_length = [value / len(choice) for value, choice in zip(likelihoods, choices, strict=True)]
    predicted = choices[likelihoods.index(max(likelihoods))]
    normalized = choices[by_length.index(max(by_length))]
    return {
        "f1": (gold, predicted),
        "macro_f1": (gold, predicted),
        "acc": float(gold == predicted),
        "f1_norm": (gold, normalized),
        "acc_norm": float(gold == normalized),
    }


def weighted_f1(items: Sequence[tuple[str, str]]) -> float:
    """Mean of the labels' F1s, each weighted by how often the label is the gold answer."""
    support = Counter(gold for gold, _ in items)
    return sum(f1 * support[label] for label, f1 in _f1s(items).items()) / len(items)


def macro_f1(items: Sequence[tuple[str, str]]) -> float:
    """Plain mean of the F1s of the labels that occur in the gold answers."""
    f1s = _f1s(items)
    return sum(f1s.values()) / len(f1s)


def _f1s(items: Sequence[tuple[str, str]]) -> dict[str, float]:
    # F1 = 2 TP / (gold + predicted), which is defined for every label that occurs in gold.
    gold = Counter(gold for gold, _ in items)
    predicted = Counter(predicted for _, predicted in items)
    hits = Counter(gold for gold, predicted in items if gold == predicted)
    return {label: 2 * hits[label] / (gold[label] + predicted[label]) for label in gold}
