"""Submitting a study to Slurm, as far as it goes without one: options, jobs, scripts, status."""

import json
import os
import shlex
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from studies import FAKE, write_study

from axolotl_cft.cli import main
from axolotl_cft.cli.study_status import show_status
from axolotl_cft.errors import CFTError
from axolotl_cft.records import StepMark, SubmissionRecord, SubmittedJob
from axolotl_cft.study import preflight
from axolotl_cft.study.heldout import HeldOutText
from axolotl_cft.study.plan import Run, Step, StudyPlan, expand
from axolotl_cft.study.progress import training_progress
from axolotl_cft.study.slurm.client import Slurm, parse_queue
from axolotl_cft.study.slurm.jobs import (
    Job,
    QueuedJob,
    dependency,
    doomed,
    living,
    missing,
)
from axolotl_cft.study.slurm.options import SlurmOptions, read_slurm_options
from axolotl_cft.study.slurm.running import jobs_of, look_at_study
from axolotl_cft.study.slurm.script import Place, job_script, submission_environment
from axolotl_cft.study.slurm.status import study_status
from axolotl_cft.study.slurm.submission import cancel, read_submission, submit
from axolotl_cft.study.spec import read_study

# --- slurm.yml -------------------------------------------------------------------------------

H100 = """\
all: {account: medai, partition: gpu, time: 24:00:00}
prepare: {partition: cpu, cpus-per-task: 32, time: 1:30:00}
train:
  gpus-per-node: 8
  exclusive: true
merge: {gpus-per-node: 1}
evaluate: {gpus-per-node: 1, time: 90}
report: {partition: cpu, account: null}
setup:
  - module load cuda/12.8
"""


def options_of(text: str, tmp_path: Path) -> SlurmOptions:
    path = tmp_path / "slurm.yml"
    path.write_text(text, encoding="utf-8")
    return read_slurm_options(path)


def test_each_kind_of_step_has_its_options_as_they_are_written(tmp_path):
    options = options_of(H100, tmp_path)
    everywhere = {"account": "medai", "partition": "gpu", "time": "24:00:00"}
    assert options.of("train") == {**everywhere, "gpus-per-node": "8", "exclusive": None}
    assert options.of("prepare")["time"] == "1:30:00"  # YAML would say 5400
    assert options.of("consolidate") == everywhere
    assert options.of("evaluate") == {**everywhere, "gpus-per-node": "1", "time": "90"}
    assert options.of("heldout") == options.of("evaluate")
    assert options.of("report") == {"partition": "cpu", "time": "24:00:00"}
    assert options.setup == ["module load cuda/12.8"]
    assert (options.max_requeues, options.grace_seconds) == (10, 120)


def test_an_empty_block_and_setup_as_one_text(tmp_path):
    options = options_of("all:\nheldout:\nsetup: |\n  a\n  b\nmax_requeues: 0\n", tmp_path)
    assert options.of("train") == {} and options.of("heldout") == {}
    assert options.setup == ["a", "b"] and options.max_requeues == 0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("trian: {time: 1}", "trian: no such block; known blocks: all, prepare, train,"),
        ("partition: gpu", "options of sbatch stand under `all` or a kind of step"),
        ("train: {gpus-per-nodes: 8}", "train.gpus-per-nodes: sbatch has no such option; did you"),
        ("train: {gpus_per_node: 8}", "did you mean 'gpus-per-node'?"),
        ("train: {partitoin: gpu}", "did you mean 'partition'?"),
        ("train: {p: gpu}", "train.p: is no long name of an option of sbatch"),
        ("train: {--time: 1}", "is no long name of an option of sbatch"),
        ("train: {job-name: x}", "is decided by the study (jobs are found again by their names)"),
        ("all: {signal: USR1}", "all.signal: is decided by the study (grace_seconds says"),
        ("train: {dependency: afterok:1}", "is decided by the study"),
        ("train: {nodes: [1, 2]}", "train.nodes: input should be a valid string, got ['1', '2']"),
        ("train: gpu", "train: input should be a valid dictionary, got 'gpu'"),
        ('train: {comment: "a\\nb"}', "train.comment: expected one line"),
        ("max_requeues: -1", "max_requeues: input should be greater than or equal to 0"),
        ("max_requeues: often", "max_requeues: input should be a valid integer"),
        ("- a", "expected a mapping"),
        ("a: [", "line 1: not valid YAML"),
    ],
)
def test_one_sentence_says_what_is_wrong_with_the_file(text, sentence, tmp_path):
    with pytest.raises(CFTError) as caught:
        options_of(text, tmp_path)
    assert sentence in str(caught.value) and "slurm.yml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_option_of_a_newer_sbatch_is_left_to_it(tmp_path):
    assert options_of("train: {stepmgr: true}", tmp_path).of("train") == {"stepmgr": None}


