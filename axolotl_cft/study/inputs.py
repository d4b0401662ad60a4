"""What a study reads and needs, looked at before any of it is trained: a fault costs seconds then.

At most ten rows of a dataset are read, of a model its config and tokenizer. What `make` will bring
is left out, and so is what steps read that are done.
"""

import functools
import json
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from axolotl_cft.core.options import Part
from axolotl_cft.errors import CFTError
from axolotl_cft.evaluation.tasks import absent_items
from axolotl_cft.files.places import names_local, said_absent
from axolotl_cft.host.local_files import find_local_files, looks_local
from axolotl_cft.host.plan import all_datasets, is_cft_type, make_plan, parse_options
from axolotl_cft.host.sources import recall
from axolotl_cft.host.tokens import first_line, load_tokenizer
from axolotl_cft.study.plan import Step, StudyPlan, leaves_adapter
from axolotl_cft.study.schedule import processes_of
from axolotl_cft.study.spec import Study

ROWS = 10
"""Rows read of a dataset."""

COLUMNS = {
    **dict.fromkeys(("cft", "axolotl_cft.strategy", "completion"), ("field", "text")),
    **dict.fromkeys(
        ("cft.chat", "axolotl_cft.chat", "chat_template"), ("field_messages", "messages")
    ),
}
"""Dataset type -> the option that names its column, and the column without it."""

ELSEWHERE = {"srun", "ssh", "mpirun"}
"""Programs that start others on machines which are not this one."""

_LOADS = ("path", "name", "split", "data_files", "ds_type", "revision", "trust_remote_code")
"""What decides which rows a dataset has."""


