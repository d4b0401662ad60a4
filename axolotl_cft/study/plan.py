"""From a study to the list of its steps, each with its complete config and command."""

import hashlib
import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from axolotl_cft.errors import CFTError
from axolotl_cft.host.packing import lossless_overrides
from axolotl_cft.host.plan import cft_datasets, make_plan, parse_options
from axolotl_cft.host.sources import is_missing
from axolotl_cft.study.spec import RESERVED, LmEval, Stage, Study, apply_overrides, read_yaml

Kind = Literal["prepare", "train", "consolidate", "merge", "evaluate"]

PREPARED = "prepared"
"""Folder of all prepared datasets of a study: equal datasets are prepared once."""


@dataclass(frozen=True)
class Run:
    """One row of the study: an arm, with one seed, after one stage.

    Attributes:
        arm: its name.
        seed: None for an arm that is not trained.
        stage: None for an arm that is not trained, and in a study without stages.
        evaluated: whether its output is evaluated.
    """

    arm: str
    seed: int | None = None
    stage: str | None = None
    evaluated: bool = True

    @property
    def chain(self) -> str:
        """The arm with its seed: what one stage after another is trained for."""
        return self.arm if self.seed is None else f"{self.arm}/seed{self.seed}"

    @property
    def folder(self) -> str:
        """Where everything of this run lies, relative to the study's folder."""
        return self.chain if self.stage is None else f"{self.chain}/{self.stage}"


@dataclass(frozen=True)
class Step:
    """One process to start.

    Attributes:
        kind: what it does.
        run: for which run.
        command: program and arguments.
        identity: digest of all that decides the outcome; the launch command is left out, since
            the same training on other machines is the same training.
        config: the derived Axolotl config; None for an evaluation.
        added: the lines in it that the study adds to what the base config and the arm say.
    """

    kind: Kind
    run: Run
    command: tuple[str, ...]
    identity: str
    config: dict[str, Any] | None = None
    added: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """For messages: `cft/seed42 train`."""
        return f"{self.run.folder} {self.kind}"


@dataclass(frozen=True)
class StudyPlan:
    """All runs and steps, in the order in which they are carried out."""

    name: str
    baseline: str
    root: Path
    runs: tuple[Run, ...]
    steps: tuple[Step, ...]

    def folder(self, run: Run) -> Path:
        """Absolute folder of a run."""
        return self.root / run.folder

    def only(self, arms: set[str]) -> tuple[Step, ...]:
        """The steps of some arms."""
        return tuple(step for step in self.steps if step.run.arm in arms)


def expand(study: Study, study_file: Path, root: Path) -> StudyPlan:
    """Arms x seeds x stages as runs and steps.

    First every trained arm's data are prepared (with the first seed: what is trained on does not
    depend on it), then untouched models are evaluated, then seed after seed is trained, so that
    all arms can be compared as soon as the first seed is done.

    Args:
        study: the parsed study.
        study_file: where it stood; configs it names are relative to its folder.
        root: the study's folder.

    Raises:
        CFTError: a base config cannot be read, or a derived config is wrong or not fit for a study.
    """
    root = root.resolve()
    planner = _Planner(study, study_file, root)
    trained = [arm for arm, block in study.arms.items() if block.get("train", True)]
    untouched = [arm for arm in study.arms if arm not in trained]
    steps = [planner.prepare(arm) for arm in trained if planner.starts_at_first(arm)]
    steps += [planner.evaluate_untouched(arm) for arm in untouched]
    for seed in study.seeds:
        for arm in trained:
            steps += planner.chain(arm, seed)
    order = {arm: index for index, arm in enumerate(study.arms)}
    runs = sorted(dict.fromkeys(step.run for step in steps), key=lambda run: order[run.arm])
    baseline = study.baseline or next(iter(study.arms))
    return StudyPlan(study.name, baseline, root, tuple(runs), tuple(steps))


