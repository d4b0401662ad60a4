"""Steps by themselves, and chains side by side; the programs are stand-ins (`fake_host.py`)."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from studies import FAKE, Told, journal, recorded, write_study

from axolotl_cft.errors import CFTError
from axolotl_cft.records import StepMark
from axolotl_cft.study.parallel import INTERRUPTED, Slot, slots, visible_devices
from axolotl_cft.study.plan import expand
from axolotl_cft.study.processes import at_own_port, marked, run_child
from axolotl_cft.study.runner import Runner
from axolotl_cft.study.spec import read_study

pytestmark = pytest.mark.slow


def start(study: Path, root: Path, *options: str, **mishaps: str) -> subprocess.Popen[str]:
    # Without the checks of keys and tasks, which import host and harness (`test_study.py`).
    script = (
        "from axolotl_cft.study import preflight\n"
        "preflight.check_plan = lambda *arguments: None\n"
        "from axolotl_cft.cli import main\nmain()"
    )
    command = [sys.executable, "-c", script, "study", str(study), "--output-dir", str(root)]
    return subprocess.Popen(
        [*command, *options],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "FAKE_HOST": json.dumps(mishaps)},
    )


def run(study: Path, root: Path, *options: str, **mishaps: str) -> tuple[int, str]:
    process = start(study, root, *options, **mishaps)
    output, _ = process.communicate(timeout=300)
    return process.returncode, " ".join(output.split())


ONE = {"arms": {"cft": None}, "seeds": [1], "stages": {}, "evaluate": None, "baseline": "cft"}


def test_a_step_is_done_by_itself_after_what_it_needs(tmp_path: Path, tiny_model: Path) -> None:
    study, root = write_study(tmp_path, tiny_model, FAKE, **ONE), tmp_path / "out"
    status, output = run(study, root, "--step", "cft/seed1/train")
    assert status == 1
    assert "cft/seed1/train cannot begin before cft/seed1/prepare is done" in output
    assert not (root / "cft/seed1/train.json").exists()
    status, output = run(study, root, "--step", "cft/seed1/trian")
    assert status == 1 and "no step 'cft/seed1/trian'; like it are: cft/seed1/train" in output
    for kind in ("prepare", "train", "evaluate"):
        assert run(study, root, "--step", f"cft/seed1/{kind}")[0] == 0
    assert recorded(root)["cft", 1, None]["status"] == "done"
    before = journal(root)
    status, output = run(study, root, "--step", "cft/seed1/train")
    assert (status, journal(root)) == (0, before)
    assert not (root / "report").exists()


def test_a_step_that_a_signal_ends_says_so_and_carries_on(tmp_path: Path, tiny_model: Path) -> None:
    study, root = write_study(tmp_path, tiny_model, FAKE, **ONE), tmp_path / "out"
    assert run(study, root, "--step", "cft/seed1/prepare")[0] == 0
    hang = {"cft/seed1 train": "hang"}
    training = start(study, root, "--step", "cft/seed1/train", **hang)
    checkpoint = root / "cft/seed1/train/checkpoint-4/trainer_state.json"
    while not checkpoint.exists():
        assert training.poll() is None, training.communicate()[0]
    status, output = run(study, root, "--step", "cft/seed1/train")
    assert status == 1 and "another process works on it" in output
    training.send_signal(signal.SIGTERM)
    assert training.wait(60) == INTERRUPTED
    mark = StepMark.read(root / "cft/seed1/train.json")
    assert (mark.status, mark.error) == ("interrupted", None)
    assert recorded_status(root) in (None, "pending")
    assert run(study, root, "--step", "cft/seed1/train")[0] == 0
    mark = StepMark.read(root / "cft/seed1/train.json")
    assert (mark.status, len(mark.sessions)) == ("done", 2)
    log = (root / "cft/seed1/train.log").read_text()
    assert "resume from checkpoint at" in log


def recorded_status(root: Path) -> Any:
    return recorded(root)["cft", 1, None]["status"] if (root / "study.json").exists() else None


def test_failures_are_remembered_by_whoever_looks_later(tmp_path: Path, tiny_model: Path) -> None:
    study, root = write_study(tmp_path, tiny_model, FAKE, **ONE), tmp_path / "out"
    status, output = run(
        study, root, "--step", "cft/seed1/prepare", **{"cft/seed1 prepare": "fail"}
    )
    assert status == 1 and "cft/seed1/prepare failed: prepare: exited with status 3" in output
    run_ = recorded(root)["cft", 1, None]
    assert run_["status"] == "failed" and "exited with status 3" in run_["error"]
    assert run(study, root, "--step", "cft/seed1/prepare")[0] == 0
    assert recorded(root)["cft", 1, None]["status"] == "pending"


def test_chains_run_side_by_side_and_leave_what_a_serial_run_leaves(
    tmp_path: Path, tiny_model: Path
) -> None:
    study = write_study(tmp_path, tiny_model, FAKE)
    serial, parallel = tmp_path / "serial", tmp_path / "parallel"
    assert run(study, serial)[0] == 0
    status, output = run(study, parallel, "--parallel", "3")
    assert status == 0, output
    events = journal(parallel)
    assert Counter(e["step"] for e in events) == Counter(e["step"] for e in journal(serial))
    open_steps, most = set(), 0
    for event in events:
        (open_steps.add if event["event"] == "started" else open_steps.discard)(event["step"])
        most = max(most, len(open_steps))
        assert len({step.split()[0].split("/pre")[0].split("/more")[0] for step in open_steps}) == (
            len(open_steps)
        )  # one step of a chain at a time
    assert most > 1
    times = ("train_seconds",)
    for key, run_ in recorded(serial).items():
        theirs = recorded(parallel)[key]
        assert {k: v for k, v in run_.items() if k not in times} == {
            k: v for k, v in theirs.items() if k not in times
        }
    reports = [(root / "report/report.md").read_text() for root in (serial, parallel)]
    assert reports[0].replace("serial", "parallel") == reports[1]


def test_what_fails_beside_others_is_told_and_stops_no_other(
    tmp_path: Path, tiny_model: Path
) -> None:
    study, root = write_study(tmp_path, tiny_model, FAKE), tmp_path / "out"
    mishaps = {"cpt/seed1/pretrain train": "nan", "base evaluate": "fail"}
    status, output = run(study, root, "--parallel", "2", **mishaps)
    assert status == 1
    assert "cpt/seed1/pretrain: train: loss is nan at step 9" in output
    assert "cpt/seed1/more: not run, because cpt/seed1/pretrain train failed" in output
    statuses = {key: run_["status"] for key, run_ in recorded(root).items()}
    failed = {key for key, status in statuses.items() if status == "failed"}
    assert failed == {("base", None, None), ("cpt", 1, "pretrain"), ("cpt", 1, "more")}
    assert set(statuses.values()) == {"done", "failed"}


def test_a_signal_ends_all_that_runs_side_by_side(tmp_path: Path, tiny_model: Path) -> None:
    study, root = write_study(tmp_path, tiny_model, FAKE), tmp_path / "out"
    hang = {f"{arm}/seed1/pretrain train": "hang" for arm in ("cpt", "cft")}
    call = start(study, root, "--parallel", "2", **hang)
    saved = [root / f"{arm}/seed1/pretrain/train/checkpoint-4" for arm in ("cpt", "cft")]
    while not all((path / "trainer_state.json").exists() for path in saved):
        assert call.poll() is None, call.communicate()[0]
    call.send_signal(signal.SIGINT)
    assert call.wait(60) == 128 + signal.SIGINT
    marks = [StepMark.read(root / f"{arm}/seed1/pretrain/train.json") for arm in ("cpt", "cft")]
    assert [mark.status for mark in marks] == ["interrupted"] * 2
    assert not list(root.rglob("running.json"))
    status, output = run(study, root, "--parallel", "2")
    assert status == 0, output


def test_what_another_process_finished_meanwhile_is_not_done_again(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, root = write_study(tmp_path, tiny_model, FAKE, **ONE), tmp_path / "out"
    for kind in ("prepare", "train"):
        assert run(study, root, "--step", f"cft/seed1/{kind}")[0] == 0
    spec = read_study(study)
    plan = expand(spec, study, root)
    told = Told()
    runner = Runner(plan, plan.steps, allow_targets=False, progress=told)
    before = journal(root)
    runner._attempt(plan.find("cft/seed1/train"))  # it had looked when training was not done yet
    assert (told.ends, journal(root)) == (["done before"], before)
    runner.records.mark_ended(plan.find("cft/seed1/train"), "interrupted")  # a signal at the end
    assert runner.records.is_done(plan.find("cft/seed1/train"))


def test_helpers_that_follow_their_program_soon_are_waited_for(tmp_path: Path) -> None:
    lingering = "import subprocess; subprocess.Popen(['sleep', '1'], start_new_session=True)"
    command = (sys.executable, "-c", lingering)
    assert run_child(command, tmp_path / "log", tmp_path, lambda child: None) == 0
    assert marked(tmp_path) == []


def test_accelerate_meets_at_the_port_of_the_slot() -> None:
    command = ("accelerate", "launch", "-m", "axolotl.cli.train", "c.yml")
    variables = Slot(None, 29510).variables()
    assert at_own_port(command, variables)[:4] == (*command[:2], "--main_process_port", "29510")
    assert at_own_port(command, {}) == command
    own = (*command[:2], "--main_process_port=1", *command[2:])
    assert at_own_port(own, variables) == own
    torchrun = ("torchrun", "-m", "axolotl.cli.train")  # which reads the variable itself
    assert at_own_port(torchrun, variables) == torchrun


def test_cores_are_shared_out_where_there_are_no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS")
    for count, threads in ((1, "8"), (3, "2"), (20, "1")):
        assert {s.variables()["OMP_NUM_THREADS"] for s in slots(count, [])} == {threads}
    assert "OMP_NUM_THREADS" not in slots(2, ["0", "1"])[0].variables()
    monkeypatch.setenv("OMP_NUM_THREADS", "3")  # what a user asks for is left
    assert "OMP_NUM_THREADS" not in slots(2, [])[0].variables()


def test_devices_are_shared_out_evenly() -> None:
    eight = [str(number) for number in range(8)]
    assert [slot.devices for slot in slots(4, eight)] == ["0,1", "2,3", "4,5", "6,7"]
    assert [slot.devices for slot in slots(3, eight)] == ["0,1", "2,3", "4,5"]
    assert [slot.devices for slot in slots(2, [])] == [None, None]
    assert len({slot.port for slot in slots(8, eight)}) == 8
    with pytest.raises(CFTError, match="2 GPUs for 3 chains"):
        slots(3, eight[:2])
    variables = Slot("2,3", 29510).variables()
    assert variables["CUDA_VISIBLE_DEVICES"] == "2,3" and variables["MASTER_PORT"] == "29510"
    assert "CUDA_VISIBLE_DEVICES" not in Slot(None, 29510).variables()
    assert visible_devices({"CUDA_VISIBLE_DEVICES": "MIG-a, 3"}) == ["MIG-a", "3"]
    assert visible_devices({"CUDA_VISIBLE_DEVICES": ""}) == []
