"""A checked study on a cluster, whoever asks for it: submitted, looked at, canceled."""

import socket
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path

import psutil

from axolotl_cft.errors import CFTError
from axolotl_cft.records import STUDY_FILE, Holder
from axolotl_cft.study.leases import HEARTBEAT_SECONDS, RUNNING
from axolotl_cft.study.plan import Step, StudyPlan
from axolotl_cft.study.records import Records
from axolotl_cft.study.runner import check_identity
from axolotl_cft.study.running import CheckedStudy
from axolotl_cft.study.slurm.client import Slurm
from axolotl_cft.study.slurm.jobs import REPORT, Job, QueuedJob, living, study_jobs
from axolotl_cft.study.slurm.options import SlurmOptions
from axolotl_cft.study.slurm.script import job_script
from axolotl_cft.study.slurm.status import StepStatus, study_status
from axolotl_cft.study.slurm.submission import (
    Submitted,
    cancel,
    place_of,
    read_submission,
    submit,
)

_ANSWERS_AT_ONCE = 20.0
"""Seconds for which a look at the study waits for Slurm; the marks tell most of it."""


def jobs_of(plan: StudyPlan, study_file: Path) -> tuple[Job, ...]:
    """The jobs of a study: this interpreter, one step each, the report at the end."""
    program = [sys.executable, "-m", "axolotl_cft.cli", "--quiet"]
    step = [*program, "study", str(study_file.absolute()), "--output-dir", str(plan.root), "--step"]
    return study_jobs(plan, step, [*program, "report", str(plan.root)])


def scripts(checked: CheckedStudy, options: SlurmOptions) -> list[tuple[Path, str]]:
    """File and text of the chosen steps' scripts and the report's; nothing is written."""
    place = place_of(checked.plan.root)
    chosen = {*(step.path for step in checked.steps), REPORT}
    jobs = [job for job in jobs_of(checked.plan, checked.file) if job.path in chosen]
    return [(place.script(job.path), job_script(job, place, options)) for job in jobs]


def submit_study(
    checked: CheckedStudy, options: SlurmOptions, say: Callable[[str], None]
) -> Submitted:
    """Submit what is missing of the chosen steps of a study.

    Args:
        checked: the study.
        options: of slurm.yml.
        say: where to tell what takes long.

    Raises:
        CFTError: sbatch refuses a job, Slurm does not answer, somebody else is submitting, or a
            finished training does not fit the study any more.
    """
    plan, records = checked.plan, Records(checked.plan)
    for step in checked.steps:
        check_identity(records, step)
    if (plan.root / STUDY_FILE).is_file():
        records.write_study()  # arms, tasks and names may have changed since

    def settled() -> set[str]:
        left_out = {step.path for step in plan.steps if step not in checked.steps}
        return left_out | {step.path for step in checked.steps if records.is_done(step)}

    return submit(jobs_of(plan, checked.file), settled, place_of(plan.root), options, say)


def look_at_study(
    plan: StudyPlan, steps: Collection[Step], say: Callable[[str], None]
) -> list[StepStatus]:
    """What each of some steps is doing; Slurm is asked only where the study was submitted to it.

    Raises:
        CFTError: a record is damaged.
    """
    submission, alive = read_submission(plan.root), {}
    if submission is not None:
        slurm = Slurm(submission.token, lambda sentence: None, _ANSWERS_AT_ONCE)
        try:
            alive = living(slurm.queue({step.path for step in plan.steps} | {*submission.jobs}))
        except CFTError as exc:
            say(f"{exc}; what follows is from the steps' own marks")
            submission = None
    return study_status(plan, steps, alive, submission, lambda step: _is_running(plan, step))


def _is_running(plan: StudyPlan, step: Step) -> bool:
    """Whether a process that no job of ours belongs to works at a step, by its note."""
    note = plan.root / step.run.chain / RUNNING
    try:
        holder, heard_of = Holder.read(note), note.stat().st_mtime
    except (CFTError, OSError):
        return False  # it ended this moment
    if holder.step != step.name:
        return False
    if holder.host == socket.gethostname() and holder.child is not None:
        return psutil.pid_exists(holder.child)
    return time.time() - heard_of < 3 * HEARTBEAT_SECONDS


def cancel_study(plan: StudyPlan, say: Callable[[str], None]) -> list[QueuedJob]:
    """Cancel what was submitted of a study and has not ended; returns these jobs.

    Raises:
        CFTError: nothing was submitted from here, or Slurm refuses or does not answer.
    """
    return cancel(plan.root, [step.path for step in plan.steps], say)
