"""Who may work on a study, and what several workers at once leave behind."""

import errno
import json
import multiprocessing
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

from axolotl_cft.errors import CFTError
from axolotl_cft.records import Holder, StudyRecord
from axolotl_cft.study import leases
from axolotl_cft.study.leases import (
    EXPIRES_SECONDS,
    JOB_VARIABLE,
    RUNNING,
    Busy,
    lease,
    refuse_if_busy,
    refuse_if_held,
    sole_writer,
)
from axolotl_cft.study.plan import StudyPlan, expand
from axolotl_cft.study.prepared import share
from axolotl_cft.study.processes import MARK
from axolotl_cft.study.records import JOURNAL, Records
from axolotl_cft.study.spec import read_study


def elsewhere(chain: Path, **changes: Any) -> Path:
    """A note that a process on another machine left."""
    content = {"step": "cft/seed1 train", "host": "node17", "boot": "another", **changes}
    Holder(**content).write(chain / RUNNING)
    return chain / RUNNING


def test_only_one_call_decides_what_is_started(tmp_path: Path) -> None:
    with (
        sole_writer(tmp_path),
        pytest.raises(CFTError, match="another `axolotl-cft study` is running"),
        sole_writer(tmp_path),
    ):
        pass
    with sole_writer(tmp_path):
        pass


def test_a_chain_is_worked_on_by_one_process_and_others_are_free(tmp_path: Path) -> None:
    with lease(tmp_path / "cft/seed1", "a step") as held:
        held.started(4711)
        assert Holder.read(tmp_path / "cft/seed1" / RUNNING).child == 4711
        with pytest.raises(Busy, match="another process works on it"):
            lease(tmp_path / "cft/seed1", "a step").__enter__()
        with lease(tmp_path / "cft/seed2", "a step"):
            pass
    assert not (tmp_path / "cft/seed1" / RUNNING).exists()
    with lease(tmp_path / "cft/seed1", "a step"):
        pass


def test_a_note_of_this_machine_is_taken_over_once_its_writer_is_dead(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from axolotl_cft.study.leases import lease\n"
        "with lease(Path(sys.argv[1]), 'a step'): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)])
    assert (tmp_path / RUNNING).is_file()
    with lease(tmp_path, "a step"):
        pass


def test_a_child_that_outlived_its_parent_keeps_others_away(tmp_path: Path) -> None:
    # Like a launcher's worker: the orphan leads a session of its own.
    orphan = subprocess.Popen(
        ["sleep", "60"], env={**os.environ, MARK: str(tmp_path)}, start_new_session=True
    )
    try:
        with pytest.raises(Busy, match=f"still running; .*`kill {orphan.pid}`"):
            lease(tmp_path, "a step").__enter__()
        refuse_if_held(tmp_path.with_name("another"))
    finally:
        orphan.kill()
        orphan.wait()
    with lease(tmp_path, "a step"):
        pass


def test_a_note_of_another_machine_holds_until_nobody_has_touched_it_for_long(
    tmp_path: Path,
) -> None:
    note = elsewhere(tmp_path)
    with pytest.raises(Busy, match=r"node17, which was heard of 0 min ago; .* again in 10 min"):
        lease(tmp_path, "a step").__enter__()
    assert Holder.read(note).host == "node17"
    long_ago = time.time() - EXPIRES_SECONDS - 5
    os.utime(note, (long_ago, long_ago))
    with lease(tmp_path, "a step"):
        assert Holder.read(note).host != "node17"


def test_whoever_holds_a_chain_is_heard_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0.05)
    with lease(tmp_path, "a step"):
        os.utime(tmp_path / RUNNING, (0, 0))
        deadline = time.time() + 10
        while (tmp_path / RUNNING).stat().st_mtime == 0 and time.time() < deadline:
            time.sleep(0.02)
        assert (tmp_path / RUNNING).stat().st_mtime > 0


SQUEUE = """\
#!{python}
import sys
out, err, status = {answer!r}
print(out)
print(err, file=sys.stderr)
sys.exit(status)
"""


@pytest.mark.parametrize(
    ("answer", "held"),
    [
        (("RUNNING", "", 0), True),
        (("COMPLETING", "", 0), True),
        (("PENDING", "", 0), False),  # started again: what it began has ended
        (("CANCELLED", "", 0), False),
        (("", "", 0), None),
        (("", "slurm_load_jobs error: Invalid job id specified", 1), False),
        (("", "slurm_load_jobs error: Unable to contact slurm controller", 1), None),
    ],
)
def test_slurm_knows_whether_a_job_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: tuple[str, str, int], held: bool | None
) -> None:
    """`None`: it cannot be asked, so the note's age decides."""
    monkeypatch.delenv(JOB_VARIABLE, raising=False)
    program = tmp_path / "bin/squeue"
    program.parent.mkdir()
    program.write_text(SQUEUE.format(python=sys.executable, answer=answer))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(program.parent))
    chain = tmp_path / "chain"
    note = elsewhere(chain, job="77")
    if held is None:
        with pytest.raises(Busy, match="node17, which was heard of"):
            refuse_if_held(chain)
        os.utime(note, (0, 0))
        refuse_if_held(chain)
        return
    if held:
        os.utime(note, (0, 0))  # its age is nothing against Slurm's word
        with pytest.raises(Busy, match="Slurm job 77 works on it .*scancel 77"):
            refuse_if_held(chain)
    else:
        refuse_if_held(chain)
    monkeypatch.setenv(JOB_VARIABLE, "77")  # the same job, started again
    refuse_if_held(chain)


