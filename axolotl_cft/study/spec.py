"""The study file: what it may say, and one sentence where it says something else."""

import re
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from axolotl_cft.errors import CFTError
from axolotl_cft.evaluation.tasks import task_groups
from axolotl_cft.files import read_yaml
from axolotl_cft.files.recipes import refuse_uncopied
from axolotl_cft.study.budget import Budget
from axolotl_cft.study.harness import LmEval
from axolotl_cft.study.launch import Launch
from axolotl_cft.study.making import COMMANDS, MADE, TRAIN, read_make

RESERVED = ("train", "stages", "seeds", "lm_eval", "make")
"""Keys of an arm that are meant for the study; all others are overrides of the Axolotl config."""

OUR_FOLDERS = {"prepared", "prepared.partial", "slurm", "report", "heldout", MADE}
"""What lies beside the arms' folders in a study's."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Stage(_Block):
    """One training after another; a later stage starts from the output of the one before."""

    base: str | dict[str, Any] | None = Field(
        default=None, description="Axolotl config of this stage. Default: the study's `base`."
    )
    overrides: dict[str, Any] = Field(default_factory=dict, description="Changes to it.")


class Study(_Block):
    """A whole comparison. Paths of configs are relative to the study file."""

    name: str
    base: str | dict[str, Any]
    arms: dict[str, dict[str, Any]] = Field(min_length=1)
    seeds: list[int] = Field(default=[42], min_length=1)
    stages: dict[str, Stage] = Field(default_factory=dict)
    evaluate: list[str] | None = Field(
        default=None, description="Stages whose output is evaluated. Default: all."
    )
    tasks: list[str] = Field(min_length=1)
    general: list[str] = Field(
        default=[],
        description="Those of `tasks`, or of our groups among them, that show general ability, not "
        "the domain's: the report says what was forgotten on them.",
    )
    make: list[str] = Field(
        default=[],
        description="Commands of ours that make what all arms need, and `train CONFIG.yml` for a "
        "model that they start from; carried out once, before anything else.",
    )
    budget: Budget | None = Field(
        default=None,
        description="How many tokens every arm trains, whose texts may then differ. Default: all "
        "arms train on the same tokens.",
    )
    heldout_documents: int = Field(
        default=500,
        ge=0,
        description="Most held-out documents on whose bare text all arms are evaluated, where "
        "`cft.holdout` holds any out; 0 for none.",
    )
    heldout_positions: bool = Field(
        default=False,
        description="Whether the loss on held-out text is also told by the position in a document.",
    )
    lm_eval: LmEval = LmEval()
    launch: Launch = Launch()
    baseline: str | None = Field(
        default=None, description="The arm that others are compared with. Default: the first."
    )
    minutes: dict[Literal["make", "prepare", "train", "evaluate"], float] = Field(
        default={},
        description="How long its parts take, about, by who has run it; told by `--dry-run`.",
    )
    allow_different: list[Literal["base_model", "targets"]] = Field(
        default=[], description="What arms may differ in although a fair comparison would not."
    )

    @property
    def untouched(self) -> str | None:
        """The arm that is the model which the others start from, evaluated as they are."""
        return next((name for name, arm in self.arms.items() if arm == {"train": False}), None)

    def seeds_of(self, arm: str) -> list[int]:
        """The seeds that an arm is trained with."""
        return self.arms[arm].get("seeds") or self.seeds

    def lm_eval_of(self, arm: str) -> LmEval:
        """How an arm's models are evaluated: as the study says, with the arm's own options."""
        own = self.arms[arm].get("lm_eval") or {}
        return LmEval.model_validate({**self.lm_eval.model_dump(exclude_unset=True), **own})

    @field_validator("arms", "stages", mode="before")
    @classmethod
    def _empty_blocks(cls, value: Any) -> Any:
        """`cft:` with nothing after it is an arm (or stage) without overrides."""
        if isinstance(value, Mapping):
            return {key: {} if block is None else block for key, block in value.items()}
        return value

    @field_validator("make", mode="before")
    @classmethod
    def _one_command(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("tasks", "general", mode="before")
    @classmethod
    def _split_tasks(cls, value: Any) -> Any:
        return [task.strip() for task in value.split(",")] if isinstance(value, str) else value


def read_study(path: Path) -> Study:
    """Read and check a study file, as far as that goes without any config it refers to.

    Raises:
        CFTError: what is wrong with it, in one sentence.
    """
    refuse_uncopied(path)
    content = read_yaml(path)
    try:
        study = Study.model_validate(content)
    except ValidationError as exc:
        raise CFTError(f"{path}: {_explain(exc)}") from exc
    _check(path, study)
    return study


def apply_overrides(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `config` with `overrides` merged in.

    A key may be dotted (`cft.prompts`, `datasets.0.path`) or hold a nested mapping, which is merged
    key by key. Every other value, lists included, replaces what was there.

    Raises:
        CFTError: a dotted key leads through a list without naming one of its items.
    """
    merged: dict[str, Any] = _unshared(config)
    for key, value in overrides.items():
        _set(merged, str(key), str(key).split("."), value)
    return merged


def _set(node: Any, name: str, path: list[str], value: Any) -> None:
    key: Any = path[0]
    if isinstance(node, list):
        if not key.isdigit() or int(key) >= len(node):
            raise CFTError(
                f"override {name!r}: {key!r} is not an item of a list of {len(node)}; count from 0"
            )
        key, old = int(key), node[int(key)]
    else:
        old = node.get(key)
    if len(path) > 1 or (isinstance(value, Mapping) and isinstance(old, dict | list)):
        if not isinstance(old, dict | list):
            old = node[key] = {}
        parts = {".".join(path[1:]): value} if len(path) > 1 else value
        for part, inner in parts.items():
            _set(old, name, str(part).split("."), inner)
    else:
        node[key] = _unshared(value)


