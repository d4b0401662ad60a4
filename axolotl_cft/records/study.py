"""What a study leaves: its held-out text, its runs, and the marks of its steps."""

from typing import Literal

from pydantic import Field

from axolotl_cft.records.base import Record, RecordPart
from axolotl_cft.records.generation import LLMUse

STUDY_FILE = "study.json"
HELDOUT_FILE = "export.json"
BUDGET_FILE = "budget.json"


class HeldOutRecord(Record):
    """`heldout/export.json` beside `test.jsonl`: which held-out documents were exported.

    Attributes:
        identity: digest of all that decides which documents these are.
        sha256: of `test.jsonl`, 64 hex digits.
        documents: documents in it.
        found: distinct held-out documents in the corpora, of which it holds a sample.
        bytes: of the texts in it, in UTF-8.
        words: stretches between white space in them.
        tokens: in them; None where no one tokenizer is shared.
        tokenizer: its name or path.
        repeated: held-out documents that were copies of others.
        blank: held-out documents of nothing but white space.
        trained_too: held-out documents that `holdout_by` trains elsewhere, under another value.
        left_out: a sentence for each dataset that has no bare documents.
    """

    kind = "a record of held-out documents"
    advice = "delete it and export them again"

    identity: str
    sha256: str
    documents: int
    found: int
    bytes: int = 0
    words: int = 0
    tokens: int | None = None
    tokenizer: str | None = None
    repeated: int = 0
    blank: int = 0
    trained_too: int = 0
    left_out: list[str] = Field(default_factory=list)


class CountedArm(RecordPart):
    """What an arm would train without a budget.

    Attributes:
        key: digest of all that decides it.
        tokens: with loss in an epoch, of each dataset.
    """

    key: str
    tokens: list[int]


class BudgetRecord(Record):
    """`budget.json` in a study's folder: what was counted before its budget was shared out.

    Attributes:
        arms: by name.
    """

    kind = "a study's count of tokens"
    advice = "delete it and run the study again"

    arms: dict[str, CountedArm]


class StudyHeldOut(RecordPart):
    """The held-out text of a study.

    Attributes:
        documents: documents that every arm is evaluated on; None before the first evaluation.
        found: held-out documents in the corpora; None before that.
        absent: why there are none, in one sentence; None where there are.
    """

    documents: int | None = None
    found: int | None = None
    absent: str | None = None


class StudyRun(RecordPart):
    """An arm of a study with one seed after one stage.

    Attributes:
        arm: its name.
        seed: None for an arm that is not trained.
        stage: None for an arm that is not trained, and in a study without stages.
        status: whether all its steps are done, one failed, or neither.
        eval_dir: the harness's output, relative to the study; None before the evaluation.
        heldout_dir: the same of the evaluation on held-out documents; None without it.
        train_dir: the host's `output_dir`, relative to the study; None if it is not trained.
        error: why it failed, or its evaluation on held-out documents, in one sentence.
        world_size: number of training processes.
        train_seconds: of all sessions, where there were several.
        software: versions, and the GPU's model, with which it was trained.
        llm: what an LLM was asked for its data; None where that is not known.
    """

    arm: str
    seed: int | None = None
    stage: str | None = None
    status: Literal["done", "failed", "pending"]
    eval_dir: str | None = None
    heldout_dir: str | None = None
    train_dir: str | None = None
    error: str | None = None
    world_size: int | None = None
    train_seconds: float | None = None
    software: dict[str, str] = Field(default_factory=dict)
    llm: LLMUse | None = None


class StudyRecord(Record):
    """`study.json`: the status of every run, which `axolotl-cft report` reads.

    Attributes:
        name: of the study.
        baseline: the arm that others are compared with.
        heldout: its held-out text; None in files of 0.1.
        tasks: names, groups, tags and patterns of what it evaluates; None in files of 0.1.
        general: those of them that show general ability.
        untouched: the arm that is the model which the others start from; None without one.
        runs: every run.
    """

    kind = "a study's record"
    advice = "delete it and run the study again"

    name: str | None = None
    baseline: str | None = None
    heldout: StudyHeldOut | None = None
    tasks: list[str] | None = None
    general: list[str] = Field(default_factory=list)
    untouched: str | None = None
    runs: list[StudyRun]


class StepMark(Record):
    """`<kind>.json` in a run's folder: how far one step of a study came.

    Attributes:
        status: of the last attempt; "interrupted" where a signal ended it.
        error: why it failed, in one sentence.
        host: the machine of the last attempt.
        job: its Slurm job; None outside Slurm.
        started: when it began, in seconds since the epoch; None where nothing had to be done.
        sessions: seconds of each process that has ended.
        targets_digest: of a preparation, 32 hex digits; None where no CFT dataset is trained on.
        trained_tokens: of a preparation, tokens with loss in an epoch; None where that is None.
        prepared: of a preparation, the folder of what is trained on, below the study's `prepared`;
            None where that is None.
        world_size: of a training; None where nothing tells.
        remark: why nothing had to be done.
        ended: when a failed or interrupted attempt ended, in seconds since the epoch.
        tasks: of an evaluation, what `--tasks` named -> digest of all that decides its results, for
            those whose results are there; None in marks of 0.1.
        software: versions, and the GPU's model where it is known.
        llm: of a training, what an LLM was asked for its data; None where that is not known.
        identity: digest of all that decides the outcome.
        command: program and arguments.
    """

    kind = "the mark of a study's step"
    advice = "delete it and run the study again"
    numbered = False

    status: Literal["started", "failed", "interrupted", "done"]
    error: str | None = None
    host: str | None = None
    job: str | None = None
    started: float | None = None
    sessions: list[float] = Field(default_factory=list)
    targets_digest: str | None = None
    trained_tokens: int | None = None
    prepared: str | None = None
    world_size: int | None = None
    remark: str | None = None
    ended: float | None = None
    tasks: dict[str, str] | None = None
    software: dict[str, str] = Field(default_factory=dict)
    llm: LLMUse | None = None
    identity: str
    command: list[str] = Field(default_factory=list)


class Holder(Record):
    """`running.json` in a chain's folder while one of its steps is carried out: by whom.

    Its time of change is a heartbeat.

    Attributes:
        step: which step, for messages.
        host: name of the machine.
        boot: identifies the machine since it was started.
        pid: the process that holds the chain.
        job: the Slurm job; None outside Slurm.
        child: process id of what was started; None before that.
    """

    kind = "a note about a running step"
    advice = "delete it once you know that the step has ended"
    numbered = False

    step: str
    host: str
    boot: str
    pid: int | None = None
    job: str | None = None
    child: int | None = None
