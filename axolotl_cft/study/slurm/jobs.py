"""From the steps of a study and what Slurm has in its queue to the jobs that are missing."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from axolotl_cft.study.plan import StudyPlan

REPORT = "report"
"""Path of the job that writes the report, which is no step of the study."""

LIVING = {
    *("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "PREEMPTED"),
    *("REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESIZING", "RESV_DEL_HOLD", "SIGNALING"),
    *("SPECIAL_EXIT", "STAGE_OUT"),
}
"""States of a job that runs or may yet run (squeue(1), JOB STATE CODES)."""

_AFTER_OK = re.compile(r"afterok:(\d+)[_*]*(?:\((\w+)\))?")


@dataclass(frozen=True)
class Job:
    """What one job does, and when it may begin.

    Attributes:
        path: of its step, `cft/seed1/train`; or `report`.
        kind: of the step; decides the sbatch options.
        command: program and arguments.
        needs: paths of the jobs that must have ended well before.
        follows: paths of the jobs that must have ended, well or not.
        chain: of whose steps one runs at a time; None where any number may.
    """

    path: str
    kind: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    chain: str | None = None


@dataclass(frozen=True)
class QueuedJob:
    """What Slurm says of a job.

    Attributes:
        id: its number.
        path: of its step.
        state: in Slurm's words, such as RUNNING.
        reason: why it is in this state; `None` is one.
        user: who submitted it.
        node: where it runs, empty before.
        seconds: since it started.
        remaining: Slurm's text about the jobs that it waits for.
    """

    id: int
    path: str
    state: str
    reason: str = "None"
    user: str = ""
    node: str = ""
    seconds: int = 0
    remaining: str = ""

    @property
    def waits_for(self) -> dict[int, bool]:
        """Job that has to end well first -> whether it did not."""
        found = _AFTER_OK.findall(self.remaining)
        return {int(number): how == "failed" for number, how in found}


def study_jobs(plan: StudyPlan, command: Sequence[str], report: Sequence[str]) -> tuple[Job, ...]:
    """A job for each step, in an order in which none comes before what it waits for.

    A training also follows the preparations of the other arms: it compares what all of them made.
    And every step follows the one before it in its chain, of which one runs at a time.

    Args:
        plan: the whole study.
        command: carries out a step, whose path is appended.
        report: writes the report; the last job.
    """
    prepares = [step.path for step in plan.steps if step.kind == "prepare"]
    jobs: list[Job] = []
    for step in plan.steps:
        needs = tuple(other.path for other in plan.needs(step))
        before = [job.path for job in jobs if job.chain == step.run.chain][-1:]
        others = [*before, *(prepares if step.kind == "train" else [])]
        follows = tuple(path for path in dict.fromkeys(others) if path not in needs)
        jobs.append(
            Job(step.path, step.kind, (*command, step.path), needs, follows, step.run.chain)
        )
    last = ends(jobs, [job.path for job in jobs])
    return (*jobs, Job(REPORT, REPORT, tuple(report), follows=last))


def ends(jobs: Iterable[Job], there: Collection[str]) -> tuple[str, ...]:
    """Of some jobs those that no other of them waits for.

    Args:
        jobs: of the study.
        there: paths of those in question.
    """
    among = [job for job in jobs if job.path in there]
    waited_for = {path for job in among for path in (*job.needs, *job.follows)}
    return tuple(job.path for job in among if job.path not in waited_for)


def living(queue: Iterable[QueuedJob]) -> dict[str, QueuedJob]:
    """Path -> job that runs or will run; a job whose step can never start is none of them."""
    jobs = {job.id: job for job in queue}

    def viable(number: int) -> bool:
        job = jobs.get(number)
        if job is None or job.state not in LIVING:
            return False
        if job.state != "PENDING":
            return True
        return not any(
            failed or not (viable(other) or _ended_well(jobs.get(other)))
            for other, failed in job.waits_for.items()
        )

    found = sorted((job for job in jobs.values() if viable(job.id)), key=_is_pending, reverse=True)
    return {job.path: job for job in found}  # of two for one step, the one that runs


def _is_pending(job: QueuedJob) -> bool:
    return job.state == "PENDING"


def _ended_well(job: QueuedJob | None) -> bool:
    return job is not None and job.state == "COMPLETED"


def doomed(queue: Collection[QueuedJob]) -> list[QueuedJob]:
    """Jobs that wait for one that ended badly; Slurm removes them when it looks the next time."""
    alive = living(queue)
    return [job for job in queue if job.state == "PENDING" and alive.get(job.path) is None]


def missing(jobs: Iterable[Job], settled: Collection[str], alive: Collection[str]) -> list[Job]:
    """The jobs to submit: of every step that wants one and has none.

    Args:
        jobs: of the study, the report's left out.
        settled: paths of the steps that want no job.
        alive: paths of the steps that have one.
    """
    return [job for job in jobs if job.path not in settled and job.path not in alive]


def dependency(job: Job, ids: Mapping[str, int], alive: Collection[str] = ()) -> str | None:
    """The value of sbatch's `--dependency`; what is done or has no job is not waited for.

    Args:
        job: the one to submit.
        ids: path -> number of every job that runs or will run.
        alive: paths of those of the same chain that were there before; they may come later in the
            chain, but a chain does one thing at a time.
    """
    follows = dict.fromkeys([*job.follows, *(path for path in alive if path not in job.needs)])
    parts = [
        f"{how}:{':'.join(str(ids[path]) for path in paths if path in ids)}"
        for how, paths in (("afterok", job.needs), ("afterany", follows))
        if any(path in ids for path in paths)
    ]
    return ",".join(parts) or None
