"""What `corpus pack` and `corpus clean` leave beside the shards."""

from typing import Any

from axolotl_cft.records.base import Record, RecordPart

CORPUS_FILE = "manifest.json"


class CorpusShard(RecordPart):
    """One Parquet file of a corpus.

    Attributes:
        file: its path from the manifest's folder.
        documents: its rows.
        sha256: of the file, 64 hex digits.
    """

    file: str
    documents: int
    sha256: str | None = None


class CorpusSum(RecordPart):
    """What is under a licence, or about a topic.

    Attributes:
        documents: how many.
        characters: of their texts.
        tokens: of their texts, where they were counted.
    """

    documents: int
    characters: int
    tokens: int | None = None


class CorpusManifest(Record):
    """`manifest.json`: what a corpus is made of.

    Attributes:
        identity: what decided it: the options, and a digest of names, sizes and times of the input.
        sources: name -> path, and a digest of all files' contents.
        documents_in: read.
        documents: in the shards.
        characters: of their texts.
        tokenizer: that counted the tokens; None where nobody did.
        tokens: of all texts, each by itself, without BOS and EOS.
        left_out: reason -> documents; `left_out.jsonl` lists them.
        skipped: kind of file that is none of a corpus -> how many.
        omitted: what of documents is not in their texts -> how often.
        licences: SPDX id, `unknown` or `conflict` -> what is under it.
        topics: -> what is about it.
        shards: the files, in order.
    """

    kind = "the manifest of a corpus"
    advice = "pack the corpus again"

    identity: dict[str, Any]
    sources: dict[str, dict[str, Any]]
    documents_in: int
    documents: int
    characters: int
    left_out: dict[str, int]
    skipped: dict[str, int]
    omitted: dict[str, int]
    licences: dict[str, CorpusSum]
    topics: dict[str, CorpusSum]
    shards: list[CorpusShard]
    tokenizer: str | None = None
    tokens: int | None = None
