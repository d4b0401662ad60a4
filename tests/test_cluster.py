"""Studies on a real Slurm of two nodes: submitted, disturbed in every way, finished.

Most steps are stand-ins (`fake_host.py`); what decides about weights is trained by the real host.
"""

import json
import os
import re
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from slurm_cluster import Cluster, running_cluster, wait_until, why_not
from studies import FAKE, REAL, call, journal, recorded, write_study

from axolotl_cft.cli import main
from axolotl_cft.study import preflight
from axolotl_cft.study.slurm.submission import read_submission

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

TESTS = Path(__file__).parent
ONE = {"arms": {"cft": None}, "seeds": [1], "stages": {}, "evaluate": None, "baseline": "cft"}
TWO = {**ONE, "arms": {"cpt": {"cft.prompts": "none"}, "cft": None}}


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@pytest.fixture
def cluster(started: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The cluster as Slurm's commands and the study see it; empty again after each test."""
    monkeypatch.setenv("SLURM_CONF", str(started.conf))
    paths = [str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    # The checks of keys and tasks import host and harness; `test_study.py` is about them.
    monkeypatch.setattr(preflight, "check_plan", lambda *arguments: None)
    yield started
    started.ask("scancel", "--user=root")
    wait_until(lambda: not started.ask("squeue", "--noheader"), 60)


class Submitted:
    """A study on the cluster.

    Args:
        cluster: where.
        study: its file.
        root: its folder.
    """

    def __init__(self, cluster: Cluster, study: Path, root: Path, **options: Any):
        self.cluster, self.study, self.root = cluster, study, root
        self.options = study.with_name("slurm.yml")
        self.options.write_text(yaml.safe_dump(options))

    def call(self, *options: str) -> Any:
        words = ["study", str(self.study), "--output-dir", str(self.root), *options]
        return CliRunner().invoke(main, words)

    def submit(self) -> list[str]:
        """Submit what is missing; returns the paths of the new jobs."""
        result = self.call("--slurm", str(self.options))
        assert result.exit_code == 0, result.output
        found = re.findall(r"^ *\d+  ([^:\n]+)$", result.output, re.M)
        assert f"submitted {len(found)} jobs" in result.output or "nothing to" in result.output
        return found

    def job(self, path: str) -> int:
        record = read_submission(self.root)
        assert record is not None
        return record.jobs[path].job

    def state(self, path: str) -> str:
        return self.cluster.state(self.job(path))

    def wait_for(self, path: str, *states: str, seconds: float = 180) -> None:
        wait_until(lambda: self.state(path) in states, seconds)

    def until(self, moment: Callable[[], object], path: str, seconds: float = 300) -> None:
        """Wait for a moment in a step's life, unless its job ends badly before."""

        def over() -> bool:
            assert self.state(path) not in ("FAILED", "CANCELLED", "TIMEOUT"), self.logs()
            return bool(moment())

        wait_until(over, seconds)

    def rows(self) -> dict[str, dict[str, Any]]:
        result = self.call("--status", "--json")
        assert result.exit_code == 0, result.output
        return {row["step"]: row for row in json.loads(result.output)}

    def checkpoint(self, run: str, step: int) -> bool:
        return (self.root / run / f"train/checkpoint-{step}/trainer_state.json").exists()

    def ended_well(self) -> Counter[str]:
        """How often each step was finished."""
        events = (e for e in journal(self.root) if e["event"] == "ended" and e["exit"] == 0)
        return Counter(event["step"] for event in events)

    def logs(self) -> str:
        return "".join(path.read_text() for path in (self.root / "slurm").rglob("*.log"))


def hang_once(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    monkeypatch.setenv("FAKE_HOST", json.dumps({step: "hang once"}))


def test_two_nodes_make_the_report_of_one_machine(
    cluster: Cluster, tmp_path: Path, tiny_model: Path
) -> None:
    arms = {"base": {"train": False}, **TWO["arms"]}
    study = write_study(tmp_path, tiny_model, FAKE, **{**TWO, "arms": arms, "baseline": "cpt"})
    serial = call(study, tmp_path / "serial")
    assert serial.exit_code == 0, serial.output

    on = Submitted(cluster, study, tmp_path / 'a study\'s "100%" folder')
    plan = on.submit()
    assert len(plan) == 2 + 2 + 3 + 1 and on.submit() == []
    on.wait_for("report", "COMPLETED")
    assert set(on.ended_well().values()) == {1}
    assert {row["state"] for row in on.rows().values()} == {"done"}
    assert {run["status"] for run in recorded(on.root).values()} == {"done"}
    assert report_of(on.root) == report_of(tmp_path / "serial")
    assert on.submit() == []

    nodes = {path: node_of(cluster, on.job(path)) for path in plan if path != "report"}
    assert set(nodes.values()) == {"n1", "n2"}
    assert {path: row["node"] for path, row in on.rows().items()} == nodes
    spans = [span_of(on.root / chain) for chain in ("cpt/seed1", "cft/seed1")]
    assert max(begin for begin, _ in spans) < min(end for _, end in spans)


def report_of(root: Path) -> str:
    """The report without the folder that it is about."""
    text = (root / "report/report.md").read_text(encoding="utf-8")
    return text.replace(str(root), "STUDY")


def node_of(cluster: Cluster, job: int) -> str:
    found = re.search(r" NodeList=(\S+)", cluster.ask("scontrol", "-o", "show", "job", str(job)))
    assert found
    return found[1]


def span_of(chain: Path) -> tuple[float, float]:
    """Begin of a chain's first step and end of its last, in seconds since the epoch."""
    marks = [json.loads((chain / f"{kind}.json").read_text()) for kind in ("prepare", "evaluate")]
    assert all(mark["job"] for mark in marks)
    return marks[0]["started"], marks[1]["started"] + sum(marks[1]["sessions"])


def test_a_killed_training_is_submitted_again_with_all_that_waited_for_it(
    cluster: Cluster, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang_once(monkeypatch, "cpt/seed1 train")
    on = Submitted(cluster, write_study(tmp_path, tiny_model, FAKE, **TWO), tmp_path / "out")
    on.submit()
    on.until(lambda: on.checkpoint("cpt/seed1", 4), "cpt/seed1/train")
    assert on.rows()["cpt/seed1/train"]["state"] == "running"
    cluster.ask("scancel", "--signal=KILL", "--full", str(on.job("cpt/seed1/train")))
    on.wait_for("report", "COMPLETED", "FAILED")
    rows = on.rows()
    assert rows["cpt/seed1/train"]["state"] == "interrupted"
    assert rows["cpt/seed1/evaluate"]["state"] == "missing"
    assert rows["cft/seed1/evaluate"]["state"] == "done"

    assert on.submit() == ["cpt/seed1/train", "cpt/seed1/evaluate", "report"]
    on.wait_for("report", "COMPLETED")
    assert {row["state"] for row in on.rows().values()} == {"done"}
    assert set(on.ended_well().values()) == {1}
    assert "resume from checkpoint" in (on.root / "cpt/seed1/train.log").read_text()


def test_what_the_user_cancels_stays_canceled(
    cluster: Cluster, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang_once(monkeypatch, "cft/seed1 train")
    on = Submitted(cluster, write_study(tmp_path, tiny_model, FAKE, **ONE), tmp_path / "out")
    other = sleeping_job(cluster, tmp_path)
    for way in ("scancel", "--cancel"):
        on.submit()
        training = on.job("cft/seed1/train")
        on.until(lambda: on.checkpoint("cft/seed1", 4), "cft/seed1/train")
        if way == "scancel":
            cluster.ask("scancel", str(training))
        else:
            output = on.call("--cancel").output
            assert re.findall(r"^ *(\d+)  ", output, re.M) and "canceled 3 jobs" in output
        wait_until(lambda n=training: cluster.state(n) == "CANCELLED", 60)
        time.sleep(8)  # longer than a requeued job is held
        assert cluster.state(training) == "CANCELLED"
        shutil.rmtree(on.root / "cft/seed1/train")  # it begins anew, so it hangs again
    assert cluster.state(other) == "RUNNING"
    assert "is requeued" not in on.logs()


def sleeping_job(cluster: Cluster, folder: Path) -> int:
    """A job of the same user that has nothing to do with a study."""
    printed = cluster.ask(
        *("sbatch", "--parsable", "--job-name=cft/seed1/train@ffffffff", "--wrap=sleep 300"),
        f"--output={folder}/sleeps.log",
    )
    return int(printed)


def test_what_depends_on_a_failed_step_never_runs_and_the_report_does(
    cluster: Cluster, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_HOST", json.dumps({"cft/seed1 train": "fail"}))
    on = Submitted(cluster, write_study(tmp_path, tiny_model, FAKE, **ONE), tmp_path / "out")
    on.submit()
    on.wait_for("report", "FAILED")  # there is nothing to report of
    assert on.state("cft/seed1/evaluate") == "CANCELLED"
    rows = on.rows()
    assert rows["cft/seed1/train"]["state"] == "failed"
    assert "exited with status 3" in rows["cft/seed1/train"]["error"]
    assert rows["cft/seed1/evaluate"]["state"] == "missing"
    assert "no result" in on.logs() or "evaluat" in on.logs()
    monkeypatch.delenv("FAKE_HOST")
    assert on.submit() == ["cft/seed1/train", "cft/seed1/evaluate", "report"]
    on.wait_for("report", "COMPLETED")
    assert on.ended_well()["cft/seed1 prepare"] == 1


def test_a_refused_job_and_a_silent_controller_leave_the_record_true(
    cluster: Cluster, tmp_path: Path, tiny_model: Path
) -> None:
    study, root = write_study(tmp_path, tiny_model, FAKE, **ONE), tmp_path / "out"
    on = Submitted(cluster, study, root, evaluate={"partition": "nowhere"})
    result = on.call("--slurm", str(on.options))
    assert result.exit_code == 1
    assert "cft/seed1/evaluate: sbatch: invalid partition specified: nowhere" in result.output
    record = read_submission(root)
    assert record is not None and set(record.jobs) == {"cft/seed1/prepare", "cft/seed1/train"}

    on = Submitted(cluster, study, root)
    cluster.stop_controller()
    back = threading.Timer(12, cluster.restart)
    back.start()
    try:
        assert on.submit() == ["cft/seed1/evaluate", "report"]
    finally:
        back.join()
    on.wait_for("report", "COMPLETED")
    assert set(on.ended_well().values()) == {1}


@pytest.mark.long
def test_a_training_that_is_cut_short_in_every_way_has_the_weights_of_an_undisturbed_one(
    cluster: Cluster, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLOW_STEP_SECONDS", "0.4")
    launch = {**REAL, "evaluate": FAKE["evaluate"]}
    study = write_study(tmp_path, tiny_model, launch, **{**ONE, "arms": {"calm": None}})
    content = yaml.safe_load(study.read_text())
    content["arms"], content["baseline"] = {"calm": None, "shaken": None}, "calm"
    content["base"] |= {"max_steps": 350, "num_epochs": 50, "save_steps": 5}
    content["base"] |= {"save_total_limit": 2, "logging_steps": 20}
    content["base"]["plugins"] += ["slow_steps.SlowSteps"]
    study.write_text(yaml.safe_dump(content, sort_keys=False))
    on = Submitted(cluster, study, tmp_path / "out", grace_seconds=60)
    on.submit()
    path, run = "shaken/seed1/train", "shaken/seed1"

    for disturb in (kill, requeue, take_node_down, come_near_the_time_limit):
        reached = last_checkpoint(on.root / run)
        on.until(lambda n=reached: last_checkpoint(on.root / run) > n, path)
        disturb(on, path)
    on.wait_for("report", "COMPLETED", "FAILED", seconds=600)
    assert {row["state"] for row in on.rows().values()} == {"done"}, on.logs()
    assert set(on.ended_well().values()) == {1}
    begun = Counter(e["step"] for e in journal(on.root) if e["event"] == "started")
    assert begun["shaken/seed1 train"] >= 5
    calm, shaken = (on.root / arm / "seed1/train/model.safetensors" for arm in ("calm", "shaken"))
    assert calm.read_bytes() == shaken.read_bytes()


def last_checkpoint(run: Path) -> int:
    steps = (p.parent.name.split("-")[1] for p in run.glob("train/checkpoint-*/trainer_state.json"))
    return max(map(int, steps), default=0)


def kill(on: Submitted, path: str) -> None:
    on.cluster.ask("scancel", "--signal=KILL", "--full", str(on.job(path)))
    on.wait_for(path, "FAILED", "CANCELLED", seconds=60)
    assert path in on.submit()


def requeue(on: Submitted, path: str) -> None:
    on.cluster.ask("scontrol", "requeue", str(on.job(path)))
    on.wait_for(path, "PENDING", seconds=60)
    assert on.rows()[path]["state"] == "requeued"


def take_node_down(on: Submitted, path: str) -> None:
    node = node_of(on.cluster, on.job(path))
    on.cluster.break_node(node)
    on.wait_for(path, "PENDING", seconds=60)
    on.cluster.start_node(node)


def come_near_the_time_limit(on: Submitted, path: str) -> None:
    job = str(on.job(path))
    *hours, minutes, _ = on.cluster.ask("squeue", "-h", f"--jobs={job}", "--format=%M").split(":")
    limit = 60 * int(hours[0] if hours else 0) + int(minutes) + 2
    on.cluster.ask("scontrol", "update", f"JobId={job}", f"TimeLimit={limit}")
    on.until(lambda: f"job {job} is requeued" in on.logs(), path)
    on.cluster.ask("scontrol", "update", f"JobId={job}", "TimeLimit=UNLIMITED")


CPU_RANKS = """
from axolotl.integrations.base import BasePlugin

class CPURanks(BasePlugin):
    def load_datasets(self, cfg, preprocess=False):  # the host takes every rank to have a GPU
        cfg.device_map = {"": "cpu"}
"""


def test_one_training_over_two_nodes_as_the_page_shows_it(
    cluster: Cluster, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (TESTS.parent / "docs/cluster.md").read_text(encoding="utf-8")
    [script] = re.findall(r"```bash\n(#!/bin/bash\n# One torchrun .*?)```", page, re.S)
    (tmp_path / "train-on-all-nodes.sh").write_text(script)
    (tmp_path / "cpu_ranks.py").write_text(CPU_RANKS)
    for name, value in {
        **{"GPUS": "1", "MASTER_ADDR": "127.0.0.1", "ACCELERATE_USE_CPU": "true"},
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": f"{tmp_path}:{os.environ['PYTHONPATH']}",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    launch = {**FAKE, "prepare": REAL["prepare"]}
    launch["train"] = "bash train-on-all-nodes.sh {config}"
    study = write_study(tmp_path, tiny_model, launch, **ONE)
    content = yaml.safe_load(study.read_text())
    content["base"]["plugins"] += ["cpu_ranks.CPURanks"]
    content["base"] |= {"ddp_backend": "gloo"}
    study.write_text(yaml.safe_dump(content, sort_keys=False))
    on = Submitted(cluster, study, tmp_path / "out", train={"nodes": "2"})
    on.submit()
    on.until(lambda: on.checkpoint("cft/seed1", 4), "cft/seed1/train")
    assert node_of(cluster, on.job("cft/seed1/train")) == "n[1-2]"
    on.wait_for("report", "COMPLETED", "FAILED", seconds=300)
    assert {row["state"] for row in on.rows().values()} == {"done"}
    assert recorded(on.root)["cft", 1, None]["world_size"] == 2
