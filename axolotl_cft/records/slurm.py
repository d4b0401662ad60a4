"""What a study submitted to Slurm."""

from pydantic import Field

from axolotl_cft.records.base import Record, RecordPart

SUBMISSION_FILE = "submitted.json"


class SubmittedJob(RecordPart):
    """The last job that was submitted for a step.

    Attributes:
        job: its number.
        user: who submitted it.
        time: when, in seconds since the epoch.
    """

    job: int
    user: str
    time: float


class SubmissionRecord(Record):
    """`slurm/submitted.json` in a study's folder: which jobs are the study's.

    Attributes:
        token: 8 hex digits that stand in the names of its jobs, and of no other study's.
        root: the study's folder; a copy of it elsewhere has no jobs.
        jobs: path of the step, or `report` -> job.
    """

    kind = "the record of a study's jobs"
    advice = "cancel its jobs with scancel, delete it, and submit again"

    token: str
    root: str
    jobs: dict[str, SubmittedJob] = Field(default_factory=dict)
