"""From a study to the list of its steps, each with its complete config and command."""

import difflib
import functools
import hashlib
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from axolotl_cft.errors import CFTError
from axolotl_cft.evaluation.arguments import deciding
from axolotl_cft.evaluation.tasks import task_folder
from axolotl_cft.files import read_yaml
from axolotl_cft.host.flags import read_flag
from axolotl_cft.host.packing import lossless_overrides
from axolotl_cft.host.plan import cft_datasets, make_plan, parse_options
from axolotl_cft.host.sources import is_missing
from axolotl_cft.study.budget import Budget, share_out
from axolotl_cft.study.harness import (
    LmEval,
    asking_for,
    deciding_options,
    for_text,
    harness_words,
    option_words,
)
from axolotl_cft.study.heldout import HeldOutText, held_out_text
from axolotl_cft.study.launch import launch_command
from axolotl_cft.study.making import Training, shared_makings
from axolotl_cft.study.spec import RESERVED, Stage, Study, apply_overrides
from axolotl_cft.study.task_files import TaskFiles, called

Kind = Literal["prepare", "train", "consolidate", "merge", "evaluate", "heldout"]

PREPARED = "prepared"
"""Folder of all prepared datasets of a study: equal datasets are prepared once."""


HELDOUT = "heldout"
"""Folder of the evaluation on held-out documents, in a run's."""

HELDOUT_TASK = "cft_heldout"

POSITIONS_TASK = "cft_heldout_positions"

_MODEL: tuple[Kind, ...] = ("train", "consolidate", "merge")
"""Steps that make the model which those after them start from."""


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
        tasks: of an evaluation, what is evaluated -> digest of all that decides its results. They
            tell what is left to evaluate; the identity is what version 0.1 knew an evaluation by.
    """

    kind: Kind
    run: Run
    command: tuple[str, ...]
    identity: str
    config: dict[str, Any] | None = None
    added: tuple[str, ...] = ()
    tasks: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """For messages: `cft/seed42 train`."""
        return f"{self.run.folder} {self.kind}"

    @property
    def path(self) -> str:
        """What `--step` calls it: `cft/seed42/train`."""
        return f"{self.run.folder}/{self.kind}"

    def evaluating(self, tasks: Sequence[str]) -> "Step":
        """The same evaluation, its command asking for some of the tasks only."""
        return replace(self, command=asking_for(self.command, tasks))


@dataclass(frozen=True)
class StudyPlan:
    """All runs and steps, in the order in which they are carried out.

    Attributes:
        name: the study's.
        baseline: the arm that others are compared with.
        root: the study's folder.
        runs: all of them.
        steps: all of them.
        heldout: the documents that no arm trains on, or why there are none.
        tasks: what is evaluated, as the results call it.
        budgeted: whether arms train as many tokens, and not the same ones.
        general: those of `tasks` that show general ability.
        untouched: the arm that is the model which the others start from; None without one.
    """

    name: str
    baseline: str
    root: Path
    runs: tuple[Run, ...]
    steps: tuple[Step, ...]
    heldout: HeldOutText
    tasks: tuple[str, ...]
    budgeted: bool = False
    general: tuple[str, ...] = ()
    untouched: str | None = None

    def folder(self, run: Run) -> Path:
        """Absolute folder of a run."""
        return self.root / run.folder

    def only(self, arms: set[str]) -> tuple[Step, ...]:
        """The steps of some arms."""
        return tuple(step for step in self.steps if step.run.arm in arms)

    def needs(self, step: Step) -> tuple[Step, ...]:
        """The steps whose results a step starts from; what these need in turn is not repeated."""
        if step.kind == "prepare":
            return ()
        before = self.steps[: self.steps.index(step)]
        if made := [s for s in before if s.run.chain == step.run.chain and s.kind in _MODEL]:
            return (made[-1],)
        return tuple(s for s in before if s.run.arm == step.run.arm and s.kind == "prepare")

    def find(self, path: str) -> Step:
        """The step that `--step` calls so.

        Raises:
            CFTError: there is none; names some that are alike.
        """
        known = {step.path: step for step in self.steps}
        if path not in known:
            close = difflib.get_close_matches(path, known, n=3, cutoff=0.5) or [*known][:3]
            raise CFTError(
                f"--step: the study has no step {path!r}; like it are: {', '.join(close)} "
                "(`--dry-run` lists all)"
            )
        return known[path]


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
    trained = [arm for arm, block in study.arms.items() if block.get("train", True)]
    planner = _Planner(study, study_file, root, trained)
    untouched = [arm for arm in study.arms if arm not in trained]
    steps = [planner.prepare(arm) for arm in trained if planner.has_first(arm)]
    for arm in untouched:
        steps += planner.evaluate_untouched(arm)
    own = [seed for arm in trained for seed in study.seeds_of(arm)]
    for seed in dict.fromkeys([*study.seeds, *own]):
        for arm in trained:
            if seed in study.seeds_of(arm):
                steps += planner.chain(arm, seed)
    order = {arm: index for index, arm in enumerate(study.arms)}
    runs = sorted(dict.fromkeys(step.run for step in steps), key=lambda run: order[run.arm])
    baseline = study.baseline or next(iter(study.arms))
    return StudyPlan(
        name=study.name,
        baseline=baseline,
        root=root,
        runs=tuple(runs),
        steps=tuple(steps),
        heldout=planner.heldout,
        tasks=tuple(called(task) for task in study.tasks),
        budgeted=study.budget is not None,
        general=tuple(called(task) for task in study.general),
        untouched=study.untouched,
    )


def _count_trained_tokens(config: Path) -> list[int]:
    """By the host's own reading; imported when a budget asks for it, which takes a while."""
    from axolotl_cft.host.counting import count_trained_tokens

    return count_trained_tokens(config)


