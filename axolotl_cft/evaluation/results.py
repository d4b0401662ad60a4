"""Read what `lm_eval --output_path DIR --log_samples` wrote.

The harness (0.4.11 to 0.4.13, `lm_eval/loggers/evaluation_tracker.py`) writes, in a sub-folder
named after the model, `results_<time>.json` and one `samples_<task>_<time>.jsonl` per task. A later
evaluation into the same folder adds files; where two hold the same task, the later one counts.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axolotl_cft.errors import CFTError
from axolotl_cft.evaluation.statistics import Outcomes
from axolotl_cft.files import read_json

_TOLERANCE = 1e-6  # a score recomputed from the sample log against the harness's own


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
        unit_name: what that is, in the plural.
    """

    keys: dict[int, str]
    prompts: tuple[str, ...]
    values: NDArray[np.float64] | None
    gold: NDArray[np.str_] | None
    predicted: NDArray[np.str_] | None
    weights: NDArray[np.float64] | None = None
    units: NDArray[np.int64] | None = None
    unit_name: str = ""

    @property
    def correct(self) -> NDArray[np.bool_] | None:
        """`(items,)` whether each answer is right, for metrics that are right or wrong."""
        if self.values is not None:
            return self.values > 0.5 if np.isin(self.values, (0.0, 1.0)).all() else None
        assert self.gold is not None and self.predicted is not None
        return self.gold == self.predicted


@dataclass(frozen=True)
class TaskResult:
    """One task's scores in one run; `metric` names the headline one and `score` is its value.

    `items` is None without a sample log (`logged` is false), and for a metric that cannot be
    recomputed from single items.
    """

    task: str
    metric: str
    score: float
    metrics: dict[str, float]
    count: int
    higher_is_better: bool
    version: str
    fewshot: str
    logged: bool
    items: Items | None


@dataclass(frozen=True)
class Evaluation:
    """One evaluated model: its tasks, and the facts about how it was evaluated.

    Attributes:
        name: the row it belongs to; runs of one name are seeds of one another.
        seed: how this run is called among them: by its seed, or "run 1" where that is not known.
        tasks: task name -> result, leaf tasks only.
        groups: harness group -> (metric, score, leaf tasks), for groups that the harness averaged.
        facts: protocol facts as text, for the report.
        notes: what a reader of the results should know about the files.
    """

    name: str
    seed: str
    tasks: dict[str, TaskResult]
    groups: dict[str, tuple[str, float, tuple[str, ...]]]
    facts: dict[str, str]
    notes: tuple[str, ...] = ()

    @property
    def numbered(self) -> bool:
        """Whether the seed's number is known, so that runs of two rows may share it."""
        return self.seed.lstrip("-").isdigit()

    @property
    def label(self) -> str:
        """The run's name, with its seed where it has one."""
        seed = f"seed {self.seed}" if self.numbered else self.seed
        return f"{self.name}, {seed}" if seed else self.name


def read_run(folder: Path, name: str, seed: str = "") -> Evaluation:
    """Read one lm-eval output folder (or one of its results files) as the run `name`.

    Raises:
        CFTError: nothing there, several models' results, a damaged file, files of different
            versions, a NaN, or a sample log that does not belong to its results.
    """
    files = _result_files(folder)
    contents = [(path, _load_results(path)) for path in files]
    _same_version(contents)
    tasks: dict[str, TaskResult] = {}
    groups: dict[str, tuple[str, float, tuple[str, ...]]] = {}
    superseded: set[str] = set()
    facts: dict[str, dict[str, str]] = {}
    for path, content in contents:
        for task in content["configs"]:
            if task in tasks:
                superseded.add(task)
            tasks[task] = _read_task(path, content, task)
            facts[task] = _facts(content)
        groups.update(_read_groups(content))
    if not tasks:
        raise CFTError(f"{folder} holds results without any task; evaluate again")
    merged, mixed = _merge(list(facts.values()))
    notes = [
        f"{task} of {name} was evaluated more than once into the same folder; the last one counts"
        for task in sorted(superseded)
    ]
    if mixed:
        notes.append(f"not all tasks of {name} were evaluated alike: see {', '.join(mixed)} below")
    return Evaluation(name, seed, tasks, groups, merged, tuple(notes))


def _merge(facts: list[dict[str, str]]) -> tuple[dict[str, str], list[str]]:
    """The facts behind the tasks of one run, every value of each, and the names of those that vary.

    The commit that was checked out while evaluating may vary; it says nothing about the scores.
    """
    values = {name: list(dict.fromkeys(each[name] for each in facts)) for name in facts[0]}
    varying = [name for name, found in values.items() if len(found) > 1 and name != "git"]
    return {name: "; ".join(found) for name, found in values.items()}, varying


