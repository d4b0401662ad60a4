"""What is written to disk and read back: each kind of file is a model with one reader and writer.

    record = StudyRecord.read(folder / STUDY_FILE)
    evaluated = [run.arm for run in record.runs if run.eval_dir]
    record.write(folder / STUDY_FILE)

Every kind has a schema number. It rises when a reader of today would misread a file of tomorrow; a
file with a higher number than is known here is refused, one without a number is of schema 1; an
older one is read, and keeps its number when it is written again. A key
that is not known here is no reason to refuse a file: it is kept when the record is written again.
What a reader can do without has a default; what was not set is not written.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from axolotl_cft.errors import CFTError
from axolotl_cft.files import read_json, write_atomic

STUDY_FILE = "study.json"
CONTAMINATION_FILE = "contamination.json"
CONTAMINATED_ITEMS_FILE = "items.jsonl"
REMOVED_FILE = "removed.jsonl"
GENERATION_FILE = "generation.json"
REPORT_FILE = "report.json"
SOURCES_FILE = "cft_sources.json"
HELDOUT_FILE = "export.json"
SHARD_FILE = "cft_shard.json"

_Some = TypeVar("_Some", bound="Record")


class _Part(BaseModel):
    """A piece of a record."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Record(_Part):
    """What all records share: reading, writing, and the sentences about files that are unfit.

    Attributes:
        kind: what a file of this kind is, for messages.
        advice: what to do about a damaged one.
        schema_number: of the files written here, and the highest that is understood.
        schema_key: where it stands in the file.
        numbered: whether it is written; kinds that began without it need none until schema 2.
        layout: how `json.dumps` sets the text.
    """

    kind: ClassVar[str]
    advice: ClassVar[str]
    schema_number: ClassVar[int] = 1
    schema_key: ClassVar[str] = "schema"
    numbered: ClassVar[bool] = True
    layout: ClassVar[dict[str, Any]] = {"indent": 2}

    _older: int | None = PrivateAttr(None)  # the number of a file that was read, if it was lower

    @classmethod
    def read(cls: type[_Some], path: Path) -> _Some:
        """The record in a file.

        Raises:
            CFTError: it cannot be read, is cut short, lacks a field or holds a wrong one (named),
                or has a newer schema.
        """
        return cls.parse(read_json(path, cls.advice), str(path))

    @classmethod
    def parse(cls: type[_Some], content: Mapping[str, Any], where: str) -> _Some:
        """The record in a JSON object that stands at `where`.

        Raises:
            CFTError: a field is missing or wrong (named), or the schema is newer.
        """
        number = content.get(cls.schema_key, 1)
        if isinstance(number, int) and number > cls.schema_number:
            raise CFTError(
                f"{where} has {cls.schema_key} {number}, and this version knows no more than "
                f"{cls.schema_number}; upgrade axolotl-cft"
            )
        unfit = f"{where} is not {cls.kind}"
        if type(number) is not int or number < 1:
            raise CFTError(f"{unfit}: {cls.schema_key} is {number!r} and no number; {cls.advice}")
        try:
            record = cls.model_validate({k: v for k, v in content.items() if k != cls.schema_key})
        except ValidationError as exc:
            raise CFTError(f"{unfit}: {_explain(exc)}; {cls.advice}") from exc
        if number < cls.schema_number:
            record._older = number
        return record

    def content(self) -> dict[str, Any]:
        """The record as plain data for JSON."""
        number = self._older or self.schema_number
        head = {self.schema_key: number} if self.numbered else {}
        return head | self.model_dump(exclude_unset=True)

    def write(self, path: Path) -> None:
        """Replace a file by this record; it is whole or as it was.

        Raises:
            CFTError: it cannot be written.
        """
        write_atomic(path, json.dumps(self.content(), **self.layout) + "\n")