# --- scripts ---------------------------------------------------------------------------------

TRAIN = Job("cft/seed1/train", "train", ("python", "-m", "x", "a b"), ("cft/seed1/prepare",))


def script_of(options: SlurmOptions, root: Path = Path("/studies/dosage"), job: Job = TRAIN) -> str:
    return job_script(job, Place(root, Path("/home/me"), "0123abcd"), options)


def directives_of(script: str) -> list[str]:
    lines = script.splitlines()
    found = [line for line in lines if line.startswith("#SBATCH ")]
    first = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
    assert all(lines.index(line) < first for line in found)  # sbatch reads no further
    return [line.removeprefix("#SBATCH --") for line in found]


def test_a_script_asks_for_what_slurm_yml_says(tmp_path):
    options = options_of(H100, tmp_path)
    lines = directives_of(script_of(options))
    assert {"gpus-per-node=8", "exclusive", "account=medai", "time=24:00:00"} <= set(lines)
    ours = ["job-name=cft/seed1/train@0123abcd", "requeue", "signal=B:TERM@120"]
    ours += ["open-mode=append", "kill-on-invalid-dep=yes"]
    ours += ["output=/studies/dosage/slurm/cft/seed1/train.log"]
    assert set(ours) <= set(lines)
    evaluation = Job("cft/seed1/evaluate", "evaluate", ("python",))
    assert "gpus-per-node=1" in directives_of(script_of(options, job=evaluation))
    assert "module load cuda/12.8" in script_of(options)


def test_a_script_says_in_words_what_its_job_waits_for():
    job = Job("a/train", "train", ("x",), ("a/prepare",), ("b/prepare",))
    text = script_of(SlurmOptions(), job=job)
    assert "# starts when done: a/prepare\n# starts when over: b/prepare\n" in text


def test_never_requeued_is_never_by_slurm_either():
    lines = directives_of(script_of(SlurmOptions(max_requeues=0)))
    assert "no-requeue" in lines and "requeue" not in lines


def test_a_folder_with_spaces_and_signs_is_quoted():
    lines = directives_of(script_of(SlurmOptions(), Path('/my "big" study/100%')))
    log = r'output="/my \"big\" study/100%%/slurm/cft/seed1/train.log"'
    assert log in lines


def test_variables_of_the_submitter_do_not_overrule_the_script():
    before = {
        **{"PATH": "/bin", "HF_HOME": "/hf", "SLURM_CONF": "/etc/slurm.conf"},
        **{"SLURM_RESTART_COUNT": "9", "SLURM_JOB_ID": "3", "SBATCH_SIGNAL": "USR1"},
        **{"SBATCH_TIMELIMIT": "5", "SBATCH_ACCOUNT": "mine", "SBATCH_PARTITION": "debug"},
    }
    after = submission_environment(before, ["time", "partition"])
    kept = ("PATH", "HF_HOME", "SLURM_CONF", "SBATCH_ACCOUNT")
    assert after == {name: before[name] for name in kept}