def test_of_several_who_find_a_dead_note_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system without locks, the note alone decides."""

    @contextmanager
    def no_lock(path: Path) -> Iterator[bool]:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield True

    monkeypatch.setattr(leases, "_locked", no_lock)
    monkeypatch.setattr(leases, "refuse_if_held", lambda chain: None)  # all have looked before
    monkeypatch.setattr(Path, "rename", lambda self, target: None)  # and moved the dead one away
    with lease(tmp_path, "a step"), pytest.raises(Busy, match="has just begun to work on it"):
        lease(tmp_path, "a step").__enter__()
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_locks_leaves_it_to_the_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with lease(tmp_path, "a step"):
        assert (tmp_path / RUNNING).is_file()
        with sole_writer(tmp_path):
            pass
        with pytest.raises(Busy, match=rf"process {os.getpid()} works on it \(a step\)"):
            lease(tmp_path, "a step").__enter__()
        os.utime(tmp_path / RUNNING, (0, 0))  # its number belongs to a later process
        refuse_if_busy(tmp_path)


def test_a_healthy_worker_is_no_orphan(tmp_path: Path) -> None:
    with lease(tmp_path, "a step"), pytest.raises(Busy, match="another process works on it"):
        refuse_if_busy(tmp_path)
    refuse_if_busy(tmp_path)
    refuse_if_busy(tmp_path / "never begun")
    assert not (tmp_path / "never begun").exists()


# --- records of many writers -------------------------------------------------------------------

ROUNDS, WRITERS = 200, 8


def planned(folder: Path) -> StudyPlan:
    base = {
        "base_model": "some/model",
        "plugins": ["axolotl_cft.CFTPlugin"],
        "datasets": [{"path": "corpus.jsonl", "type": "cft", "field": "text"}],
    }
    study = {
        "name": "many",
        "base": base,
        "arms": {f"arm{number}": {"cft.dropout": number / 20} for number in range(WRITERS)},
        "seeds": [1],
        "tasks": ["arc_easy"],
    }
    path = folder / "study.yml"
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    return expand(read_study(path), path, folder / "out")


def finish_often(folder: Path, number: int, barrier: Any) -> None:
    """Mark the steps of one arm as failed and done in turns, each round together with others."""
    plan = planned(folder)
    records = Records(plan)
    steps = [s for s in plan.steps if s.run.arm == f"arm{number}" and s.kind == "prepare"]
    for round_ in range(ROUNDS):
        barrier.wait(120)
        for step in steps:
            records.mark(step, status="done" if round_ % 2 else "failed", error=f"round {round_}")
        records.note(steps[-1], "ended", round=round_)
        records.write_study()
        barrier.wait(120)
        if number == 0:  # between two rounds nobody writes
            runs = StudyRecord.read(plan.root / "study.json").runs
            wanted = None if round_ % 2 else f"prepare: round {round_}"
            assert [run.error for run in runs] == [wanted] * WRITERS, round_


@pytest.mark.slow
def test_no_update_is_lost_when_eight_finish_at_once(tmp_path: Path) -> None:
    planned(tmp_path).root.mkdir()
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(WRITERS)
    writers = [
        context.Process(target=finish_often, args=(tmp_path, number, barrier))
        for number in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(300)
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    lines = (tmp_path / "out" / JOURNAL).read_text().splitlines()
    noted = [(json.loads(line)["step"], json.loads(line)["round"]) for line in lines]
    assert len(noted) == len(set(noted)) == ROUNDS * WRITERS


def test_prepared_data_are_shared_whole_and_never_written_over(tmp_path: Path) -> None:
    def make(folder: Path, name: str, content: str) -> None:
        (folder / name).mkdir(parents=True)
        (folder / name / "data.arrow").write_text(content)
        (folder / f"{name}.cft_ledger.json").write_text(content)

    shared = tmp_path / "prepared"
    make(shared, "same", "read by a training")
    for arm in ("cpt", "cft"):
        made = tmp_path / "prepared.partial" / arm
        make(made, "same", "made again")
        make(made, arm, "new")
        share(made, shared)
    names = ["cft", "cft.cft_ledger.json", "cpt", "cpt.cft_ledger.json", "same"]
    found = sorted(path.name for path in shared.iterdir() if not path.name.startswith("."))
    assert found == [*names, "same.cft_ledger.json"]
    assert (shared / "same/data.arrow").read_text() == "read by a training"
    assert (shared / "same.cft_ledger.json").read_text() == "read by a training"
    assert not (tmp_path / "prepared.partial").exists()