def _explain(exc: ValidationError) -> str:
    """The first of pydantic's complaints, with the field."""
    error = exc.errors()[0]
    field = ".".join(map(str, error["loc"]))
    if error["type"] == "missing":
        return f"{field} is missing"
    found = repr(error["input"])
    shown = found if len(found) <= 60 else f"{found[:57]}…"
    return f"{field}: {error['msg'][:1].lower()}{error['msg'][1:]}, got {shown}"


class LedgerRecord(_Part):
    """A ledger as `core.ledger.Ledger.to_dict` puts it; `Ledger.from_dict(dict(record))` undoes it.

    `Ledger` says what is counted; the digest is 32 hex digits here.
    """

    documents: int = 0
    empty: int = 0
    held_out: int = 0
    near_duplicates: int | None = None
    compared: int | None = None
    used: int = 0
    rows: int = 0
    text_tokens: int = 0
    trained_tokens: int = 0
    prompt_tokens: int = 0
    total_tokens: int = 0
    prompts_truncated: int = 0
    special_tokens_in_text: int = 0
    fits_only_without_prompt: int = 0
    longer_than_row: int = 0
    prompts_not_placed: int = 0
    prompt_counts: dict[str, int] = {}
    targets_digest: str = Field(default="0" * 32, pattern="^[0-9a-f]{32}$")
    prompt_share: float = 0.0


class PreparedDataset(Record):
    """What a prepared dataset says of itself, in its ledger and in `info.description`.

    Attributes:
        stamp: the identity of options, prompts and source.
        path: the source, with whatever tells its pieces apart.
        part: which documents of it.
        prompts: `cft.prompts` as one word.
        ledger: what was read and made.
    """

    kind = "the description of a prepared dataset"
    advice = "prepare it again"
    numbered = False

    stamp: str
    path: str = ""
    part: Literal["train", "test"]
    prompts: str = ""
    ledger: LedgerRecord


class PreparedLedger(Record):
    """`<hash>.cft_ledger.json`, beside the prepared folder of that name."""

    kind = "the ledger of a preparation"
    advice = "delete it and prepare again"

    datasets: list[PreparedDataset]


class ShardedDataset(_Part):
    """What a shard holds of one dataset.

    Attributes:
        stamp: the identity of options, prompts and source.
        path: the source, with whatever tells its pieces apart.
        documents: in the whole dataset, other shards' among them.
        bytes: of the file of rows.
        ledger: what was read and made here.
    """

    stamp: str
    path: str
    documents: int
    bytes: int
    ledger: LedgerRecord


class ShardRecord(Record):
    """`cft_shard.json` in a shard of a preparation (`axolotl-cft prepare --shard`).

    Attributes:
        number: which shard, from 1.
        count: of how many.
        version: of this package.
        datasets: in the order of the files beside it, `0.arrow` and so on.
    """

    kind = "the record of a shard"
    advice = "delete its folder and run the shard again"

    number: int
    count: int
    version: str
    datasets: list[ShardedDataset]


class SourceFile(_Part):
    """One file that a dataset reads.

    Attributes:
        name: relative to the dataset's folder, or to the root of its pattern.
        size: bytes; None where a server does not say.
        digest: SHA-256 as 64 hex digits; for a remote file the tag that its server gives it.
    """

    name: str
    size: int | None = None
    digest: str | None = None


class Source(_Part):
    """What a dataset reads, by content.

    Attributes:
        kind: files of this machine, a commit of the hub, files of a server; `named` where nothing
            is known beyond the names in the config.
        files: in the order in which they are read.
        version: the commit; for a folder, what it says of its own files (README.md and its like).
    """

    kind: Literal["files", "hub", "remote", "named"]
    files: tuple[SourceFile, ...] = ()
    version: str | None = None


class RecordedSource(_Part):
    """A source with the dataset options that name it, as in the config."""

    path: str
    name: str | None = None
    revision: str | None = None
    data_files: tuple[str, ...] = ()
    source: Source

    @property
    def names(self) -> tuple[str, str | None, str | None, tuple[str, ...]]:
        """The options."""
        return self.path, self.name, self.revision, self.data_files


