"""Several chains of a study side by side on one machine, each with devices of its own.

Every step is a process of its own (`axolotl-cft study … --step`), as it would be on a cluster; what
is decided here is which may begin, and on which devices.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from axolotl_cft.errors import CFTError
from axolotl_cft.study.plan import Step
from axolotl_cft.study.processes import GRACE_SECONDS, PORT_VARIABLE, Stopped
from axolotl_cft.study.runner import Runner
from axolotl_cft.study.standing import Standing

INTERRUPTED = 75
"""Exit status of a step that a signal ended: the same command carries on (sysexits.h,
EX_TEMPFAIL)."""

_FIRST_PORT = 29500
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Slot:
    """What one of the chains may use.

    Attributes:
        devices: GPUs as in CUDA_VISIBLE_DEVICES; None on a machine without.
        port: for the rendezvous of its training processes.
        threads: on a machine without GPUs, of one process; those of two that have a thread for
            each core mostly wait for one another.
    """

    devices: str | None
    port: int
    threads: int | None = None

    @property
    def gpus(self) -> int:
        """How many GPUs these are."""
        return len(self.devices.split(",")) if self.devices else 0

    def variables(self) -> dict[str, str]:
        """What its processes find in their environment (for accelerate: processes.at_own_port)."""
        port = str(self.port)
        visible = {} if self.devices is None else {"CUDA_VISIBLE_DEVICES": self.devices}
        threads = {} if self.threads is None else {"OMP_NUM_THREADS": str(self.threads)}
        return {**threads, **visible, "MASTER_PORT": port, PORT_VARIABLE: port}


def slots(count: int, devices: Sequence[str]) -> list[Slot]:
    """Share the machine's devices out evenly; what is left over stays unused.

    Raises:
        CFTError: there are fewer devices than slots.
    """
    if devices and count > len(devices):
        raise CFTError(
            f"--parallel {count}: there are {len(devices)} GPUs for {count} chains; say "
            f"--parallel {len(devices)} or less"
        )
    each = len(devices) // count
    threads = None
    if not devices and "OMP_NUM_THREADS" not in os.environ:
        threads = max(1, (os.cpu_count() or 1) // count)
    shares = (devices[i * each : (i + 1) * each] for i in range(count))
    return [
        Slot(",".join(share) if devices else None, _FIRST_PORT + 10 * number, threads)
        for number, share in enumerate(shares)
    ]


def visible_devices(environment: Mapping[str, str]) -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    if (value := environment.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [device.strip() for device in value.split(",") if device.strip()]
    if shutil.which("nvidia-smi") is None:
        return []
    asked = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True)
    lines = asked.stdout.splitlines() if asked.returncode == 0 else []
    return [str(number) for number, line in enumerate(lines) if line.startswith("GPU ")]


def run_side_by_side(runner: Runner, study_file: Path, slots: Sequence[Slot]) -> None:
    """Carry out all steps that are not done yet; failures are collected in the runner.

    Args:
        runner: of the whole call, its checks made.
        study_file: the study file.
        slots: at least one.

    Raises:
        CFTError: arms train on different targets.
        Stopped: by a signal; the children have ended.
    """
    prepares = [step for step in runner.steps if step.kind == "prepare"]
    others = [step for step in runner.steps if step.kind != "prepare"]
    crew = _Crew(runner, study_file, slots)
    try:
        crew.carry_out(prepares)
        runner.check_targets()
        runner.tell_schedules(slots[0].gpus)
        crew.carry_out(others)
    except BaseException as exc:
        crew.stop(exc.signum if isinstance(exc, Stopped) else signal.SIGTERM)
        raise


class _Crew:
    """The processes at work, one in a slot."""

    def __init__(self, runner: Runner, study_file: Path, slots: Sequence[Slot]):
        self.runner, self.study_file, self.slots = runner, study_file, slots
        self.at_work: dict[Slot, tuple[Step, subprocess.Popen[bytes], IO[bytes]]] = {}

    def carry_out(self, steps: Iterable[Step]) -> None:
        """Bring all steps to an end, each as soon as what it needs is there and a slot is free."""
        waiting = list(steps)
        while waiting or self.at_work:
            standing = self.runner.records.standing()
            to_come = [*waiting, *(step for step, _, _ in self.at_work.values())]
            waiting = [step for step in waiting if not self._settled(step, standing, to_come)]
            for step in self._ready(waiting, standing):
                waiting.remove(step)
                self._start(step)
            while self.at_work and not self._collect():
                time.sleep(_POLL_SECONDS)

    def stop(self, signum: int) -> None:
        """Pass a signal on, and wait until all children have ended theirs."""
        self._tell(signum)
        deadline = time.monotonic() + 2 * GRACE_SECONDS + 10
        for _, process, _ in self.at_work.values():
            while process.poll() is None:
                try:
                    process.wait(max(0.0, deadline - time.monotonic()))
                except Stopped as exc:  # asked again: nor shall they wait for theirs
                    self._tell(exc.signum)
                except subprocess.TimeoutExpired:
                    process.kill()

    def _tell(self, signum: int) -> None:
        for _, process, _ in self.at_work.values():
            with suppress(ProcessLookupError):
                process.send_signal(signum)

    def _settled(self, step: Step, standing: Standing, to_come: Sequence[Step]) -> bool:
        """Whether nothing is left to do for a step: it is done, or what it needs will not come."""
        if standing.is_done(step):
            self.runner.progress.end(step, "done before")
            return True
        cause = standing.blocker(step)
        if cause is not None and cause not in to_come:
            reason = f"not run, because {cause.name} failed"
            self.runner.failures.setdefault(step.run, reason)
            self.runner.progress.end(step, "skipped")
            return True
        return False

    def _ready(self, waiting: Sequence[Step], standing: Standing) -> list[Step]:
        """The steps that can begin now: one of a chain, no more than there are free slots."""
        busy = {step.run.chain for step, _, _ in self.at_work.values()}
        ready: list[Step] = []
        for step in waiting:
            if len(ready) + len(self.at_work) == len(self.slots):
                break
            if step.run.chain not in busy and standing.blocker(step) is None:
                ready.append(step)
                busy.add(step.run.chain)
        return ready

    def _start(self, step: Step) -> None:
        slot = next(slot for slot in self.slots if slot not in self.at_work)
        root = self.runner.plan.root
        command = [sys.executable, "-m", "axolotl_cft.cli", "--quiet", "study"]
        command += [str(self.study_file), "--output-dir", str(root), "--step", step.path]
        self.runner.progress.begin(step, self.runner.records.log(step))
        said = tempfile.TemporaryFile()  # noqa: SIM115, closed when the child has ended
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env={**os.environ, **slot.variables()},
            start_new_session=True,
        )
        self.at_work[slot] = step, process, said

    def _collect(self) -> bool:
        """Take note of the children that have ended; whether there were any."""
        ended = [(slot, *work) for slot, work in self.at_work.items() if work[1].poll() is not None]
        for slot, step, process, said in ended:
            del self.at_work[slot]
            with said:
                said.seek(0)
                text = said.read().decode("utf-8", errors="replace").strip()
            if process.returncode == 0:
                self.runner.progress.end(step, "done")
                self.runner.foretell(step.run, len(self.slots))
                continue
            reason = self.runner.records.standing().failure(step)
            self.runner.failures[step.run] = reason or text
            self.runner.progress.end(step, "failed")
            self.runner.progress.say(text)
        return bool(ended)
