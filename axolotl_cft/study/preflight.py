"""What is checked before a study trains: no GPU hour for a comparison that cannot be made."""

import difflib
import importlib
import shutil
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from axolotl_cft.core.options import PROMPTS_VARIABLE, CFTArgs
from axolotl_cft.errors import CFTError
from axolotl_cft.study.inputs import look_at_inputs
from axolotl_cft.study.making import makings, shared_makings
from axolotl_cft.study.plan import HELDOUT_TASK, POSITIONS_TASK, Step, StudyPlan
from axolotl_cft.study.records import Records
from axolotl_cft.study.spec import Study

OUR_PLUGINS = {"axolotl_cft.CFTPlugin", "axolotl_cft.host.plugin.CFTPlugin"}


def check_plan(
    study: Study,
    plan: StudyPlan,
    steps: Collection[Step],
    path: str | None,
    study_file: Path,
    gpus: int | None,
) -> list[str]:
    """Everything that can be known without starting a process.

    Args:
        study: the parsed study.
        plan: its plan.
        steps: the steps that will be carried out.
        path: where programs are looked for, as in the variable PATH.
        study_file: where the study stood.
        gpus: of this machine; None where the work is done elsewhere.

    Returns:
        What could not be looked at.

    Raises:
        CFTError: all that is wrong: an unknown key or task, equal arms, different base models, a
            missing program, data or a model that cannot be read, a column that is not there.
    """
    faults = []
    for check in (
        lambda: check_arms_differ(study, plan),
        lambda: check_programs(steps, path),
        lambda: check_keys(plan),
        lambda: check_positions(study, plan),
        lambda: check_tasks(study),
    ):
        try:
            check()
        except CFTError as exc:
            faults.append(str(exc))
    looked = look_at_inputs(study, plan, _left(plan, steps), _made(study, study_file), gpus)
    refuse(study_file, [*faults, *looked.sentences()])
    return looked.remarks


def check_before_making(study: Study, plan: StudyPlan, study_file: Path) -> None:
    """What of the above does not wait for what the study's `make` brings.

    Raises:
        CFTError: data or a model cannot be read, and nothing will bring them.
    """
    steps = _left(plan, plan.steps)
    looked = look_at_inputs(study, plan, steps, _made(study, study_file), None)
    refuse(study_file, looked.sentences())


def refuse(study_file: Path, faults: Sequence[str]) -> None:
    """Refuse a study for all that is wrong with it.

    Raises:
        CFTError: anything is.
    """
    if len(faults) == 1:
        raise CFTError(f"{study_file}: {faults[0]}")
    if faults:
        lines = "".join(f"\n  {fault}" for fault in faults)
        raise CFTError(f"{study_file}: {len(faults)} things would stop it:{lines}")


def _left(plan: StudyPlan, steps: Iterable[Step]) -> list[Step]:
    records = Records(plan)
    return [step for step in steps if not records.is_done(step)]


def _made(study: Study, study_file: Path) -> list[Path]:
    """What the study's commands bring."""
    found = [
        *shared_makings(study.make, study.launch.train, study_file.parent),
        *makings(study.arms, study.arms),
    ]
    return [making.output for making in found if making.output is not None]


def check_environment(environment: Mapping[str, str]) -> None:
    """The variable that switches arms by hand would make all arms of a study the same.

    Raises:
        CFTError: it is set.
    """
    if (value := environment.get(PROMPTS_VARIABLE)) is not None:
        raise CFTError(
            f"{PROMPTS_VARIABLE}={value} would give every arm of the study the same prompts; "
            "unset it, and name the prompts in the arms"
        )


def check_arms_differ(study: Study, plan: StudyPlan) -> None:
    """Two arms must not be the same, and trained arms start from the same model."""
    chains: dict[str, list[Any]] = defaultdict(list)
    for step in plan.steps:
        trained = step.kind == "train" and step.run.seed == study.seeds_of(step.run.arm)[0]
        if trained or (step.kind == "evaluate" and step.run.seed is None):
            chains[step.run.arm].append((step.run.stage, _comparable(plan, step)))
    arms = list(chains)
    for index, arm in enumerate(arms):
        for other in arms[:index]:
            if chains[arm] == chains[other]:
                raise CFTError(
                    f"arms {other} and {arm} have the same config; change one of them, or remove it"
                )
    if "base_model" in study.allow_different:
        return
    starts = {arm: chain[0][1] for arm, chain in chains.items()}
    models = {arm: c["base_model"] for arm, c in starts.items() if isinstance(c, dict)}
    for arm, model in models.items():
        first = next(iter(models))
        if model != models[first]:
            raise CFTError(
                f"arms {first} and {arm} start from different models ({models[first]} and {model});"
                " give them one base_model, or say `allow_different: [base_model]`"
            )


def _comparable(plan: StudyPlan, step: Step) -> Any:
    """What a training (or an untouched arm's evaluation) is, its own folders aside."""
    folder = str(plan.root / step.run.chain)
    if step.config is None:
        return [word.replace(folder, "") for word in step.command]
    return {key: str(value).replace(folder, "") for key, value in step.config.items()}


def check_programs(steps: Iterable[Step], path: str | None) -> None:
    """Every command's program must exist on this machine."""
    for step in steps:
        if shutil.which(step.command[0], path=path) is None:
            option = "evaluate" if step.kind == "heldout" else step.kind
            raise CFTError(
                f"launch.{option}: there is no program {step.command[0]!r} on this machine; "
                "install it, or name another in the study"
            )