class SourcesRecord(Record):
    """`cft_sources.json` beside prepared datasets: what each of them was prepared from last."""

    kind = "a record of sources"
    advice = "delete it where the documents are at hand, and it is written again"

    sources: list[RecordedSource] = []


class ReachedTrainer(_Part):
    """What of a training's data was left when the host was done with them.

    Attributes:
        rows: rows, or packed rows.
        tokens: their length in all.
        trained_tokens: those of them that bear loss.
        mixed_with_other_datasets: whether others' rows are among them, so that losses cannot be
            told.
        rows_lost: made, and not here; None where that cannot be told.
        trained_tokens_lost: the same in tokens.
    """

    rows: int = 0
    tokens: int = 0
    trained_tokens: int = 0
    mixed_with_other_datasets: bool = False
    rows_lost: int | None = None
    trained_tokens_lost: int | None = None


class Trained(_Part):
    """What of a training's rows the host's sampler gave to the model.

    Attributes:
        tokens: tokens with loss that were trained, over all epochs and ranks; None where that was
            not counted.
        not_counted: why not; None where it was.
        tokens_an_epoch: what an epoch would train if no row were left out.
        epochs: epochs, or the part of one, that were trained.
        steps: optimizer steps.
        by_epoch: `tokens` by epoch, the last one as far as it went; None where it is not known.
        tokens_lost: what whole epochs hold, less what they trained; below 0 where ranks fill up
            their last batches with rows of the first. None without a whole epoch.
        share_lost: the same as a share of what whole epochs hold.
    """

    tokens: int | None = None
    not_counted: str | None = None
    tokens_an_epoch: int = 0
    epochs: float | None = None
    steps: int | None = None
    by_epoch: list[int] | None = None
    tokens_lost: int | None = None
    share_lost: float | None = None


class TrainingLedger(Record):
    """`output_dir/cft_ledger.json`: what was made, what of it reached the trainer and was trained.

    Attributes:
        train: all that was made for training.
        test: the same for `test_datasets`; None without any of ours.
        reached_trainer: what was left of `train`.
        trained: what was trained of that; None in files of 0.1.
        datasets: the same dataset by dataset, both parts.
    """

    kind = "the ledger of a training"
    advice = "train again"

    train: LedgerRecord
    test: LedgerRecord | None = None
    reached_trainer: ReachedTrainer = ReachedTrainer()
    trained: Trained | None = None
    datasets: list[PreparedDataset] = []


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
    left_out: list[str] = []


class StudyHeldOut(_Part):
    """The held-out text of a study.

    Attributes:
        documents: documents that every arm is evaluated on; None before the first evaluation.
        found: held-out documents in the corpora; None before that.
        absent: why there are none, in one sentence; None where there are.
    """

    documents: int | None = None
    found: int | None = None
    absent: str | None = None


class StudyRun(_Part):
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


class StudyRecord(Record):
    """`study.json`: the status of every run, which `axolotl-cft report` reads.

    Attributes:
        name: of the study.
        baseline: the arm that others are compared with.
        heldout: its held-out text; None in files of 0.1.
        runs: every run.
    """

    kind = "a study's record"
    advice = "delete it and run the study again"

    name: str | None = None
    baseline: str | None = None
    heldout: StudyHeldOut | None = None
    runs: list[StudyRun]


class StepMark(Record):
    """`<kind>.json` in a run's folder: how far one step of a study came.

    Attributes:
        status: of the last attempt.
        started: when it began, in seconds since the epoch; None where nothing had to be done.
        sessions: seconds of each process that has ended.
        targets_digest: of a preparation, 32 hex digits; None where no CFT dataset is trained on.
        world_size: of a training; None where nothing tells.
        remark: why nothing had to be done.
        ended: when a failed attempt ended, in seconds since the epoch.
        identity: digest of all that decides the outcome.
        command: program and arguments.
    """

    kind = "the mark of a study's step"
    advice = "delete it and run the study again"
    numbered = False

    status: Literal["started", "failed", "done"]
    started: float | None = None
    sessions: list[float] = []
    targets_digest: str | None = None
    world_size: int | None = None
    remark: str | None = None
    ended: float | None = None
    identity: str
    command: list[str] = []


