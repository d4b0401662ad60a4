"""Does a text overlap with an evaluation set? Exact, normalized n-gram matching.

A text is lower-cased, NFKC-normalized and cut into words (runs of letters and digits). A text
and a test item overlap if they share `n` consecutive words; an item of fewer than `n` words must
occur whole. The match is exact: there are no hash collisions and no thresholds. Short items
(headlines, one-line questions) can occur by chance, so every hit carries the words that matched.
n = 13 follows Brown et al. 2020 (GPT-3, appendix C).

    index = OverlapIndex.build(load_items(["cft_medical"], data_dir), n=13)
    for hit in index.find(text): print(hit.task, hit.item, hit.words)

`axolotl-cft contamination` writes what a `Tally` sums up to `contamination.json`
(records.py::ContaminationRecord).
"""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from axolotl_cft.evaluation.tasks import load_items
from axolotl_cft.records import ContaminationRecord, OverlapExample, TaskOverlap

__all__ = ["Hit", "OverlapIndex", "Tally", "load_items", "words_of"]


def words_of(text: str) -> list[str]:
    """The normalized words of a text: NFKC, case-folded, runs of letters and digits.

    Example:
        >>> words_of("Naïve B-cells: 5 µg/mL")
        ['naïve', 'b', 'cells', '5', 'μg', 'ml']
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    # A text has few different separators: replacing each is cheaper than matching a pattern.
    for character in set(text):
        if not character.isalnum():
            text = text.replace(character, " ")
    return text.split()


@dataclass(frozen=True)
class Hit:
    """One test item found in a text, and the (normalized) words in common."""

    task: str
    item: int | str
    words: str


class OverlapIndex:
    """The n-grams of a set of test items, ready to be looked for in texts.

    Attributes:
        n: words in an n-gram.
        items: task -> number of its items with at least one word.
    """

    def __init__(self, n: int) -> None:
        if n < 1:
            raise ValueError(f"n must be at least 1, not {n}")
        self.n = n
        self.items: dict[str, int] = {}
        self._owners: list[tuple[str, int | str]] = []
        # Pattern (an n-gram, or a shorter item whole) -> the items that hold it.
        self._patterns: dict[str, tuple[int, ...]] = {}
        # Few positions of a text are looked up. n words in a row always hold a run of
        # _seed words that starts at a multiple of _stride, so only those runs are tried. A
        # shorter item is tried where its longest word stands: (place in the item, length).
        self._seed = (n + 1) // 2
        self._stride = n - self._seed + 1
        self._seeds: set[str] = set()
        self._anchors: dict[str, set[tuple[int, int]]] = {}

    @classmethod
    def build(cls, items: Iterable[tuple[str, int | str, str]], n: int = 13) -> "OverlapIndex":
        """Index (task, item id, text) triples; items without a word are left out."""
        index = cls(n)
        for task, item, text in items:
            words = words_of(text)
            index.items[task] = index.items.get(task, 0) + bool(words)
            if words:
                index._add(task, item, words)
        return index

    def _add(self, task: str, item: int | str, words: list[str]) -> None:
        owner = len(self._owners)
        self._owners.append((task, item))
        length = min(self.n, len(words))
        for pattern in set(_ngrams(words, length)):
            self._patterns[pattern] = (*self._patterns.get(pattern, ()), owner)
        if length == self.n:
            self._seeds.update(_ngrams(words, self._seed))
        else:
            anchor = max(words, key=len)
            self._anchors.setdefault(anchor, set()).add((words.index(anchor), length))

    def find(self, text: str) -> list[Hit]:
        """The test items that overlap with `text`, each once, in the order they were indexed."""
        words = words_of(text)
        found: dict[int, str] = {}
        for pattern in self._matches(words):
            for owner in self._patterns[pattern]:
                found.setdefault(owner, pattern)
        return [Hit(*self._owners[owner], found[owner]) for owner in sorted(found)]

    def _matches(self, words: list[str]) -> Iterator[str]:
        """The patterns in a text, perhaps more than once."""
        for start, length in self._candidates(words):
            pattern = " ".join(words[start : start + length])
            if start >= 0 and pattern in self._patterns:
                yield pattern

    def _candidates(self, words: list[str]) -> Iterator[tuple[int, int]]:
        """(first word, number of words) of all places where a pattern can stand."""
        runs = map(
            " ".join, zip(*(words[i :: self._stride] for i in range(self._seed)), strict=False)
        )
        for number, run in enumerate(runs):
            if run in self._seeds:
                last = number * self._stride
                for start in range(last - (self.n - self._seed), last + 1):
                    yield start, self.n
        for position, word in enumerate(words):
            if word in self._anchors:
                for offset, length in self._anchors[word]:
                    yield position - offset, length


def _ngrams(words: list[str], n: int) -> Iterable[str]:
    return map(" ".join, zip(*(words[i:] for i in range(n)), strict=False))


@dataclass
class Tally:
    """Counts over a corpus, document by document."""

    index: OverlapIndex
    documents: int = 0
    contaminated_documents: int = 0
    examples: list[OverlapExample] = field(default_factory=list)
    _documents: dict[str, int] = field(default_factory=dict, init=False)
    _items: dict[str, set[int | str]] = field(default_factory=dict, init=False)

    MAX_EXAMPLES: ClassVar[int] = 100

    def add(self, name: str, text: str) -> bool:
        """Count one document; True if it overlaps with any item."""
        hits = self.index.find(text)
        self.documents += 1
        self.contaminated_documents += bool(hits)
        for task in {hit.task for hit in hits}:
            self._documents[task] = self._documents.get(task, 0) + 1
        for hit in hits:
            self._items.setdefault(hit.task, set()).add(hit.item)
            if len(self.examples) < self.MAX_EXAMPLES:
                self.examples.append(
                    OverlapExample(document=name, task=hit.task, item=hit.item, words=hit.words)
                )
        return bool(hits)

    def summary(self, corpus: str, removed: bool) -> ContaminationRecord:
        """The content of `contamination.json`."""
        return ContaminationRecord(
            corpus=corpus,
            n=self.index.n,
            removed=removed,
            documents=self.documents,
            contaminated_documents=self.contaminated_documents,
            tasks={
                task: TaskOverlap(
                    items=items,
                    contaminated_items=len(self._items.get(task, ())),
                    documents=self._documents.get(task, 0),
                )
                for task, items in self.index.items.items()
            },
            examples=self.examples,
        )
