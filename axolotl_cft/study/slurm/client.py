"""Slurm's own commands: sbatch, squeue and scancel, with patience while nobody answers."""

import functools
import os
import re
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from axolotl_cft.errors import CFTError
from axolotl_cft.study.slurm.jobs import LIVING, QueuedJob

PATIENCE = 150.0
"""Seconds for which a Slurm that does not answer is asked again."""

_PAUSE = 5.0
_NO_ANSWER = re.compile(
    r"contact slurm controller|connect failure|Socket timed out|Zero Bytes|Connection refused"
    r"|controller in standby|temporarily unable|temporarily unavailable|Communication connection"
)
_FIELDS = "%A|%T|%r|%u|%N|%M|%j|%E"


_Answer = TypeVar("_Answer")


class NoAnswer(Exception):
    """Slurm's controller could not be reached; what was asked for may have happened or not."""


class Slurm:
    """The cluster that this machine belongs to.

    Args:
        token: of the study; only jobs with it in their names are seen.
        say: where to tell that Slurm does not answer.
        patience: seconds for which it is asked again.
    """

    def __init__(self, token: str, say: Callable[[str], None], patience: float = PATIENCE):
        self.token, self._say, self._patience = token, say, patience

    def queue(self, paths: Iterable[str]) -> list[QueuedJob]:
        """What Slurm knows of the study's jobs, also of those that ended in the last minutes.

        Args:
            paths: of the jobs to ask for.

        Raises:
            CFTError: Slurm does not answer, or refuses.
        """
        names = ",".join(f"{path}@{self.token}" for path in paths)
        return self._patiently(lambda: self._queue(names))

    def _queue(self, names: str) -> list[QueuedJob]:
        command = ["squeue", "--noheader", "--states=all", f"--name={names}", f"--format={_FIELDS}"]
        return parse_queue(_run(command), self.token)

    def submit(
        self, script: Path, path: str, dependency: str | None, environment: Mapping[str, str]
    ) -> int:
        """Submit a job; returns its number.

        A controller that goes away while it is asked may have taken the job all the same, so
        before it is asked again the queue is looked through.

        Args:
            script: the file for sbatch.
            path: of the job.
            dependency: as sbatch's option says it.
            environment: variables for sbatch, which hands them on to the job.

        Raises:
            CFTError: sbatch refuses, in its own words, or Slurm does not answer.
        """
        options = [] if dependency is None else [f"--dependency={dependency}"]
        command = ["sbatch", "--parsable", *options, str(script)]
        name, known = f"{path}@{self.token}", None

        def attempt() -> int:
            nonlocal known
            there = {job.id for job in self._queue(name) if job.state in LIVING}
            if known is None:
                known = there
            elif taken := there - known:
                return min(taken)
            return int(_run(command, environment).strip().split(";")[0])

        return self._patiently(attempt)

    def cancel(self, jobs: Collection[QueuedJob]) -> None:
        """Take jobs out of the queue, those that wait first, so that none starts meanwhile.

        Raises:
            CFTError: they are another user's, or Slurm does not answer.
        """
        for waiting in (True, False):
            ids = [str(job.id) for job in jobs if (job.state == "PENDING") == waiting]
            if ids:
                self._patiently(functools.partial(_run, ["scancel", *ids]))

    def _patiently(self, ask: Callable[[], _Answer]) -> _Answer:
        deadline, told = time.monotonic() + self._patience, False
        while True:
            try:
                return ask()
            except NoAnswer as exc:
                if time.monotonic() >= deadline:
                    raise CFTError(
                        f"Slurm does not answer ({exc}); run the same command again later"
                    ) from exc
                if not told:
                    self._say(f"Slurm does not answer ({exc}); asking it again and again")
                told = True
                time.sleep(min(_PAUSE, self._patience))


def parse_queue(output: str, token: str) -> list[QueuedJob]:
    """The study's jobs in what squeue printed."""
    jobs = []
    for line in output.splitlines():
        number, state, reason, user, node, taken, name, remaining = line.strip().split("|", 7)
        path, _, mark = name.rpartition("@")
        if mark == token:
            remaining = "" if remaining == "(null)" else remaining
            seconds = _seconds(taken)
            jobs.append(QueuedJob(int(number), path, state, reason, user, node, seconds, remaining))
    return jobs


def _seconds(text: str) -> int:
    """Of `days-hours:minutes:seconds`, as squeue prints times; 0 for what is none."""
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text)
    if not found:
        return 0
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """What a command prints.

    Raises:
        CFTError: there is no such program, or it failed, in its own words.
        NoAnswer: it could not reach the controller.
    """
    given = os.environ if environment is None else environment
    # The user's defaults for these programs would hide jobs, or have them ask a question.
    plain = {k: v for k, v in given.items() if not k.startswith(("SQUEUE_", "SCANCEL_"))}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=plain, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError as exc:
        raise CFTError(
            f"there is no program {command[0]!r} on this machine; run this where jobs are "
            "submitted to Slurm (a login node)"
        ) from exc
    if done.returncode == 0:
        return done.stdout
    words = _words(done.stderr) or f"{command[0]} exited with status {done.returncode}"
    if _NO_ANSWER.search(words):
        raise NoAnswer(words)
    raise CFTError(f"{command[0]}: {words}")


def _words(errors: str) -> str:
    """What a program of Slurm's complained about, without its name before every line."""
    lines = (re.sub(r"^\w+: (error: )?", "", line.strip()) for line in errors.splitlines())
    return "; ".join(dict.fromkeys(line for line in lines if line))
