"""What a generation leaves: its ledger, and in version 0.1 the head of a journal."""

from typing import Any, ClassVar

from axolotl_cft.records.base import Record, RecordPart

GENERATION_FILE = "generation.json"


class JournalHeader(Record):
    """The first line of `journal.jsonl`: which run of `generate` or `educate` the answers are of.

    Attributes:
        identity: name -> value of all that decides the answers.
    """

    kind = "the first line of a journal"
    advice = "use another output folder"
    schema_key = "journal"

    identity: dict[str, Any]


class AnswerCounts(RecordPart):
    """Counts over distinct texts and all sessions of a run.

    Attributes:
        accepted: usable answers.
        rejected: answers given up.
        asked_again: answers that could not be used and were asked for once more.
        cut_texts: texts shortened for the request.
        tokens_in: as the endpoint billed them, rejected answers included.
        tokens_out: the same for its answers.
        retries: requests sent again for faults of the line or the server.
        answered_by: "model at address" -> answers.
    """

    accepted: int
    rejected: int
    asked_again: int
    cut_texts: int
    tokens_in: int
    tokens_out: int
    retries: int
    answered_by: dict[str, int]


class PromptLikeness(RecordPart):
    """How alike the usable prompts are, case and punctuation aside.

    Attributes:
        prompts: how many there are.
        distinct: how many of them differ.
        openings: the first words that most prompts share -> prompts; the commonest first.
    """

    prompts: int
    distinct: int
    openings: dict[str, int]


class ChatExport(RecordPart):
    """Rows for tuning services, in two arms that differ in the user turn alone.

    Attributes:
        rows: in each of the files.
        neutral_turn: the user turn of every row in the arm without prompts.
        targets_digest: of the model turns in their order, 32 hex digits; the same in all files.
        files: name -> SHA-256, 64 hex digits.
    """

    rows: int
    neutral_turn: str
    targets_digest: str
    files: dict[str, str]


class ReadingCounts(RecordPart):
    """What Active Reading made.

    Attributes:
        documents: read, or chunks of them; not the empty ones.
        strategies: named for them, one for each text that is wanted.
        texts: written, or to be written.
        rejects: what was wrong with answers that were given up -> how many; numbers in it are #.
    """

    documents: int
    strategies: int
    texts: int
    rejects: dict[str, int]


class LLMUse(RecordPart):
    """What an LLM was asked for all that a training reads.

    Attributes:
        ledgers: generations behind its data; 0 where their records name none.
        complete: whether all of its data have records that say how they were made.
        tokens_in: as endpoints billed them, of all these generations.
        tokens_out: the same for answers.
        cost: money; None where one of the ledgers has no prices.
    """

    ledgers: int
    complete: bool
    tokens_in: int
    tokens_out: int
    cost: float | None = None


class GenerationLedger(Record):
    """`generation.json`: what `generate` or `educate` made; its further keys are the run's options.

    Attributes:
        rows_in: rows read.
        rows_rejected: rows whose answer was given up.
        rows_dropped: rows left out, or to be left out.
        answers: what the answers took.
        cost: money for the tokens of the answers; None without prices.
        likeness: how alike the prompts are; None in ledgers of version 0.1, and without prompts.
        readings: what Active Reading made, if that was asked for.
        output: file name of the rows; None while rejected answers keep them from being written.
        sha256: of that file, 64 hex digits.
        chat_rows: what was exported for tuning services, if anything.
    """

    kind = "the ledger of a generation"
    advice = "run the same command again"
    numbered = False
    layout: ClassVar[dict[str, Any]] = {"indent": 1, "ensure_ascii": False}

    rows_in: int
    rows_rejected: int
    rows_dropped: int
    answers: AnswerCounts
    cost: float | None = None
    likeness: PromptLikeness | None = None
    readings: ReadingCounts | None = None
    output: str | None
    sha256: str | None = None
    chat_rows: ChatExport | None = None

    def content(self) -> dict[str, Any]:
        """The record as plain data for JSON, the run's options first."""
        return (self.model_extra or {}) | super().content()
