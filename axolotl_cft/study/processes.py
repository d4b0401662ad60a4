"""Children of a study: started, waited for, stopped, and found again after a crash."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
from filelock import FileLock, Timeout

from axolotl_cft.errors import CFTError
from axolotl_cft.files import write_atomic

MARK = "AXOLOTL_CFT_STUDY"
"""Variable that every process of a study carries: launchers put their workers into sessions and
groups of their own (torch/distributed/elastic), but the environment is handed down."""

RUNNING = "running.json"
GRACE_SECONDS = 30


class Stopped(Exception):
    """The user or the cluster asked the study to stop; `signum` says how."""

    def __init__(self, signum: int):
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


@contextmanager
def sole_writer(root: Path) -> Iterator[None]:
    """Hold the study's lock, after making sure that no process of an earlier call lives on.

    Raises:
        CFTError: another call holds the lock, or a child of one that died is still running.
    """
    lock = FileLock(root / ".lock")
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:  # an OSError itself
        raise CFTError(
            f"another `axolotl-cft study` is running in {root}; wait for it to end, or choose "
            "another output folder"
        ) from None
    except OSError as exc:
        raise CFTError(f"cannot write to {root}: {exc.strerror or exc}") from exc
    try:
        _refuse_orphans(root)
        yield
    finally:
        lock.release()


@contextmanager
def stop_signals() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into `Stopped`."""

    def stop(signum: int, frame: Any) -> None:
        raise Stopped(signum)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def child_environment(root: Path) -> dict[str, str]:
    """This process's environment, the study's mark, and our own interpreter's programs first.

    The host's telemetry is off unless the variable is set: it would send the whole config, and
    without a network a process that failed never ends (axolotl/telemetry/manager.py::shutdown
    waits for a queue that nobody empties).
    """
    programs = str(Path(sys.executable).parent)
    path = os.pathsep.join([programs, os.environ.get("PATH", os.defpath)])
    return {"AXOLOTL_DO_NOT_TRACK": "1", **os.environ, "PATH": path, MARK: str(root)}


def run_child(command: tuple[str, ...], log: Path, root: Path) -> int:
    """Run `command` to its end, its output appended to `log`; returns the exit status.

    The child leads a process group of its own. A signal to us is passed on to it, and it is killed
    if it does not end within GRACE_SECONDS.

    Args:
        command: program and arguments.
        log: file that receives stdout and stderr.
        root: the study's folder.

    Raises:
        Stopped: we were asked to stop; the child has ended.
    """
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=child_environment(root),
            start_new_session=True,
        )
        try:
            _note_running(root, child.pid, log)
            child.wait()
        except BaseException as exc:
            _end_all(child, root, exc.signum if isinstance(exc, Stopped) else signal.SIGTERM)
            raise
        else:
            if child.returncode != 0:  # a launcher that was killed may leave its workers
                _end_all(child, root, signal.SIGTERM)
        finally:
            (root / RUNNING).unlink(missing_ok=True)
    return child.returncode


def _end_all(child: subprocess.Popen, root: Path, signum: int) -> None:
    """Pass a signal to the child's group, and see to it that none of its workers stays behind."""
    for number in (signum, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        if number == signal.SIGKILL:
            for process in _marked(root):  # workers in groups of their own
                with suppress(psutil.Error):
                    process.kill()
        deadline = time.monotonic() + GRACE_SECONDS
        with suppress(Stopped):  # asked a second time: wait no longer
            while time.monotonic() < deadline:
                if child.poll() is not None and not _marked(root):
                    return
                time.sleep(0.2)


def _note_running(root: Path, pid: int, log: Path) -> None:
    note = {"host": socket.gethostname(), "pid": pid, "log": str(log)}
    write_atomic(root / RUNNING, json.dumps(note) + "\n")


def _refuse_orphans(root: Path) -> None:
    """A trainer that outlived its parent would write into the same folders as its successor."""
    if orphans := _marked(root):
        pids = " ".join(str(process.pid) for process in orphans)
        raise CFTError(
            f"{root}: a process of an interrupted call is still running; wait for it, or end it "
            f"with `kill {pids}`, then run the same command again"
        )
    path = root / RUNNING
    if not path.exists():
        return
    note = json.loads(path.read_text(encoding="utf-8"))
    if note["host"] != socket.gethostname():
        raise CFTError(
            f"{root}: a process that was started on {note['host']} may still be running (log: "
            f"{note['log']}); continue there, or delete {path} once you know that it has ended"
        )
    path.unlink()


def _marked(root: Path) -> list[psutil.Process]:
    """All living processes on this machine that were started for the study in `root`."""
    return [
        process
        for process in psutil.process_iter()
        if process.pid != os.getpid() and _mark_of(process) == str(root)
    ]


def _mark_of(process: psutil.Process) -> str | None:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process.environ().get(MARK)
    except (psutil.Error, OSError):
        return None
