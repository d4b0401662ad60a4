"""The benchmarks as the evaluation tasks see them: one table, one set of readers.

Both live in `eval_tasks/benchmarks.py`, which must not import us (`lm_eval --include_path
eval_tasks` works without this package). So it is loaded from its file here: from the source tree in
a clone or an editable install, otherwise from `lm_eval/tasks/axolotl_cft`, where a wheel puts it.
"""

import functools
import importlib.util
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from axolotl_cft.errors import CFTError
from axolotl_cft.files import write_atomic


def task_folder() -> Path:
    """The folder of the task YAMLs.

    Raises:
        CFTError: the tasks are not installed.
    """
    folders = [Path(__file__).resolve().parents[2] / "eval_tasks"]
    harness = importlib.util.find_spec("lm_eval")
    if harness is not None and harness.submodule_search_locations:
        folders += [
            Path(path) / "tasks" / "axolotl_cft" for path in harness.submodule_search_locations
        ]
    for folder in folders:
        if (folder / "benchmarks.py").is_file():
            return folder
    raise CFTError(
        f"the evaluation tasks are not installed (looked in {', '.join(map(str, folders))}): "
        "reinstall axolotl-cft"
    )


@functools.cache
def catalogue() -> ModuleType:
    """The module `eval_tasks/benchmarks.py`."""
    name = "axolotl_cft._eval_tasks_benchmarks"
    spec = importlib.util.spec_from_file_location(name, task_folder() / "benchmarks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


class _TaskLoader(yaml.SafeLoader):
    """YAML in which `!function` is a name, not an import."""


_TaskLoader.add_constructor("!function", lambda _, node: node.value)


@dataclass(frozen=True)
class TaskGroup:
    """What a group's YAML says.

    Attributes:
        name: the group's name.
        tasks: task -> its title (the benchmark's, else the YAML's), in the YAML's order, the tasks
            of groups in it as well.
        averaged: those that its average is over. A group without an average of its own has that of
            a group in it; its other tasks stand beside.
        metric: the first metric in the YAML's list, the group's headline.
    """

    name: str
    tasks: dict[str, str]
    averaged: tuple[str, ...]
    metric: str


@functools.cache
def _task_table() -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """The content of every YAML, by the name of its task and by that of its group."""
    tasks, groups = {}, {}
    for path in sorted(task_folder().rglob("*.yaml")):
        config = yaml.load(path.read_text(encoding="utf-8"), Loader=_TaskLoader)
        if "group" in config:
            groups[config["group"]] = config
        else:
            tasks[config["task"]] = config
    return tasks, groups


def _benchmark(task: str) -> str:
    """The benchmark that a task of ours reads, "" for none."""
    return str(_task_table()[0][task].get("dataset_kwargs", {}).get("benchmark", ""))


def _leaves(name: str) -> list[str]:
    """The tasks of a group, those of groups in it as well; of a task, itself."""
    groups = _task_table()[1]
    if name not in groups:
        return [name]
    return [leaf for member in groups[name]["task"] for leaf in _leaves(member)]


def _averaging(name: str) -> str:
    """The group whose average a group shows: itself, else the first one in it that has any."""
    groups = _task_table()[1]
    if "aggregate_metric_list" in groups[name]:
        return name
    return next(_averaging(member) for member in groups[name]["task"] if member in groups)


def task_groups() -> list[TaskGroup]:
    """Our groups but those within others, in the order of the benchmarks; without any, first.

    Raises:
        CFTError: the tasks are not installed.
    """
    tasks, groups = _task_table()
    benchmarks = catalogue().BENCHMARKS
    order = {name: place for place, name in enumerate(benchmarks)}
    within = {member for config in groups.values() for member in config["task"]}

    def title(task: str) -> str:
        benchmark = _benchmark(task)
        return benchmarks[benchmark].title if benchmark else str(tasks[task]["task_alias"])

    found = [
        TaskGroup(
            name,
            {task: title(task) for task in _leaves(name)},
            tuple(_leaves(_averaging(name))),
            groups[_averaging(name)]["aggregate_metric_list"][0]["metric"],
        )
        for name in groups
        if name not in within
    ]
    return sorted(found, key=lambda group: order.get(_benchmark(next(iter(group.tasks))), -1))


def count_facts(task: str, data_dir: Path | None) -> int | None:
    """How many questions about invented facts a task asks.

    Args:
        task: any.
        data_dir: where `facts/<kind>.jsonl` lie.

    Returns:
        None for a task of another kind, or without its file.
    """
    kind = _task_table()[0].get(task, {}).get("dataset_kwargs", {}).get("kind")
    path = None if data_dir is None or kind is None else data_dir / "facts" / f"{kind}.jsonl"
    if path is None or not path.is_file():
        return None
    with path.open("rb") as lines:
        return sum(1 for line in lines if line.strip())


def task_benchmarks(names: Iterable[str]) -> dict[str, str]:
    """Task -> benchmark for task and group names, groups expanded, in the order given.

    Raises:
        CFTError: a name is neither a task nor a group of ours, or the task has no benchmark.
    """
    tasks, groups = _task_table()
    published = [name for name in (*groups, *tasks) if all(map(_benchmark, _leaves(name)))]
    choose = f"choose from {', '.join(published)}"
    result: dict[str, str] = {}
    for name in names:
        if name not in tasks and name not in groups:
            raise CFTError(f"unknown task {name!r}: {choose}")
        if name not in published:
            raise CFTError(
                f"{name} has no published items, only text of your own, or invented facts; {choose}"
            )
        result |= {task: _benchmark(task) for task in _leaves(name)}
    if not result:
        raise CFTError(f"no task named: {choose}")
    return result


def absent_items(names: Iterable[str], folder: Path) -> list[str]:
    """Those of our published benchmarks, among what tasks read, that a folder has no test file of.

    Args:
        names: of tasks and groups; those that are not ours are left out.
        folder: the data directory of the tasks.
    """
    tasks, groups = _task_table()
    leaves = [leaf for name in names if name in tasks or name in groups for leaf in _leaves(name)]
    wanted = dict.fromkeys(filter(None, map(_benchmark, leaves)))
    return [name for name in wanted if catalogue().find_file(name, "test", folder) is None]


@dataclass(frozen=True)
class BenchmarkItem:
    """What tells a test item.

    Attributes:
        task: whose item it is.
        number: the row in the test split, lm-eval's `doc_id`.
        question: the question (MMLU, MedQA), or the headline or sentence to classify, without the
            instruction around it.
        options: the texts to choose from; none where all items have the same, which are classes.
    """

    task: str
    number: int
    question: str
    options: tuple[str, ...] = ()


def load_items(tasks: Iterable[str], data_dir: Path | None = None) -> Iterator[BenchmarkItem]:
    """The test items of tasks or groups, task by task.

    Read from `data_dir` or the environment's CFT_DATA_DIR, else from the hub, as the tasks do.

    Raises:
        CFTError: an unknown task, or items that cannot be read.
    """
    module = catalogue()
    for task, benchmark in task_benchmarks(tasks).items():
        try:
            rows = module.load(benchmark, cft_data_dir=str(data_dir) if data_dir else None)["test"]
        except module.BenchmarkDataError as exc:
            raise CFTError(str(exc)) from exc
        spec = module.BENCHMARKS[benchmark]
        options = _options(rows, spec.columns)
        for number, question in enumerate(rows[spec.question]):
            yield BenchmarkItem(task, number, str(question), options[number])


def _options(rows: Any, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """The options of every row, in order."""
    if "choices" in columns:
        options = [tuple(map(str, choices)) for choices in rows["choices"]]
    else:
        endings = [rows[name] for name in columns if name.startswith("ending")]
        options = [tuple(map(str, row)) for row in zip(*endings, strict=True)]
    return [()] * len(rows) if len(rows) > 1 and len(set(options)) == 1 else options


def fetch(
    directory: Path,
    tasks: Sequence[str],
    *,
    load_dataset: Callable[..., Any] | None = None,
    on_split: Callable[[str, str, str], None] = lambda benchmark, split, state: None,
) -> list[Path]:
    """Write the splits behind `tasks` as `directory/<benchmark>/<split>.jsonl`.

    A split already there with the published number of rows is kept, so an interrupted fetch
    carries on; each file appears whole or not at all. `on_split` hears (benchmark, split,
    state), state being "loading", "kept" or "written". `load_dataset` stands in for
    `datasets.load_dataset`.

    Raises:
        CFTError: no access or network, a wrong row count, or a missing column.
    """
    module = catalogue()
    paths = []
    for benchmark in dict.fromkeys(task_benchmarks(tasks).values()):
        for split, expected in module.BENCHMARKS[benchmark].splits.items():
            path = directory / benchmark / f"{split}.jsonl"
            paths.append(path)
            if _is_complete(path, expected):
                on_split(benchmark, split, "kept")
                continue
            on_split(benchmark, split, "loading")
            try:
                rows = module.load_hub(benchmark, split, load_dataset)
            except module.BenchmarkDataError as exc:
                raise CFTError(str(exc)) from exc
            if expected is not None and len(rows) != expected:
                raise CFTError(
                    f"{module.BENCHMARKS[benchmark].hub} split {split!r} has {len(rows)} rows "
                    f"where {expected} are published; nothing was written to {path}"
                )
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            write_atomic(path, "".join(lines))
            on_split(benchmark, split, "written")
    return paths


def _is_complete(path: Path, expected: int | None) -> bool:
    """Whether a split need not be fetched again; files are written whole, so any line will do."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        rows = sum(1 for line in file if line.strip())
    return rows == expected if expected is not None else rows > 0
