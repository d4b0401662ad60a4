"""Whole studies on the tiny model: killed, failing, finished, and repeated.

One arm goes through the host's and the harness's own programs. All else is proven with stand-ins
(`fake_host.py`), which leave what those programs left for that arm, as a test here makes sure.
"""

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import fake_host
import pytest
import yaml
from conftest import make_documents, write_jsonl
from host import fit, host_config, prepare
from studies import (
    COMMAND,
    FAKE,
    LORA,
    REAL,
    UNCHECKED,
    Call,
    Told,
    call,
    end,
    journal,
    recorded,
    write_study,
)

from axolotl_cft.errors import CFTError
from axolotl_cft.host.output_dir import printed_runtime
from axolotl_cft.host.plan import is_complete
from axolotl_cft.study import preflight
from axolotl_cft.study.leases import lease
from axolotl_cft.study.plan import expand
from axolotl_cft.study.runner import Runner
from axolotl_cft.study.spec import read_study


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls in this process do without these checks as well: `test_study.py` is about them."""
    monkeypatch.setattr(preflight, "check_plan", lambda *arguments: None)


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
def test_a_study_survives_being_killed_and_repeats_nothing(
    tmp_path: Path, tiny_model: Path
) -> None:
    study, root = write_study(tmp_path, tiny_model, FAKE), tmp_path / "out"

    # Killed during the first training, once there is a checkpoint.
    training = root / "cpt/seed1/pretrain/train"
    first = Call(study, root, UNCHECKED, **{"cpt/seed1/pretrain train": "hang"})
    orphan = first.kill_when((training / "checkpoint-4/trainer_state.json").exists)
    with pytest.raises(CFTError, match=f"kill {orphan}"), lease(root / "cpt/seed1", "other"):
        pass
    assert f"kill {orphan}" in call(study, root).output
    end(orphan)
    half = root / "prepared/0123abcd"
    half.mkdir()
    (half / "data-00000-of-00001.arrow").touch()

    # Killed during the evaluation of the first arm's last stage.
    log = root / "cpt/seed1/more/evaluate.log"
    second = Call(study, root, UNCHECKED, **{"cpt/seed1/more evaluate": "hang"})
    evaluator = second.kill_when(lambda: log.exists() and log.stat().st_size > 0)
    end(evaluator)
    assert not half.exists()
    assert not (root / "cpt/seed1/more/eval").exists()
    resumed = (root / "cpt/seed1/pretrain/train.log").read_text()
    assert "Using auto-resume functionality to resume from checkpoint at" in resumed

    third = call(study, root)
    assert third.exit_code == 0, third.output
    check_executions(root)
    check_record(root)
    check_nothing_is_left_to_do(study, root)
    assert (root / "report/report.md").is_file()


def check_executions(root: Path) -> None:
    """Every step ended well once, and only the two that were killed were started twice."""
    events = journal(root)
    ended = Counter(e["step"] for e in events if e["event"] == "ended" and e["exit"] == 0)
    started = Counter(e["step"] for e in events if e["event"] == "started")
    trained = [f"{arm}/seed{seed}" for arm in ("cpt", "cft") for seed in (1, 2)]
    expected = {
        "base evaluate",
        *(f"{arm}/seed1/pretrain prepare" for arm in ("cpt", "cft")),
        *(f"{run}/pretrain train" for run in trained),
        *(f"cft/seed{seed}/pretrain merge" for seed in (1, 2)),
        *(f"{run}/more train" for run in trained),
        *(f"{run}/more evaluate" for run in trained),
    }
    assert ended == dict.fromkeys(expected, 1)
    killed = {step for step, times in started.items() if times == 2}
    assert killed == {"cpt/seed1/pretrain train", "cpt/seed1/more evaluate"}
    assert sum(started.values()) == len(expected) + 2


def check_record(root: Path) -> None:
    """The record names every run, and what it names is there."""
    record = json.loads((root / "study.json").read_text())
    assert (record["schema"], record["name"], record["baseline"]) == (1, "killed", "cpt")
    runs = {(run["arm"], run["seed"], run["stage"]): run for run in record["runs"]}
    assert next(iter(runs)) == ("base", None, None)
    assert len(runs) == 1 + 2 * 2 * 2
    assert {run["status"] for run in runs.values()} == {"done"}
    for (_, seed, stage), run in runs.items():
        assert (run["eval_dir"] is None) == (stage == "pretrain")
        if run["eval_dir"]:
            assert list((root / run["eval_dir"]).rglob("samples_study_parity_*.jsonl"))
        if seed is not None:
            assert (root / run["train_dir"] / "cft_ledger.json").is_file()
    resumed = runs["cpt", 1, "pretrain"]
    assert resumed["train_seconds"] > 0
    assert resumed["world_size"] == 1
    assert runs["cpt", 2, "pretrain"]["train_seconds"] is None
    digests = {
        json.loads((root / f"{arm}/seed1/pretrain/prepare.json").read_text())["targets_digest"]
        for arm in ("cpt", "cft")
    }
    digests |= {
        json.loads((root / run["train_dir"] / "cft_ledger.json").read_text())["train"][
            "targets_digest"
        ]
        for (_, _, stage), run in runs.items()
        if stage == "pretrain"
    }
    assert len(digests) == 1


def check_nothing_is_left_to_do(study: Path, root: Path) -> None:
    """A further call starts no process."""
    before = journal(root)
    spec = read_study(study)
    plan = expand(spec, study, root)
    told = Told()
    runner = Runner(plan, plan.steps, allow_targets=False, progress=told)
    runner.run(0)
    assert runner.failures == {}
    assert set(told.ends) == {"done before"}
    assert journal(root) == before


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.usefixtures("unchecked")
def test_the_hosts_own_programs_are_resumed_merged_and_evaluated(
    tmp_path: Path, tiny_model: Path
) -> None:
    """One arm, one seed, LoRA, killed while it trains; the stand-ins leave the same behind.

    The first call, which is killed, is the command as users have it.
    """
    arm = LORA | {"cft.holdout": 0.3}
    one = {"arms": {"cft": arm}, "seeds": [1], "stages": {}, "evaluate": None, "baseline": "cft"}
    real, root = tmp_path / "real", tmp_path / "real/out"
    real.mkdir()
    study = write_study(real, tiny_model, REAL, **one)
    training = root / "cft/seed1/train"
    checkpoint = training / "checkpoint-4/trainer_state.json"
    end(Call(study, root, COMMAND).kill_when(checkpoint.exists))
    finished = call(study, root)
    assert finished.exit_code == 0, finished.output

    log = (root / "cft/seed1/train.log").read_text()
    assert "Using auto-resume functionality to resume from checkpoint at" in log
    started = Counter(e["step"] for e in journal(root) if e["event"] == "started")
    steps = ("prepare", "train", "merge", "evaluate", "heldout")
    assert started == {f"cft/seed1 {step}": 1 + (step == "train") for step in steps}
    run = recorded(root)["cft", 1, None]
    assert (run["status"], run["world_size"]) == ("done", 1)
    assert run["train_seconds"] > 0
    assert list((root / run["eval_dir"]).rglob("samples_study_parity_*.jsonl"))
    check_heldout(root, root / run["heldout_dir"])
    ledger = json.loads((training / "cft_ledger.json").read_text())
    prepared = json.loads((root / "cft/seed1/prepare.json").read_text())
    assert ledger["train"]["targets_digest"] == prepared["targets_digest"]
    check_nothing_is_left_to_do(study, root)

    fake = tmp_path / "fake"
    fake.mkdir()
    stood_in = call(write_study(fake, tiny_model, FAKE, **one), fake / "out")
    assert stood_in.exit_code == 0, stood_in.output
    assert names(fake / "out") == names(root)
    check_contents(fake / "out", root)


def test_the_stand_in_trains_a_whole_model_as_the_host_does(
    tmp_path: Path, tiny_model: Path
) -> None:
    corpus = write_jsonl(tmp_path / "corpus.jsonl", make_documents(12))
    for program in ("real", "fake"):
        config = host_config(tmp_path / program, tiny_model, corpus, max_steps=2)
        config |= {"save_strategy": "steps", "save_steps": 1}
        config["test_datasets"] = [dict(config["datasets"][0])]
        config["cft"]["holdout"] = 0.3
        if program == "real":
            prepare(config, preprocess=True)
            fit(config)
        else:
            fake_host.prepare(config)
            fake_host.train(config, None)
        # In one process the host opens its log for the first run alone; the test of its own
        # programs compares that file.
        (tmp_path / program / "out" / "debug.log").unlink(missing_ok=True)
    assert names(tmp_path / "fake") | {"config.yml"} == names(tmp_path / "real")
    check_contents(tmp_path / "fake", tmp_path / "real")


def names(root: Path) -> set[str]:
    """All files below a folder; hashes and times, which differ from run to run, made equal."""

    def plain(path: Path) -> str:
        name = str(path.relative_to(root))
        name = name.replace(re.sub("[/]", "__", str(root)), "ROOT")
        name = re.sub(r"\b[0-9a-f]{32}\b", "HASH", name)
        return re.sub(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d+", "TIME", name)

    return {plain(path) for path in root.rglob("*") if path.is_file()}


def check_contents(fake: Path, real: Path) -> None:
    """Whatever the stand-ins write as JSON, the real programs write under the same keys."""

    def files(root: Path, pattern: str) -> list[Path]:
        found = (path for path in root.rglob(pattern) if path.stat().st_size)
        return sorted(found, key=part_and_name)

    for pattern in ("trainer_state.json", "*cft_ledger.json", "results_*.json", "samples_*.jsonl"):
        for ours, theirs in zip(files(fake, pattern), files(real, pattern), strict=True):
            check_shape(first_object(ours), first_object(theirs), ours.name)
    for ours, theirs in zip(files(fake, "debug.log"), files(real, "debug.log"), strict=True):
        assert printed_runtime(ours.parent) and printed_runtime(theirs.parent)


def part_and_name(path: Path) -> tuple[str, Path]:
    """A ledger sorts by its part of the corpus: its name is a hash, in an order of its own."""
    if not path.name.endswith("cft_ledger.json"):
        return "", path
    return first_object(path)["datasets"][0]["part"], path


def first_object(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    return json.loads(text.splitlines()[0] if path.suffix == ".jsonl" else text)


def check_shape(ours: Any, theirs: Any, place: str) -> None:
    """`ours` is made as `theirs` is, though it may lack some of its keys."""
    if place.endswith("cuda"):  # as torch was built
        return
    assert isinstance(ours, type(theirs)), f"{place}: {ours!r} is made unlike {theirs!r}"
    if isinstance(ours, dict) and not place.endswith("prompt_counts"):  # whose keys are data
        assert ours.keys() <= theirs.keys(), f"{place}: {ours.keys() - theirs.keys()}"
        for key, value in ours.items():
            check_shape(value, theirs[key], f"{place}, {key}")
    if place.endswith("stamp"):
        assert is_complete(ours) == is_complete(theirs)
    if isinstance(ours, list) and ours:
        check_shape(ours[0], theirs[0], f"{place}, 0")


def check_heldout(root: Path, results: Path) -> None:
    """Every exported document has its log-likelihood, and the report reads them."""
    documents = (root / "heldout/test.jsonl").read_text(encoding="utf-8").splitlines()
    [log] = results.rglob("samples_cft_heldout_*.jsonl")
    logged = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [sample["doc"] for sample in logged] == [json.loads(line) for line in documents]
    for sample in logged:
        loglikelihood, size = sample["bits_per_byte"]
        assert loglikelihood < 0 and size == sample["doc"]["bytes"]
        assert sample["bits_per_token"] == [loglikelihood, sample["doc"]["tokens"]]
    assert json.loads((root / "study.json").read_text())["heldout"]["documents"] == len(documents)
    assert "cft_heldout" in (root / "report/report.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
def test_what_goes_wrong_in_one_run_is_recorded_and_mended_by_the_next_call(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, root = write_study(tmp_path, tiny_model, FAKE), tmp_path / "out"
    mishaps = {
        "base evaluate": "nan",
        "cpt/seed1/pretrain train": "nan",
        "cpt/seed2/more train": "end early",
        "cft/seed1/pretrain merge": "end early",
        "cft/seed2/more evaluate": "fail",
    }
    monkeypatch.setenv("FAKE_HOST", json.dumps(mishaps))
    first = call(study, root)
    assert first.exit_code == 1
    errors = {run: record["error"] for run, record in recorded(root).items() if record["error"]}
    assert errors.keys() == {
        ("base", None, None),
        ("cpt", 1, "pretrain"),
        ("cpt", 1, "more"),
        ("cpt", 2, "more"),
        ("cft", 1, "pretrain"),
        ("cft", 1, "more"),
        ("cft", 2, "more"),
    }
    assert "log-likelihood is NaN" in errors["base", None, None]
    assert "loss is nan at step 9" in errors["cpt", 1, "pretrain"]
    assert "not run, because cpt/seed1/pretrain train failed" in errors["cpt", 1, "more"]
    assert "before its last step, though with exit status 0" in errors["cpt", 2, "more"]
    assert "is incomplete" in errors["cft", 1, "pretrain"]
    assert "not run, because cft/seed1/pretrain merge failed" in errors["cft", 1, "more"]
    assert "evaluate: exited with status 3" in errors["cft", 2, "more"]
    assert "no report" in first.output

    shutil.rmtree(root / "cpt/seed1/pretrain/train")  # its checkpoints hold lost weights
    monkeypatch.delenv("FAKE_HOST")
    second = call(study, root)
    assert second.exit_code == 0, second.output
    assert {record["status"] for record in recorded(root).values()} == {"done"}
    ended = Counter(e["step"] for e in journal(root) if e["event"] == "ended" and e["exit"] == 0)
    again = {step for step, times in ended.items() if times == 2}
    assert again == mishaps.keys() - {"cft/seed2/more evaluate"}  # the rest was not repeated
    assert (root / "report/report.md").is_file()


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
def test_arms_that_train_on_different_texts_are_refused_before_any_training(
    tmp_path: Path, tiny_model: Path
) -> None:
    other = write_jsonl(tmp_path / "other.jsonl", make_documents(23))
    arms = {"cpt": {"cft.prompts": "none"}, "cft": {"datasets.0.path": str(other)}}
    study = write_study(tmp_path, tiny_model, FAKE, arms=arms)
    refused = call(study, tmp_path / "out")
    assert refused.exit_code == 1
    assert "arms cpt and cft do not train on the same tokens" in " ".join(refused.output.split())
    steps = {e["step"] for e in journal(tmp_path / "out")}
    assert steps == {f"{arm}/seed1/pretrain prepare" for arm in arms}
    content = yaml.safe_load(study.read_text())
    study.write_text(yaml.safe_dump({**content, "allow_different": ["targets"]}, sort_keys=False))
    allowed = call(study, tmp_path / "out")
    assert allowed.exit_code == 0, allowed.output


@pytest.mark.slow
def test_sharded_weights_become_a_model_by_the_hosts_command(
    tmp_path: Path, tiny_model: Path
) -> None:
    import torch
    from torch.distributed import checkpoint as sharded
    from transformers import AutoModelForCausalLM

    # What FSDP leaves with SHARDED_STATE_DICT: bare shards beside config and tokenizer.
    train = tmp_path / "out/fsdp/seed1/train"
    shutil.copytree(tiny_model, train)
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16)
    (train / "model.safetensors").unlink()
    sharded.save(model.state_dict(), checkpoint_id=train / "pytorch_model_fsdp_0", no_dist=True)

    corpus = write_jsonl(tmp_path / "corpus.jsonl", make_documents(4))
    base = host_config(tmp_path, tiny_model, corpus)
    base["fsdp_config"] = {"state_dict_type": "SHARDED_STATE_DICT"}
    arms = {"fsdp": None}
    study = {"name": "s", "base": base, "arms": arms, "seeds": [1], "tasks": ["study_parity"]}
    path = tmp_path / "study.yml"
    path.write_text(yaml.safe_dump(study))
    spec = read_study(path)
    plan = expand(spec, path, tmp_path / "out")
    step = next(step for step in plan.steps if step.kind == "consolidate")
    runner = Runner(plan, (step,), allow_targets=False, progress=Told())
    for made in ("prepare", "train"):
        runner.records.mark(plan.find(f"fsdp/seed1/{made}"), status="done")
    runner.run(0)

    assert runner.failures == {}
    assert not (train / "merged").exists()
    whole = AutoModelForCausalLM.from_pretrained(train, dtype=torch.bfloat16)
    for name, value in model.state_dict().items():
        assert torch.equal(whole.state_dict()[name], value), name
