"""What a preparation leaves: its ledger, the shards it may be made of, and what was read for it."""

from typing import Literal

from pydantic import Field

from axolotl_cft.records.base import Record, RecordPart

SOURCES_FILE = "cft_sources.json"
SHARD_FILE = "cft_shard.json"


class LedgerRecord(RecordPart):
    """A ledger as `core.ledger.Ledger.to_dict` puts it; `Ledger.from_dict(dict(record))` undoes it.

    `Ledger` says what is counted; the digest is 32 hex digits here.
    """

    documents: int = 0
    empty: int = 0
    held_out: int = 0
    near_duplicates: int | None = None
    compared: int | None = None
    used: int = 0
    beyond_budget: int = 0
    repeated: int = 0
    rows: int = 0
    text_tokens: int = 0
    tokens_shown: int | None = None
    trained_tokens: int = 0
    prompt_tokens: int = 0
    total_tokens: int = 0
    prompts_truncated: int = 0
    special_tokens_in_text: int = 0
    fits_only_without_prompt: int = 0
    longer_than_row: int = 0
    prompts_not_placed: int = 0
    prompt_counts: dict[str, int] = Field(default_factory=dict)
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


class ShardedDataset(RecordPart):
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


class SourceFile(RecordPart):
    """One file that a dataset reads.

    Attributes:
        name: relative to the dataset's folder, or to the root of its pattern.
        size: bytes; None where a server does not say.
        digest: SHA-256 as 64 hex digits; for a remote file the tag that its server gives it.
    """

    name: str
    size: int | None = None
    digest: str | None = None


class Source(RecordPart):
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


class RecordedSource(RecordPart):
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

    sources: list[RecordedSource] = Field(default_factory=list)
