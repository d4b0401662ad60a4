"""Read what `lm_eval --output_path DIR --log_samples` wrote.

The harness (0.4.11 to 0.4.13, `lm_eval/loggers/evaluation_tracker.py`) writes, in a sub-folder
named after the model, `results_<time>.json` and one `samples_<task>_<time>.jsonl` per task. A later
evaluation into the same folder adds files; where two hold the same task, the later one counts.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from axolotl_cft.errors import CFTError
from axolotl_cft.evaluation.conditions import conditions_of
from axolotl_cft.evaluation.items import (
    BITS_PER_BYTE,
    MEAN,
    Headline,
    aggregation_of,
    as_number,
    read_items,
)
from axolotl_cft.evaluation.items import Items as Items
from axolotl_cft.evaluation.requested import leaves, requested
from axolotl_cft.evaluation.task_metadata import (
    MetadataError,
    control_chance_of,
    further_metrics_of,
    sharing_of,
)
from axolotl_cft.files import read_json

OURS = "cft_"  # how the names of our own tasks begin
_IDLE_FACTS = ("git", "model")


@dataclass(frozen=True)
class TaskResult:
    """One task's scores in one run; `metric` names the compared one and `score` is its value.

    Metrics are called as the harness calls them, with the filter of the answers in brackets where a
    task names one: `acc`, `exact_match [strict-match]`. `generation` is how answers were sampled
    and where they ended, empty for tasks without generated answers. `items` is None without a
    sample log (`logged` is false), and for a metric that cannot be recomputed from single items.
    `count` is 0 where nothing tells how many items there are. `control_chance` is what chance
    scores on a control; None for other tasks. `further` is the metric of a result beside the task's
    first, as the task's metadata names it; "" for the first.
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
    generation: dict[str, Any] = field(default_factory=dict)
    control_chance: float | None = None
    further: str = ""


@dataclass(frozen=True)
class Evaluation:
    """One evaluated model: its tasks, and the facts about how it was evaluated.

    Attributes:
        name: the row it belongs to; runs of one name are seeds of one another.
        seed: how this run is called among them: by its seed, or "run 1" where that is not known.
        tasks: task name -> result, leaf tasks only; a further metric that a task wants compared has
            a result of its own, which `in_metric` names.
        groups: harness group -> (metric, score, leaf tasks), for groups that the harness averaged.
        facts: protocol facts as text, for the report.
        notes: what a reader of the results should know about the files.
        general: names of the tasks and groups that show general ability.
    """

    name: str
    seed: str
    tasks: dict[str, TaskResult]
    groups: dict[str, tuple[str, float, tuple[str, ...]]]
    facts: dict[str, str]
    notes: tuple[str, ...] = ()
    general: frozenset[str] = frozenset()

    @property
    def evaluated(self) -> list[str]:
        """The names of the tasks, each once."""
        return [name for name, result in self.tasks.items() if not result.further]

    @property
    def numbered(self) -> bool:
        """Whether the seed's number is known, so that runs of two rows may share it."""
        return self.seed.lstrip("-").isdigit()

    @property
    def label(self) -> str:
        """The run's name, with its seed where it has one."""
        seed = f"seed {self.seed}" if self.numbered else self.seed
        return f"{self.name}, {seed}" if seed else self.name


def in_metric(name: str, metric: str) -> str:
    """What a task or group is called where it is read by a metric that is not its first."""
    return f"{name} in {metric}"