class _Planner:
    """Derives configs and commands; holds what all of them need."""

    def __init__(self, study: Study, study_file: Path, root: Path, trained: Sequence[str]):
        self.study, self.study_file, self.root = study, study_file, root
        stages: list[tuple[str | None, Stage]] = [*study.stages.items()]
        self.stages = dict(stages or [(None, Stage())])
        self.first = next(iter(self.stages))
        self.bases = {name: self._base(stage) for name, stage in self.stages.items()}
        self.added: dict[Run, tuple[str, ...]] = {}
        self.trained = trained
        made = shared_makings(study.make, study.launch.train, study_file.parent)
        first = [making.identity for making in made if isinstance(making, Training)]
        self.origin = self._digest(first) if first else ""
        self.budgets: Mapping[str, Mapping[str, int]] = {}
        if study.budget is not None and any(map(self.has_first, trained)):
            self.budgets = self._share_out(study.budget)

    @functools.cached_property
    def derived(self) -> dict[Run, dict[str, Any]]:
        """The configs of all trainings with the first seed, as if none built upon another."""
        runs = [self._first_run(arm, s) for arm in self.trained for s in self._stages_of(arm)]
        return {run: self._derive(run, None) for run in runs}

    @functools.cached_property
    def heldout(self) -> HeldOutText:
        """The documents that no arm trains on; asked for once the plan knows that there are arms.

        Raises:
            CFTError: a `cft` block is wrong, or a file cannot be read.
        """
        for run, config in self.derived.items():
            self._stamps(run, config)
        configs = {run.folder: config for run, config in self.derived.items()}
        first = [config for run, config in self.derived.items() if run.stage == self.first]
        untouched = [
            {**self.bases[self.first], **block}
            for arm, block in self.study.arms.items()
            if arm not in self.trained
        ]
        limit = self.study.heldout_documents
        of = self._baseline_runs() if self.budgets else None
        return held_out_text(configs, [*first, *untouched], limit, self.root, of)

    def _baseline_runs(self) -> list[str]:
        """Folders of the runs whose documents are the study's, where arms may have other texts."""
        trained = [arm for arm in self.trained if self.has_first(arm)]
        chosen = self.study.baseline if self.study.baseline in trained else trained[0]
        return [run.folder for run in self.derived if run.arm == chosen]

    def _share_out(self, budget: Budget) -> Mapping[str, Mapping[str, int]]:
        """Arm -> what its config says of the budget."""
        runs = [self._first_run(arm, self.first) for arm in self.trained if self.has_first(arm)]
        configs = {run.arm: self._derive(run, None) for run in runs}
        stamps = {run.arm: self._stamps(run, configs[run.arm]) for run in runs}
        for arm, config in configs.items():
            if (config.get("cft") or {}).get("trained_tokens") is not None:
                raise CFTError(
                    f"arm {arm}: cft.trained_tokens: the study's `budget` sets it for all arms; "
                    "remove one of the two"
                )
        return share_out(budget, configs, stamps, self.root, _count_trained_tokens)

    def has_first(self, arm: str) -> bool:
        """Whether the arm goes through the study's first stage, the one that arms differ in."""
        return self.first in self._stages_of(arm)

    def prepare(self, arm: str) -> Step:
        run = self._first_run(arm, self.first)
        return self._host_step("prepare", run, self._derive(run, None), self.origin)

    def evaluate_untouched(self, arm: str) -> Iterator[Step]:
        override = self.study.arms[arm].get("base_model")
        model = override or self.bases[self.first]["base_model"]
        return self._evaluate(Run(arm), model, self.origin)

    def chain(self, arm: str, seed: int) -> Iterator[Step]:
        """All stages of one arm with one seed: train, make whole, evaluate."""
        model: str | None = None
        origin = self.origin
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
                yield from self._evaluate(run, model, origin)

    def _stages_of(self, arm: str) -> list[str | None]:
        return self.study.arms[arm].get("stages") or list(self.stages)

    def _first_run(self, arm: str, stage: str | None) -> Run:
        """With the arm's first seed, which stands for all where a seed decides nothing."""
        return self._run(arm, self.study.seeds_of(arm)[0], stage)

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
        if run.stage == self.first:
            own |= self.budgets.get(run.arm, {})
        _check_datasets(run.arm, config)
        if any(cft_datasets(config)):
            own["cft.seed"] = run.seed
        lossless = lossless_overrides(config)
        self.added[run] = tuple(f"{key}: {json.dumps(value)}" for key, value in lossless.items())
        return apply_overrides(config, own | lossless)

    def _host_step(self, kind: Kind, run: Run, config: dict[str, Any], origin: str = "") -> Step:
        """A step of the host's; `origin` is the identity of the training it builds upon."""
        template: str = getattr(self.study.launch, kind)
        name = "prepare.yml" if kind == "prepare" else "config.yml"
        command = launch_command(template, self.root / run.folder / name)
        identity = self._digest([origin, config, self._stamps(run, config)])
        return Step(kind, run, command, identity, config, self.added[run])

    def _stamps(self, run: Run, config: dict[str, Any]) -> list[str]:
        try:
            return stamps(config)
        except CFTError as exc:
            raise CFTError(f"arm {run.arm}: {exc}") from exc

    def _evaluate(self, run: Run, model: str, origin: str = "") -> Iterator[Step]:
        """The study's tasks, and the loss on held-out text where there is any."""
        options = self.study.lm_eval_of(run.arm)
        given = {"pretrained": model, **options.model_args}
        output = self.root / run.folder / "eval.partial"
        flags = harness_words(options, given, self.study.tasks, output)
        command = (*shlex.split(self.study.launch.evaluate), *flags)
        tasks = self._keys(self.study.tasks, [origin, deciding(given), deciding_options(options)])
        yield Step("evaluate", run, command, self._digest([origin, flags]), tasks=tasks)
        if self.heldout.identity is not None:
            yield self._evaluate_heldout(run, model, origin)

    def _evaluate_heldout(self, run: Run, model: str, origin: str) -> Step:
        """In a process of its own: other tasks want the tokenizer's BOS (docs/heldout.md)."""
        tasks = [HELDOUT_TASK, *([POSITIONS_TASK] if self.study.heldout_positions else [])]
        options = for_text(self.study.lm_eval_of(run.arm))
        given: dict[str, Any] = {"pretrained": model, **options.model_args, "add_bos_token": False}
        if not given.keys() & {"max_length", "max_model_len"}:
            given["max_length"] = self._longest_row()
        output = self.root / run.folder / f"{HELDOUT}.partial"
        # Every window of a long text is as long as a row of training, unlike a question.
        flags = harness_words(options, given, tasks, output, "--batch_size", "1")
        metadata = {"cft_data_dir": str(self.root)}
        if self.heldout.found is not None and self.heldout.found.by_group:
            metadata["items_share"] = "group"  # for the report (evaluation/items)
        # Where the task and its documents lie is no part of what is measured.
        places = option_words(LmEval(include_path=str(task_folder()), metadata=metadata))
        command = (*shlex.split(self.study.launch.evaluate), *flags, *places)
        identity = self._digest([origin, flags, self.heldout.identity])
        decided = [origin, deciding(given), deciding_options(options), self.heldout.identity]
        return Step("heldout", run, command, identity, tasks=self._keys(tasks, decided))

    def _keys(self, tasks: Sequence[str], decided: Any) -> dict[str, str]:
        """For each task the digest of all that decides its results."""
        return {task: self._digest([task, self.definitions[task], decided]) for task in tasks}

    @functools.cached_property
    def definitions(self) -> dict[str, str]:
        """Task -> digest of the files that define it; the harness prefers what it is given."""
        given = self.study.lm_eval.include_path
        files = TaskFiles((*([Path(given)] if given else []), task_folder()))
        ours = (HELDOUT_TASK, POSITIONS_TASK)
        return {task: files.digest(task) for task in (*self.study.tasks, *ours)}

    def _longest_row(self) -> int:
        """The greatest `sequence_len`, for all arms alike; the host's default where none is set."""
        return max(int(config.get("sequence_len") or 512) for config in self.derived.values())

    def _digest(self, content: Any) -> str:
        text = json.dumps(content, sort_keys=True, default=str).replace(
            json.dumps(str(self.root))[1:-1], "STUDY"
        )
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
    return bool(config.get("adapter")) and not read_flag(config, "relora")


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