def _result_files(folder: Path) -> list[Path]:
    """The results files of one model below `folder`, oldest first."""
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise CFTError(f"{folder} does not exist; pass the folder given to lm_eval --output_path")
    files = sorted(folder.glob("results_*.json")) or sorted(folder.glob("*/results_*.json"))
    if not files:
        raise CFTError(
            f"{folder} holds no results_*.json, neither itself nor one level down; pass the folder "
            "given to lm_eval --output_path, of an evaluation that ended"
        )
    models = sorted({file.parent for file in files})
    if len(models) > 1:
        names = ", ".join(model.name for model in models)
        raise CFTError(f"{folder} holds the results of several models ({names}): pass one of them")
    return files


def _load_results(path: Path) -> dict[str, Any]:
    content = read_json(path, "evaluate again")
    if not {"results", "configs"} <= content.keys():
        raise CFTError(f"{path} is not an lm-eval results file: it has no 'results' and 'configs'")
    return content


def _same_version(contents: list[tuple[Path, dict[str, Any]]]) -> None:
    versions = {str(content.get("lm_eval_version")): path for path, content in contents}
    if len(versions) > 1:
        shown = ", ".join(f"{path.name}: {version}" for version, path in sorted(versions.items()))
        raise CFTError(
            f"{contents[0][0].parent} mixes results of different lm-eval versions ({shown}); "
            "evaluate again with one version"
        )


def _read_task(path: Path, content: dict[str, Any], task: str) -> TaskResult:
    """The scores of one task in one results file, with its sample log where there is one."""
    row = content["results"].get(task)
    if not isinstance(row, dict):
        raise CFTError(f"{path} configures {task} but holds no result for it; evaluate again")
    scored = _metrics(row)
    if not scored:
        raise CFTError(f"{path}: {task} has no numeric metric; evaluate again")
    for (metric, _), value in scored.items():
        if not math.isfinite(value):
            raise CFTError(
                f"{path}: {metric} of {task} is {value}; nothing can be compared with it"
            )
    metric, chosen_filter = next(iter(scored))
    metrics = {name: value for (name, flt), value in scored.items() if flt == chosen_filter}
    counts = content.get("n-samples", {}).get(task, {})
    count = int(counts.get("effective") or row.get("sample_len") or row.get("samples") or 0)
    samples = path.with_name(f"samples_{task}_{_stamp(path)}.jsonl")
    items = None
    if samples.is_file():
        items = _read_items(samples, metric, chosen_filter, metrics[metric], count)
    higher = content.get("higher_is_better", {}).get(task, {}).get(metric)
    return TaskResult(
        task=task,
        metric=metric,
        score=metrics[metric],
        metrics=metrics,
        count=count or (len(items.keys) if items else 0),
        higher_is_better=higher is not False,
        version=str(content.get("versions", {}).get(task)),
        fewshot=str(content.get("n-shot", {}).get(task)),
        logged=samples.is_file(),
        items=items,
    )


def _stamp(path: Path) -> str:
    """The time stamp that a results file shares with its sample logs."""
    return path.stem.rsplit("_", 1)[-1]


def _metrics(row: dict[str, Any]) -> dict[tuple[str, str], float]:
    """`"acc,none": 0.5` -> `("acc", "none"): 0.5`, standard errors left out, in the file's order.

    `f1` comes first where a task has it beside others: it is the headline of the tasks that do.
    """
    found = {}
    for key, value in row.items():
        metric, comma, chosen_filter = key.partition(",")
        if comma and not metric.endswith("_stderr") and isinstance(value, int | float):
            found[metric, chosen_filter] = float(value)
    return dict(sorted(found.items(), key=lambda item: item[0][0] != "f1"))


def _read_groups(content: dict[str, Any]) -> dict[str, tuple[str, float, tuple[str, ...]]]:
    """Groups for which the harness reports an aggregate, with their leaf tasks."""
    found = {}
    members = content.get("group_subtasks", {})
    for group, row in content.get("groups", {}).items():
        scored = _metrics(row)
        leaves = tuple(_leaves(group, members))
        if scored and leaves and set(leaves) <= content["configs"].keys():
            (metric, _), value = next(iter(scored.items()))
            found[group] = (metric, value, leaves)
    return found


def _leaves(group: str, members: dict[str, list[str]]) -> Iterator[str]:
    for member in members.get(group, []):
        if members.get(member):
            yield from _leaves(member, members)
        else:
            yield member