def read_run(
    folder: Path,
    name: str,
    seed: str = "",
    words: Collection[str] | None = None,
    general: Collection[str] = (),
) -> Evaluation:
    """Read one lm-eval output folder (or one of its results files) as the run `name`.

    `words` are the tasks and groups to read, as `--tasks` takes them; None for all that are there.
    A study, which names them, knows why a task was evaluated more than once, so nothing is said.
    `general` are those that show general ability, in the same form.

    A task that is none of ours and has no score is left out, and one whose sample log is damaged
    has its score only; the notes say so.

    Raises:
        CFTError: nothing there, several models' results, a damaged results file, or files of
            different versions; in a task of ours a NaN, or a sample log that does not belong to its
            results; a task that names what its items share, where the log does not tell it.
    """
    loaded = [(path, _load_results(path)) for path in _result_files(folder)]
    contents = [(path, content, _wanted(content, words)) for path, content in loaded]
    _same_version([(path, content) for path, content, wanted in contents if wanted])
    tasks: dict[str, TaskResult] = {}
    groups: dict[str, tuple[str, float, tuple[str, ...]]] = {}
    superseded: set[str] = set()
    readings: dict[str, list[_Reading]] = {}
    facts: dict[str, dict[str, str]] = {}
    notes: dict[str, str] = {}
    for path, content, wanted in contents:
        for task in (task for task in content["configs"] if task in wanted):
            if task in facts and words is None:
                superseded.add(task)
            facts[task] = conditions_of(content)
            for stale in readings.get(task, ()):
                tasks.pop(stale.called, None)
                notes.pop(stale.called, None)
            readings[task] = _readings(content, task)
            for reading in readings[task]:
                result, notes[reading.called] = _read_or_leave(path, content, task, reading)
                if result:
                    tasks[reading.called] = result
        averaged = _read_groups(content, tasks)
        groups.update((group, row) for group, row in averaged.items() if group in wanted)
    label = f"{name}, seed {seed}" if seed else name
    said = [f"{task} of {label} {note}" for task, note in sorted(notes.items()) if note]
    if not tasks:
        raise CFTError(f"{folder} holds results without any task; evaluate again")
    merged, mixed = _merge(list(facts.values()))
    said += [
        f"{task} of {label} was evaluated more than once into the same folder; the last one counts"
        for task in sorted(superseded)
    ]
    if mixed:
        said.append(f"not all tasks of {label} were evaluated alike: see {', '.join(mixed)} below")
    groups = {group: row for group, row in groups.items() if tasks.keys() >= set(row[2])}
    known = frozenset[str]().union(*(requested(content, general) for _, content in loaded))
    metrics = {result.further for result in tasks.values() if result.further}
    known |= {in_metric(each, metric) for each in known for metric in metrics}
    return Evaluation(name, seed, tasks, groups, merged, tuple(said), known)


def _wanted(content: dict[str, Any], words: Collection[str] | None) -> set[str]:
    """The tasks and groups of a results file that are to be read."""
    if words is None:
        return {*content["configs"], *content.get("groups", {})}
    return requested(content, words)


@dataclass(frozen=True)
class _Reading:
    """One of the scores of a task that are compared.

    Attributes:
        called: what the task is called in this reading.
        metric: the metric to read; "" for the headline one.
        apart: whether the metric is about a part of the items, as if they were a task.
    """

    called: str
    metric: str = ""
    apart: bool = False


def _readings(content: dict[str, Any], task: str) -> list[_Reading]:
    """The scores of a task to compare: the headline, and those that its metadata names besides.

    A task whose metadata says `scored_apart` has metrics that are each about a part of its items,
    and is as many tasks: `TASK@PART` for the metric `NAME@PART`.

    Raises:
        MetadataError: the metadata is wrong.
    """
    config = content["configs"][task]
    if not (config.get("metadata") or {}).get("scored_apart"):
        further = further_metrics_of(task, config)
        return [_Reading(task), *(_Reading(in_metric(task, name), name) for name in further)]
    row = content["results"].get(task)
    metrics = dict.fromkeys(metric for metric, _ in _numbers(row if isinstance(row, dict) else {}))
    return [_Reading(f"{task}@{name.partition('@')[2]}", name, True) for name in metrics]