class Node:
    """Runs scripts as a node would; squeue and scontrol are stand-ins that note their calls.

    Args:
        folder: for everything.
    """

    def __init__(self, folder: Path):
        self.root = folder / "my study"
        (self.root / "slurm").mkdir(parents=True)
        (self.root / "slurm/token").write_text("0123abcd\n")
        self.calls = folder / "calls"
        self.calls.touch()
        self.programs = folder / "bin"
        self.programs.mkdir()
        self.program("scontrol", f'echo "$@" >>{shlex.quote(str(self.calls))}')
        self.queue_says("RUNNING")

    def program(self, name: str, text: str) -> None:
        path = self.programs / name
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IEXEC)

    def queue_says(self, state: str) -> None:
        self.program("squeue", f"echo {state}")

    def start(self, step: str, restarts: int | None = None, **options: Any) -> subprocess.Popen:
        """The script of a job whose step is some lines of bash."""
        job = Job("a/train", "train", ("bash", "-c", step))
        place = Place(self.root, self.root, "0123abcd")
        path = self.root / "slurm/job.sh"
        path.write_text(job_script(job, place, SlurmOptions(**options)))
        environment = {**os.environ, "PATH": f"{self.programs}:{os.environ['PATH']}"}
        environment["SLURM_JOB_ID"] = "7"
        if restarts is not None:
            environment["SLURM_RESTART_COUNT"] = str(restarts)
        return subprocess.Popen(
            ["bash", str(path)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, step: str, **options: Any) -> tuple[int, str]:
        process = self.start(step, **options)
        output, _ = process.communicate(timeout=60)
        return process.returncode, output

    def requeued(self) -> bool:
        return self.calls.read_text() == "requeue 7\n"


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


WAITS = "trap 'sleep 0.3; echo saved; exit 75' TERM; echo ready; while :; do sleep 0.05; done"


def test_the_status_of_the_step_is_that_of_the_job(node):
    assert node.run("pwd; exit 0") == (0, f"{node.root}\n")
    assert node.run("exit 3")[0] == 3
    assert not node.requeued()


def test_a_signal_is_passed_on_and_the_job_requeued_once_the_step_has_saved(node):
    process = node.start(WAITS)
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    time.sleep(0.1)
    process.terminate()  # a second one while it saves
    output, _ = process.communicate(timeout=60)
    assert output == "saved\njob 7 is requeued\n"
    assert process.returncode == 75 and node.requeued()


def test_a_signal_that_all_processes_of_an_ending_job_get_is_not_doubled(node):
    node.queue_says("COMPLETING")
    step = "trap 'echo told' TERM; echo ready; for i in {1..20}; do sleep 0.05; done; exit 75"
    process = node.start(step)
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    output, _ = process.communicate(timeout=60)
    assert output == "job 7 is not requeued: it is COMPLETING\n" and not node.requeued()


def test_a_step_that_had_no_time_to_handle_the_signal_is_requeued_too(node):
    process = node.start("echo ready; while :; do sleep 0.05; done")
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143 and node.requeued()


@pytest.mark.parametrize("state", ["COMPLETING", "CANCELLED", "TIMEOUT"])
def test_a_job_that_is_being_ended_is_not_requeued(node, state):
    node.queue_says(state)
    status, output = node.run("exit 75")
    assert status == 75 and not node.requeued()
    assert f"job 7 is not requeued: it is {state}" in output


@pytest.mark.slow
def test_a_controller_that_is_away_for_a_moment_is_asked_again(node, tmp_path):
    away = shlex.quote(str(tmp_path / "away"))
    node.program("squeue", f"[ -e {away} ] || {{ touch {away}; exit 1; }}; echo RUNNING")
    scontrol = node.programs / "scontrol"
    down = shlex.quote(str(tmp_path / "down"))
    node.program(
        "scontrol", f"[ -e {down} ] || {{ touch {down}; exit 1; }}; {scontrol.read_text()}"
    )
    status, output = node.run("exit 75")
    assert status == 75 and node.requeued()
    assert output == "job 7 is requeued\n"


def test_the_users_defaults_for_squeue_do_not_reach_the_script(node, monkeypatch):
    monkeypatch.setenv("SQUEUE_USERS", "somebody")
    node.program("squeue", '[ -z "$SQUEUE_USERS" ] && echo RUNNING')
    node.run("exit 75")
    assert node.requeued()


@pytest.mark.parametrize(("restarts", "again"), [(None, True), (1, True), (2, False), (3, False)])
def test_requeues_have_an_end(node, restarts, again):
    _, output = node.run("exit 75", restarts=restarts, max_requeues=2)
    assert node.requeued() == again
    assert ("it was 2 times (max_requeues)" in output) != again


def test_a_step_that_fails_by_itself_is_not_requeued(node):
    for how in ("exit 1", "kill -TERM $$", "kill -KILL $$"):
        assert node.run(how)[0] != 0
    assert not node.requeued()


def test_a_folder_that_the_node_does_not_share_is_named(node):
    (node.root / "slurm/token").write_text("another study\n")
    status, output = node.run("echo never")
    assert status == 1 and f"does not see the study in {node.root}: put it where all" in output
    assert "never" not in output
    (node.root / "slurm/token").unlink()
    assert "does not see the study" in node.run("echo never")[1]


def test_setup_comes_first_and_a_failing_line_ends_the_job(node):
    status, output = node.run("echo $A", setup=["export A=1", "unset B; echo $B"])
    assert (status, output) == (0, "\n1\n")
    status, output = node.run("echo never", setup=["false", "echo on"])
    assert status == 1
    assert output == "a setup line of slurm.yml failed, so the step was not started\n"


# --- which jobs are missing ------------------------------------------------------------------


def queued(number: int, path: str, state: str = "PENDING", remaining: str = "") -> QueuedJob:
    return QueuedJob(number, path, state, remaining=remaining)


CHAIN = [
    Job("a/prepare", "prepare", ("x",)),
    Job("b/prepare", "prepare", ("x",)),
    Job("a/train", "train", ("x",), ("a/prepare",), ("b/prepare",)),
    Job("a/merge", "merge", ("x",), ("a/train",)),
    Job("a/evaluate", "evaluate", ("x",), ("a/merge",)),
]


def test_only_what_is_neither_done_nor_in_the_queue_is_missing():
    alive = living([queued(3, "a/train", "RUNNING"), queued(4, "a/merge", "CANCELLED")])
    paths = [job.path for job in missing(CHAIN, {"a/prepare"}, alive)]
    assert paths == ["b/prepare", "a/merge", "a/evaluate"]


def test_a_job_waits_for_what_is_in_the_queue_alone():
    ids = {"a/prepare": 1, "b/prepare": 2, "a/train": 3}
    assert [dependency(job, ids) for job in CHAIN] == [
        None,
        None,
        "afterok:1,afterany:2",
        "afterok:3",
        None,
    ]


def test_jobs_that_wait_for_a_failed_one_are_as_good_as_gone():
    queue = [
        queued(1, "a/prepare", "COMPLETED"),
        queued(2, "a/train", "FAILED"),
        queued(3, "a/merge", "PENDING", "afterok:2(unfulfilled)"),
        queued(4, "a/evaluate", "PENDING", "afterok:3(unfulfilled)"),
        queued(5, "b/train", "PENDING", "afterok:1(unfulfilled),afterany:2(unfulfilled)"),
        queued(6, "b/merge", "PENDING", "afterok:5(unfulfilled)"),
        queued(7, "c/train", "PENDING", "afterok:99(unfulfilled)"),  # Slurm has forgotten it
        queued(8, "d/train", "PENDING", "afterok:1(failed)"),
    ]
    assert sorted(living(queue)) == ["b/merge", "b/train"]
    assert sorted(job.id for job in doomed(queue)) == [3, 4, 7, 8]


def test_of_two_jobs_for_a_step_the_one_that_runs_counts():
    for order in (1, -1):
        queue = [queued(1, "a/train"), queued(2, "a/train", "RUNNING")][::order]
        assert living(queue)["a/train"].id == 2


def test_the_queue_as_squeue_prints_it():
    printed = (
        "12|RUNNING|None|me|n1|1-02:03:04|cft/seed1/train@0123abcd|(null)\n"
        "13|PENDING|Dependency|me||0:00|cft/seed1/merge@0123abcd|afterok:12(unfulfilled)\n"
        "14|PENDING|None|me||0:00|cft/seed1/merge@ffffffff|\n"
    )
    running, waiting = parse_queue(printed, "0123abcd")
    assert (running.id, running.path, running.node) == (12, "cft/seed1/train", "n1")
    assert running.seconds == ((24 + 2) * 60 + 3) * 60 + 4
    assert running.waits_for == {} and waiting.waits_for == {12: False}


# --- submitting ------------------------------------------------------------------------------

SBATCH = """\
script="${@: -1}"
name=$(sed -n 's/^#SBATCH --job-name=//p' "$script")
if [ -e "$D/down" ]; then
  if [ "$(cat "$D/down")" = took ]; then echo "9|PENDING|None|me||0:00|$name|" >>"$D/queue"; fi
  rm "$D/down"
  echo "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation" >&2
  exit 1
fi
if grep -q "^#SBATCH --partition=nowhere" "$script"; then
  echo "sbatch: error: invalid partition specified: nowhere" >&2
  echo "sbatch: error: Batch job submission failed: Invalid partition name specified" >&2
  exit 1
fi
number=$(($(wc -l <"$D/queue") + 100))
waits=$(printf '%s\\n' "$@" | sed -n 's/^--dependency=//p')
echo "$number|PENDING|None|me||0:00|$name|$waits" >>"$D/queue"
echo "$number;test"
"""
SQUEUE = """\
if [ -e "$D/silent" ]; then
  rm "$D/silent"
  echo "slurm_load_jobs error: Unable to contact slurm controller (connect failure)" >&2
  exit 1
fi
names=$(printf '%s\\n' "$@" | sed -n 's/^--name=//p')
while IFS= read -r line; do
  name=$(cut -d'|' -f7 <<<"$line")
  if [[ ",$names," == *",$name,"* ]]; then echo "$line"; fi
done <"$D/queue"
"""


class StandIn:
    """Slurm's programs as far as a submission uses them: the queue is a file."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        self.folder = folder
        folder.mkdir()
        self.write("")
        self.root = folder.parent / "study"
        cancels = 'echo "$@" >>"$D/canceled"'
        for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE), ("scancel", cancels)):
            path = folder / name
            path.write_text(f"#!/bin/bash\nD={shlex.quote(str(folder))}\n{text}")
            path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        monkeypatch.setattr("axolotl_cft.study.slurm.client._PAUSE", 0.01)

    def write(self, queue: str) -> None:
        (self.folder / "queue").write_text(queue)

    def queue(self) -> list[str]:
        """`number path waits` of each line."""
        fields = [line.split("|") for line in (self.folder / "queue").read_text().splitlines()]
        return [f"{f[0]} {f[6].split('@')[0]} {f[7]}".strip() for f in fields]

    def canceled(self) -> list[str]:
        path = self.folder / "canceled"
        return path.read_text().splitlines() if path.exists() else []

    def submit(self, settled: Collection[str] = (), **options: Any) -> Any:
        report = Job("report", "report", ("r",), follows=("a/evaluate",))
        place = Place(self.root, self.root.parent, "0123abcd")
        self.told: list[str] = []
        jobs = [*CHAIN, report]
        return submit(jobs, lambda: settled, place, SlurmOptions(**options), self.told.append)


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    return StandIn(tmp_path / "slurm", monkeypatch)


def test_a_study_is_submitted_once(stand_in):
    first = stand_in.submit()
    assert stand_in.queue() == [
        "100 a/prepare",
        "101 b/prepare",
        "102 a/train afterok:100,afterany:101",
        "103 a/merge afterok:102",
        "104 a/evaluate afterok:103",
        "105 report afterany:104",
    ]
    assert list(first.jobs.values()) == [100, 101, 102, 103, 104, 105]
    record = read_submission(stand_in.root)
    assert {path: job.job for path, job in record.jobs.items()} == first.jobs
    again = stand_in.submit()
    assert again.jobs == {} and again.alive.keys() == first.jobs.keys()
    assert len(stand_in.queue()) == 6 and stand_in.canceled() == []


def test_what_was_killed_is_submitted_again_and_the_report_comes_last(stand_in):
    stand_in.submit()
    text = (stand_in.folder / "queue").read_text()
    killed = text.replace("102|PENDING", "102|FAILED").replace("100|PENDING", "100|COMPLETED")
    stand_in.write(killed)
    again = stand_in.submit({"a/prepare"})
    assert stand_in.queue()[6:] == [
        "106 a/train afterany:101",
        "107 a/merge afterok:106",
        "108 a/evaluate afterok:107",
        "109 report afterany:108",
    ]
    assert set(again.alive) == {"b/prepare"}
    assert stand_in.canceled() == ["103 104", "105"]  # those that waited in vain, the old report


def test_the_report_waits_for_all_that_is_in_the_queue(stand_in):
    stand_in.submit({"a/train", "a/merge", "a/evaluate"})
    assert stand_in.queue() == ["100 a/prepare", "101 b/prepare", "102 report afterany:100:101"]
    stand_in.submit({"a/prepare", "b/prepare", "a/merge", "a/evaluate"})
    assert stand_in.queue()[3:] == [
        "103 a/train afterok:100,afterany:101",
        "104 report afterany:103",
    ]


def test_a_finished_study_needs_a_report_once(stand_in):
    done = {job.path for job in CHAIN}
    assert stand_in.submit(done).jobs == {}
    (stand_in.root / "study.json").write_text("{}")
    assert list(stand_in.submit(done).jobs) == ["report"]
    stand_in.write("")
    (stand_in.root / "report").mkdir()
    (stand_in.root / "report/report.md").touch()
    assert stand_in.submit(done).jobs == {}


def test_what_sbatch_refuses_is_said_in_its_words_and_the_rest_is_on_record(stand_in):
    with pytest.raises(CFTError) as caught:
        stand_in.submit(train={"partition": "nowhere"})
    assert str(caught.value) == (
        "a/train: sbatch: invalid partition specified: nowhere; Batch job submission failed: "
        "Invalid partition name specified (submitted before: 100 101); mend the cause and run the "
        "same command again, which submits the rest, or take them back with --cancel"
    )
    assert set(read_submission(stand_in.root).jobs) == {"a/prepare", "b/prepare"}
    assert set(stand_in.submit().jobs) == {"a/train", "a/merge", "a/evaluate", "report"}


def test_a_controller_that_was_away_for_a_moment_shows_the_same_queue(stand_in):
    stand_in.submit()
    (stand_in.folder / "silent").touch()
    assert stand_in.submit().jobs == {} and len(stand_in.told) == 1


def test_a_controller_that_took_the_job_before_it_went_away_is_not_given_it_twice(stand_in):
    (stand_in.folder / "down").write_text("took")
    assert stand_in.submit().jobs["a/prepare"] == 9
    assert sum(" a/prepare" in line for line in stand_in.queue()) == 1
    [told] = stand_in.told
    assert told.startswith("Slurm does not answer (Batch job submission failed: Socket timed out")


def test_a_controller_that_took_nothing_is_asked_again(stand_in):
    (stand_in.folder / "down").write_text("lost")
    assert stand_in.submit().jobs["a/prepare"] == 100


def test_a_controller_that_stays_away_ends_the_call_with_a_sentence(stand_in, monkeypatch):
    (stand_in.folder / "squeue").write_text(
        "#!/bin/bash\necho 'Unable to contact slurm controller'>&2;exit 1"
    )
    with pytest.raises(CFTError, match="Slurm does not answer .*; run the same command again"):
        Slurm("0123abcd", print, patience=0.1).queue(["a"])


def test_without_slurm_the_missing_program_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CFTError, match="no program 'squeue' on this machine; run this where jobs"):
        Slurm("0123abcd", print).queue(["a"])


def test_one_of_two_submitters_is_sent_away(stand_in):
    stand_in.submit()
    holds = (
        "import sys, filelock\n"
        "with filelock.FileLock(sys.argv[1]):\n    print('held', flush=True); sys.stdin.read()"
    )
    lock = str(stand_in.root / "slurm/.lock")
    other = subprocess.Popen(
        ["python", "-c", holds, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "held\n"
    try:
        with pytest.raises(CFTError, match="somebody else is submitting .* right now"):
            stand_in.submit()
    finally:
        other.communicate()
    stand_in.submit()


def test_cancel_takes_back_what_was_submitted_and_nothing_else(stand_in):
    with pytest.raises(CFTError, match="nothing was submitted from"):
        cancel(stand_in.root, ["a/train"], print)
    stand_in.submit()
    text = (stand_in.folder / "queue").read_text().replace("100|PENDING", "100|RUNNING")
    stand_in.write(
        text.replace("101|PENDING", "101|COMPLETED") + "7|RUNNING|None|me|n1|0:01|x@y|\n"
    )
    jobs = cancel(stand_in.root, [job.path for job in CHAIN], print)
    assert stand_in.canceled() == ["102 103 104 105", "100"]
    assert sorted(job.id for job in jobs) == [100, 102, 103, 104, 105]
    assert set(read_submission(stand_in.root).jobs) == {"b/prepare"}


def test_a_copy_of_a_study_has_no_jobs(stand_in, tmp_path):
    stand_in.submit()
    copy = tmp_path / "copy"
    (stand_in.root).rename(copy)
    assert read_submission(copy) is None


# --- status ----------------------------------------------------------------------------------

BAR = "\r{percent:3.0f}%|█▏        | {step}/{steps} [00:05<00:40,  {rate}]"


def bar(step: int, steps: int, rate: str = "2.00it/s") -> str:
    return BAR.format(percent=100 * step / steps, step=step, steps=steps, rate=rate)


def leave_checkpoint(train: Path, step: int, steps: int, when: float) -> None:
    folder = train / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    state = folder / "trainer_state.json"
    state.write_text(json.dumps({"global_step": step, "max_steps": steps, "log_history": []}))
    os.utime(state, (when, when))


def test_progress_is_that_of_the_training_and_not_of_an_evaluation_in_between(tmp_path):
    log = tmp_path / "train.log"
    assert training_progress(tmp_path, log) is None
    loading = "Loading weights: 100%|███| 21/21 [00:00<00:00, 10363.62it/s]\n"
    log.write_text(loading + bar(0, 100, "?it/s") + bar(12, 100) + bar(3, 8, "300it/s"))
    found = training_progress(tmp_path, log)
    assert (found.step, found.steps, found.per_second) == (12, 100, 2.0)
    assert found.seconds_left == 44.0
    log.write_text(log.read_text() + bar(14, 100, "4.00s/it"))
    assert training_progress(tmp_path, log).per_second == 0.25


def test_progress_of_a_long_log_is_its_end(tmp_path):
    log = tmp_path / "train.log"
    log.write_text("".join(bar(n, 10_000) for n in range(8000)))
    assert training_progress(tmp_path, log).step == 7999


def test_progress_without_a_bar_is_that_of_the_checkpoints(tmp_path):
    leave_checkpoint(tmp_path, 10, 100, 1000.0)
    found = training_progress(tmp_path, tmp_path / "train.log")
    assert (found.step, found.steps, found.per_second, found.seconds_left) == (10, 100, None, None)
    leave_checkpoint(tmp_path, 20, 100, 1005.0)
    assert training_progress(tmp_path, tmp_path / "train.log").per_second == 2.0
    (tmp_path / "checkpoint-30").mkdir()  # half-written
    assert training_progress(tmp_path, tmp_path / "train.log").step == 20


# --- the state of a whole study --------------------------------------------------------------


@pytest.fixture
def plan(tmp_path: Path) -> StudyPlan:
    """One arm, with its steps `cft/seed1/prepare`, `…/train` and `…/evaluate`."""
    run = Run("cft", 1)
    steps = tuple(Step(kind, run, ("x",), "id") for kind in ("prepare", "train", "evaluate"))
    root = tmp_path / "dosage"
    return StudyPlan("dosage", "cft", root, (run,), steps, HeldOutText(root, 0, "none is"), ())


def mark(plan: StudyPlan, path: str, status: str, **more: Any) -> None:
    content = {"identity": "id", "status": status, **more}
    StepMark(**content).write(plan.root / f"{path}.json")


def states(plan: StudyPlan, alive: Any = (), submitted: Any = None) -> dict[str, Any]:
    jobs = {job.path: job for job in alive}
    record = None
    if submitted is not None:
        last = {path: SubmittedJob(job=n, user="me", time=100.0) for path, n in submitted.items()}
        record = SubmissionRecord(token="0123abcd", root=str(plan.root), jobs=last)
    rows = study_status(plan, plan.steps, jobs, record, lambda step: False, lambda: 160.0)
    return {row.step.rpartition("/")[2]: row for row in rows}


def test_a_study_that_nobody_began_is_missing(plan):
    assert {row.state for row in states(plan).values()} == {"missing"}


def test_states_of_a_study_under_way(plan):
    mark(plan, "cft/seed1/prepare", "done", started=100.0, sessions=[12.5], host="cpu7")
    mark(plan, "cft/seed1/train", "started", started=100.0, sessions=[30.0], job="8", host="n1")
    leave_checkpoint(plan.root / "cft/seed1/train", 10, 40, 120.0)
    leave_checkpoint(plan.root / "cft/seed1/train", 20, 40, 125.0)
    alive = [QueuedJob(8, "cft/seed1/train", "RUNNING", node="gpu3", seconds=61)]
    alive += [queued(9, "cft/seed1/evaluate")]
    rows = states(plan, alive, {"cft/seed1/train": 8, "cft/seed1/evaluate": 9})
    done, train, evaluate = rows["prepare"], rows["train"], rows["evaluate"]
    assert (done.state, done.node, done.seconds, done.job) == ("done", "cpu7", 12.5, None)
    assert (train.state, train.node, train.job, train.seconds) == ("running", "gpu3", 8, 90.0)
    assert (train.training.step, train.training.per_second) == (20, 2.0)
    assert train.training.seconds_left == 10.0
    assert (evaluate.state, evaluate.job, evaluate.seconds) == ("waiting", 9, None)


@pytest.mark.parametrize(
    ("status", "alive", "expected"),
    [
        ("interrupted", [queued(8, "cft/seed1/train")], "requeued"),
        ("started", [queued(8, "cft/seed1/train")], "requeued"),
        ("interrupted", [queued(9, "cft/seed1/train")], "waiting"),  # submitted anew
        ("interrupted", [], "interrupted"),
        ("started", [], "interrupted"),  # killed, and Slurm has forgotten the job
        ("failed", [], "failed"),
        ("failed", [queued(9, "cft/seed1/train")], "waiting"),
        ("done", [], "done"),
    ],
)
def test_the_state_of_a_step_that_was_begun(plan, status, alive, expected):
    mark(plan, "cft/seed1/prepare", "done", sessions=[1.0])
    mark(plan, "cft/seed1/train", status, started=110.0, ended=130.0, job="8", error="no GPU")
    row = states(plan, alive, {"cft/seed1/train": 8})["train"]
    assert row.state == expected
    assert row.error == ("no GPU" if expected == "failed" else None)


def test_a_job_that_ended_before_its_step_began_is_no_riddle(plan):
    submitted = {"cft/seed1/prepare": 7, "cft/seed1/train": 8}
    rows = states(plan, [], submitted)
    assert rows["prepare"].state == "failed" and rows["train"].state == "missing"
    assert rows["prepare"].error == (
        "job 7 ended before the step began: it was canceled, or there is no log, so its node may "
        f"not see {plan.root}"
    )
    log = plan.root / "slurm/cft/seed1/prepare.log"
    log.parent.mkdir(parents=True)
    log.touch()
    assert states(plan, [], submitted)["prepare"].error.endswith(f"or {log} says why")


def test_without_slurm_the_marks_and_notes_tell(plan):
    mark(plan, "cft/seed1/prepare", "done", sessions=[1.0])
    mark(plan, "cft/seed1/train", "started", started=time.time() - 5, host="here")
    note = plan.root / "cft/seed1/running.json"
    for child, state in ((os.getpid(), "running"), (2**22 + 1, "interrupted")):
        holder = {"step": "cft/seed1 train", "host": socket.gethostname(), "boot": "b"}
        note.write_text(json.dumps({**holder, "child": child}))
        assert look_at_study(plan, plan.steps, print)[1].state == state
    note.write_text(json.dumps({"step": "cft/seed1 train", "host": "elsewhere", "boot": "b"}))
    assert look_at_study(plan, plan.steps, print)[1].state == "running"
    os.utime(note, (0, 0))
    assert look_at_study(plan, plan.steps, print)[1].state == "interrupted"


def test_the_table_fits_80_columns(plan, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    mark(plan, "cft/seed1/prepare", "failed", started=1.0, ended=9.0, error="no [data] here")
    mark(plan, "cft/seed1/train", "started", started=100.0, sessions=[200_000.0], host="n" * 40)
    leave_checkpoint(plan.root / "cft/seed1/train", 90_000, 100_000, 120.0)
    leave_checkpoint(plan.root / "cft/seed1/train", 95_000, 100_000, 700.0)
    alive = [QueuedJob(8, "cft/seed1/train", "RUNNING", node="n" * 40)]
    show_status(list(states(plan, alive).values()), as_json=False)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert "95000/100000" in text and "8.62" in text and "2d 07:34" in text
    assert "cft/seed1/prepare: no [data] here" in text
    assert text.splitlines()[-1] == "3 steps: 1 failed, 1 running, 1 missing"


def test_the_state_as_json(plan, capsys):
    mark(plan, "cft/seed1/prepare", "done", sessions=[12.5])
    show_status(list(states(plan).values()), as_json=True)
    rows = json.loads(capsys.readouterr().out)
    assert rows[0] == {
        **{"step": "cft/seed1/prepare", "state": "done", "job": None, "node": None},
        **{"seconds": 12.5, "train_step": None, "train_steps": None, "steps_per_second": None},
        **{"seconds_left": None, "error": None},
    }


# --- a real study's jobs ---------------------------------------------------------------------


def test_jobs_of_a_study_wait_for_one_another(tmp_path, tiny_model):
    file = write_study(tmp_path, tiny_model, FAKE)
    plan = expand(read_study(file), file, tmp_path / "out")
    jobs = {job.path: job for job in jobs_of(plan, file)}
    assert len(jobs) == len(plan.steps) + 1
    train = jobs["cft/seed2/pretrain/train"]
    assert train.needs == ("cft/seed1/pretrain/prepare",)
    assert train.follows == ("cpt/seed1/pretrain/prepare",)
    assert train.command[:2] == (sys.executable, "-m")
    assert find_spec(f"{train.command[2]}.__main__") is not None
    assert train.command[-2:] == ("--step", "cft/seed2/pretrain/train")
    merge, later = jobs["cft/seed2/pretrain/merge"], jobs["cft/seed2/more/train"]
    assert merge.needs == (train.path,) and later.needs == (merge.path,)
    assert jobs["base/evaluate"].needs == ()
    ends = {
        "base/evaluate",
        *(f"{arm}/seed{n}/more/evaluate" for arm in ("cpt", "cft") for n in (1, 2)),
    }
    assert set(jobs["report"].follows) == ends


def test_steps_of_a_chain_come_one_after_another(tmp_path, tiny_model):
    one = {"arms": {"cft": {"cft.holdout": 0.3}}, "baseline": "cft"}
    file = write_study(tmp_path, tiny_model, FAKE, **one, stages={}, evaluate=None)
    plan = expand(read_study(file), file, tmp_path / "out")
    jobs = {job.path: job for job in jobs_of(plan, file)}
    heldout = jobs["cft/seed1/heldout"]
    assert heldout.needs == ("cft/seed1/train",)
    assert heldout.follows == ("cft/seed1/evaluate",)


def test_one_option_at_a_time(tmp_path):
    for options in (["--status", "--cancel"], ["--slurm", "x.yml", "--step", "a/b"]):
        result = CliRunner().invoke(main, ["study", str(tmp_path / "s.yml"), *options])
        assert result.exit_code == 1 and "cannot be given together; choose one" in result.output
    result = CliRunner().invoke(main, ["study", str(tmp_path / "s.yml"), "--json"])
    assert "--json says how --status answers; give both" in result.output


def test_a_dry_run_prints_every_script_and_writes_nothing(tmp_path, tiny_model, monkeypatch):
    monkeypatch.setattr(preflight, "check_plan", lambda *arguments: None)
    study, options = write_study(tmp_path, tiny_model, FAKE), tmp_path / "slurm.yml"
    words = ["study", str(study), "--output-dir", str(tmp_path / "out"), "--slurm", str(options)]
    options.write_text("train: {gpus-per-node: 8}")
    printed = CliRunner().invoke(main, [*words, "--dry-run", "--only", "cft"])
    assert printed.exit_code == 0, printed.output
    assert printed.output.count("#!/bin/bash") == 1 + 2 * 4 + 1
    assert printed.output.count("#SBATCH --gpus-per-node=8") == 4
    assert not (tmp_path / "out").exists()
    options.write_text("trian: {}")
    assert "trian: no such block" in CliRunner().invoke(main, words).output