@dataclass
class Looked:
    """What was found.

    Attributes:
        faults: sentence -> where it holds, as `arm cft, stage ift: datasets[0].path`.
        remarks: what could not be looked at yet.
    """

    faults: dict[str, list[str]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def sentences(self) -> list[str]:
        """A sentence for each fault, with the first places in which it holds."""
        return [f"{_some(places)}: {said}" for said, places in self.faults.items()]

    def fault(self, where: str, said: str) -> None:
        """Note a fault."""
        self.faults.setdefault(said, []).append(where)

    def remark(self, said: str) -> None:
        """Note what could not be looked at, once."""
        if said not in self.remarks:
            self.remarks.append(said)


def look_at_inputs(
    study: Study,
    plan: StudyPlan,
    steps: Iterable[Step],
    made: Collection[Path],
    gpus: int | None,
) -> Looked:
    """Look at what the steps that are left will read and need.

    Args:
        study: the parsed study.
        plan: its plan.
        steps: those that are left.
        made: files and folders that `make` brings.
        gpus: of this machine; None where the work is done elsewhere.
    """
    left, looked = list(steps), Looked()
    look = _Look(study, plan, [path.resolve() for path in made], looked)
    for step in _one_each(left, "train"):
        look.at_datasets(step)
        look.at_model(step)
    for step in _one_each(left, "evaluate"):
        look.at_evaluation(step)
    look.at_disk([step for step in left if step.kind == "train"])
    if gpus is not None:
        look.at_gpus(_one_each(left, "train"), gpus)
    return looked


class _Look:
    """Looks once at what several arms share."""

    def __init__(self, study: Study, plan: StudyPlan, made: Sequence[Path], looked: Looked):
        self.study, self.plan, self.made, self.looked = study, plan, made, looked
        self.known: dict[str, Any] = {}

    def at_datasets(self, step: Step) -> None:
        """The first rows of each dataset of a training, and the columns that it names."""
        config = step.config or {}
        for place, part, dataset in all_datasets(config):
            where = f"{_run(step)}: {place}"
            path = str(dataset.get("path"))
            if self._is_coming(path) or self._is_prepared(dataset, config):
                continue
            key = json.dumps([part, *(dataset.get(name) for name in _LOADS)], default=str)
            columns = self._once(key, functools.partial(columns_of, dataset, part, config))
            if isinstance(columns, str):
                self.looked.fault(f"{where}.path", columns)
                continue
            for option, said in column_faults(dataset, part, place, config, columns):
                self.looked.fault(f"{where}.{option}", said)

    def at_model(self, step: Step) -> None:
        """The config of the model that a training starts from, and its tokenizer."""
        config, where = step.config or {}, _run(step)
        name = str(config.get("base_model"))
        how = (config.get("revision_of_model"), bool(config.get("trust_remote_code")))
        if not self._is_coming(name) and (said := self._model(name, *how)):
            self.looked.fault(f"{where}: base_model", said)
            return
        option = "tokenizer_config" if config.get("tokenizer_config") else "base_model"
        name = str(config.get(option))
        if self._is_coming(name):
            return
        said = self._once(f"tokenizer {name} {how}", lambda: tokenizer_fault(name, *how))
        if said:
            self.looked.fault(f"{where}: {option}", said)

    def at_evaluation(self, step: Step) -> None:
        """The untouched model that is evaluated, and the folder of the test items."""
        arm = f"arm {step.run.arm}"
        name = step.command[step.command.index("--model_args") + 1].split(",")[0]
        name = name.removeprefix("pretrained=")
        untouched = step.run.seed is None and not self._is_coming(name)
        if untouched and (said := self._model(name, None, False)):
            self.looked.fault(f"{arm}: base_model", said)
        folder = self.study.lm_eval_of(step.run.arm).metadata.get("cft_data_dir")
        if not folder or self._is_coming(str(folder)):
            return
        where = f"{arm}: lm_eval.metadata.cft_data_dir"
        if not Path(folder).expanduser().is_dir():
            self.looked.fault(where, said_absent(f"{folder}/.") or f"there is no {folder} here")
        elif absent := absent_items(self.study.tasks, Path(folder)):
            self.looked.fault(
                where, f"{folder} lacks the test items of {', '.join(absent)}; bring them"
            )

    def at_disk(self, trainings: Sequence[Step]) -> None:
        """Whether what the trainings leave has room, as far as their models' sizes are known."""
        needs = [self._leaves(step) for step in trainings]
        need = sum(each for each in needs if each is not None)
        folder = next(path for path in (self.plan.root, *self.plan.root.parents) if path.exists())
        free = shutil.disk_usage(folder).free
        if need > free:
            self.looked.fault(
                f"output folder {self.plan.root}",
                f"{len(trainings)} trainings leave about {need / 1e9:,.0f} GB of weights and "
                f"checkpoints, roughly, and {free / 1e9:,.0f} GB are free; make room, or lower "
                "save_total_limit",
            )

    def at_gpus(self, trainings: Iterable[Step], gpus: int) -> None:
        """Whether there are as many GPUs as the words of a launch command ask for."""
        for step in trainings:
            asked = processes_of(step.command, 1)
            if asked <= max(1, gpus) or Path(step.command[0]).name in ELSEWHERE:
                continue
            asks = f"asks for {asked} processes, and"
            if not gpus:  # several processes may train on one CPU, and some do
                self.looked.remark(f"launch.train {asks} no GPU is seen here")
                return
            self.looked.fault(
                "launch.train",
                f"{asks} this machine has {gpus} GPUs that a study may use; lower it, or start the "
                "study where they are",
            )
            return

    def _leaves(self, step: Step) -> float | None:
        """Bytes that a training leaves: its weights, and checkpoints with the optimizer."""
        config = step.config or {}
        name = str(config.get("base_model"))
        weights = self._once(f"bytes {name}", lambda: weights_of(Path(name)))
        if weights is None or leaves_adapter(config):
            return weights  # merged, it is as large as the model; its checkpoints are small
        kept = 0 if config.get("save_strategy") == "no" else config.get("save_total_limit") or 1
        return float(weights * (1 + 3 * int(kept)))  # two moments of each weight

    def _model(self, name: str, revision: str | None, trust_remote_code: bool) -> str | None:
        key = f"model {name} {revision} {trust_remote_code}"
        found: str | None = self._once(key, lambda: model_fault(name, revision, trust_remote_code))
        return found

    def _is_coming(self, name: str) -> bool:
        """Whether an earlier training or a `make` of the study brings it."""
        path = Path(name).expanduser().resolve()
        if path.is_relative_to(self.plan.root):
            return True
        if path.exists() or not any(path.is_relative_to(folder) for folder in self.made):
            return False
        self.looked.remark(f"{name} is not looked at: `make` will bring it")
        return True

    def _is_prepared(self, dataset: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
        """Whether documents that are elsewhere were prepared here."""
        prepared = Path(str(config.get("dataset_prepared_path")))
        absent = looks_local(dataset) and not find_local_files(dataset)
        return absent and recall(dataset, prepared) is not None

    def _once(self, key: str, look: Callable[[], Any]) -> Any:
        if key not in self.known:
            self.known[key] = look()
        return self.known[key]


def columns_of(dataset: Mapping[str, Any], part: Part, config: Mapping[str, Any]) -> Any:
    """The columns of a dataset's first rows; a sentence where it cannot be read."""
    from axolotl_cft.host.raw_documents import first_rows

    path = str(dataset.get("path"))
    if looks_local(dataset) and not find_local_files(dataset):
        listed = dataset.get("data_files")
        return said_absent(path) or f"there is no file {listed or path} here; correct the path"
    try:
        rows = list(islice(first_rows(dataset, part, config.get("hf_use_auth_token")), ROWS))
    except Exception as exc:  # the host, `datasets` and the hub share no base class
        return said_absent(path) or f"{path} cannot be read: {first_line(exc)}"
    return set().union(*rows) if rows else f"{path} holds no rows; bring some"


def column_faults(
    dataset: Mapping[str, Any],
    part: Part,
    place: str,
    config: Mapping[str, Any],
    columns: Collection[str],
) -> Iterator[tuple[str, str]]:
    """(Option, sentence) for each column that a dataset's config names and its rows lack."""
    path, type_ = dataset.get("path"), str(dataset.get("type"))
    have = f"one of {', '.join(sorted(columns))}"
    if type_ in COLUMNS:
        option, default = COLUMNS[type_]
        if (column := dataset.get(option) or default) not in columns:
            yield option, f"{path} has no column {column!r}; name {have}"
    if not is_cft_type(dataset.get("type")):
        return
    try:
        plan = make_plan(place, part, dataset, parse_options(config), config.get("seed"), None)
        plan.source.check_columns(list(columns), str(path))
    except CFTError as exc:
        yield "cft.prompts", str(exc)
        return
    if plan.holdout_by and plan.holdout_by not in columns:
        yield "cft.holdout_by", f"{path} has no column {plan.holdout_by!r}; name {have}"


def model_fault(name: str, revision: str | None, trust_remote_code: bool) -> str | None:
    """A sentence where a model's config cannot be had."""
    from transformers import AutoConfig

    if names_local(name) and (said := said_absent(name)):
        return said
    try:
        AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=trust_remote_code)
    except Exception as exc:  # transformers and the hub share no base class
        return said_absent(name) or f"the model {name} cannot be had from here: {first_line(exc)}"
    return None


def tokenizer_fault(
    name: str, revision: str | None = None, trust_remote_code: bool = False
) -> str | None:
    """A sentence where a tokenizer cannot be had."""
    try:
        load_tokenizer(name, trust_remote_code, **({"revision": revision} if revision else {}))
    except CFTError as exc:
        return str(exc)
    return None


def weights_of(folder: Path) -> int | None:
    """Bytes of the weights in a model's folder; None where they are not here."""
    files = [file.stat().st_size for file in folder.glob("*.safetensors")]
    return sum(files) or None


def _one_each(steps: Iterable[Step], kind: str) -> list[Step]:
    """The first step of a kind of each arm and stage: seeds read the same."""
    found: dict[tuple[str, str | None], Step] = {}
    for step in steps:
        if step.kind == kind:
            found.setdefault((step.run.arm, step.run.stage), step)
    return list(found.values())


def _run(step: Step) -> str:
    return f"arm {step.run.arm}" + (f", stage {step.run.stage}" if step.run.stage else "")


def _some(places: Sequence[str]) -> str:
    """The first place, and how many others there are."""
    first, more = places[0], len(places) - 1
    return first if not more else f"{first} (and {more} more place{'s' if more > 1 else ''})"
