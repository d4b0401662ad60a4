"""What every step of a study is doing, from its own mark and, on a cluster, from Slurm's queue."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from axolotl_cft.records import StepMark, SubmissionRecord, SubmittedJob
from axolotl_cft.study.plan import Step, StudyPlan
from axolotl_cft.study.progress import TrainingProgress, training_progress
from axolotl_cft.study.records import Records
from axolotl_cft.study.slurm.jobs import QueuedJob
from axolotl_cft.study.slurm.script import Place

STATES = ("done", "running", "waiting", "requeued", "interrupted", "failed", "missing")
"""Of a step: a job that was cut short and is in the queue again is `requeued`; a step that was cut
short and has no job is `interrupted`; one that nobody began or submitted is `missing`."""


@dataclass(frozen=True)
class StepStatus:
    """A row of the table.

    Attributes:
        step: its path.
        state: one of `STATES`.
        job: its number in Slurm, if it is there.
        node: where it runs or ran.
        seconds: that it took so far, all sessions together; None before it began.
        training: how far a training is.
        error: why it failed, in one sentence.
    """

    step: str
    state: str
    job: int | None = None
    node: str | None = None
    seconds: float | None = None
    training: TrainingProgress | None = None
    error: str | None = None

    def content(self) -> dict[str, object]:
        """The row as plain data for JSON."""
        training = self.training
        return {
            "step": self.step,
            "state": self.state,
            "job": self.job,
            "node": self.node,
            "seconds": None if self.seconds is None else round(self.seconds, 1),
            "train_step": training.step if training else None,
            "train_steps": training.steps if training else None,
            "steps_per_second": training.per_second if training else None,
            "seconds_left": training.seconds_left if training else None,
            "error": self.error,
        }


def study_status(
    plan: StudyPlan,
    steps: Collection[Step],
    alive: Mapping[str, QueuedJob],
    submission: SubmissionRecord | None,
    is_running: Callable[[Step], bool],
    now: Callable[[], float] = time.time,
) -> list[StepStatus]:
    """A row for each of some steps.

    Args:
        plan: the whole study.
        steps: those that are asked for, in their order.
        alive: path -> job that runs or will run.
        submission: what was submitted; None where Slurm is not used.
        is_running: whether a process works at a step that has no job.
        now: seconds since the epoch.
    """
    records = Records(plan)
    done = {step.path for step in plan.steps if records.is_done(step)}
    rows = []
    for step in steps:
        mark, job = records.state(step), alive.get(step.path)
        if mark and mark.identity != step.identity and step.path not in done:
            mark = None  # of another config: the step will be done again
        submitted = submission.jobs.get(step.path) if submission else None
        state = "done" if step.path in done else _state(step, mark, job, is_running)
        error = mark.error if mark and state == "failed" else None
        if job is not None and job.state == "PENDING" and job.reason not in _USUAL:
            error = f"Slurm job {job.id} does not start: {job.reason}"
        may_begin = all(other.path in done for other in plan.needs(step))
        lost = _lost(submitted, mark, step.path, plan.root) if may_begin and job is None else None
        if lost and state not in ("done", "running"):
            state, error = "failed", lost
        rows.append(_row(plan, step, state, mark, job, error, now()))
    return rows


_USUAL = {"", "None", "Priority", "Resources", "Dependency", "BeginTime"}
"""Why a job waits that will start (squeue(1), JOB REASON CODES)."""


def _state(
    step: Step,
    mark: StepMark | None,
    job: QueuedJob | None,
    is_running: Callable[[Step], bool],
) -> str:
    """Of a step that is not done."""
    if job is not None:
        if job.state != "PENDING":
            return "running"
        return "requeued" if mark and mark.job == str(job.id) else "waiting"
    if mark is None or mark.status == "done":
        return "missing"
    if mark.status == "started":
        return "running" if is_running(step) else "interrupted"
    return mark.status


def _lost(
    submitted: SubmittedJob | None, mark: StepMark | None, path: str, root: Path
) -> str | None:
    """A sentence about a job that is gone although its step never began; None if it did begin."""
    if submitted is None:
        return None
    if mark and (mark.job == str(submitted.job) or (mark.started or 0.0) >= submitted.time):
        return None
    log = Place(root, root, "").log(path)
    where = (
        f"{log} says why" if log.exists() else f"there is no log, so its node may not see {root}"
    )
    return f"job {submitted.job} ended before the step began: it was canceled, or {where}"


def _row(
    plan: StudyPlan,
    step: Step,
    state: str,
    mark: StepMark | None,
    job: QueuedJob | None,
    error: str | None,
    now: float,
) -> StepStatus:
    folder = plan.folder(step.run)
    live = step.kind == "train" and state in ("running", "requeued", "interrupted")
    return StepStatus(
        step=step.path,
        state=state,
        job=job.id if job else None,
        node=(job.node if job else "") or (mark.host if mark else None),
        seconds=_seconds(mark, state, now),
        training=training_progress(folder / "train", folder / "train.log") if live else None,
        error=error,
    )


def _seconds(mark: StepMark | None, state: str, now: float) -> float | None:
    """Of all sessions, the running one with them."""
    if mark is None or state in ("missing", "waiting"):
        return None
    over = sum(mark.sessions)
    if mark.started is None or mark.status == "done":
        return over
    if state == "running" and mark.status == "started":
        return over + max(0.0, now - mark.started)
    return over + (max(0.0, mark.ended - mark.started) if mark.ended else 0.0)
