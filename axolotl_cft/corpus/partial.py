"""Texts that are found in part: shared runs of words within one window of a document.

The score of a text of W words in a document is the largest share of its words that runs of `RUN` or
more words in common cover, over all windows of `STRETCH` x W words of the document. The order of
the runs is free, so that shuffled options or sentences count. At least one of the runs must be rare
among the texts (in `COMMON` of them at most): phrases that all exam questions share are no lead.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from axolotl_cft.corpus.words import Hashes, Places, run_hashes

RUN = 4
"""Words in the shortest run that counts."""

STRETCH = 1.5
"""Length of a window for each word of the text: a copy may have words put in."""

COMMON = 20
"""Texts that may share a run which still is a lead."""

_TABLE_SHARE = 16  # slots for each run in the table of first look


@dataclass(frozen=True)
class Copy:
    """A text found in part: words `begin` to `end` of a document; `runs` are places in the text."""

    text: int
    document: int
    begin: int
    end: int
    score: float
    runs: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Runs:
    """The texts' runs in a batch of documents: where they begin, in order, and which they are."""

    places: Places
    numbers: Places


class Aligner:
    """Finds the texts of an index in part.

    Args:
        words: hashes of all texts' words, with a word of no text behind each.
        starts: `[texts + 1]`, where each begins.
        near: `[texts]`, the score from which on a text counts; 0 where no part of it does.
    """

    def __init__(self, words: Hashes, starts: Places, near: npt.NDArray[np.float64]) -> None:
        self._lengths = np.diff(starts) - 1
        self._need = np.ceil(near * self._lengths - 1e-9).astype(np.int64)
        self._spans = np.ceil(STRETCH * self._lengths).astype(np.int64)
        hashes = run_hashes(words, RUN)
        begins = np.arange(len(hashes))
        texts = np.searchsorted(starts, begins, "right") - 1
        inside = begins - starts[texts] + RUN <= self._lengths[texts]
        hashes, texts = hashes[inside], texts[inside]
        offsets = begins[inside] - starts[texts]
        self._hashes, numbers = np.unique(hashes, return_inverse=True)
        self._make_table()
        self._make_leads(numbers, texts, offsets)
        self._runs_of = np.split(numbers, np.flatnonzero(np.diff(texts)) + 1) if len(texts) else []
        self._order = {int(t): place for place, t in enumerate(np.unique(texts))}

    def _make_table(self) -> None:
        bits = max(10, (len(self._hashes) * _TABLE_SHARE).bit_length())
        self._shift = np.uint64(64 - bits)
        self._table = np.zeros(1 << bits, np.bool_)
        self._table[self._hashes >> self._shift] = True

    def _make_leads(self, numbers: Places, texts: Places, offsets: Places) -> None:
        """For every rare run, the texts and places that it leads to, and how many a text needs."""
        searched = self._need[texts] > 0
        numbers, texts, offsets = numbers[searched], texts[searched], offsets[searched]
        pairs = np.unique(np.stack((numbers, texts)), axis=1)
        shared = (
            np.bincount(pairs[0], minlength=len(self._hashes))
            if pairs.size
            else np.zeros(len(self._hashes), np.int64)
        )
        common = shared[numbers] > COMMON
        without = np.bincount(texts[common], minlength=len(self._lengths))
        # A run covers RUN words at most.
        self._fewest = np.maximum(1, -(-self._need // RUN) - without)
        numbers, texts, offsets = numbers[~common], texts[~common], offsets[~common]
        order = np.argsort(numbers, kind="stable")
        self._lead_texts, self._lead_offsets = texts[order], offsets[order]
        counts = np.bincount(numbers, minlength=len(self._hashes))
        self._lead_bounds = np.concatenate(([0], np.cumsum(counts)))

    def runs_in(self, words: Hashes) -> Runs:
        """The texts' runs among the words of a batch."""
        hashes = run_hashes(words, RUN)
        places = np.flatnonzero(self._table[hashes >> self._shift])
        if not len(self._hashes):
            places = places[:0]
        hashes = hashes[places]
        numbers = np.minimum(np.searchsorted(self._hashes, hashes), max(0, len(self._hashes) - 1))
        same = self._hashes[numbers] == hashes if len(places) else np.empty(0, np.bool_)
        return Runs(places[same], numbers[same])

    def copies(self, runs: Runs, starts: Places) -> Iterator[Copy]:
        """The texts that are in the documents in part or as a whole.

        Args:
            runs: of a batch.
            starts: `[documents + 1]`, where each document begins in the batch.
        """
        documents = np.searchsorted(starts, runs.places, "right") - 1
        for text, document, first, last in self._candidates(runs, documents, starts):
            begin, end = np.searchsorted(runs.places, (first, last))
            places = runs.places[begin:end] - starts[document]
            for copy in self._align(text, places, runs.numbers[begin:end]):
                yield Copy(text, document, *copy)

    def _candidates(
        self, runs: Runs, documents: Places, starts: Places
    ) -> Iterator[tuple[int, int, int, int]]:
        """(text, document, first, last place in the batch) where enough leads are near together."""
        counts = self._lead_bounds[runs.numbers + 1] - self._lead_bounds[runs.numbers]
        total = int(counts.sum())
        if not total:
            return
        steps = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
        leads = np.repeat(self._lead_bounds[runs.numbers], counts) + steps
        texts, document = self._lead_texts[leads], np.repeat(documents, counts)
        # Places less offsets of one window differ by less than `width`, so that all are in two
        # neighboring boxes of that width.
        begins = np.repeat(runs.places, counts) - starts[document] - self._lead_offsets[leads]
        width = self._spans + self._lengths
        boxes = (begins + self._lengths[texts]) // width[texts] + 1
        many, most = len(starts), int(boxes.max()) + 1
        keys = (texts * many + document) * most + boxes
        keys, found = np.unique(np.concatenate((keys, keys - 1)), return_counts=True)
        enough = keys[found >= self._fewest[keys // (many * most)]]
        ranges = np.stack((enough // most, enough % most), axis=1).tolist()
        for key, group in groupby(ranges, key=itemgetter(0)):
            text, number = divmod(key, many)
            wide, length = int(width[text]), int(self._lengths[text])
            limits = int(starts[number]), int(starts[number + 1])
            for first, last in _neighbors([box for _, box in group]):
                low = limits[0] + (first - 1) * wide - length
                high = limits[0] + (last + 1) * wide
                yield text, number, max(limits[0], low), min(limits[1], high)

    def _align(
        self, text: int, places: Places, numbers: Places
    ) -> "Iterator[tuple[int, int, float, tuple[tuple[int, int], ...]]]":
        own = self._runs_of[self._order[text]]
        if RUN * int(np.isin(own, numbers).sum()) < self._need[text]:
            return
        mine = np.isin(numbers, own)
        places, numbers = places[mine], numbers[mine]
        offsets: dict[int, list[int]] = {}
        for offset, number in enumerate(own.tolist()):
            offsets.setdefault(number, []).append(offset)
        shared = [
            (place, offset)
            for place, number in zip(places.tolist(), numbers.tolist(), strict=True)
            for offset in offsets[number]
        ]
        yield from windows(
            shared, int(self._lengths[text]), int(self._spans[text]), int(self._need[text])
        )


def windows(
    shared: Sequence[tuple[int, int]], length: int, span: int, need: int
) -> "Iterator[tuple[int, int, float, tuple[tuple[int, int], ...]]]":
    """The stretches of a document that hold enough of a text.

    Args:
        shared: (place in the document, place in the text) of every run of `RUN` words in common,
            by place in the document.
        length: words of the text.
        span: words of a window.
        need: words of the text that runs in one window must cover.

    Yields:
        begin and end in the document, the best score of its windows, and the runs of that window.
        Windows that overlap are one stretch.
    """
    covered = [0] * length
    count = left = 0
    stretch: tuple[int, int] | None = None
    best = 0
    kept: list[int] = []
    for place, offset in shared:
        for word in range(offset, offset + RUN):
            count += covered[word] == 0
            covered[word] += 1
        while place + RUN - shared[left][0] > span:
            for word in range(shared[left][1], shared[left][1] + RUN):
                covered[word] -= 1
                count -= covered[word] == 0
            left += 1
        if count < need:
            continue
        begin, end = shared[left][0], place + RUN
        if stretch and begin >= stretch[1]:
            yield *stretch, best / length, _runs(kept)
            stretch, best = None, 0
        stretch = (min(begin, stretch[0]), end) if stretch else (begin, end)
        if count > best:
            best, kept = count, [word for word, times in enumerate(covered) if times]
    if stretch:
        yield *stretch, best / length, _runs(kept)


def _neighbors(boxes: list[int]) -> Iterator[tuple[int, int]]:
    """(first, last) of boxes in order, where each is taken together with the one behind it."""
    first = last = boxes[0]
    for box in boxes[1:]:
        # What is behind `last` reaches, with the text's own length, into the third box from it.
        if box > last + 3:
            yield first, last
            first = box
        last = box
    yield first, last


def _runs(words: list[int]) -> tuple[tuple[int, int], ...]:
    """Numbers in order, as (begin, end) of those in a row."""
    ends = [n for n, word in enumerate(words, 1) if n == len(words) or words[n] != word + 1]
    begins = [0, *ends[:-1]]
    return tuple((words[b], words[e - 1] + 1) for b, e in zip(begins, ends, strict=True))
