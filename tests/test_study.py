"""The study's plan and its checks; nothing here starts a training."""

import functools
import json
import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from conftest import make_documents, write_jsonl
from filelock import FileLock

from axolotl_cft.cli import main
from axolotl_cft.errors import CFTError
from axolotl_cft.host.sources import record_sources
from axolotl_cft.records import SOURCES_FILE, STUDY_FILE, StudyRecord
from axolotl_cft.study import outcome, preflight, processes, runner, spec
from axolotl_cft.study.plan import StudyPlan, expand
from axolotl_cft.study.prepared import clear_half_prepared
from axolotl_cft.study.processes import Stopped, child_environment, marked, run_child, stop_signals
from axolotl_cft.study.records import Records
from axolotl_cft.study.spec import Study, apply_overrides, read_study

BASE = {
    "base_model": "some/model",
    "plugins": ["axolotl_cft.CFTPlugin"],
    "datasets": [{"path": "corpus.jsonl", "type": "cft", "field": "text"}],
    "cft": {"prompts": "paper", "prompt_budget": 64},
    "learning_rate": 1e-4,
}
STUDY = {
    "name": "tiny",
    "base": BASE,
    "arms": {"base": {"train": False}, "cpt": {"cft.prompts": "none"}, "cft": None},
    "seeds": [1, 2],
    "tasks": ["arc_easy"],
}
STAGES = {"pretrain": None, "ift": {"overrides": {"cft.prompts": "none", "num_epochs": 3}}}


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "study.yml"
    path.write_text(yaml.safe_dump({**STUDY, **changes}, sort_keys=False))
    return path


def planned(folder: Path, root: str = "out", **changes: Any) -> tuple[Study, StudyPlan]:
    path = written(folder, **changes)
    study = read_study(path)
    return study, expand(study, path, folder / root)


def refusal(folder: Path, **changes: Any) -> str:
    with pytest.raises(CFTError) as caught:
        study, plan = planned(folder, **changes)
        preflight.check_arms_differ(study, plan)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture(scope="module")
def one_index() -> Iterator[None]:
    """The harness makes its index of ten thousand tasks once and not for every call (6 s)."""
    from lm_eval import tasks

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "TaskManager", functools.cache(tasks.TaskManager))
        yield


# --- overrides -------------------------------------------------------------------------------


def test_overrides_merge_by_dotted_key_and_by_nesting() -> None:
    base = {"cft": {"prompts": "paper", "seed": 1}, "datasets": [{"path": "a"}, {"path": "b"}]}
    dotted = apply_overrides(base, {"cft.prompts": "none", "datasets.1.path": "c"})
    nested = apply_overrides(base, {"cft": {"prompts": "none"}, "datasets": {"1": {"path": "c"}}})
    assert dotted == nested
    assert dotted == {
        "cft": {"prompts": "none", "seed": 1},
        "datasets": [{"path": "a"}, {"path": "c"}],
    }
    assert base["datasets"] == [{"path": "a"}, {"path": "b"}]


def test_overrides_replace_lists_and_scalars() -> None:
    merged = apply_overrides(
        {"datasets": [{"path": "a"}], "cft": {"prompts": "paper"}},
        {"datasets": [{"path": "b"}], "cft.prompts": {"column": "prompt"}, "new.deep.key": 1},
    )
    assert merged["datasets"] == [{"path": "b"}]
    assert merged["cft"] == {"prompts": {"column": "prompt"}}
    assert merged["new"] == {"deep": {"key": 1}}


# --- the plan --------------------------------------------------------------------------------


def test_every_arm_seed_and_stage_becomes_steps_in_order(tmp_path: Path) -> None:
    _, plan = planned(tmp_path, stages=STAGES, evaluate=["ift"])
    assert [step.name for step in plan.steps] == [
        "cpt/seed1/pretrain prepare",
        "cft/seed1/pretrain prepare",
        "base evaluate",
        *(
            f"{arm}/seed{seed}/{step}"
            for seed in (1, 2)
            for arm in ("cpt", "cft")
            for step in ("pretrain train", "ift train", "ift evaluate")
        ),
    ]
    assert [run.folder for run in plan.runs][:3] == [
        "base",
        "cpt/seed1/pretrain",
        "cpt/seed1/ift",
    ]


def test_derived_configs_are_complete_and_differ_as_meant(tmp_path: Path) -> None:
    _, plan = planned(tmp_path, stages=STAGES)
    configs = {step.run.folder: step.config or {} for step in plan.steps if step.kind == "train"}
    cpt, cft = configs["cpt/seed2/pretrain"], configs["cft/seed2/pretrain"]
    assert cft == {
        **BASE,
        "seed": 2,
        "cft": {"prompts": "paper", "prompt_budget": 64, "seed": 2},
        "output_dir": str(tmp_path / "out/cft/seed2/pretrain/train"),
        "dataset_prepared_path": str(tmp_path / "out/prepared"),
        "auto_resume_from_checkpoints": True,
    }
    assert {key for key in cft if cft[key] != cpt[key]} == {"cft", "output_dir"}
    later = configs["cft/seed2/ift"]
    assert later["base_model"] == cft["output_dir"]
    assert later["num_epochs"] == 3
    assert later["cft"] == {"prompts": "none", "prompt_budget": 64, "seed": 2}