def _merge(facts: list[dict[str, str]]) -> tuple[dict[str, str], list[str]]:
    """The facts behind the tasks of one run, every value of each, and the names of those that vary.

    The commit that was checked out while evaluating may vary; it says nothing about the scores. So
    may the path of the one model that a folder is about: whoever adds tasks may have moved it.
    """
    values = {name: list(dict.fromkeys(each[name] for each in facts)) for name in facts[0]}
    varying = [name for name, found in values.items() if len(found) > 1 and name not in _IDLE_FACTS]
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


def _read_or_leave(
    path: Path, content: dict[str, Any], task: str, reading: _Reading
) -> tuple[TaskResult | None, str]:
    """A task's result, None for another's task without a score, and what is to be said of it."""
    try:
        return _read_task(path, content, task, reading)
    except MetadataError:
        raise
    except CFTError as exc:
        if task.startswith(OURS):
            raise
        return None, f"is left out ({_named(exc, path)})"


def _read_task(
    path: Path, content: dict[str, Any], task: str, reading: _Reading
) -> tuple[TaskResult, str]:
    """A score of one task in one results file, with its sample log where there is one."""
    config = content["configs"][task]
    scored = _metrics(path, content, task)
    if reading.apart:
        scored = {key: value for key, value in scored.items() if key[0] == reading.metric}
    headline = _headline(path, content, task, scored)
    if reading.apart:
        headline = replace(headline, count=0, partial=True)
    elif reading.metric:
        headline = _further(path, headline, reading.metric, scored, content)
    samples = path.with_name(f"samples_{task}_{_stamp(path)}.jsonl")
    items, note = None, ""
    if samples.is_file():
        try:
            items = read_items(samples, headline)
        except MetadataError:
            raise
        except CFTError as exc:
            if headline.ours:
                raise
            note = f"has no interval ({_named(exc, samples)})"
    higher = content.get("higher_is_better", {}).get(task, {}).get(headline.metric)
    bare = headline.metric.partition("@")[0] if reading.apart else headline.metric
    called = _called(bare, headline.filter)
    if not headline.ours and headline.score > 1 and is_percent(called):
        called += " (as logged)"  # SQuAD's F1 is one of a hundred: not to be shown in percent
    result = TaskResult(
        task=reading.called if reading.apart else task,
        metric=called,
        score=headline.score,
        metrics={_called(*key): value for key, value in scored.items() if math.isfinite(value)},
        count=headline.count or (len(items.keys) if items else 0),
        higher_is_better=higher is not False,
        version=str(content.get("versions", {}).get(task)),
        fewshot=str(content.get("n-shot", {}).get(task)),
        logged=samples.is_file(),
        items=items,
        generation=config.get("generation_kwargs") or {},
        control_chance=None if reading.metric else control_chance_of(task, config),
        further="" if reading.apart else reading.metric,
    )
    return result, note


def _headline(
    path: Path, content: dict[str, Any], task: str, scored: dict[tuple[str, str], float]
) -> Headline:
    """The score to compare: F1 in tasks of ours that have it, else the first mean over items.

    The choice goes by what the results file says of the task, never by the numbers, so that it is
    the same in every run.
    """
    ours = task.startswith(OURS)
    config = content["configs"][task]
    aggregations = {key: aggregation_of(config, key[0]) for key in scored}
    preferred = [
        key
        for key, aggregation in aggregations.items()
        if (key[0] == "f1" if ours else aggregation in (MEAN, BITS_PER_BYTE))
    ]
    chosen = (preferred or list(scored))[0]
    for key in scored if ours else [chosen]:
        _check_finite(path, task, key, scored)
    row = content["results"][task]
    counts = content.get("n-samples", {}).get(task, {})
    return Headline(
        task=task,
        metric=chosen[0],
        filter=chosen[1],
        score=scored[chosen],
        count=int(counts.get("effective") or row.get("sample_len") or row.get("samples") or 0),
        aggregation=aggregations[chosen],
        sharing=sharing_of(task, config),
        ours=ours,
    )


