"""Test items, ready to be looked for in many texts at once.

What is looked for, all in normalized words (`words.words_of`):

    pattern     n words in a row of an item's text, or all of it where it has fewer than n
    near copy   a text of `NEAR_WORDS` words or more of which a share of `near` stands in one window
                of a document, in runs of `RUN` words or more; the runs in any order

    item       a 44 year old woman has a dry mouth  gritty eyes and enlarged parotid glands ...
    document   a 44 year old woman has   dry mouth, gritty eyes and enlarged   gland        ...
               └──── a run ──────────┘   └─────── another ────────────────┘

Words in a row that more than `COMMON` different texts hold ("which of the following is the most
appropriate next step in management of this patient") point at none of them, and are no pattern.
n = 13 follows Brown et al. 2020 (GPT-3, appendix C). Runs of four words are looked up at every
place; all else is done only where they are found.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from axolotl_cft.corpus.partial import COMMON, RUN, Aligner
from axolotl_cft.corpus.words import Hashes, Places, hashes_of, run_hashes, words_of
from axolotl_cft.evaluation.tasks import BenchmarkItem

NEAR_WORDS = 20
"""Words that a text needs so that a part of it tells."""

QUESTION, OPTIONS, OPTION = "question", "question with options", "option"


@dataclass(frozen=True)
class Rules:
    """What counts as an overlap.

    Attributes:
        n: words in a row.
        min_words: words below which a text of an item is not looked for.
        near: share of a text's words in shared runs from which on it counts.
    """

    n: int = 13
    min_words: int = 8
    near: float = 0.6

    def __post_init__(self) -> None:
        if self.n < 1 or self.min_words < 1 or not 0 < self.near <= 1:
            raise ValueError(f"n and min_words are at least 1, near is in (0, 1]: {self}")


@dataclass(frozen=True)
class Owner:
    """An item that a text belongs to, and what of it the text is."""

    task: str
    number: int
    matched: str


@dataclass(frozen=True)
class Match:
    """One pattern, or one near copy, at one place of a document.

    Attributes:
        pattern: its number in the index.
        begin: the document's word it begins with.
        end: the word behind it.
        score: share of the text's words; 1 for a pattern.
        runs: of a near copy, the runs of words in common as (begin, end) in the item's text.
    """

    pattern: int
    begin: int
    end: int
    score: float = 1.0
    runs: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Hit:
    """One test item found in a text.

    Attributes:
        task: whose item it is.
        item: the row in the test split.
        score: 1 where words in a row are the same, else the share in shared runs.
        matched: what of the item was found.
        words: the normalized words in common.
    """

    task: str
    item: int
    score: float
    matched: str
    words: str


def texts_of(item: BenchmarkItem, rules: Rules) -> Iterator[tuple[str, list[str]]]:
    """What is looked for of an item: (what it is, its words).

    A question that is too short to be found in part is joined to its options, once as they are and
    once with their letters. An option alone counts if it has n words or more.
    """
    question = words_of(item.question)
    options = [words_of(option) for option in item.options]
    texts = [(QUESTION, question)]
    if options and len(question) < NEAR_WORDS:
        lettered = [[chr(97 + place), *option] for place, option in enumerate(options)]
        texts += [(OPTIONS, sum(each, question)) for each in (options, lettered)]
    yield from (text for text in texts if len(text[1]) >= rules.min_words)
    long = max(rules.n, rules.min_words)
    yield from ((OPTION, option) for option in options if len(option) >= long)


class OverlapIndex:
    """The patterns of a set of test items.

    Attributes:
        rules: what counts.
        items: task -> number of its items.
        too_short: task -> number of its items with nothing long enough to be looked for.
        patterns: number of patterns and near copies; they are numbered from 0.
    """

    def __init__(self, items: Iterable[BenchmarkItem], rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.items: dict[str, int] = {}
        self.too_short: dict[str, int] = {}
        owners: dict[str, list[Owner]] = {}  # text -> whose it is
        begins: dict[str, int] = {}  # text -> words in which its patterns may begin
        for item in items:
            found = list(texts_of(item, self.rules))
            self.items[item.task] = self.items.get(item.task, 0) + 1
            self.too_short[item.task] = self.too_short.get(item.task, 0) + (not found)
            for matched, words in found:
                text = " ".join(words)
                owners.setdefault(text, []).append(Owner(item.task, item.number, matched))
                # A run of options alone ("true false false true") says nothing.
                first = len(words_of(item.question)) if matched == OPTIONS else len(words)
                begins[text] = max(begins.get(text, 0), first)
        self._texts = list(owners)
        self._owners = list(owners.values())
        self._hashes, self._starts = hashes_of(self._texts)
        self._lengths = np.diff(self._starts) - 1
        self._patterns = self._make_patterns(np.fromiter(begins.values(), np.int64, len(begins)))
        self._near_base = sum(len(group.hashes) for group in self._patterns)
        self.patterns = self._near_base + len(self._texts)
        self._aligner = Aligner(
            self._hashes, self._starts, np.where(self._lengths >= NEAR_WORDS, self.rules.near, 0)
        )

    def _make_patterns(self, begins: Places) -> "list[_Patterns]":
        sizes = np.minimum(self._lengths, self.rules.n)
        groups, base = [], 0
        for size in sorted(set(sizes.tolist())):
            texts = np.flatnonzero(sizes == size)
            counts = np.minimum(self._lengths[texts] - size + 1, begins[texts])
            group = _Patterns(self._hashes, size, base, texts, self._starts[texts], counts)
            groups.append(group)
            base += len(group.hashes)
        return groups

    def scan(self, texts: Sequence[str]) -> list[list[Match]]:
        """What is in each of several texts, patterns first, each in order of place."""
        words, starts = hashes_of(texts)
        found: list[list[Match]] = [[] for _ in texts]
        runs = self._aligner.runs_in(words)
        for group in self._patterns:
            for number, place in group.find(words, runs.places):
                text = int(np.searchsorted(starts, place, "right")) - 1
                begin = place - int(starts[text])
                found[text].append(Match(number, begin, begin + group.size))
        for copy in self._aligner.copies(runs, starts):
            number = self._near_base + copy.text
            match = Match(number, copy.begin, copy.end, copy.score, copy.runs)
            found[copy.document].append(match)
        return found

    def owners(self, pattern: int) -> list[Owner]:
        """The items that hold a pattern, or a text."""
        texts = (
            [self._texts_with(pattern)] if pattern < self._near_base else [[self._near(pattern)]]
        )
        return list(
            dict.fromkeys(o for group in texts for text in group for o in self._owners[text])
        )

    def words(self, match: Match) -> str:
        """The normalized words in common; where some are left out, `…`."""
        if match.pattern < self._near_base:
            group = self._group(match.pattern)
            place = int(group.places[match.pattern - group.base])
            text = int(np.searchsorted(self._starts, place, "right")) - 1
            runs: Sequence[tuple[int, int]] = [(0, group.size)]
            first = place - int(self._starts[text])
            runs = [(first, first + group.size)]
        else:
            text, runs = self._near(match.pattern), match.runs
        words = self._texts[text].split()
        return " … ".join(" ".join(words[begin:end]) for begin, end in runs)

    def find(self, text: str) -> list[Hit]:
        """The test items in one text, each once with its best match, in the order of the items."""
        best: dict[tuple[str, int], Hit] = {}
        for match in self.scan([text])[0]:
            for owner in self.owners(match.pattern):
                key = owner.task, owner.number
                if key not in best or best[key].score < match.score:
                    best[key] = Hit(*key, match.score, owner.matched, self.words(match))
        order = {task: place for place, task in enumerate(self.items)}
        return sorted(best.values(), key=lambda hit: (order[hit.task], hit.item))

    def is_near(self, pattern: int) -> bool:
        """Whether a number is a near copy's."""
        return pattern >= self._near_base

    def _near(self, pattern: int) -> int:
        return pattern - self._near_base

    def _group(self, pattern: int) -> "_Patterns":
        return next(g for g in self._patterns if pattern < g.base + len(g.hashes))

    def _texts_with(self, pattern: int) -> list[int]:
        return self._group(pattern).texts_with(pattern)