def test_packed_configs_leave_no_row_out_unless_they_say_so_themselves(tmp_path: Path) -> None:
    base = {**BASE, "sample_packing": True, "attn_implementation": "sdpa"}
    own = {"curriculum_sampling": False, "multipack_real_batches": True}
    arms = {"cpt": {"cft.prompts": "none"}, "cft": None, "own": own}
    _, plan = planned(tmp_path, base=base, arms=arms, seeds=[1])
    steps = {step.run.arm: step for step in plan.steps if step.kind == "train"}
    added = ("multipack_real_batches: false", "curriculum_sampling: true", "datasets.0.shards: 1")
    for arm in ("cpt", "cft"):
        config = steps[arm].config or {}
        assert (config["multipack_real_batches"], config["curriculum_sampling"]) == (False, True)
        assert config["datasets"][0]["shards"] == 1
        assert steps[arm].added == added
    prepare = next(step for step in plan.steps if step.kind == "prepare" and step.run.arm == "cft")
    assert prepare.config == steps["cft"].config
    assert runner._config_text(prepare.config or {}, prepare.added).splitlines()[1] == (
        f"# Added by it, so that packing leaves no row out: {', '.join(added)}"
    )
    config = steps["own"].config or {}
    assert {key: config[key] for key in own} == own and "shards" not in config["datasets"][0]
    assert "Added by it" not in runner._config_text(config, steps["own"].added)


def test_a_stage_without_cft_data_gets_no_cft_block(tmp_path: Path) -> None:
    plain = {"base_model": "some/model", "datasets": [{"path": "chat.jsonl", "type": "alpaca"}]}
    stages = {"pretrain": None, "ift": {"base": plain}}
    _, plan = planned(tmp_path, stages=stages)
    config = next(s.config for s in plan.steps if s.kind == "train" and s.run.stage == "ift")
    assert config is not None
    assert "cft" not in config
    assert config["seed"] == 1


def test_an_arm_may_skip_the_first_stage(tmp_path: Path) -> None:
    arms = {"cft": None, "ift-only": {"stages": ["ift"]}}
    _, plan = planned(tmp_path, arms=arms, stages=STAGES, seeds=[1])
    names = [step.name for step in plan.steps if step.run.arm == "ift-only"]
    assert names == ["ift-only/seed1/ift train", "ift-only/seed1/ift evaluate"]
    config = next(s.config for s in plan.steps if s.name == "ift-only/seed1/ift train")
    assert config is not None
    assert config["base_model"] == "some/model"


def test_adapters_are_merged_and_shards_consolidated_before_anything_uses_them(
    tmp_path: Path,
) -> None:
    arms = {
        "lora": {"adapter": "lora"},
        "relora": {"adapter": "lora", "relora": True},
        "sharded": {"fsdp_config": {"state_dict_type": "SHARDED_STATE_DICT"}},
        "full": {"fsdp_config": {"state_dict_type": "FULL_STATE_DICT"}},
    }
    _, plan = planned(tmp_path, arms=arms, stages=STAGES, seeds=[1], evaluate=["ift"])
    kinds = {
        arm: [s.kind for s in plan.steps if s.run.arm == arm and s.run.stage == "pretrain"]
        for arm in arms
    }
    assert kinds == {
        "lora": ["prepare", "train", "merge"],
        "relora": ["prepare", "train"],
        "sharded": ["prepare", "train", "consolidate"],
        "full": ["prepare", "train"],
    }
    starts = {
        s.run.arm: s.config["base_model"]
        for s in plan.steps
        if s.config and s.run.stage == "ift" and s.kind == "train"
    }
    assert starts["lora"] == str(tmp_path / "out/lora/seed1/pretrain/train/merged")
    assert starts["sharded"] == str(tmp_path / "out/sharded/seed1/pretrain/train")


