"""Which candidates are near duplicates indeed, by their texts, and which documents are kept.

Of all that pairs join, one is kept, though the ends of a chain may differ: a blank form that is a
near duplicate of each of a thousand reports joins them all.
"""

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from axolotl_cft.corpus.building.near_duplicates import Candidates
from axolotl_cft.corpus.building.shingles import jaccard, shingles_of
from axolotl_cft.corpus.words import Hashes
from axolotl_cft.errors import CFTError

NEAR = 0.8
"""Jaccard similarity from which on two documents are near duplicates."""


@dataclass(frozen=True)
class Pair:
    """Two near duplicates, the first by doc_id first, and their Jaccard similarity."""

    first: str
    second: str
    similarity: float


@dataclass(frozen=True)
class Confirmed:
    """What came of the candidates.

    Attributes:
        pairs: near duplicates. Candidates that other pairs have joined already are not compared,
            so that there are just as many pairs as documents removed.
        removed: doc_id -> the document that is kept instead: of all that pairs join, directly or
            through others, the first by doc_id.
        compared: pairs of texts that were compared.
    """

    pairs: list[Pair]
    removed: dict[str, str]
    compared: int


def confirm(
    candidates: Candidates,
    read: Callable[[], Iterable[tuple[str, str]]],
    scratch: Path | None = None,
) -> Confirmed:
    """Compare the texts of candidates.

    Args:
        candidates: from `NearDuplicates.candidates`.
        read: yields (doc_id, text) of all documents again, in any order.
        scratch: folder for a nameless file with eight bytes for each word of the candidates' texts;
            memory holds two documents at a time. None for the system's folder.

    Raises:
        CFTError: a document is not there any more.
    """
    doc_ids, groups = candidates.doc_ids, _Groups(len(candidates.doc_ids))
    pairs, compared = [], 0
    with tempfile.TemporaryFile(dir=scratch) as file:
        sets = _Sets(file, candidates, read)
        for first, second in candidates:
            if groups.first(first) == groups.first(second):
                continue
            compared += 1
            similarity = sets.similarity(first, second)
            if similarity >= NEAR:
                groups.join(first, second)
                pairs.append(Pair(doc_ids[first], doc_ids[second], similarity))
    removed = {
        doc_ids[place]: doc_ids[groups.first(place)]
        for place in candidates.places().tolist()
        if groups.first(place) != place
    }
    return Confirmed(pairs, removed, compared)


class _Sets:
    """The sets of the documents that are candidates, on disk."""

    def __init__(
        self,
        file: BinaryIO,
        candidates: Candidates,
        read: Callable[[], Iterable[tuple[str, str]]],
    ) -> None:
        self._file = file
        self._last: tuple[int, Hashes] | None = None
        self._places = candidates.places()
        slots = {candidates.doc_ids[place]: slot for slot, place in enumerate(self._places)}
        self._begins = np.full(len(slots), -1, np.int64)
        self._sizes = np.zeros(len(slots), np.int64)
        end = 0
        for doc_id, text in read() if slots else ():
            if (slot := slots.get(doc_id)) is not None:
                shingles = shingles_of(text)
                file.write(shingles.data)
                self._begins[slot], self._sizes[slot] = end, shingles.size
                end += shingles.nbytes
        file.flush()
        for slot in np.flatnonzero(self._begins < 0)[:1]:
            raise CFTError(
                f"document {candidates.doc_ids[self._places[slot]]!r} was not there when near "
                "duplicates were compared: run it again on a corpus that nothing writes to"
            )

    def similarity(self, first: int, second: int) -> float:
        """Of two documents; 0 where their sizes alone say that they are no near duplicates."""
        sizes = sorted(self._sizes[np.searchsorted(self._places, [first, second])].tolist())
        if sizes[0] / max(1, sizes[1]) < NEAR:  # rounded as `jaccard` rounds
            return 0.0
        if self._last is None or self._last[0] != first:  # pairs come sorted by the first
            self._last = first, self._read(first)
        return jaccard(self._last[1], self._read(second))

    def _read(self, place: int) -> Hashes:
        slot = np.searchsorted(self._places, place)
        self._file.seek(int(self._begins[slot]))
        return np.frombuffer(self._file.read(8 * int(self._sizes[slot])), np.uint64)


class _Groups:
    """Documents that pairs join, directly or through others (union-find, the first is the root)."""

    def __init__(self, count: int) -> None:
        self._above = np.arange(count)

    def first(self, place: int) -> int:
        """The first of a document's group."""
        while (above := int(self._above[place])) != place:
            self._above[place] = self._above[above]
            place = above
        return place

    def join(self, one: int, other: int) -> None:
        first, second = sorted((self.first(one), self.first(other)))
        self._above[second] = first