class JournalHeader(Record):
    """The first line of `journal.jsonl`: which run of `generate` or `educate` the answers are of.

    Attributes:
        identity: name -> value of all that decides the answers.
    """

    kind = "the first line of a journal"
    advice = "use another output folder"
    schema_key = "journal"

    identity: dict[str, Any]


class AnswerCounts(_Part):
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


class GenerationLedger(Record):
    """`generation.json`: what `generate` or `educate` made; its further keys are the run's options.

    Attributes:
        rows_in: rows read.
        rows_rejected: rows whose answer was given up.
        rows_dropped: rows left out, or to be left out.
        answers: what the answers took.
        output: file name of the rows; None while rejected answers keep them from being written.
        sha256: of that file, 64 hex digits.
    """

    kind = "the ledger of a generation"
    advice = "run the same command again"
    numbered = False
    layout: ClassVar[dict[str, Any]] = {"indent": 1, "ensure_ascii": False}

    rows_in: int
    rows_rejected: int
    rows_dropped: int
    answers: AnswerCounts
    output: str | None
    sha256: str | None = None

    def content(self) -> dict[str, Any]:
        """The record as plain data for JSON, the run's options first."""
        return (self.model_extra or {}) | super().content()


class TaskOverlap(_Part):
    """How far one task's test items occur in a corpus.

    Attributes:
        items: test items; in files of 0.1 those with a word.
        too_short: of these, too short to be looked for; None in files of 0.1.
        contaminated_items: found in the corpus.
        partial_items: of the contaminated ones, found in part only.
        boilerplate_items: found in words that too many documents share, and nowhere else; these
            are not among the contaminated ones.
        documents: documents that overlap with the task.
    """

    items: int
    contaminated_items: int
    documents: int
    too_short: int | None = None
    partial_items: int = 0
    boilerplate_items: int = 0


class OverlapExample(_Part):
    """A test item that was met in a document.

    Attributes:
        document: its name in the corpus.
        task: whose item it is.
        item: the row in the test split (lm-eval's `doc_id`).
        words: the normalized words in common; `…` stands where some are left out.
        score: 1 where words in a row are the same, else the share in shared runs.
        matched: "question", "question with options" or "option".
    """

    document: str
    task: str
    item: int | str
    words: str
    score: float = 1.0
    matched: str = "question"


class PartialMatch(_Part):
    """What makes an item found in part.

    Attributes:
        share: of its words in shared runs, from which on it counts.
        run: words in the shortest run.
        min_words: words that an item needs to be found in part.
    """

    share: float
    run: int
    min_words: int


class Boilerplate(_Part):
    """What was ignored because too many documents share it.

    Attributes:
        documents: documents in which words may occur and still count.
        patterns: n-grams and items that occur in more.
        hits: their occurrences, each document counted once for each.
        items: items that may share words in a row which still count.
    """

    documents: int
    items: int
    patterns: int
    hits: int


class Removal(_Part):
    """What was taken out of a copy of the corpus.

    Attributes:
        what: passages around the matches, or whole documents.
        share: of the corpus's characters.
        documents: documents that lost something.
        passages: passages taken out of them.
    """

    what: Literal["passages", "documents"]
    share: float
    documents: int
    passages: int


class ContaminationRecord(Record):
    """`contamination.json`: benchmark items in a corpus.

    Attributes:
        corpus: as it was named.
        n: words in a row that make an overlap.
        min_words: words below which nothing is looked for; None in files of 0.1, which looked for
            items of a single word.
        partial: what makes an item found in part; None where only words in a row counted.
        boilerplate: what was ignored; None in files of 0.1, which ignored nothing.
        removed: what was left out of a copy; True in files of 0.1 for documents.
        removal: how much that was; None if nothing was removed, and in files of 0.1.
        documents: documents read.
        contaminated_documents: of these, with an overlap.
        tasks: task -> counts.
        examples: the first overlaps only.
    """

    kind = "a contamination record"
    advice = "run `axolotl-cft contamination` again"
    schema_number = 2
    layout: ClassVar[dict[str, Any]] = {"indent": 1, "ensure_ascii": False}

    corpus: str
    n: int
    min_words: int | None = None
    partial: PartialMatch | None = None
    boilerplate: Boilerplate | None = None
    removed: Literal["passages", "documents"] | bool
    removal: Removal | None = None
    documents: int
    contaminated_documents: int
    tasks: dict[str, TaskOverlap]
    examples: list[OverlapExample] = []