def test_commands_come_from_the_templates(tmp_path: Path) -> None:
    launch = {"train": "srun --gpus=8 torchrun -m axolotl.cli.train {config} --flag"}
    options = {
        "num_fewshot": 5,
        "apply_chat_template": True,
        "limit": 0.5,
        "model_args": {"dtype": "bfloat16"},
        "metadata": {"cft_data_dir": "data"},
    }
    _, plan = planned(tmp_path, launch=launch, lm_eval=options, tasks="arc_easy, hellaswag")
    train = next(step for step in plan.steps if step.name == "cft/seed1 train")
    config = str(tmp_path / "out/cft/seed1/config.yml")
    assert " ".join(train.command) == (
        f"srun --gpus=8 torchrun -m axolotl.cli.train {config} --flag"
    )
    evaluate = next(step for step in plan.steps if step.name == "base evaluate")
    assert list(evaluate.command) == [
        *("lm_eval", "--model", "hf", "--model_args", "pretrained=some/model,dtype=bfloat16"),
        *("--tasks", "arc_easy,hellaswag"),
        *("--output_path", str(tmp_path / "out/base/eval.partial"), "--log_samples"),
        *("--num_fewshot", "5", "--apply_chat_template", "--limit", "0.5"),
        *("--metadata", '{"cft_data_dir": "data"}'),
    ]


def test_identity_follows_what_decides_the_outcome(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text('{"text": "a"}\n')
    base = {**BASE, "datasets": [{"path": str(corpus), "type": "cft", "field": "text"}]}

    def identities(root: str = "out", **changes: Any) -> dict[str, str]:
        _, plan = planned(tmp_path, root, **{"base": base, "stages": STAGES, **changes})
        return {step.name: step.identity for step in plan.steps if step.run.arm == "cft"}

    before = identities()
    assert identities(launch={"train": "torchrun -m axolotl.cli.train {config}"}) == before
    assert identities("elsewhere") == before
    changed = identities(base={**base, "learning_rate": 2e-4})
    assert all(changed[name] != before[name] for name in before)
    harder = identities(lm_eval={"num_fewshot": 5})
    assert {name.split()[-1] for name in before if harder[name] != before[name]} == {"evaluate"}
    later = identities(stages={**STAGES, "ift": {"overrides": {"num_epochs": 4}}})
    assert {name.split("/")[-1] for name in before if later[name] != before[name]} == {
        "ift train",
        "ift evaluate",
    }
    corpus.write_text('{"text": "a"}\n{"text": "b"}\n')
    assert all(value != before[name] for name, value in identities().items())


def test_a_finished_training_is_kept_while_its_documents_are_elsewhere(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text('{"text": "a"}\n')
    dataset = {"path": str(corpus), "type": "cft", "field": "text"}
    changes = {"base": {**BASE, "datasets": [dataset]}, "arms": {"cft": None}, "seeds": [1]}

    def checked() -> StudyPlan:
        _, plan = planned(tmp_path, **changes)
        steps = plan.steps
        records = Records(plan)
        for step in steps:
            runner.check_identity(records, step)
        return plan

    plan = checked()
    records = Records(plan)
    for step in plan.steps:
        records.mark(step, status="done")
    record_sources([dataset], plan.root / "prepared")  # as a preparation does
    checked()
    corpus.unlink()
    assert [step.identity for step in checked().steps] == [step.identity for step in plan.steps]
    (plan.root / "prepared" / SOURCES_FILE).unlink()
    with pytest.raises(CFTError, match=r"corpus\.jsonl is not here, and prepared/.* put one of"):
        checked()
    corpus.write_text('{"text": "b"}\n')
    with pytest.raises(CFTError, match="another config or other data .*0.1.*delete this folder"):
        checked()


def test_touched_and_copied_data_never_ask_to_delete_a_finished_training(tmp_path: Path) -> None:
    corpus, pool = tmp_path / "data/corpus.jsonl", tmp_path / "pool.yaml"
    corpus.parent.mkdir()
    corpus.write_text('{"text": "a"}\n')
    pool.write_text(yaml.safe_dump({"name": "mine", "prompts": [{"id": "a", "text": "Read."}]}))
    base = {**BASE, "cft": {"prompts": str(pool), "prompt_budget": 64}}
    base["datasets"] = [{"path": str(corpus), "type": "cft", "field": "text"}]

    def checked(root: str = "out") -> StudyPlan:
        _, plan = planned(tmp_path, root, base=base, arms={"cft": None}, seeds=[1])
        records = Records(plan)
        for step in plan.steps:
            runner.check_identity(records, step)
        return plan

    plan = checked()
    records = Records(plan)
    for step in plan.steps:
        records.mark(step, status="done", tasks=dict(step.tasks))
    for path in (corpus, pool):
        os.utime(path, (1e9, 1e9))
        checked()
        shutil.copy(path, tmp_path / "copy")  # another file under the same name
        (tmp_path / "copy").replace(path)
        checked()
    shutil.copytree(plan.root, tmp_path / "elsewhere")
    moved = checked("elsewhere")
    assert all(Records(moved).is_done(step) for step in moved.steps)
    for path, other in ((corpus, '{"text": "b"}\n'), (pool, pool.read_text().replace("R", "r"))):
        kept = path.read_text()
        path.write_text(other)
        with pytest.raises(CFTError, match="another config or other data .*delete this folder"):
            checked()
        path.write_text(kept)
        checked()


# --- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tasks": []}, ["tasks"]),
        ({"seeds": [1, 1]}, ["seeds", "twice"]),
        ({"seeds": ["one"]}, ["seeds.0"]),
        ({"sedes": [1]}, ["sedes", "no such option", "seeds"]),
        ({"lm_eval": {"fewshot": 1}}, ["lm_eval.fewshot", "num_fewshot"]),
        ({"baseline": "cpd"}, ["baseline", "cpd", "cpt"]),
        ({"evaluate": ["ift"]}, ["evaluate", "ift"]),
        ({"arms": {"a/b": None}}, ["arms", "a/b"]),
        ({"arms": {"a": {"train": False, "num_epochs": 2}}}, ["arms.a", "num_epochs"]),
        ({"arms": {"a": {"train": "no way"}}}, ["arms.a.train"]),
        ({"arms": {"a": {"stages": ["ift"]}}}, ["arms.a.stages", "ift"]),
        ({"arms": {"a": {"cft.seed": 3}}}, ["arms.a.cft.seed", "seeds"]),
        ({"arms": {"a": {"cft.promts": "paper"}}}, ["arm a", "cft.promts", "prompts"]),
        ({"arms": {"a": {"cft.prompts": "nowhere.yaml"}}}, ["nowhere.yaml"]),
        ({"arms": {"a": {"datasets.7.path": "x"}}}, ["datasets.7.path"]),
        ({"arms": {"a": {"datasets": "x"}}}, ["arm a", "datasets"]),
        ({"arms": {"a": None, "b": {"cft.prompts": "paper"}}}, ["a and b", "same config"]),
        ({"arms": {"a": {"train": False}, "b": {"train": False}}}, ["a and b", "same config"]),
        ({"arms": {"a": None, "b": {"base_model": "other"}}}, ["a and b", "some/model", "other"]),
        ({"general": ["hellaswag"]}, ["general", "'hellaswag'", "arc_easy"]),
        ({"base": "missing.yml"}, ["missing.yml"]),
        ({"base": {"datasets": []}}, ["base_model"]),
        ({"base": {**BASE, "resume_from_checkpoint": "c"}}, ["resume_from_checkpoint"]),
    ],
)
def test_bad_studies_are_refused_in_one_sentence(
    tmp_path: Path, changes: dict[str, Any], words: list[str]
) -> None:
    message = refusal(tmp_path, **changes)
    assert all(word in message for word in words), message


