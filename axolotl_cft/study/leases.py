"""Who works on a study: one orchestrating call, and one step of a chain at a time, anywhere.

A chain is an arm with its seed. Whoever carries out one of its steps holds the lock of the chain's
folder, which the system takes back when the process dies, and leaves a note, `running.json`, for
machines that the lock does not reach (network file systems differ in that).
"""

import errno
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from uuid import uuid4

import psutil  # type: ignore[import-untyped]
from filelock import FileLock, Timeout

from axolotl_cft.errors import CFTError
from axolotl_cft.records import Holder
from axolotl_cft.study.processes import marked

RUNNING = "running.json"
HEARTBEAT_SECONDS = 60
EXPIRES_SECONDS = 600
"""A note that nobody touched for so long is one of a process that died."""

JOB_VARIABLE = "SLURM_JOB_ID"

_AT_WORK = {
    *("RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "STOPPED", "SIGNALING", "RESIZING"),
    "STAGE_OUT",
}
"""States of a Slurm job that may have processes (squeue(1), JOB STATE CODES)."""

_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


class Busy(CFTError):
    """Somebody else works on the chain."""


@contextmanager
def sole_writer(root: Path) -> Iterator[None]:
    """Hold the study's lock: only one call at a time decides what is started.

    Raises:
        CFTError: another call holds it, or the folder cannot be written.
    """
    with _locked(root / ".lock") as free:
        if not free:
            raise CFTError(
                f"another `axolotl-cft study` is running in {root}; wait for it to end, or choose "
                "another output folder"
            )
        yield


@dataclass(frozen=True)
class Lease:
    """The right to work on a chain, and the note that tells others so."""

    note: Path

    def started(self, child: int) -> None:
        """Add the process that was started to the note."""
        Holder.read(self.note).model_copy(update={"child": child}).write(self.note)


@contextmanager
def lease(chain: Path, step: str) -> Iterator[Lease]:
    """Be the only one who carries out a step of a chain.

    Args:
        chain: its folder.
        step: which step, for messages.

    Raises:
        Busy: another process does, or may; or a child of one that died is still running.
        CFTError: the folder cannot be written.
    """
    with _locked(chain / ".lock") as free:
        if not free:
            raise Busy(f"{chain}: another process works on it; wait for that to end")
        refuse_if_held(chain)
        note = chain / RUNNING
        _place(note, step)
        try:
            with _heartbeat(note):
                yield Lease(note)
        finally:
            note.unlink(missing_ok=True)


def _place(note: Path, step: str) -> None:
    """Put our note where that of a dead process may lie; of several who try, one succeeds."""
    job = os.environ.get(JOB_VARIABLE)
    ours = Holder(step=step, host=socket.gethostname(), boot=_boot(), pid=os.getpid(), job=job)
    new, old = (note.with_name(f".{note.name}.{uuid4().hex}") for _ in range(2))
    with suppress(FileNotFoundError):
        note.rename(old)
        old.unlink()
    ours.write(new)
    try:
        os.link(new, note)  # fails where there is one, over NFS too
    except FileExistsError:
        raise Busy(f"{note.parent}: another process has just begun to work on it") from None
    except OSError:  # a file system without links
        ours.write(note)
    finally:
        new.unlink()


def refuse_if_busy(chain: Path) -> None:
    """Make sure that nobody works on a chain, before anything is started.

    Raises:
        Busy: somebody does, or may.
    """
    if not chain.is_dir():
        return
    with _locked(chain / ".lock") as free:
        if not free:
            raise Busy(f"{chain}: another process works on it; wait for that to end")
        refuse_if_held(chain)


def refuse_if_held(chain: Path) -> None:
    """Make sure that no earlier process of a chain lives on.

    Raises:
        Busy: one does, or nobody can tell yet.
    """
    if orphans := marked(chain):
        pids = " ".join(str(process.pid) for process in orphans)
        raise Busy(
            f"{chain}: a process of an interrupted call is still running; wait for it, or end it "
            f"with `kill {pids}`, then run the same command again"
        )
    path = chain / RUNNING
    if not path.is_file():
        return
    note = Holder.read(path)
    if (note.boot, note.host) == (_boot(), socket.gethostname()):
        if note.pid is not None and _lives(note.pid, path.stat().st_mtime):
            raise Busy(f"{chain}: process {note.pid} works on it ({note.step}); wait for it to end")
        return
    if note.job is not None and (lives := _job_lives(note.job)) is not None:
        if lives:
            raise Busy(
                f"{chain}: Slurm job {note.job} works on it ({note.step} on {note.host}); wait for "
                f"it, or end it with `scancel {note.job}`"
            )
        return
    if (silent := _age(path)) < EXPIRES_SECONDS:
        raise Busy(
            f"{chain}: {note.step} was started on {note.host}, which was heard of "
            f"{silent / 60:.0f} min ago; wait for it, or, should it have died, run the same "
            f"command again in {(EXPIRES_SECONDS - silent) / 60:.0f} min"
        )


def _lives(pid: int, seen: float) -> bool:
    """Whether a process of this machine that was last heard of at `seen` is there still.

    One that was started later has only got the number of a dead one.
    """
    try:
        started: float = psutil.Process(pid).create_time()
    except psutil.Error:
        return False
    return started <= seen + 1


def _job_lives(job: str) -> bool | None:
    """Whether a Slurm job may have processes; None where Slurm cannot be asked."""
    if job == os.environ.get(JOB_VARIABLE):
        return False  # Slurm starts a job again only when its earlier processes have ended
    command = ["squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={job}"]
    # The user's defaults for squeue would hide jobs.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("SQUEUE_")}
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=60, env=plain)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if asked.returncode == 0 and asked.stdout.split():
        return bool(_AT_WORK & set(asked.stdout.split()))
    # Slurm forgets a job some minutes after its end.
    return False if "Invalid job id" in asked.stderr else None


def _age(path: Path) -> float:
    """Seconds since a file was changed, by the clock of the file system that keeps it."""
    probe = path.with_name(f".{path.name}.{os.getpid()}")
    probe.touch()
    now = probe.stat().st_mtime
    probe.unlink()
    return max(0.0, now - path.stat().st_mtime)


def _boot() -> str:
    """This machine since it was started (Linux); elsewhere its name."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return socket.gethostname()


@contextmanager
def _heartbeat(note: Path) -> Iterator[None]:
    """Touch the note now and then, so that others see that its writer lives."""
    ended = Event()

    def beat() -> None:
        while not ended.wait(HEARTBEAT_SECONDS):
            with suppress(OSError):
                os.utime(note)

    thread = Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Whether a lock was free; held inside the block if it was.

    Where the file system has no locks, it is free, and the note decides. (filelock's own way out, a
    file that stays behind when its writer is killed, would close a chain for good.)
    """
    lock = FileLock(path, fallback_to_soft=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:  # an OSError itself
        yield False
        return
    except NotImplementedError:
        yield True
        return
    except OSError as exc:
        if exc.errno in _NO_LOCKS:
            yield True
            return
        raise CFTError(f"cannot write to {path.parent}: {exc.strerror or exc}") from exc
    try:
        yield True
    finally:
        lock.release()