class ComparedRows(_Part):
    """One comparison of a report.

    Attributes:
        group: the table it stands in.
        task: lm-eval's name; None for the group's average.
        tasks: what an average is over.
        row, against: the two rows.
        runs: how many runs of each are behind it.
        of_models: whether it speaks of two models only, not of the methods that made them.
        metric: what is compared, as a share of one where it is one.
        items: paired test items.
        score, baseline_score: means over the rows' runs.
        difference: of the two.
        interval: 95 %, over items and (where there are several) seeds; None without item logs.
        degrees_of_freedom: of the interval's t.
        smallest_detectable_difference: the true difference found in 80 % of such comparisons.
        by_seed: the difference for each seed, where seeds are paired.
        p, p_holm: of no difference, before and after the correction.
        verdict: what may be said.
    """

    group: str
    task: str | None
    tasks: list[str]
    row: str
    against: str
    runs: tuple[int, int]
    of_models: bool
    metric: str
    items: int
    score: float
    baseline_score: float
    difference: float
    interval: tuple[float, float] | None
    degrees_of_freedom: float | None
    smallest_detectable_difference: float | None
    by_seed: list[float]
    p: float | None
    p_holm: float | None
    verdict: str


class ReportRecord(Record):
    """`report.json`: what a report says, for programs.

    Attributes:
        title: of the report.
        baseline: the row, or in a study the arm, that the others are compared with.
        margin: the difference that would not matter, as a share of one.
        scores: row -> run ("" if there is one) -> task -> score.
        comparisons: in the report's order.
        clean: the same without contaminated items; None if that was not asked for.
        warnings: what to know before believing a number.
    """

    kind = "a report's figures"
    advice = "run `axolotl-cft report` again"
    layout: ClassVar[dict[str, Any]] = {"indent": 1, "ensure_ascii": False}

    title: str
    baseline: str
    margin: float
    scores: dict[str, dict[str, dict[str, float]]]
    comparisons: list[ComparedRows]
    clean: list[ComparedRows] | None = None
    warnings: list[str]


def write_contaminated(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write `CONTAMINATED_ITEMS_FILE`: a line for each contaminated item, whole or not at all.

    Args:
        path: the file.
        rows: `task`, `doc_id` (lm-eval's), `score` (1 for words in a row), `document` (where it
            was found best), `words` (in common), `matched` (what of the item).

    Raises:
        CFTError: it cannot be written.
    """
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_atomic(path, "".join(lines).encode("utf-8", "backslashreplace"))


def read_contaminated(path: Path) -> dict[str, set[int]]:
    """The contaminated items in a file of `write_contaminated`: task -> lm-eval's `doc_id`s.

    A task without contaminated items is not in it.

    Raises:
        CFTError: the file cannot be read, or a line (named) is not such an item.
    """
    items: dict[str, set[int]] = {}
    advice = ContaminationRecord.advice
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise CFTError(f"cannot read {path}: {exc}; {advice}") from exc
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            task, item = row["task"], row["doc_id"]
        except (ValueError, KeyError, TypeError) as exc:
            found = f"{type(exc).__name__} ({exc})"
            raise CFTError(f"{path}:{number} is no contaminated item: {found}; {advice}") from exc
        if not isinstance(task, str) or type(item) is not int:
            found = f"task is {task!r} and doc_id {item!r}"
            raise CFTError(f"{path}:{number} is no contaminated item: {found}; {advice}")
        items.setdefault(task, set()).add(item)
    return items