def test_overrides_of_an_arm_that_skips_their_stage_are_refused(tmp_path: Path) -> None:
    arms = {"a": None, "b": {"stages": ["ift"], "learning_rate": 1.0}}
    assert "learning_rate" in refusal(tmp_path, arms=arms, stages=STAGES)


def test_different_models_may_be_meant(tmp_path: Path) -> None:
    arms = {"a": None, "b": {"base_model": "other"}}
    study, plan = planned(tmp_path, arms=arms, allow_different=["base_model"])
    preflight.check_arms_differ(study, plan)


def test_misspelt_keys_are_found_in_the_hosts_own_schema(tmp_path: Path) -> None:
    _, plan = planned(tmp_path, arms={"a": {"learning_rte": 1.0}})
    with pytest.raises(CFTError, match=r"arm a: 'learning_rte' .* mean 'learning_rate'"):
        preflight.check_keys(plan)
    plugin = "axolotl.integrations.swanlab.SwanLabPlugin"
    base = {**BASE, "plugins": [*BASE["plugins"], plugin], "swanlab_project": "x"}
    preflight.check_keys(planned(tmp_path, base=base)[1])


@pytest.mark.usefixtures("one_index")
def test_unknown_tasks_are_found_before_training(tmp_path: Path) -> None:
    study, _ = planned(tmp_path, tasks=["arc_easy", "arc_eassy"])
    with pytest.raises(CFTError, match=r"no task 'arc_eassy' \(did you mean 'arc_easy'\?\)"):
        preflight.check_tasks(study)


def test_missing_programs_are_found_before_training(tmp_path: Path) -> None:
    _, plan = planned(tmp_path, launch={"train": "srunn {config}"})
    with pytest.raises(CFTError, match=r"launch\.train: .*'srunn'"):
        preflight.check_programs(plan.steps, child_environment(tmp_path)["PATH"])


def test_targets_must_agree_unless_told_otherwise() -> None:
    assert preflight.check_targets({"a": "1", "b": "1"}, allowed=False) is None
    with pytest.raises(CFTError, match="arms a and c "):
        preflight.check_targets({"a": "1", "b": "1", "c": "2"}, allowed=False)
    assert preflight.check_targets({"a": "1", "c": "2"}, allowed=True) is None
    assert "c" in (preflight.check_targets({"a": "1", "c": None}, allowed=False) or "")


