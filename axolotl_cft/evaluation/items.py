"""What one run answered to each item of a task, and how its answers make up its score.

With `--log_samples` the harness logs what each metric says of each item
(`lm_eval/api/task.py::process_results`), and makes the score from these values by an aggregation
(`lm_eval/api/metrics.py`). Three aggregations can be repeated on a resample of the items:

- `mean`: every value is a number;
- `bits_per_byte`: every value is `[log-likelihood, bytes]`, and the score is -Σll / Σbytes / ln 2:
  the mean of -ll / bytes / ln 2, in which an item weighs as many bytes as it has;
- weighted F1, a function of our own tasks: every value is `[gold label, predicted label]`.

Any other is a score of the whole set: binary F1, MCC, BLEU, a perplexity (the exponential of a
mean), whatever a task computes with a function of its own.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axolotl_cft.core.density import density
from axolotl_cft.errors import CFTError
from axolotl_cft.evaluation.statistics import Outcomes
from axolotl_cft.evaluation.task_metadata import MetadataError

MEAN = "mean"
BITS_PER_BYTE = "bits_per_byte"
UNKNOWN = "unknown"

# How lm_eval/api/metrics.py aggregates the metrics that it brings, where a task does not say.
_USUAL = {
    **dict.fromkeys(("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match"), MEAN),
    "bits_per_byte": BITS_PER_BYTE,
    "word_perplexity": "weighted_perplexity",
    "byte_perplexity": "weighted_perplexity",
    "perplexity": "perplexity",
    "f1": "f1",
    "mcc": "matthews_corrcoef",
    "brier_score": "brier_score",
    "bleu": "bleu",
    "chrf": "chrf",
    "ter": "ter",
}
# A score from the log against the harness's own: numpy's float32 means differ by more than 1e-6,
# and a wrong answer among ten thousand by 1e-4.
_TOLERANCE = 1e-5
FEWEST_BLOCKS = 10
_LABELS = 200  # more different answers than this are texts, of which no F1 of labels is made


@dataclass(frozen=True)
class Items:
    """What one run answered, item by item, in the order of `doc_id`.

    Attributes:
        keys: `doc_id` -> hash of the document and its target; equal keys are the same item.
        prompts: hash of each prompt as the model saw it (few-shot examples, chat template).
        values: `(items,)` the metric's value per item; None for a weighted F1.
        gold: `(items,)` gold labels, where the log tells them.
        predicted: `(items,)` predicted labels, where the log tells them.
        weights: `(items,)` the share of each item in the score (a text's bytes, say); None: alike.
        units: `(items,)` a number for what items share (a document, say), which makes them less
            telling than as many independent ones; None: nothing.
        unit_name: what `units` number, in the plural: "values of document", "blocks of 100 items".
        densities: `(items,)` how well each text compresses (`core.density`), NaN where that is not
            known; None where items are no texts.
        column: whose values they number, a value by the same number in every task; "" for blocks.
    """

    keys: dict[int, str]
    prompts: tuple[str, ...]
    values: NDArray[np.float64] | None
    gold: NDArray[np.str_] | None
    predicted: NDArray[np.str_] | None
    weights: NDArray[np.float64] | None = None
    units: NDArray[np.int64] | None = None
    unit_name: str = ""
    densities: NDArray[np.float64] | None = None
    column: str = ""

    @property
    def correct(self) -> NDArray[np.bool_] | None:
        """`(items,)` whether each answer is right, for metrics that are right or wrong."""
        if self.values is not None:
            return self.values > 0.5 if np.isin(self.values, (0.0, 1.0)).all() else None
        assert self.gold is not None and self.predicted is not None
        return self.gold == self.predicted


@dataclass(frozen=True)
class Headline:
    """A score of a task that is compared, as its results file has it.

    Attributes:
        task: the task.
        metric: the metric's name, without its filter.
        filter: the harness's filter of the answers ("none" is its usual one).
        score: the score on all items.
        count: how many items there are; 0 if the file does not say.
        aggregation: as `aggregation_of` has it.
        sharing: as `sharing_of` has it.
        ours: whether the task is ours, whose functions are known: what is not a mean is a weighted
            F1, and a log that does not give the score is an error.
        partial: whether some items only have the metric; the others do not count.
    """

    task: str
    metric: str
    filter: str
    score: float
    count: int
    aggregation: str
    sharing: str | int | None
    ours: bool
    partial: bool = False


@dataclass(frozen=True)
class _Answers:
    """What makes up a score, as in `Items`."""

    values: NDArray[np.float64] | None = None
    gold: NDArray[np.str_] | None = None
    predicted: NDArray[np.str_] | None = None
    weights: NDArray[np.float64] | None = None

    def score(self) -> float:
        if self.values is not None:
            return float(np.average(self.values, weights=self.weights))
        assert self.gold is not None and self.predicted is not None
        return float(Outcomes(self.predicted[None, :], self.gold).scores()[0])


def aggregation_of(config: dict[str, Any], metric: str) -> str:
    """By which of the harness's aggregations a task makes a metric's score, or `UNKNOWN`.

    `config` is the task's, as a results file repeats it: names as in the task's YAML, and of
    functions their source.
    """
    entries = config.get("metric_list")
    if not entries:
        return _USUAL.get(metric, UNKNOWN)
    for entry in entries:
        name = str(entry.get("metric"))
        if name == metric or f"def {metric}(" in name:
            declared = entry.get("aggregation")
            if declared is None:
                return _USUAL.get(metric, UNKNOWN)
            return str(declared) if str(declared).isidentifier() else UNKNOWN
    # A task may log more than it lists (lm_eval/evaluator_utils.py::calculate_aggregate_metric).
    return MEAN


def as_number(value: Any) -> float | None:
    """A number of the harness's files; some of numpy's are text there (`handle_non_serializable`).

    Not None for NaN.
    """
    if isinstance(value, str):
        value = {"True": True, "False": False}.get(value, value)
    try:
        return float(value) if isinstance(value, bool | int | float | str) else None
    except ValueError:
        return None


def read_items(path: Path, headline: Headline) -> Items | None:
    """Per-item answers of one sample log, held against the score that the harness reported.

    Returns:
        None where the score is none of single items.

    Raises:
        CFTError: the log is damaged, incomplete, or not the one behind the score.
    """
    chosen = (None, headline.filter)
    samples = [s for s in _samples(path, headline) if s.get("filter") in chosen]
    if headline.partial:
        samples = [sample for sample in samples if headline.metric in sample]
    samples.sort(key=lambda sample: int(sample["doc_id"]))
    keys = {int(s["doc_id"]): f"{s.get('doc_hash')} {s.get('target')}" for s in samples}
    if len(keys) != len(samples):
        raise CFTError(f"{path} holds the same doc_id twice; evaluate again into an empty folder")
    if headline.count and len(samples) != headline.count:
        raise CFTError(
            f"{path} holds {len(samples)} of {headline.count} items (cut short?); evaluate again"
        )
    logged = [sample.get(headline.metric) for sample in samples]
    answers = _answers(logged, headline.aggregation) if logged else None
    if answers is None and logged and headline.ours:
        raise CFTError(f"{path} lacks {headline.metric} of some items; evaluate again")
    if answers is None:
        return None
    recomputed, score = answers.score(), headline.score
    if not abs(recomputed - score) <= _TOLERANCE * max(1.0, abs(score)):
        if headline.aggregation == UNKNOWN and not headline.ours:
            return None  # aggregated in another way, which cannot be repeated on a resample
        raise CFTError(
            f"{path} gives {headline.metric} {recomputed:.6f} but its results file says "
            f"{score:.6f}; the two do not belong together, evaluate again"
        )
    gold, predicted = answers.gold, answers.predicted
    if headline.metric == "acc" and answers.values is not None:
        gold, predicted = _choices(samples, answers.values)
    sharing, units = headline.sharing, None
    if isinstance(sharing, int):
        # Fewer than ten blocks would tell next to nothing; of a small set they are shorter.
        sharing = max(1, min(sharing, len(keys) // FEWEST_BLOCKS))
        units = np.array(list(keys), dtype=np.int64) // sharing
    elif sharing is not None:
        units = np.array([_number(s["shared"]) for s in samples], dtype=np.int64)
    return Items(
        keys=keys,
        prompts=tuple(str(sample.get("prompt_hash")) for sample in samples),
        values=answers.values,
        gold=gold,
        predicted=predicted,
        weights=answers.weights,
        units=units,
        unit_name=_shared_by(sharing),
        column=sharing if isinstance(sharing, str) else "",
        densities=_densities(samples),
    )


def _densities(samples: Sequence[dict[str, Any]]) -> NDArray[np.float64] | None:
    known = [sample.get("density") for sample in samples]
    return None if not any(known) else np.array(known, dtype=float)  # None becomes NaN


def _number(value: str) -> int:
    """A number for a text, the same wherever that text stands."""
    return int.from_bytes(blake2b(value.encode(), digest_size=8).digest(), "big", signed=True)


def _shared_by(sharing: int | str | None) -> str:
    if isinstance(sharing, int):
        return f"blocks of {sharing} items"
    return f"values of {sharing}" if sharing else ""


def _samples(path: Path, headline: Headline) -> Iterator[dict[str, Any]]:
    """The samples of a log without what is long in them.

    What items share stands in "shared", and how dense a text is in "density".
    """
    sharing = headline.sharing
    with path.open("rb") as file:  # a log cut inside a character is still read line by line
        for number, line in enumerate(file, 1):
            try:
                sample = json.loads(line)
                int(sample["doc_id"])
            except (ValueError, KeyError, TypeError) as exc:
                raise CFTError(
                    f"{path}, line {number}: not a logged sample (cut short?); evaluate again"
                ) from exc
            for long in ("arguments", "resps"):
                sample.pop(long, None)
            document = sample.pop("doc", None)
            if headline.aggregation == BITS_PER_BYTE and isinstance(document, dict):
                sample["density"] = density(str(document.get("text", "")))
            if isinstance(sharing, str):
                sample["shared"] = _column(document, sharing, headline.task, path)
            yield sample


def _column(document: Any, column: str, task: str, path: Path) -> str:
    if not isinstance(document, dict) or column not in document:
        has = ", ".join(document) if isinstance(document, dict) else "none"
        raise MetadataError(
            f"{task} says that its items share {column!r}, which is no column of the documents in "
            f"{path} (columns there: {has}); correct items_share in the task's metadata"
        )
    return json.dumps(document[column], sort_keys=True)


def _answers(logged: Sequence[Any], aggregation: str) -> _Answers | None:
    """What makes up a score of this aggregation, or None where the log does not hold it."""
    if aggregation in (MEAN, UNKNOWN) and (values := _finite(logged)) is not None:
        return _Answers(values=values)
    pairs = [value for value in logged if isinstance(value, list) and len(value) == 2]
    if len(pairs) < len(logged):
        return None
    if aggregation == BITS_PER_BYTE:
        likelihoods, sizes = (_finite([pair[i] for pair in pairs]) for i in (0, 1))
        if likelihoods is None or sizes is None or not (sizes > 0).all():
            return None
        return _Answers(values=-likelihoods / sizes / math.log(2), weights=sizes)
    if aggregation == UNKNOWN and all(isinstance(x, str | int) for pair in pairs for x in pair):
        gold, predicted = (np.array([str(pair[i]) for pair in pairs]) for i in (0, 1))
        return _Answers(gold=gold, predicted=predicted) if len(set(gold)) <= _LABELS else None
    return None


def _finite(logged: Sequence[Any]) -> NDArray[np.float64] | None:
    """The values as numbers, or None if one is none."""
    numbers = np.array([as_number(value) for value in logged], dtype=float)  # None becomes NaN
    return numbers if np.isfinite(numbers).all() else None


def _choices(
    samples: list[dict[str, Any]], right: NDArray[np.float64]
) -> tuple[NDArray[np.str_] | None, NDArray[np.str_] | None]:
    """Gold and predicted choice (A, B, …) of a log-likelihood multiple-choice log, else Nones.

    The harness logs the target as the choice's index and, as text, each choice's log-likelihood;
    its `acc` takes the largest (`lm_eval/api/task.py::process_results`).
    """
    gold, predicted = [], []
    for sample, value in zip(samples, right, strict=True):
        answers = sample.get("filtered_resps")
        target = str(sample.get("target"))
        if not isinstance(answers, list) or len(answers) < 2 or not target.isdigit():
            return None, None
        try:
            likelihoods = [float(answer[0]) for answer in answers]
        except (TypeError, ValueError, IndexError):
            return None, None
        best = int(np.argmax(likelihoods))
        if value != float(best == int(target)):
            return None, None
        gold.append(_letter(int(target)))
        predicted.append(_letter(best))
    if len(set(gold)) == 1:
        return None, None  # a set that lists the right choice first (TruthfulQA) shows no letters
    return np.array(gold), np.array(predicted)


def _letter(index: int) -> str:
    return chr(ord("A") + index) if index < 26 else str(index)
