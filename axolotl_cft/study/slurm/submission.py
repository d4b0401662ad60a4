"""Submitting a study: one submitter at a time, and a record that is true at every moment."""

import dataclasses
import getpass
import os
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from axolotl_cft.errors import CFTError
from axolotl_cft.files import write_atomic
from axolotl_cft.records import STUDY_FILE, SUBMISSION_FILE, SubmissionRecord, SubmittedJob
from axolotl_cft.study.slurm.client import Slurm
from axolotl_cft.study.slurm.jobs import (
    LIVING,
    REPORT,
    Job,
    QueuedJob,
    dependency,
    doomed,
    ends,
    living,
    missing,
)
from axolotl_cft.study.slurm.options import SlurmOptions
from axolotl_cft.study.slurm.script import (
    FOLDER,
    TOKEN,
    Place,
    job_script,
    submission_environment,
)


@dataclass
class Submitted:
    """What one call did.

    Attributes:
        jobs: path -> number of the jobs that were submitted just now, in their order.
        alive: path -> job that was there before and goes on.
    """

    jobs: dict[str, int] = field(default_factory=dict)
    alive: dict[str, QueuedJob] = field(default_factory=dict)


def read_submission(root: Path) -> SubmissionRecord | None:
    """What was submitted from a study's folder; None if nothing was, or from where it was copied.

    Raises:
        CFTError: the record is damaged.
    """
    path = root / FOLDER / SUBMISSION_FILE
    record = SubmissionRecord.read(path) if path.is_file() else None
    return record if record is not None and record.root == str(root) else None


def place_of(root: Path) -> Place:
    """Where the jobs of a study run: with its token, or a new one if it was never submitted."""
    record = read_submission(root)
    return Place(root, Path.cwd(), record.token if record else secrets.token_hex(4))


def submit(
    jobs: Sequence[Job],
    settled: Callable[[], Collection[str]],
    place: Place,
    options: SlurmOptions,
    say: Callable[[str], None],
) -> Submitted:
    """Submit every job of a study that is missing.

    Args:
        jobs: of the whole study, in an order in which none comes before what it waits for; the
            report's is the last.
        settled: tells the paths of the steps that want no job: finished, or not chosen.
        place: where the jobs run.
        options: of slurm.yml.
        say: where to tell what takes long.

    Raises:
        CFTError: another call is submitting, sbatch refuses a job, or Slurm does not answer. The
            record then holds what was submitted before.
    """
    with _sole_submitter(place.root):
        # Whoever held the lock may have given the study its token meanwhile.
        record = read_submission(place.root)
        if record is None:
            record = SubmissionRecord(token=place.token, root=str(place.root), jobs={})
        place = Place(place.root, place.directory, record.token)
        write_atomic(place.root / FOLDER / TOKEN, record.token + "\n")
        record.write(place.root / FOLDER / SUBMISSION_FILE)
        return _Submission(jobs, place, options, record, Slurm(place.token, say)).carry_out(settled)


class _Submission:
    """One call, under the lock."""

    def __init__(
        self,
        jobs: Sequence[Job],
        place: Place,
        options: SlurmOptions,
        record: SubmissionRecord,
        slurm: Slurm,
    ):
        self.jobs, self.place, self.options = jobs, place, options
        self.record, self.slurm = record, slurm
        self.result = Submitted()

    def carry_out(self, settled: Callable[[], Collection[str]]) -> Submitted:
        queue = self.slurm.queue(job.path for job in self.jobs)
        nothing_to_do = settled()  # asked after the queue: what ended in between is not missing
        self.slurm.cancel(doomed(queue))
        self.result.alive = living(queue)
        *steps, report = self.jobs
        for job in missing(steps, nothing_to_do, self.result.alive):
            self._submit(job)
        self._submit_report(report)
        return self.result

    def _submit(self, job: Job) -> None:
        there = {path: known.id for path, known in self.result.alive.items()}
        same = {other.path for other in self.jobs if job.chain and other.chain == job.chain}
        script = self.place.script(job.path)
        write_atomic(script, job_script(job, self.place, self.options))
        environment = submission_environment(os.environ, self.options.of(job.kind))
        waits = dependency(job, there | self.result.jobs, same & there.keys())
        try:
            number = self.slurm.submit(script, job.path, waits, environment)
        except CFTError as exc:
            raise CFTError(f"{job.path}: {exc}{self._before()}") from exc
        self.result.jobs[job.path] = number
        submitted = SubmittedJob(job=number, user=getpass.getuser(), time=time.time())
        jobs = self.record.jobs | {job.path: submitted}
        self.record = self.record.model_copy(update={"jobs": jobs})
        self.record.write(self.place.root / FOLDER / SUBMISSION_FILE)

    def _before(self) -> str:
        if not self.result.jobs:
            return ""
        ids = " ".join(map(str, self.result.jobs.values()))
        return (
            f" (submitted before: {ids}); mend the cause and run the same command again, which "
            "submits the rest, or take them back with --cancel"
        )

    def _submit_report(self, report: Job) -> None:
        """The report comes after all that is in the queue now: an older job for it is replaced."""
        older = self.result.alive.pop(report.path, None)
        if not self.result.jobs and (older is not None or _is_reported(self.place.root)):
            if older is not None:
                self.result.alive[report.path] = older
            return
        there = {*self.result.alive, *self.result.jobs}
        self._submit(dataclasses.replace(report, follows=ends(self.jobs, there)))
        if older is not None:
            self.slurm.cancel([older])


def _is_reported(root: Path) -> bool:
    """Whether the report is newer than all that it could say."""
    report, study = root / REPORT / "report.md", root / STUDY_FILE
    if not study.exists():
        return True
    return report.exists() and report.stat().st_mtime >= study.stat().st_mtime


def cancel(root: Path, paths: Sequence[str], say: Callable[[str], None]) -> list[QueuedJob]:
    """Cancel what a study submitted and has not ended; returns these jobs.

    Args:
        root: the study's folder.
        paths: of all jobs that the study can have.
        say: where to tell what takes long.

    Raises:
        CFTError: nothing was submitted from here, or Slurm refuses or does not answer.
    """
    record = read_submission(root)
    if record is None:
        raise CFTError(f"nothing was submitted from {root}; `study --slurm FILE` does")
    with _sole_submitter(root):
        slurm = Slurm(record.token, say)
        queue = slurm.queue({*paths, *record.jobs})
        alive = [job for job in queue if job.state in LIVING]
        slurm.cancel(alive)
        ended = {job.path for job in alive}
        rest = {path: job for path, job in record.jobs.items() if path not in ended}
        record.model_copy(update={"jobs": rest}).write(root / FOLDER / SUBMISSION_FILE)
    return alive


@contextmanager
def _sole_submitter(root: Path) -> Iterator[None]:
    """Hold the lock of submitting; it falls with the process.

    Raises:
        CFTError: another call holds it, or the folder cannot be written.
    """
    path = root / FOLDER / ".lock"
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:  # an OSError itself
        raise CFTError(
            f"somebody else is submitting {root} right now; look at `study --status` in a minute"
        ) from None
    except OSError as exc:
        raise CFTError(f"cannot write to {path.parent}: {exc.strerror or exc}") from exc
    try:
        yield
    finally:
        lock.release()