def test_arms_are_not_called_like_folders_of_the_study(tmp_path: Path) -> None:
    for name in ("prepared", "slurm", "report", "heldout"):
        assert f"arms: {name!r} is a folder of the study's own" in refusal(
            tmp_path, arms={name: None}
        )


def test_general_tasks_and_the_untouched_arm_reach_the_record(tmp_path: Path) -> None:
    arms = {
        "other": {"train": False, "base_model": "their/model"},
        "base": {"train": False},
        "cft": None,
    }
    changes = {"tasks": "arc_easy,hellaswag", "arms": arms}
    _, plain = planned(tmp_path, **changes)
    _, plan = planned(tmp_path, **changes, general="hellaswag")
    plan.root.mkdir()
    Records(plan).write_study()
    record = StudyRecord.read(plan.root / STUDY_FILE)
    assert (record.general, record.untouched) == (["hellaswag"], "base")
    assert [step.identity for step in plan.steps] == [step.identity for step in plain.steps]


def test_a_task_within_a_group_of_ours_may_show_general_ability(tmp_path: Path) -> None:
    _, plan = planned(tmp_path, tasks="cft_facts", general="cft_facts_base")
    assert (plan.tasks, plan.general) == (("cft_facts",), ("cft_facts_base",))
    message = refusal(tmp_path, tasks="cft_medical", general="cft_facts_base")
    assert "general: there is no 'cft_facts_base'" in message


def test_the_files_of_tasks_are_read_only_for_general_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(spec, "task_groups", lambda: asked.append("groups") or [])
    read_study(written(tmp_path))
    assert not asked
    read_study(written(tmp_path, general=["arc_easy"]))
    assert asked


def test_a_study_that_moves_to_an_accented_folder_is_the_same(tmp_path: Path) -> None:
    plans = [planned(tmp_path, root)[1] for root in ("out", "Münster 100 %")]
    identities = [[step.identity for step in plan.steps] for plan in plans]
    assert identities[0] == identities[1]


# --- the shipped studies -----------------------------------------------------------------------

SHIPPED = Path(__file__).parents[1] / "example_configs"