def _further(
    path: Path,
    headline: Headline,
    metric: str,
    scored: dict[tuple[str, str], float],
    content: dict[str, Any],
) -> Headline:
    """The same task by a metric that its metadata names beside the first.

    Raises:
        MetadataError: the task has no such score.
        CFTError: it is no finite number.
    """
    chosen = next((key for key in scored if key[0] == metric), None)
    if chosen is None:
        there = ", ".join(dict.fromkeys(name for name, _ in scored))
        raise MetadataError(
            f"{path}: {headline.task} wants {metric!r} compared (`also` in its metadata), of which "
            f"there is no score (it has {there}); correct the task's YAML, and evaluate again"
        )
    _check_finite(path, headline.task, chosen, scored)
    return replace(
        headline,
        metric=metric,
        filter=chosen[1],
        score=scored[chosen],
        aggregation=aggregation_of(content["configs"][headline.task], metric),
    )


def _check_finite(
    path: Path, task: str, key: tuple[str, str], scored: dict[tuple[str, str], float]
) -> None:
    if not math.isfinite(scored[key]):
        raise CFTError(
            f"{path}: {key[0]} of {task} is {scored[key]}; nothing can be compared with it"
        )


def _named(error: CFTError, path: Path) -> str:
    """An error's sentence with the file's name alone: reports are the same wherever they lie."""
    return str(error).replace(str(path), path.name)


def _called(metric: str, chosen_filter: str) -> str:
    """The name of a metric; several filters of the answers make several scores."""
    return metric if chosen_filter == "none" else f"{metric} [{chosen_filter}]"


def _stamp(path: Path) -> str:
    """The time stamp that a results file shares with its sample logs."""
    return path.stem.rsplit("_", 1)[-1]


def _metrics(path: Path, content: dict[str, Any], task: str) -> dict[tuple[str, str], float]:
    """`"acc,none": 0.5` -> `("acc", "none"): 0.5`, in the file's order.

    Raises:
        CFTError: there is no number.
    """
    row = content["results"].get(task)
    if not isinstance(row, dict):
        raise CFTError(f"{path} configures {task} but holds no result for it; evaluate again")
    found = _numbers(row)
    if not found:
        raise CFTError(f"{path}: {task} has no numeric metric; evaluate again")
    return found


def _numbers(row: dict[str, Any]) -> dict[tuple[str, str], float]:
    """A row's metrics without their standard errors, and without `--predict_only`'s stand-in."""
    found = {}
    for key, value in row.items():
        metric, comma, chosen_filter = key.partition(",")
        if comma and not metric.endswith("_stderr") and metric != "bypass":
            number = as_number(value)
            if number is not None:
                found[metric, chosen_filter] = number
    return found


def _read_groups(
    content: dict[str, Any], tasks: dict[str, TaskResult]
) -> dict[str, tuple[str, float, tuple[str, ...]]]:
    """Groups that the harness averages, with their leaf tasks, in the metric of these tasks."""
    found = {}
    members = content.get("group_subtasks", {})
    for group, row in content.get("groups", {}).items():
        scored = {_called(*key): value for key, value in _numbers(row).items()}
        below = tuple(leaves(group, members))
        if scored and below and set(below) <= tasks.keys():
            compared = {tasks[leaf].metric for leaf in below}
            metric = next((name for name in scored if name in compared), next(iter(scored)))
            found[group] = (metric, scored[metric], below)
    return found


def is_percent(metric: str) -> bool:
    """Whether a metric is a share of one that the report shows in percent."""
    # Not rouge and bleu: some of the harness's tasks log them as shares, others times a hundred.
    name = metric.partition(" [")[0]  # without the filter of the answers
    known = ("acc", "f1", "macro_f1", "exact_match", "em")
    return name in known or name.startswith((*(f"{k}_" for k in known), "pass@"))