def _facts(content: dict[str, Any]) -> dict[str, str]:
    """Protocol facts in the words of the harness's options."""
    config = content.get("config", {})
    template = content.get("chat_template")
    system = content.get("system_instruction")
    limit = config.get("limit")
    facts = {
        "model": content.get("model_name"),
        "backend": content.get("model_source"),
        "dtype": config.get("model_dtype"),
        "chat template": f"yes (sha {content.get('chat_template_sha', '')[:8]})"
        if template
        else "no",
        "system instruction": "none" if not system else json.dumps(system),
        "limit": "none (all items)" if limit is None else _limit(limit),
        "generation arguments": json.dumps(config.get("gen_kwargs"), sort_keys=True)
        if config.get("gen_kwargs")
        else "the tasks' own",
        "few-shot seed": config.get("fewshot_seed"),
        "lm-eval": content.get("lm_eval_version"),
        "transformers": content.get("transformers_version"),
        "git": content.get("git_hash"),
    }
    return {
        key: str(value) if value is not None else "not recorded" for key, value in facts.items()
    }


def _limit(limit: float) -> str:
    """The harness's `--limit`: a share of the items below 1, a number of items from there on."""
    return f"{100 * limit:g} % of each task's items" if limit < 1 else f"{limit:g} items per task"


def _read_items(
    path: Path, metric: str, chosen_filter: str, score: float, count: int
) -> Items | None:
    """Per-item answers of one sample log, checked against the score the harness reported.

    Returns:
        None where the metric is neither a mean over items nor a weighted F1 (a perplexity, say).

    Raises:
        CFTError: the log is damaged, incomplete, or not the one behind `score`.
    """
    samples = [s for s in _lines(path) if s.get("filter", chosen_filter) == chosen_filter]
    samples.sort(key=lambda sample: int(sample["doc_id"]))
    keys = {int(s["doc_id"]): f"{s.get('doc_hash')} {s.get('target')}" for s in samples}
    if len(keys) != len(samples):
        raise CFTError(f"{path} holds the same doc_id twice; evaluate again into an empty folder")
    if count and len(samples) != count:
        raise CFTError(f"{path} holds {len(samples)} of {count} items (cut short?); evaluate again")
    logged = [sample.get(metric) for sample in samples]
    prompts = tuple(str(sample.get("prompt_hash")) for sample in samples)
    values, gold, predicted = None, None, None
    if all(_is_pair(value) for value in logged):
        gold = np.array([str(pair[0]) for pair in logged if pair])
        predicted = np.array([str(pair[1]) for pair in logged if pair])
        recomputed = float(Outcomes(predicted[None, :], gold).scores()[0])
    elif all(isinstance(value, bool | int | float) for value in logged):
        values = np.array(logged, dtype=float)
        gold, predicted = _choices(samples)
        recomputed = float(values.mean())
    else:
        return None
    if abs(recomputed - score) > _TOLERANCE:
        if metric not in ("acc", "f1"):
            return None  # aggregated in another way, which we cannot repeat on a resample
        raise CFTError(
            f"{path} gives {metric} {recomputed:.6f} but its results file says {score:.6f}; "
            "the two do not belong together, evaluate again"
        )
    return Items(keys, prompts, values, gold, predicted)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The samples of a log without what is long in them (prompts and raw answers)."""
    with path.open("rb") as file:  # a log cut inside a character is still read line by line
        for number, line in enumerate(file, 1):
            try:
                sample = json.loads(line)
                int(sample["doc_id"])
            except (ValueError, KeyError, TypeError) as exc:
                raise CFTError(
                    f"{path}, line {number}: not a logged sample (cut short?); evaluate again"
                ) from exc
            sample.pop("arguments", None)
            sample.pop("resps", None)
            yield sample


def _is_pair(value: Any) -> bool:
    """Whether a metric was logged as `[gold, predicted]`, for aggregation over all items."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(label, str | int) for label in value)
    )


def _choices(
    samples: list[dict[str, Any]],
) -> tuple[NDArray[np.str_] | None, NDArray[np.str_] | None]:
    """Gold and predicted choice (A, B, …) of a log-likelihood multiple-choice log, else Nones.

    The harness logs the target as the choice's index and, as text, each choice's log-likelihood;
    its `acc` takes the largest (`lm_eval/api/task.py::process_results`).
    """
    gold, predicted = [], []
    for sample in samples:
        answers = sample.get("filtered_resps")
        target = str(sample.get("target"))
        if not isinstance(answers, list) or len(answers) < 2 or not target.isdigit():
            return None, None
        try:
            likelihoods = [float(answer[0]) for answer in answers]
        except (TypeError, ValueError, IndexError):
            return None, None
        best = int(np.argmax(likelihoods))
        if (best == int(target)) != (float(sample.get("acc", -1)) == 1.0):
            return None, None
        gold.append(_letter(int(target)))
        predicted.append(_letter(best))
    return np.array(gold), np.array(predicted)


def _letter(index: int) -> str:
    return chr(ord("A") + index) if index < 26 else str(index)