@pytest.mark.usefixtures("one_index")
@pytest.mark.parametrize("name", ["demo", "paper_medical", "paper_financial", "dose"])
def test_shipped_studies_pass_all_checks_and_print_their_commands(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = yaml.safe_load((SHIPPED / f"study_{name}.yml").read_text())
    study["lm_eval"]["include_path"] = str(SHIPPED.parent / "eval_tasks")  # as from a clone
    for place in (study, *(stage for stage in study.get("stages", {}).values() if stage)):
        if "base" in place:
            place["base"] = str(SHIPPED / place["base"])
    path = tmp_path / "study.yml"
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    result = CliRunner().invoke(main, ["study", str(path), "--dry-run"])
    assert result.exit_code == 1  # of all that is checked, only what is not here is missing
    faults = result.stderr[result.stderr.index("Error:") :].splitlines()[1:]
    absent = r"^  arm [\w-]+.*: (there is no |.*cannot be had|.*lacks)"
    assert faults and [fault for fault in faults if not re.match(absent, fault)] == []
    commands = [line for line in result.stdout.splitlines() if not line.startswith("#")]
    trained = {"demo": 4, "paper_medical": 21, "paper_financial": 21, "dose": 16}[name]
    assert sum("axolotl.cli.train" in line for line in commands) == trained
    assert "# The smallest true difference that " in result.stdout
    group, seeds = {
        "demo": ("cft_", 2),
        "paper_medical": ("cft_medical (average of 7", 3),
        "paper_financial": ("cft_financial (average of 3", 3),
        "dose": ("cft_medical (average of 7", 2),
    }[name]
    assert f"that {seeds} against {seeds} seeds find" in result.stdout
    assert re.search(rf"^#   {re.escape(group)}.* items\): \d+\.\d points$", result.stdout, re.M)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("one_index")
@pytest.mark.parametrize(("name", "trainings"), [("facts", 16), ("facts_small", 2)])
def test_studies_of_facts_tell_their_commands_and_minutes_before_anything_is_made(
    tmp_path: Path, name: str, trainings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = SHIPPED / f"study_{name}.yml"
    result = CliRunner().invoke(main, ["study", str(study), "--dry-run"])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    trained = [line for line in lines if line.startswith("python -m axolotl.cli.train")]
    assert trained[0].endswith("facts_base.yml") and len(trained) == 1 + trainings
    minutes = yaml.safe_load(study.read_text())["minutes"]
    assert (
        f"study file: about {sum(minutes.values()):g} (make {minutes['make']:g}, " in result.stdout
    )
    assert list(tmp_path.iterdir()) == []


# --- outcomes --------------------------------------------------------------------------------


def checkpoint(train: Path, step: int, **state: Any) -> Path:
    folder = train / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    content = {"global_step": step, "max_steps": 10, "epoch": 0.1 * step, "log_history": []}
    (folder / "trainer_state.json").write_text(json.dumps({**content, **state}))
    (train / "model.safetensors").touch()
    return folder


def test_half_written_checkpoints_are_removed(tmp_path: Path) -> None:
    checkpoint(tmp_path, 2)
    half = checkpoint(tmp_path, 10)
    (half / "trainer_state.json").write_text('{"global_step": 1')
    (checkpoint(tmp_path, 8) / "checkpoint-is-incomplete.txt").touch()  # transformers' own mark
    outcome.clear_half_checkpoints(tmp_path)
    assert [path.name for path in outcome.checkpoints(tmp_path)] == ["checkpoint-2"]


def test_a_checkpoint_at_the_end_inside_an_epoch_is_not_resumed_from(tmp_path: Path) -> None:
    checkpoint(tmp_path, 8)
    checkpoint(tmp_path, 10, epoch=0.4)
    outcome.clear_half_checkpoints(tmp_path)
    assert [path.name for path in outcome.checkpoints(tmp_path)] == ["checkpoint-8"]
    checkpoint(tmp_path, 10, epoch=1.0)
    outcome.clear_half_checkpoints(tmp_path)
    assert [path.name for path in outcome.checkpoints(tmp_path)] == [
        "checkpoint-8",
        "checkpoint-10",
    ]


def test_half_written_prepared_folders_are_removed(tmp_path: Path) -> None:
    for name, files in {
        "whole": ["data.arrow", "state.json", "dataset_info.json"],
        "half": ["data.arrow", "state.json"],
        "empty": [],
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / f"{name}.cft_ledger.json").touch()
        for file in files:
            (tmp_path / name / file).touch()
    (tmp_path / "process_counter.txt").write_text("1")
    (tmp_path / "datasets_ready.flag").touch()
    with FileLock(tmp_path / "datasets_prep.lock"):  # somebody prepares just now
        assert clear_half_prepared(tmp_path) == []
    assert clear_half_prepared(tmp_path) == ["empty", "half"]
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["datasets_prep.lock", "whole", "whole.cft_ledger.json"]


def test_the_targets_digest_is_read_from_the_newest_ledger(tmp_path: Path) -> None:
    def ledger(name: str, age: int, *entries: tuple[str, str, int]) -> None:
        path = tmp_path / f"{name}.cft_ledger.json"
        datasets = [
            {"stamp": stamp, "part": part, "ledger": {"targets_digest": f"{digest:032x}"}}
            for stamp, part, digest in entries
        ]
        path.write_text(json.dumps({"schema": 1, "datasets": datasets}))
        os.utime(path, (1e9 - age, 1e9 - age))

    ledger("old", 30, ("a", "train", 1))  # the same stamp, another sequence_len
    ledger("new", 20, ("a+1", "train", 2), ("b+1", "train", 5))
    ledger("test", 15, ("a", "test", 7))
    ledger("other", 10, ("c", "train", 9))
    digests = {
        names: outcome.prepared_targets(tmp_path, names.split())["targets_digest"]
        for names in ("a b", "a", "nowhere")
    }
    assert digests == {"a b": f"{7:032x}", "a": f"{2:032x}", "nowhere": None}


FINISHED = "{'train_runtime': '1.3', 'train_loss': '6.9'}"
OURS = {"plugins": ["axolotl_cft.CFTPlugin"]}


def test_without_our_plugin_training_is_believed_by_what_the_host_prints(tmp_path: Path) -> None:
    with pytest.raises(CFTError, match="no weights"):
        outcome.check_training(tmp_path, FINISHED, {})
    (tmp_path / "model.safetensors").touch()
    outcome.check_training(tmp_path, FINISHED, {"plugins": ["other.Plugin"]})
    with pytest.raises(CFTError, match="before its last step"):
        outcome.check_training(tmp_path, "Saving model …", {})
    checkpoint(tmp_path, 10)
    outcome.check_training(tmp_path, "resumed at its end, nothing printed", {})


def test_with_our_plugin_training_is_believed_by_the_state_at_its_end(tmp_path: Path) -> None:
    last = checkpoint(tmp_path, 10)  # a half-trained model lies beside it
    with pytest.raises(CFTError, match="before its last step"):
        outcome.check_training(tmp_path, FINISHED, OURS)
    shutil.copy(last / "trainer_state.json", tmp_path)
    outcome.check_training(tmp_path, "", OURS)
    outcome.clear_half_checkpoints(tmp_path)  # it is trained again
    assert [path.name for path in tmp_path.iterdir()] == [last.name]
    with pytest.raises(CFTError, match="before its last step"):
        outcome.check_training(tmp_path, FINISHED, OURS)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"step": 3, "loss": float("nan")}, "loss is nan at step 3"),
        ({"step": 4, "eval_loss": float("inf")}, "eval_loss is inf at step 4"),
        ({"step": 9, "loss": 0.0, "grad_norm": float("nan")}, "gradient norm is nan .* 9"),
    ],
)
def test_lost_numbers_fail_a_training(tmp_path: Path, entry: dict[str, Any], words: str) -> None:
    checkpoint(tmp_path, 10, log_history=[{"step": 1, "loss": 2.0, "grad_norm": 1.0}, entry])
    with pytest.raises(CFTError, match=words):
        outcome.check_training(tmp_path, "", {})


