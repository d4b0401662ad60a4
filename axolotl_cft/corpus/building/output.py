"""What packing and cleaning write: shards, what was left out, what is to be attributed, counts."""

from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from axolotl_cft.corpus.building.shards import COLUMNS, TEXT, ShardWriter
from axolotl_cft.corpus.building.sums import Sum, TokenCounter
from axolotl_cft.files import json_line, open_whole
from axolotl_cft.records import CorpusSum

DATA = "data"
"""Folder of the shards, with nothing else in it: what a config names as its `path`."""

LEFT_OUT = "left_out.jsonl"
ATTRIBUTION = "attribution.jsonl"
"""What CC BY asks for: title, licence and place of every document."""


_COUNTED_DOCUMENTS, _COUNTED_CHARACTERS = 256, 2**22
"""Whose tokens are counted at a time, at most: a tokenizer's threads share texts."""


@dataclass
class Counts:
    """What became of documents.

    Attributes:
        total: what is kept.
        licences: SPDX id -> what is kept under it.
        topics: -> what is kept about it.
        reasons: why documents were left out -> how many.
    """

    total: Sum = field(default_factory=Sum)
    licences: dict[str, Sum] = field(default_factory=dict)
    topics: dict[str, Sum] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)

    def keep(self, row: dict[str, Any], tokens: int) -> None:
        """Count a document that is kept."""
        size = len(row[TEXT])
        self.total.add(size, tokens)
        self.licences.setdefault(row["licence"], Sum()).add(size, tokens)
        if row["topic"]:
            self.topics.setdefault(row["topic"], Sum()).add(size, tokens)

    def plain(self) -> dict[str, Any]:
        """As plain data for JSON, which `add` takes."""
        by = {
            name: {key: asdict(entry) for key, entry in getattr(self, name).items()}
            for name in ("licences", "topics")
        }
        return {"total": asdict(self.total), **by, "reasons": dict(self.reasons)}

    def add(self, plain: dict[str, Any]) -> None:
        """Add what another counted."""
        self.total.add(**plain["total"])
        for name in ("licences", "topics"):
            sums = getattr(self, name)
            for key, entry in plain[name].items():
                sums.setdefault(key, Sum()).add(**entry)
        self.reasons.update(plain["reasons"])

    def for_manifest(self, tokenizer: TokenCounter | None) -> dict[str, Any]:
        """The manifest's fields; tokens only where they were counted."""

        def plain(entry: Sum) -> dict[str, int]:
            return {k: v for k, v in asdict(entry).items() if tokenizer or k != "tokens"}

        def by(sums: dict[str, Sum]) -> dict[str, CorpusSum]:
            return {key: CorpusSum(**plain(entry)) for key, entry in sorted(sums.items())}

        return {
            **plain(self.total),
            **({"tokenizer": tokenizer.name} if tokenizer else {}),
            "left_out": dict(self.reasons.most_common()),
            "licences": by(self.licences),
            "topics": by(self.topics),
        }


class Output:
    """Documents that are kept or left out, in one folder.

    Used as a context; what raises in it leaves no half file.

    Attributes:
        tokenizer: what counts tokens, if they are counted.
        counts: of all, once the context has ended.
        shards: the names of files and their documents, once the context has ended.
    """

    def __init__(self, folder: Path, tokenizer: TokenCounter | None = None) -> None:
        self.counts = Counts()
        self.shards: list[tuple[str, int]] = []
        self._folder, self.tokenizer = folder, tokenizer
        self._uncounted: list[dict[str, Any]] = []
        self._characters = 0
        self._open = ExitStack()

    def __enter__(self) -> "Output":
        with ExitStack() as stack:
            self._left_out: IO[bytes] = stack.enter_context(open_whole(self._folder / LEFT_OUT))
            self._named: IO[bytes] = stack.enter_context(open_whole(self._folder / ATTRIBUTION))
            self._shards = stack.enter_context(ShardWriter(self._folder))
            stack.push(self._count_rest)
            self._open = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)
        self.shards = [(path.name, documents) for path, documents in self._shards.shards]

    def keep(self, row: dict[str, Any]) -> None:
        """Write a document."""
        self._shards.add(row)
        named = {name: row[name] for name in COLUMNS if name != TEXT and row[name]}
        self._named.write(json_line(named))
        self._uncounted.append(row)
        self._characters += len(row[TEXT])
        if len(self._uncounted) == _COUNTED_DOCUMENTS or self._characters >= _COUNTED_CHARACTERS:
            self._count()

    def _count(self) -> None:
        rows = self._uncounted
        texts = [row[TEXT] for row in rows]
        counted = self.tokenizer(texts) if self.tokenizer else [0] * len(rows)
        for row, tokens in zip(rows, counted, strict=True):
            self.counts.keep(row, tokens)
        self._uncounted, self._characters = [], 0

    def _count_rest(self, kind: Any, *error: Any) -> None:
        if kind is None:
            self._count()

    def leave_out(self, doc_id: str, reason: str, **more: Any) -> None:
        """Note a document that is not written, and why."""
        self.counts.reasons[reason] += 1
        self.note(doc_id, reason, **more)

    def note(self, doc_id: str, reason: str, **more: Any) -> None:
        """Note what was taken out of a document."""
        self._left_out.write(json_line({"doc_id": doc_id, "reason": reason, **more}))