class _Patterns:
    """The patterns of one length.

    Attributes:
        size: words in each.
        base: the number of the first.
        hashes: of each, sorted.
        places: where each stands (once) in the words of all texts.
    """

    def __init__(
        self,
        words: Hashes,
        size: int,
        base: int,
        texts: Places,
        starts: Places,
        counts: Places,
    ) -> None:
        self.size, self.base, self._words = size, base, words
        places = _ranges(starts, counts)
        hashes = run_hashes(words, size)[places]
        order = np.argsort(hashes, kind="stable")
        hashes, owners, places = hashes[order], np.repeat(texts, counts)[order], places[order]
        # Sorting is stable, so that a text's equal patterns stand together.
        first_in_text = np.append(True, (hashes[1:] != hashes[:-1]) | (owners[1:] != owners[:-1]))
        hashes, owners, places = hashes[first_in_text], owners[first_in_text], places[first_in_text]
        _, numbers, shared = np.unique(hashes, return_inverse=True, return_counts=True)
        telling = shared[numbers] <= COMMON
        hashes, self._sorted_texts, places = hashes[telling], owners[telling], places[telling]
        self.hashes, first = np.unique(hashes, return_index=True)
        self._bounds = np.append(first, len(hashes))
        self.places = places[first]

    def find(self, words: Hashes, runs: Places) -> Iterator[tuple[int, int]]:
        """(pattern, place) wherever one stands; `runs` are the places of the items' runs."""
        if self.size >= RUN:
            # All runs within are the items', too: so there are as many of them in a row.
            inner = self.size - RUN
            ends = runs[inner:]
            candidates = runs[: len(ends)][ends - runs[: len(ends)] == inner]
        else:
            candidates = np.arange(max(0, len(words) - self.size + 1))
        if not len(candidates) or not len(self.hashes):
            return
        hashes = run_hashes(words, self.size)[candidates]
        numbers = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        same = self.hashes[numbers] == hashes
        for number, place in zip(numbers[same].tolist(), candidates[same].tolist(), strict=True):
            item = int(self.places[number])
            # Word by word, so that two hashes of runs that happen to be equal do no harm.
            if np.array_equal(
                self._words[item : item + self.size], words[place : place + self.size]
            ):
                yield self.base + number, place

    def texts_with(self, pattern: int) -> list[int]:
        """The texts that hold a pattern."""
        number = pattern - self.base
        return self._sorted_texts[self._bounds[number] : self._bounds[number + 1]].tolist()


def _ranges(starts: Places, counts: Places) -> Places:
    """`starts[i], starts[i] + 1, …`, `counts[i]` of them, for every i."""
    total = int(counts.sum())
    steps = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(starts, counts) + steps