def test_consolidation_that_was_cut_short_is_repeated(tmp_path: Path) -> None:
    assert outcome.needs_consolidation(tmp_path)
    merged = tmp_path / "merged"
    merged.mkdir()
    (merged / "model-00002-of-00002.safetensors").touch()
    (tmp_path / "model-00001-of-00002.safetensors").touch()  # moved before the power cut
    assert outcome.needs_consolidation(tmp_path)
    outcome.take_consolidated(tmp_path)
    assert not outcome.needs_consolidation(tmp_path)


def evaluation(folder: Path, acc: float = 0.5, answer: str = "-1.0", samples: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    results = {
        "results": {"arc": {"acc,none": acc, "acc_stderr,none": "N/A"}},
        "configs": {"arc": {}},
    }
    (folder / "results_1.json").write_text(json.dumps(results))
    if samples:
        sample = {"doc_id": 7, "filtered_resps": [[answer, "False"], ["-2.0", "False"]]}
        (folder / "samples_arc_1.jsonl").write_text(json.dumps(sample) + "\n")


def test_evaluations_are_believed_only_when_whole_and_numbers(tmp_path: Path) -> None:
    with pytest.raises(CFTError, match="without a results file"):
        outcome.check_evaluation(tmp_path, ["arc"])
    evaluation(tmp_path, samples=False)
    (tmp_path / "samples_arc_easy_1.jsonl").touch()  # another task's
    with pytest.raises(CFTError, match="no sample log of arc"):
        outcome.check_evaluation(tmp_path, ["arc"])
    evaluation(tmp_path)
    outcome.check_evaluation(tmp_path, ["arc"])
    with pytest.raises(CFTError, match="no task 'other'"):
        outcome.check_evaluation(tmp_path, ["arc", "other"])
    evaluation(tmp_path, acc=float("nan"))
    with pytest.raises(CFTError, match="arc: acc,none is nan"):
        outcome.check_evaluation(tmp_path, ["arc"])
    (tmp_path / "results_1.json").write_text('{"results": {"arc"')
    with pytest.raises(CFTError, match=r"results_1\.json is not valid JSON"):
        outcome.check_evaluation(tmp_path, ["arc"])
    evaluation(tmp_path, answer="nan")
    with pytest.raises(CFTError, match="log-likelihood is NaN .item 7"):
        outcome.check_evaluation(tmp_path, ["arc"])


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("a\nb\n", "b"),
        ("", "no output"),
        (
            "x\ntorch.OutOfMemoryError: CUDA out of memory\n 0%| | 0/4",
            "torch.OutOfMemoryError: CUDA",
        ),
        ("[rank3]: axolotl_cft.errors.CFTError: set it\nretrying", "errors.CFTError: set it"),
        (
            "p.ValidationError: 1 validation error for C\nsave_steps\n  Value error, mismatch\n",
            "1 validation error for C: save_steps: Value error, mismatch",
        ),
    ],
)
def test_the_reason_of_a_failure_is_found_in_its_output(output: str, reason: str) -> None:
    assert reason in runner._reason(output)


# --- processes -------------------------------------------------------------------------------


def test_children_send_no_telemetry_unless_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AXOLOTL_DO_NOT_TRACK", raising=False)
    assert child_environment(tmp_path)["AXOLOTL_DO_NOT_TRACK"] == "1"
    monkeypatch.setenv("AXOLOTL_DO_NOT_TRACK", "0")
    assert child_environment(tmp_path)["AXOLOTL_DO_NOT_TRACK"] == "0"


@pytest.mark.slow
def test_signals_end_the_child_and_workers_in_other_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 2)
    worker = "import subprocess; subprocess.run(['sleep', '60'], start_new_session=True)"
    log = tmp_path / "log"
    threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
    with stop_signals(), pytest.raises(Stopped) as caught:
        run_child((sys.executable, "-c", worker), log, tmp_path, lambda child: None)
    assert caught.value.signum == signal.SIGTERM
    assert marked(tmp_path) == []