class _Planner:
    """Derives configs and commands; holds what all of them need."""

    def __init__(self, study: Study, study_file: Path, root: Path):
        self.study, self.study_file, self.root = study, study_file, root
        stages: list[tuple[str | None, Stage]] = [*study.stages.items()]
        self.stages = dict(stages or [(None, Stage())])
        self.first = next(iter(self.stages))
        self.bases = {name: self._base(stage) for name, stage in self.stages.items()}
        self.added: dict[Run, tuple[str, ...]] = {}

    def starts_at_first(self, arm: str) -> bool:
        """Whether the arm goes through the first stage, the one that arms differ in."""
        return self.first in self._stages_of(arm)

    def prepare(self, arm: str) -> Step:
        run = self._run(arm, self.study.seeds[0], self.first)
        return self._host_step("prepare", run, self._derive(run, None))

    def evaluate_untouched(self, arm: str) -> Step:
        override = self.study.arms[arm].get("base_model")
        return self._evaluate(Run(arm), override or self.bases[self.first]["base_model"])

    def chain(self, arm: str, seed: int) -> Iterator[Step]:
        """All stages of one arm with one seed: train, make whole, evaluate."""
        model: str | None = None
        origin = ""
        for stage in self._stages_of(arm):
            run = self._run(arm, seed, stage)
            config = self._derive(run, model)
            model = config["output_dir"]
            train = self._host_step("train", run, config, origin)
            origin = train.identity
            yield train
            if leaves_adapter(config):
                yield self._host_step("merge", run, config, origin)
                model = f"{model}/merged"  # axolotl/cli/merge_lora.py::_do_merge_lora_efficient
            elif may_leave_shards(config):
                yield self._host_step("consolidate", run, config, origin)
            if run.evaluated:
                yield self._evaluate(run, model, origin)

    def _stages_of(self, arm: str) -> list[str | None]:
        return self.study.arms[arm].get("stages") or list(self.stages)

    def _run(self, arm: str, seed: int, stage: str | None) -> Run:
        chosen = self.study.evaluate
        return Run(arm, seed, stage, evaluated=chosen is None or stage in chosen)

    def _base(self, stage: Stage) -> dict[str, Any]:
        source = self.study.base if stage.base is None else stage.base
        if isinstance(source, str):
            path = self.study_file.parent / source
            config, where = read_yaml(path), str(path)
        else:
            config, where = source, f"{self.study_file}: base"
        config = apply_overrides(config, stage.overrides)
        if not config.get("base_model"):
            raise CFTError(f"{where}: base_model is missing; name the model to start from")
        return config

    def _derive(self, run: Run, model: str | None) -> dict[str, Any]:
        """The complete config of one training; `model` is the previous stage's output."""
        config = self.bases[run.stage]
        if run.stage == self.first:
            arm = self.study.arms[run.arm]
            overrides = {key: value for key, value in arm.items() if key not in RESERVED}
            config = apply_overrides(config, overrides)
        if config.get("resume_from_checkpoint"):
            raise CFTError(
                f"arm {run.arm}: resume_from_checkpoint would be the start of every seed; remove "
                "it (an interrupted study resumes by itself), or name it as base_model"
            )
        own: dict[str, Any] = {
            "seed": run.seed,
            "output_dir": str(self.root / run.folder / "train"),
            "dataset_prepared_path": str(self.root / PREPARED),
            "auto_resume_from_checkpoints": True,
        }
        if model is not None:
            own["base_model"] = model
        _check_datasets(run.arm, config)
        if any(cft_datasets(config)):
            own["cft.seed"] = run.seed
        lossless = lossless_overrides(config)
        self.added[run] = tuple(f"{key}: {json.dumps(value)}" for key, value in lossless.items())
        return apply_overrides(config, own | lossless)

    def _host_step(self, kind: Kind, run: Run, config: dict[str, Any], origin: str = "") -> Step:
        """A step of the host's; `origin` is the identity of the training it builds upon."""
        template: str = getattr(self.study.launch, kind)
        path = str(self.root / run.folder / "config.yml")
        words = [word.replace("{config}", path) for word in shlex.split(template)]
        command = words if "{config}" in template else [*words, path]
        try:
            content = [origin, config, stamps(config)]
        except CFTError as exc:
            raise CFTError(f"arm {run.arm}: {exc}") from exc
        identity = self._digest(content)
        return Step(kind, run, tuple(command), identity, config, self.added[run])

    def _evaluate(self, run: Run, model: str, origin: str = "") -> Step:
        options = self.study.lm_eval
        output = str(self.root / run.folder / "eval.partial")
        flags = [
            *("--model", options.model),
            *("--model_args", _pairs({"pretrained": model, **options.model_args})),
            *("--tasks", ",".join(self.study.tasks)),
            *("--output_path", output),
            "--log_samples",
            *_flags(options),
        ]
        command = (*shlex.split(self.study.launch.evaluate), *flags)
        return Step("evaluate", run, command, self._digest([origin, flags]))

    def _digest(self, content: Any) -> str:
        text = json.dumps(content, sort_keys=True, default=str).replace(str(self.root), "STUDY")
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def stamps(config: Mapping[str, Any]) -> list[str]:
    """What the plugin will call the CFT datasets of `config`: options, pools and documents.

    The first half of it, which is known without a tokenizer (host/identity).

    Raises:
        CFTError: the `cft` block is wrong.
    """
    options, seed = parse_options(config), config.get("seed")
    prepared = Path(config["dataset_prepared_path"])
    return [
        make_plan(place, part, dataset, options, seed, prepared).stamp
        for place, part, dataset in cft_datasets(config)
    ]


def missing_documents(config: Mapping[str, Any]) -> str | None:
    """A dataset whose files are neither here nor known from when they were prepared."""
    prepared = Path(config["dataset_prepared_path"])
    return next(
        (str(d["path"]) for _, _, d in cft_datasets(config) if is_missing(d, prepared)), None
    )


def leaves_adapter(config: Mapping[str, Any]) -> bool:
    """Whether training saves an adapter, which has to be merged before anything starts from it.

    ReLoRA merges by itself (axolotl/train.py::save_trained_model).
    """
    return bool(config.get("adapter")) and not config.get("relora")


def may_leave_shards(config: Mapping[str, Any]) -> bool:
    """Whether training may save sharded weights: FSDP, unless a full state dict is asked for.

    Unset, the type depends on the FSDP version, so the step looks at what was saved.
    """
    fsdp = config.get("fsdp_config")
    if not fsdp:
        return False
    names = ("final_state_dict_type", "state_dict_type")
    types = [fsdp.get(prefix + name) for name in names for prefix in ("", "fsdp_")]
    return next((type_ for type_ in types if type_), "") != "FULL_STATE_DICT"


def _check_datasets(arm: str, config: Mapping[str, Any]) -> None:
    for key in ("datasets", "test_datasets"):
        items = config.get(key) or []
        if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
            raise CFTError(f"arm {arm}: {key}: expected a list of datasets, each a mapping")


def _pairs(values: Mapping[str, Any]) -> str:
    return ",".join(f"{key}={value}" for key, value in values.items())


def _flags(options: LmEval) -> Iterator[str]:
    """The options as lm-eval's command line wants them."""
    given = options.model_dump(exclude={"model", "model_args"}, exclude_defaults=True)
    for name, value in given.items():
        yield f"--{name}"
        if name == "metadata":
            yield json.dumps(value)
        elif isinstance(value, dict):
            yield _pairs(value)
        elif value is not True:
            yield str(value)
