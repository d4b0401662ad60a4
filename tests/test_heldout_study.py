"""A study's held-out text: exported once, every evaluated run measured on it, whatever happens.

The programs are stand-ins (`fake_host.py`); `test_study_run.py` compares these with the real ones.
"""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import make_documents, write_jsonl
from test_study_run import FAKE, UNCHECKED, Call, call, end, journal, recorded, write_study

from axolotl_cft.errors import CFTError
from axolotl_cft.evaluation.sources import plan_study, read_runs
from axolotl_cft.records import StudyRecord
from axolotl_cft.study import preflight
from axolotl_cft.study.plan import StudyPlan, expand
from axolotl_cft.study.spec import read_study

ARMS = {"base": {"train": False}, "cpt": {"cft.prompts": "none"}, "cft": {}}
ONE_STAGE = {"arms": ARMS, "seeds": [1], "stages": {}, "evaluate": None}


@pytest.fixture(autouse=True)
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the checks of keys and tasks, which import host and harness."""
    monkeypatch.setattr(preflight, "check_plan", lambda *arguments: None)


def held_out_study(folder: Path, model: Path, **changes: Any) -> Path:
    return with_base(write_study(folder, model, FAKE, **ONE_STAGE | changes), {"holdout": 0.4})


def with_base(study: Path, cft: dict[str, Any], **changes: Any) -> Path:
    content = yaml.safe_load(study.read_text())
    content["base"]["cft"] |= cft
    study.write_text(yaml.safe_dump({**content, **changes}, sort_keys=False))
    return study


def planned(study: Path, root: Path) -> StudyPlan:
    return expand(read_study(study), study, root)


def commands(plan: StudyPlan) -> dict[str, list[str]]:
    return {step.run.arm: list(step.command) for step in plan.steps if step.kind == "heldout"}


def lines(root: Path) -> list[dict[str, Any]]:
    text = (root / "heldout/test.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def started(root: Path, kind: str) -> list[str]:
    events = [event["step"] for event in journal(root) if event["event"] == "started"]
    return [step for step in events if step.endswith(kind)]


# --- the plan --------------------------------------------------------------------------------


def test_every_evaluated_run_is_measured_on_bare_text_in_a_process_of_its_own(tmp_path, tiny_model):
    options = {"num_fewshot": 5, "apply_chat_template": True, "batch_size": 16, "limit": 4}
    options |= {"metadata": {"cft_data_dir": "there"}, "model_args": {"dtype": "float32"}}
    study = held_out_study(tmp_path, tiny_model, lm_eval=options)
    plan = planned(study, tmp_path / "out")
    kinds = [step.kind for step in plan.steps]
    assert kinds.count("heldout") == kinds.count("evaluate") == 3
    command = commands(plan)["cft"]
    model = dict(pair.split("=") for pair in command[command.index("--model_args") + 1].split(","))
    assert model["add_bos_token"] == "False"
    assert model["dtype"] == "float32"
    assert model["max_length"] == "192"  # the config's sequence_len
    assert command[command.index("--batch_size") + 1] == "1"
    assert command[command.index("--limit") + 1] == "4"
    assert json.loads(command[command.index("--metadata") + 1]) == {
        "cft_data_dir": str(tmp_path / "out")
    }
    assert not {"--num_fewshot", "--apply_chat_template"} & set(command)
    grouped = commands(planned(with_base(study, {"holdout_by": "topic"}), tmp_path))["cft"]
    assert json.loads(grouped[grouped.index("--metadata") + 1])["items_share"] == "group"
    own = {"lm_eval": {"model_args": {"max_length": 99}}}
    assert "max_length=99" in " ".join(
        commands(planned(with_base(study, {}, **own), tmp_path))["base"]
    )


def test_without_held_out_text_the_plan_is_as_before_and_says_why(tmp_path, tiny_model):
    study = write_study(tmp_path, tiny_model, FAKE, **ONE_STAGE)
    before = planned(study, tmp_path / "out")
    assert commands(before) == {}
    assert before.heldout.absent == "no arm holds documents out (cft.holdout)"
    plan = planned(with_base(study, {"holdout": 0.4}, heldout_documents=0), tmp_path / "out")
    assert (commands(plan), plan.heldout.absent) == ({}, "heldout_documents is 0")
    later = {"overrides": {"datasets.0.type": "completion", "cft": {"holdout": 0.0}}}
    study = with_base(study, {}, heldout_documents=5, stages={"one": None, "two": later})
    plan = planned(study, tmp_path / "out")
    assert commands(plan) == {}
    assert "seed1/two trains on the rows of" in str(plan.heldout.absent)


def test_the_tasks_of_a_study_do_not_name_the_held_out_text(tmp_path, tiny_model):
    study = read_study(held_out_study(tmp_path, tiny_model, tasks=["cft_heldout"]))
    with pytest.raises(CFTError, match="remove it from the list"):
        preflight.check_tasks(study)


def test_identities_follow_the_documents_and_no_path(tmp_path, tiny_model, monkeypatch):
    study = held_out_study(tmp_path, tiny_model)

    def identities() -> dict[str, str]:
        plan = planned(study, tmp_path / "out")
        return {step.name: step.identity for step in plan.steps}

    before = identities()
    monkeypatch.setattr("axolotl_cft.study.plan.task_folder", lambda: Path("elsewhere"))
    assert identities() == before
    with_base(study, {}, heldout_documents=3)
    changed = {name for name, identity in identities().items() if identity != before[name]}
    assert changed == {"base heldout", "cpt/seed1 heldout", "cft/seed1 heldout"}
    write_jsonl(tmp_path / "corpus.jsonl", make_documents(30))
    fewer = before.keys() - {
        name for name, identity in identities().items() if identity != before[name]
    }
    assert fewer == {"base evaluate"}


def test_the_loss_by_position_is_asked_for_and_measured_beside_the_other(tmp_path, tiny_model):
    study = held_out_study(tmp_path, tiny_model)
    before = {s.path: s.tasks for s in planned(study, tmp_path).steps if s.kind == "heldout"}
    plan = planned(with_base(study, {}, heldout_positions=True), tmp_path)
    command = commands(plan)["cft"]
    both = "cft_heldout,cft_heldout_positions"
    assert command[command.index("--tasks") + 1] == both
    for step in (step for step in plan.steps if step.kind == "heldout"):
        # What was measured before is not measured again.
        assert {**step.tasks, **before[step.path]} == step.tasks and len(step.tasks) == 2
    spec = read_study(study)
    preflight.check_positions(spec, plan)
    arms = {**ARMS, "base": {"train": False, "base_model": "some/other"}}
    study = with_base(study, {}, arms=arms)
    with pytest.raises(CFTError, match="heldout_positions: .* arms have several tokenizers"):
        preflight.check_positions(spec, planned(study, tmp_path))
    study = with_base(study, {}, heldout_documents=0)
    with pytest.raises(CFTError, match="no loss by position: heldout_documents is 0; remove"):
        preflight.check_positions(spec, planned(study, tmp_path))
    with_base(study, {}, tasks=["cft_heldout_positions"])
    with pytest.raises(CFTError, match="asked for by `heldout_positions: true` instead"):
        preflight.check_tasks(read_study(study))


def test_tokens_are_counted_where_one_tokenizer_is_shared(tmp_path, tiny_model):
    study = held_out_study(tmp_path, tiny_model)
    assert planned(study, tmp_path).heldout.tokenizer is not None
    arms = {**ARMS, "base": {"train": False, "base_model": "some/other"}}
    assert planned(with_base(study, {}, arms=arms), tmp_path).heldout.tokenizer is None


# --- carried out -----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_study_that_is_killed_and_goes_on_measures_every_run_once(tmp_path, tiny_model):
    study, root = held_out_study(tmp_path, tiny_model), tmp_path / "out"
    log = root / "cpt/seed1/heldout.log"
    killed = Call(study, root, UNCHECKED, **{"cpt/seed1 heldout": "hang"})
    end(killed.kill_when(lambda: log.exists() and log.stat().st_size > 0))
    assert (root / "cpt/seed1/eval").is_dir()
    assert not (root / "cpt/seed1/heldout").exists()
    finished = call(study, root)
    assert finished.exit_code == 0, finished.output
    expected = ["base heldout", *["cpt/seed1 heldout"] * 2, "cft/seed1 heldout"]
    assert started(root, "heldout") == expected
    record = StudyRecord.read(root / "study.json")
    assert record.heldout is not None
    assert record.heldout.documents == record.heldout.found == len(lines(root))
    runs = read_runs(plan_study(root, None))
    assert [set(run.tasks) for run in runs] == [{"study_parity", "cft_heldout"}] * 3
    assert {run.tasks["cft_heldout"].score for run in runs} == {1 / math.log(2)}
    first_lines = (root / "report/report.md").read_text().splitlines()[:10]
    assert any("**cft against cpt on held-out documents**" in line for line in first_lines)

    (root / "heldout/test.jsonl").unlink()  # nothing needs it any more
    assert call(study, root).exit_code == 0
    assert started(root, "heldout") == expected


@pytest.mark.slow
def test_a_study_begun_without_held_out_text_gets_it_and_repeats_nothing(tmp_path, tiny_model):
    study, root = held_out_study(tmp_path, tiny_model), tmp_path / "out"
    with_base(study, {}, heldout_documents=0)
    assert call(study, root).exit_code == 0
    record = json.loads((root / "study.json").read_text())
    assert record["heldout"] == {"absent": "heldout_documents is 0"}
    del record["heldout"]  # as earlier versions wrote it
    for run in record["runs"]:
        del run["heldout_dir"]
    (root / "study.json").write_text(json.dumps(record))
    before = journal(root)

    with_base(study, {}, heldout_documents=4)
    again = call(study, root)
    assert again.exit_code == 0, again.output
    assert "held-out text: 4 of " in again.output
    new = journal(root)[len(before) :]
    assert {event["step"].split()[-1] for event in new} == {"heldout"}
    assert len(lines(root)) == 4
    assert all(run["heldout_dir"] for run in recorded(root).values())


@pytest.mark.slow
def test_a_run_keeps_its_results_when_its_held_out_text_fails(tmp_path, tiny_model, monkeypatch):
    study, root = held_out_study(tmp_path, tiny_model), tmp_path / "out"
    monkeypatch.setenv("FAKE_HOST", json.dumps({"cft/seed1 heldout": "nan"}))
    first = call(study, root)
    assert first.exit_code == 1
    run = recorded(root)["cft", 1, None]
    assert (run["status"], run["heldout_dir"]) == ("done", None)
    assert "cft_heldout: bits_per_byte,none is nan" in run["error"]
    assert "study_parity" in (root / "report/report.md").read_text()
    monkeypatch.delenv("FAKE_HOST")
    assert call(study, root).exit_code == 0
    assert recorded(root)["cft", 1, None]["heldout_dir"] == "cft/seed1/heldout"


@pytest.mark.slow
def test_a_share_that_holds_nothing_out_is_said_and_fails_no_run(tmp_path, tiny_model):
    study, root = held_out_study(tmp_path, tiny_model), tmp_path / "out"
    with_base(study, {"holdout": 1e-9})
    for _ in range(2):
        result = call(study, root)
        assert result.exit_code == 0, result.output
        record = StudyRecord.read(root / "study.json")
        assert record.heldout is not None
        assert record.heldout.absent == "no document fell into the held-out part"
        assert {(run.status, run.heldout_dir, run.error) for run in record.runs} == {
            ("done", None, None)
        }
        said = "- No loss on held-out text: no document fell into the held-out part."
        assert said in (root / "report/report.md").read_text()
    assert started(root, "heldout") == []


@pytest.mark.slow
def test_documents_that_cannot_be_read_fail_no_training(tmp_path, tiny_model, monkeypatch):
    study, root = held_out_study(tmp_path, tiny_model), tmp_path / "out"
    reads = []

    def refuse(*arguments: Any) -> None:
        reads.append(arguments)
        raise CFTError("dataset corpus.jsonl cannot be read: the disk is on fire")

    monkeypatch.setattr("axolotl_cft.host.heldout_export.HeldOut.sample", refuse)
    result = call(study, root)
    assert result.exit_code == 1
    assert len(reads) == 1
    assert {run["status"] for run in recorded(root).values()} == {"done"}
    assert all("the disk is on fire" in run["error"] for run in recorded(root).values())


@pytest.mark.slow
def test_a_study_goes_on_where_its_documents_are_not(tmp_path, tiny_model):
    study, root = held_out_study(tmp_path, tiny_model), tmp_path / "out"
    with_base(study, {}, heldout_documents=0)
    assert call(study, root).exit_code == 0
    with_base(study, {}, heldout_documents=5)
    (tmp_path / "corpus.jsonl").rename(tmp_path / "moved.jsonl")
    assert call(study, root).exit_code == 0
    record = StudyRecord.read(root / "study.json")
    assert record.heldout is not None
    assert "corpus.jsonl is not here" in str(record.heldout.absent)