@pytest.mark.usefixtures("one_index")
@pytest.mark.slow
def test_failures_are_recorded_and_do_not_stop_other_arms(tmp_path: Path, tiny_model: Path) -> None:
    corpus = write_jsonl(tmp_path / "corpus.jsonl", make_documents(8))
    datasets = [{"path": str(corpus), "type": "cft", "field": "text"}]
    study = {
        "base": BASE | {"base_model": str(tiny_model), "datasets": datasets},
        "arms": {"base": {"train": False}, "bad": {"cft.dropout": 0.5}, "good": None},
        "seeds": [1],
        "launch": {
            "prepare": "sh -c 'echo looking; ! grep -q dropou[t] {config}'",
            "train": "sh -c 'echo half a model; exit 0'",
            "evaluate": "sh -c 'echo no such device; exit 3' --",
        },
    }
    path = written(tmp_path, **study)
    arguments = ["study", str(path), "--output-dir", str(tmp_path / "out")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert "| no such device" in result.output
    runs = {r["arm"]: r for r in json.loads((tmp_path / "out/study.json").read_text())["runs"]}
    assert [run["status"] for run in runs.values()] == ["failed"] * 3
    assert "exited with status 3: no such device" in runs["base"]["error"]
    assert "exited with status 1: looking" in runs["bad"]["error"]
    assert "before its last step, though with exit status 0" in runs["good"]["error"]
    only = CliRunner().invoke(main, [*arguments, "--only", "good"])
    assert only.exit_code == 1
    again = {r["arm"]: r for r in json.loads((tmp_path / "out/study.json").read_text())["runs"]}
    assert again == runs  # what was not chosen keeps its status
    nobody = CliRunner().invoke(main, [*arguments, "--only", "nobody"])
    assert "there is no arm 'nobody'" in nobody.output


def test_an_arm_may_go_through_the_stages_in_an_order_of_its_own(tmp_path):
    """Questions before documents: what the arm changes acts in the study's first stage."""
    arms = {"cft": None, "questions-first": {"cft.dropout": 0.5, "stages": ["ift", "pretrain"]}}
    _, plan = planned(tmp_path, arms=arms, stages=STAGES, seeds=[1])
    trains = [step for step in plan.steps if step.kind == "train"]
    own = [step for step in trains if step.run.arm == "questions-first"]
    assert [step.run.stage for step in own] == ["ift", "pretrain"]
    first, second = (step.config or {} for step in own)
    assert first["base_model"] == "some/model" and second["base_model"] == first["output_dir"]
    assert "dropout" not in first["cft"] and second["cft"]["dropout"] == 0.5
    prepares = [step for step in plan.steps if step.kind == "prepare"]
    assert [step.run.arm for step in prepares] == ["cft", "questions-first"]


def test_an_arm_may_have_seeds_of_its_own(tmp_path):
    arms = {"cpt": {"cft.prompts": "none", "seeds": [2, 7]}, "cft": None}
    study, plan = planned(tmp_path, arms=arms)
    trains = [(s.run.arm, s.run.seed) for s in plan.steps if s.kind == "train"]
    assert trains == [("cft", 1), ("cpt", 2), ("cft", 2), ("cpt", 7)]
    assert [s.run.seed for s in plan.steps if s.kind == "prepare"] == [2, 1]
    again = {"cpt": None, "cpt-again": {"seeds": [7, 8]}}  # what luck alone does
    preflight.check_arms_differ(study, plan)
    preflight.check_arms_differ(*planned(tmp_path, arms=again))
    assert "have the same config" in refusal(tmp_path, arms={**again, "third": {"seeds": [1]}})


def test_an_arm_may_be_evaluated_in_its_own_way(tmp_path):
    arms = {
        "other": {"train": False, "base_model": "x", "lm_eval": {"apply_chat_template": True}},
        "cft": None,
    }
    _, plan = planned(tmp_path, arms=arms, seeds=[1], lm_eval={"num_fewshot": 3})
    other, own = (step for step in plan.steps if step.kind == "evaluate")
    assert "--apply_chat_template" in other.command
    assert "--apply_chat_template" not in own.command
    assert all(
        step.command[step.command.index("--num_fewshot") + 1] == "3" for step in (other, own)
    )
    _, plain = planned(tmp_path, arms={**arms, "other": {"train": False, "base_model": "x"}})
    assert plain.steps[2].tasks != other.tasks


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ({"seeds": []}, "arms.cft.seeds: expected a list of different whole numbers, got []"),
        ({"seeds": [1, 1]}, "arms.cft.seeds: expected a list"),
        ({"seeds": [True]}, "arms.cft.seeds: expected a list"),
        ({"train": False, "seeds": [1]}, "is not trained, so remove 'seeds'"),
        ({"stages": ["ift", "ift"]}, "names a stage twice"),
        ({"lm_eval": {"limit": 3}}, "arms.cft.lm_eval.limit: all arms answer the same items"),
        (
            {"lm_eval": {"fewshot": 3}},
            "arms.cft.lm_eval.fewshot: no such option; known options: mo",
        ),
    ],
)
def test_options_of_an_arm_that_cannot_be_meant_are_refused(tmp_path, arm, message):
    assert message in refusal(
        tmp_path, arms={"cpt": {"cft.prompts": "none"}, "cft": arm}, stages=STAGES
    )
