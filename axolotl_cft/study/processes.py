"""Children of a study: started, waited for, stopped, and found again after a crash."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

MARK = "AXOLOTL_CFT_STUDY"
"""Variable with a chain's folder that every process working on it carries: launchers put their
workers into sessions and groups of their own (torch/distributed/elastic), but the environment is
handed down."""

PORT_VARIABLE = "PET_MASTER_PORT"

LINGER_SECONDS = 30
"""For helpers of a program that ended well: compile workers, a logger's upload."""

GRACE_SECONDS = 110
"""For a training to finish its update and to save a checkpoint (host/ending)."""


class Stopped(Exception):
    """The user or the cluster asked the study to stop; `signum` says how."""

    def __init__(self, signum: int):
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


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


def child_environment(chain: Path) -> dict[str, str]:
    """This process's environment, the chain's mark, and our own interpreter's programs first.

    The host's telemetry is off unless the variable is set: it would send the whole config, and
    without a network a process that failed never ends (axolotl/telemetry/manager.py::shutdown
    waits for a queue that nobody empties). And torchrun, in newer versions, waits for its workers
    as long as we wait for it.
    """
    programs = str(Path(sys.executable).parent)
    path = os.pathsep.join([programs, os.environ.get("PATH", os.defpath)])
    ours = {"AXOLOTL_DO_NOT_TRACK": "1", "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(GRACE_SECONDS)}
    return {**ours, **os.environ, "PATH": path, MARK: str(chain)}


def at_own_port(command: tuple[str, ...], environment: Mapping[str, str]) -> tuple[str, ...]:
    """A launch command that meets at the port which the environment names for torchrun.

    `accelerate launch` reads no variable for it, and says 29500 to torchrun
    (accelerate/utils/launch.py::prepare_multi_gpu_env).
    """
    port = environment.get(PORT_VARIABLE)
    said = any(word.startswith("--main_process_port") for word in command)
    if port is None or said or command[:2] != ("accelerate", "launch"):
        return command
    return (*command[:2], "--main_process_port", port, *command[2:])


def run_child(
    command: tuple[str, ...], log: Path, chain: Path, started: Callable[[int], None]
) -> int:
    """Run `command` to its end, its output appended to `log`; returns the exit status.

    The child leads a process group of its own. A signal to us reaches it as SIGTERM (at SIGINT the
    host would save a half-trained model), and it is killed if it does not end in GRACE_SECONDS.

    Args:
        command: program and arguments.
        log: file that receives stdout and stderr.
        chain: folder of the chain that it works on.
        started: is told its process id.

    Raises:
        Stopped: we were asked to stop; the child has ended.
    """
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=child_environment(chain),
            start_new_session=True,
        )
        try:
            started(child.pid)
            child.wait()
            left_alone = child.returncode == 0 and _ends_by_itself(chain)
        except BaseException:
            _end_all(child, chain)
            raise
        else:
            if not left_alone:  # a launcher that was killed may leave its workers
                _end_all(child, chain)
    return child.returncode


def _ends_by_itself(chain: Path) -> bool:
    """Whether what a program that ended well left behind follows it soon."""
    deadline = time.monotonic() + LINGER_SECONDS
    while marked(chain):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.2)
    return True


def _end_all(child: subprocess.Popen, chain: Path) -> None:
    """Tell the child's group to stop, and see to it that none of its workers stays behind."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        if number == signal.SIGKILL:
            for process in marked(chain):  # workers in groups of their own
                with suppress(psutil.Error):
                    process.kill()
        deadline = time.monotonic() + GRACE_SECONDS
        with suppress(Stopped):  # asked a second time: wait no longer
            while time.monotonic() < deadline:
                if child.poll() is not None and not marked(chain):
                    return
                time.sleep(0.2)


def marked(chain: Path) -> list[psutil.Process]:
    """All living processes on this machine that were started for a chain, by its folder."""
    return [
        process
        for process in psutil.process_iter()
        if process.pid != os.getpid() and _mark_of(process) == str(chain)
    ]


def _mark_of(process: psutil.Process) -> str | None:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process.environ().get(MARK)
    except (psutil.Error, OSError):
        return None