def _unshared(value: Any) -> Any:
    """A copy in which nothing stands in two places, as what an alias of YAML names does.

    An override of one of them would change the other too.
    """
    if isinstance(value, Mapping):
        return {key: _unshared(each) for key, each in value.items()}
    return [_unshared(each) for each in value] if isinstance(value, list) else deepcopy(value)


def _check(path: Path, study: Study) -> None:
    for kind, names in (("arms", study.arms), ("stages", study.stages), ("name", [study.name])):
        for name in names:
            if not _NAME.fullmatch(name):
                raise CFTError(
                    f"{path}: {kind}: {name!r} cannot name a folder; use letters, digits and _.+-"
                )
    for name in sorted(study.arms.keys() & OUR_FOLDERS):
        raise CFTError(
            f"{path}: arms: {name!r} is a folder of the study's own; name the arm otherwise"
        )
    if len(set(study.seeds)) < len(study.seeds):
        raise CFTError(f"{path}: seeds: {study.seeds} names a seed twice; remove the repetition")
    read_make(study.make, f"{path}: make", (*COMMANDS, TRAIN))
    for stage in study.evaluate or []:
        _known(path, "evaluate", stage, study.stages)
    if study.general:  # `task_groups` reads the files of all our tasks
        in_groups = [task for g in task_groups() if g.name in study.tasks for task in g.tasks]
        for task in study.general:
            _known(path, "general", task, dict.fromkeys([*study.tasks, *in_groups]))
    if study.baseline is not None:
        _known(path, "baseline", study.baseline, study.arms)
    for name, arm in study.arms.items():
        _check_arm(path, name, arm, study)


def _check_arm(path: Path, name: str, arm: Mapping[str, Any], study: Study) -> None:
    where = f"{path}: arms.{name}"
    overrides = arm.keys() - set(RESERVED)
    if not isinstance(arm.get("train", True), bool):
        raise CFTError(f"{where}.train: expected true or false, got {arm['train']!r}")
    if arm.get("train") is False and (arm.keys() - _OF_UNTOUCHED):
        other = sorted(arm.keys() - _OF_UNTOUCHED)[0]
        raise CFTError(f"{where}: an arm with `train: false` is not trained, so remove {other!r}")
    stages = arm.get("stages", [])
    if not isinstance(stages, list) or ("stages" in arm and not stages):
        raise CFTError(f"{where}.stages: expected a list of stages, got {stages!r}")
    for stage in stages:
        _known(path, f"arms.{name}.stages", stage, study.stages)
    if len(set(stages)) < len(stages):
        raise CFTError(f"{where}.stages: {stages} names a stage twice; remove the repetition")
    if stages and next(iter(study.stages)) not in stages and overrides:
        raise CFTError(
            f"{where}: overrides act in the stage {next(iter(study.stages))!r}, which this arm "
            f"skips; remove {sorted(overrides)[0]!r}"
        )
    _check_own(where, arm, study)
    for key in overrides:
        if key in {"seed", "cft.seed"} or (key == "cft" and "seed" in (arm["cft"] or {})):
            raise CFTError(f"{where}.{key}: seeds are the study's; list them under `seeds`")


_OF_UNTOUCHED = {"train", "base_model", "lm_eval"}
"""Keys of an arm that is not trained."""


def _check_own(where: str, arm: Mapping[str, Any], study: Study) -> None:
    """The data, seeds and evaluation that an arm may have of its own."""
    read_make(arm.get("make"), f"{where}.make")
    seeds = arm.get("seeds", study.seeds)
    whole = isinstance(seeds, list) and seeds and all(type(seed) is int for seed in seeds)
    if not whole or len(set(seeds)) < len(seeds):
        raise CFTError(f"{where}.seeds: expected a list of different whole numbers, got {seeds!r}")
    own = arm.get("lm_eval") or {}
    for key in ("include_path", "limit"):
        if key in own:
            raise CFTError(f"{where}.lm_eval.{key}: all arms answer the same items; remove it here")
    try:
        LmEval.model_validate(own)
    except ValidationError as exc:
        raise CFTError(f"{where}.{_explain(exc, 'lm_eval')}") from exc


def _known(path: Path, field: str, name: Any, names: Mapping[str, Any]) -> None:
    if name not in names:
        there = ", ".join(names) or "none"
        raise CFTError(f"{path}: {field}: there is no {name!r}; there are: {there}")


_BLOCKS = (("lm_eval", LmEval), ("launch", Launch), ("stages", Stage), ("budget", Budget))


def _explain(exc: ValidationError, *block: str) -> str:
    """The first of pydantic's complaints as one sentence; `block` is where the model stands."""
    error = exc.errors()[0]
    where = (*block, *error["loc"])
    place = ".".join(str(part) for part in where if part not in ("str", "dict[str,any]"))
    if error["type"] == "extra_forbidden":
        known: Mapping[str, Any] = Study.model_fields
        for name, model in _BLOCKS:
            if where[0] == name:
                known = model.model_fields
        return f"{place}: no such option; known options: {', '.join(known)}"
    if error["type"] == "missing":
        return f"{place}: is missing; docs/study.md shows a complete file"
    message = error["msg"].removeprefix("Value error, ")
    return f"{place}: {message[:1].lower()}{message[1:]}, got {error['input']!r}"
