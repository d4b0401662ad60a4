"""What packing and cleaning write: shards, what was left out, what is to be attributed, counts."""

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from axolotl_cft.corpus.building.shards import COLUMNS, TEXT, ShardWriter
from axolotl_cft.files import json_line, open_whole
from axolotl_cft.records import LicenceSum

DATA = "data"
"""Folder of the shards, with nothing else in it: what a config names as its `path`."""

LEFT_OUT = "left_out.jsonl"
ATTRIBUTION = "attribution.jsonl"
"""What CC BY asks for: title, licence and place of every document."""


@dataclass
class Counts:
    """What became of documents; plain data, to be added up.

    Attributes:
        documents: kept.
        characters: of their texts.
        licences: SPDX id -> documents and characters.
        topics: -> documents.
        reasons: why documents were left out -> how many.
    """

    documents: int = 0
    characters: int = 0
    licences: dict[str, list[int]] = field(default_factory=dict)
    topics: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def keep(self, row: dict[str, Any]) -> None:
        """Count a document that is kept."""
        size = len(row[TEXT])
        self.documents, self.characters = self.documents + 1, self.characters + size
        entry = self.licences.setdefault(row["licence"], [0, 0])
        entry[0], entry[1] = entry[0] + 1, entry[1] + size
        if row["topic"]:
            self.topics[row["topic"]] += 1

    def add(self, other: "Counts") -> None:
        """Add what another counted."""
        self.documents += other.documents
        self.characters += other.characters
        for licence, (documents, characters) in other.licences.items():
            entry = self.licences.setdefault(licence, [0, 0])
            entry[0], entry[1] = entry[0] + documents, entry[1] + characters
        self.topics.update(other.topics)
        self.reasons.update(other.reasons)

    def sums(self) -> dict[str, LicenceSum]:
        """Documents and characters by licence, for the manifest."""
        return {
            licence: LicenceSum(documents=documents, characters=characters)
            for licence, (documents, characters) in sorted(self.licences.items())
        }


class Output:
    """Documents that are kept or left out, in one folder.

    Used as a context; what raises in it leaves no half file.

    Attributes:
        counts: of all.
        shards: the names of files and their documents, once the context has ended.
    """

    def __init__(self, folder: Path) -> None:
        self.counts = Counts()
        self.shards: list[tuple[str, int]] = []
        self._folder = folder
        self._open = ExitStack()

    def __enter__(self) -> "Output":
        with ExitStack() as stack:
            self._left_out: IO[bytes] = stack.enter_context(open_whole(self._folder / LEFT_OUT))
            self._named: IO[bytes] = stack.enter_context(open_whole(self._folder / ATTRIBUTION))
            self._shards = stack.enter_context(ShardWriter(self._folder))
            self._open = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)
        self.shards = [(path.name, documents) for path, documents in self._shards.shards]

    def keep(self, row: dict[str, Any]) -> None:
        """Write a document."""
        self.counts.keep(row)
        self._shards.add(row)
        named = {name: row[name] for name in COLUMNS if name != TEXT and row[name]}
        self._named.write(json_line(named))

    def leave_out(self, doc_id: str, reason: str, **more: Any) -> None:
        """Note a document that is not written, and why."""
        self.counts.reasons[reason] += 1
        self.note(doc_id, reason, **more)

    def note(self, doc_id: str, reason: str, **more: Any) -> None:
        """Note what was taken out of a document."""
        self._left_out.write(json_line({"doc_id": doc_id, "reason": reason, **more}))