def check_keys(plan: StudyPlan) -> None:
    """Top-level keys must be Axolotl's or a plugin's: the host drops misspelled ones silently."""
    from axolotl.utils.schemas.config import AxolotlInputConfig

    host = _field_names(AxolotlInputConfig) | _field_names(CFTArgs)
    plugins: dict[str, set[str]] = {}
    for step in plan.steps:
        config = step.config or {}
        if unknown := config.keys() - host:
            for name in set(config.get("plugins") or []) - OUR_PLUGINS:
                if name not in plugins:
                    plugins[name] = _plugin_fields(name)
                unknown -= plugins[name]
        for key in sorted(unknown):
            raise CFTError(
                f"arm {step.run.arm}: {key!r} is not an option of Axolotl or of the plugins in use"
                f"{_similar(key, host)}; correct it in the arm or in the base config"
            )


def _field_names(model: Any) -> set[str]:
    """Names of a pydantic model's fields, and their aliases."""
    fields = model.model_fields
    return set(fields) | {field.alias for field in fields.values() if field.alias}


def _plugin_fields(name: str) -> set[str]:
    """What another plugin adds to the schema (axolotl/integrations/base.py::get_input_args)."""
    try:
        plugin = _imported(name)()
        args = plugin.get_input_args()
        return _field_names(_imported(args)) if args else set()
    except (ImportError, AttributeError, ValueError) as exc:
        raise CFTError(f"plugins: {name} cannot be used: {exc}") from exc


def _imported(dotted: str) -> Any:
    module, _, attribute = dotted.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def check_positions(study: Study, plan: StudyPlan) -> None:
    """Positions are told in held-out text, and in tokens that all models share."""
    if not study.heldout_positions:
        return
    heldout = plan.heldout
    if heldout.absent and heldout.found:
        return  # its documents are elsewhere; the report will say that there were none here
    why = heldout.absent
    if why is None and heldout.tokenizer is None:
        why = "arms have several tokenizers, and with each a document's positions are others"
    if why:
        raise CFTError(f"heldout_positions: there is no loss by position: {why}; remove the option")


def check_tasks(study: Study) -> None:
    """Every task must be known to the harness: a typo must not surface only after training."""
    from lm_eval.tasks import TaskManager

    if HELDOUT_TASK in study.tasks:
        raise CFTError(
            f"tasks: {HELDOUT_TASK} is evaluated wherever cft.holdout holds documents out, in a "
            "process of its own; remove it from the list"
        )
    if POSITIONS_TASK in study.tasks:
        raise CFTError(f"tasks: {POSITIONS_TASK} is asked for by `heldout_positions: true` instead")
    options = study.lm_eval
    manager = TaskManager(include_path=options.include_path)
    for task in study.tasks:
        if not manager.match_tasks([task]) and not Path(task).is_file():
            raise CFTError(
                f"tasks: the harness knows no task {task!r}{_similar(task, manager.all_tasks)}; "
                "`lm_eval ls tasks` lists them, `lm_eval.include_path` adds a folder"
            )


def check_targets(digests: Mapping[str, str | None], allowed: bool) -> str | None:
    """All arms must train on the same tokens in the same chunks.

    Args:
        digests: arm -> targets digest of its ledger, None without one.
        allowed: whether the study allows targets to differ.

    Returns:
        A remark for the user, or None if all is well.

    Raises:
        CFTError: two arms differ.
    """
    silent = [arm for arm, digest in digests.items() if digest is None]
    spoken = {arm: digest for arm, digest in digests.items() if digest is not None}
    for arm, digest in spoken.items():
        first = next(iter(spoken))
        if digest != spoken[first] and not allowed:
            raise CFTError(
                f"arms {first} and {arm} do not train on the same tokens in the same chunks: their "
                "ledgers' targets digests differ; give them the same datasets, sequence_len and "
                "cft.prompt_budget, or say `allow_different: [targets]`"
            )
    if silent and len(digests) > 1:
        return f"cannot tell whether {', '.join(silent)} trains on the same tokens: no CFT ledger"
    return None


def check_amounts(tokens: Mapping[str, int | None], room: int) -> None:
    """Under a budget all arms must train as many tokens, whatever these are.

    Args:
        tokens: arm -> tokens with loss in its ledger, None without one.
        room: by how many they may differ: the last row of each dataset.

    Raises:
        CFTError: an arm has no ledger, or two differ by more.
    """
    for arm, amount in tokens.items():
        if amount is None:
            raise CFTError(
                f"arm {arm} has no CFT ledger, so nobody can tell how many tokens it trains; give "
                "its datasets `type: cft`, or take the budget away"
            )
    if not tokens:  # nothing could be prepared, and that was told
        return
    least, most = (pick(tokens, key=lambda arm: tokens[arm] or 0) for pick in (min, max))
    if (tokens[most] or 0) - (tokens[least] or 0) > room:
        raise CFTError(
            f"arms {least} and {most} would train {tokens[least]:,} and {tokens[most]:,} tokens, "
            "and the budget is one number; run the study again once nothing writes to its data"
        )


def row_room(config: Mapping[str, Any]) -> int:
    """Tokens by which a budget may be missed: a row of each dataset."""
    return int(config.get("sequence_len") or 0) * len(config.get("datasets") or [])


def _similar(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
