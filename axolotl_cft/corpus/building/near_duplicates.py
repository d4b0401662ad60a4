"""Documents that may be near duplicates of one another, found without comparing all pairs.

A document is the set of its runs of words (`shingles`); two are alike by their Jaccard similarity
J, what they have in common as a share of what either has. MinHash (Broder 1997): of every one of
120 hash functions a document keeps the least value, and two documents agree in one with probability
J. Locality-sensitive hashing (Leskovec, Rajaraman & Ullman, "Mining of Massive Datasets", section
3.4): the values are 20 bands of 6; what agrees in a whole band is a candidate, 1 - (1 - J^6)^20:

    J           0.3    0.4    0.5    0.6    0.7    0.8      0.85      0.9
    candidate   1.4 %  7.9 %  27 %   61 %   92 %   99.77 %  99.992 %  all but 3 in 10 million

Candidates are confirmed by comparing their texts (`confirmation`). A document costs some 600 bytes:
its values and its doc_id. The result does not depend on the order in which documents are entered,
nor on how they are divided among processes.

Very many documents may agree in a band, such as the reports of one template. In a bucket of more
than `MATES` documents, each is compared with so many leaders only: the first by doc_id, then the
first that is not plainly like an earlier leader, and so on. Of many copies the first is the leader
of all, so that 5,000 of them make 4,999 comparisons. What is missed are pairs that agree only in
bands where many others agree, too, and neither is a leader: of 2,424 pairs with a mean J of 0.83
among 5,000 documents that share 80 % of their words, 2.4 % were.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import shake_256
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from axolotl_cft.corpus.building.shingles import distinct, shingles_of
from axolotl_cft.corpus.words import Hashes, Places
from axolotl_cft.errors import CFTError

Signatures = npt.NDArray[np.uint32]

BANDS, ROWS = 20, 6

FEWEST = 20
"""Different runs without which a text is too short to be compared: fewer are alike by accident."""

MATES = 8
"""Documents of one bucket with which each of them is compared."""

WORTH_A_LOOK = 0.65
"""Share of values in which candidates agree; of pairs with J = 0.8, three in 100,000 do not."""

PLAINLY_ALIKE = 0.9
"""Share of values from which on a document needs no leader but the one that it is like."""

_BLOCK = 1024  # signatures, or hashes, taken at once
_FACTORS = np.frombuffer(shake_256(b"near duplicates").digest(4 * BANDS * ROWS), "<u4")
_FACTORS = _FACTORS.astype(np.uint32) | np.uint32(1)
_ODD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Candidates:
    """Pairs of documents that are worth a comparison, each as two places in `doc_ids`.

    Attributes:
        doc_ids: of all documents that were compared, in ascending order.
        codes: `first * len(doc_ids) + second` of every pair, first < second, in ascending order.
    """

    doc_ids: list[str]
    codes: Hashes

    def __len__(self) -> int:
        return len(self.codes)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for begin in range(0, len(self), _BLOCK):
            yield from zip(*map(np.ndarray.tolist, self._decoded(begin)), strict=True)

    def places(self) -> Places:
        """The documents that are in a pair, in ascending order."""
        there = np.zeros(len(self.doc_ids), np.bool_)
        for begin in range(0, len(self), _BLOCK):
            for places in self._decoded(begin):
                there[places] = True
        return np.flatnonzero(there)

    def _decoded(self, begin: int) -> tuple[Places, Places]:
        return np.divmod(self.codes[begin : begin + _BLOCK].astype(np.int64), len(self.doc_ids))


class NearDuplicates:
    """Collects signatures of documents, and finds those that may be alike.

    Attributes:
        too_short: how many documents had fewer than `FEWEST` different runs.
    """

    def __init__(self) -> None:
        self.too_short = 0
        self._doc_ids: list[str] = []
        self._recent: list[Signatures] = []  # of the last documents
        self._blocks: list[Signatures] = []  # of those before

    def __len__(self) -> int:
        return len(self._doc_ids)

    def add(self, doc_id: str, text: str) -> None:
        """Enter a document."""
        shingles = shingles_of(text)
        if shingles.size < FEWEST:
            self.too_short += 1
            return
        self._doc_ids.append(doc_id)
        self._recent.append(signature_of(shingles))
        if len(self._recent) == _BLOCK:
            self._close_block()

    def add_all(self, other: "NearDuplicates") -> None:
        """Enter what another saw, as if it had been entered here."""
        self._close_block()
        other._close_block()
        self._doc_ids += other._doc_ids
        self._blocks += other._blocks
        self.too_short += other.too_short

    def candidates(self) -> Candidates:
        """The pairs worth a comparison.

        Raises:
            CFTError: two documents have the same doc_id.
        """
        self._close_block()
        order = sorted(range(len(self)), key=self._doc_ids.__getitem__)
        self._doc_ids = [self._doc_ids[place] for place in order]
        for one, other in pairwise(self._doc_ids):
            if one == other:
                raise CFTError(f"two documents have the doc_id {one!r}: make doc_ids unique")
        signatures = self._in_order(np.array(order, np.int64))
        codes = np.empty(0, np.uint64)
        for band in range(BANDS):
            codes = distinct(np.concatenate([codes, *_codes_of_band(signatures, band)]))
        return Candidates(list(self._doc_ids), codes)

    def _in_order(self, order: Places) -> Signatures:
        """The signatures, `order[i]` at place i; no block stays once it was copied."""
        places = np.empty_like(order)
        places[order] = np.arange(order.size)
        signatures = np.empty((order.size, BANDS * ROWS), np.uint32)
        begin = 0
        self._blocks.reverse()
        while self._blocks:
            block = self._blocks.pop()
            signatures[places[begin : begin + len(block)]] = block
            begin += len(block)
        self._blocks = [signatures]
        return signatures

    def _close_block(self) -> None:
        if self._recent:
            self._blocks.append(np.stack(self._recent))
            self._recent = []


def signature_of(shingles: Hashes) -> Signatures:
    """`[BANDS * ROWS]` least values of a set under as many hash functions."""
    high = (shingles >> np.uint64(32)).astype(np.uint32)
    least = np.full(len(_FACTORS), 0xFFFFFFFF, np.uint32)
    for begin in range(0, high.size, _BLOCK):
        # Multiplying by an odd number permutes 32 bits; the hashes are random numbers already.
        values = _FACTORS[:, None] * high[begin : begin + _BLOCK]
        np.minimum(least, values.min(axis=1), out=least)
    return least


def _codes_of_band(signatures: Signatures, band: int) -> Iterator[Hashes]:
    """The pairs that agree in a band and are worth a look, coded, some at a time."""
    keys = np.zeros(len(signatures), np.uint64)
    for column in range(band * ROWS, (band + 1) * ROWS):
        keys = (keys ^ signatures[:, column]) * _ODD
        keys ^= keys >> np.uint64(29)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    begins = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])[: keys.size])
    sizes = np.diff(begins, append=keys.size)
    small = np.repeat(sizes <= MATES, sizes)
    for step in range(1, MATES):
        same = np.flatnonzero((keys[step:] == keys[:-step]) & small[step:])
        if not same.size:
            break
        yield _worth_a_look(signatures, order[same], order[same + step])
    for begin, size in zip(begins[sizes > MATES], sizes[sizes > MATES], strict=True):
        yield from _pairs_with_leaders(signatures, order[begin : begin + size])


def _pairs_with_leaders(signatures: Signatures, members: Places) -> Iterator[Hashes]:
    """The pairs of a large bucket: each of its members with `MATES` leaders at most."""
    without_leader = members
    for _ in range(MATES):
        leader = np.full_like(members, without_leader[0])
        yield _worth_a_look(signatures, leader, members)
        led = _agreement(signatures, leader, members) >= PLAINLY_ALIKE
        without_leader = np.setdiff1d(without_leader, members[led], assume_unique=True)
        if not without_leader.size:
            return


def _worth_a_look(signatures: Signatures, some: Places, others: Places) -> Hashes:
    """Pairs of two different documents, coded as in `Candidates`."""
    alike = (_agreement(signatures, some, others) >= WORTH_A_LOOK) & (some != others)
    firsts, seconds = np.minimum(some, others)[alike], np.maximum(some, others)[alike]
    return (firsts * len(signatures) + seconds).astype(np.uint64)


def _agreement(signatures: Signatures, some: Places, others: Places) -> npt.NDArray[np.float64]:
    """The share of values in which documents agree, pair by pair: an estimate of J."""
    alike = np.empty(some.size)
    for begin in range(0, some.size, _BLOCK):
        pairs = slice(begin, begin + _BLOCK)
        same = signatures[some[pairs]] == signatures[others[pairs]]
        alike[pairs] = np.count_nonzero(same, axis=1) / (BANDS * ROWS)
    return alike
