"""What was found in a corpus, and what of it counts.

A pattern in more than `BOILERPLATE` documents (a footer, a license, a phrase of the trade) tells
nothing of an item, as in Brown et al. 2020, appendix C. That is known only when all documents have
been read; so of every pattern the first few places are kept, and a verdict is given at the end.
Memory is bounded by the items, whatever the corpus's size.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from axolotl_cft.corpus.overlap_index import NEAR_WORDS, Hit, Match, OverlapIndex
from axolotl_cft.corpus.partial import COMMON, RUN
from axolotl_cft.corpus.passages import Span, merged
from axolotl_cft.records import (
    Boilerplate,
    ContaminationRecord,
    OverlapExample,
    PartialMatch,
    Removal,
    TaskOverlap,
)

BOILERPLATE = 10
"""Documents in which a pattern may occur and still count."""

MAX_EXAMPLES = 100


@dataclass(frozen=True)
class Found:
    """A match in a document, and the passage around it where passages are asked for."""

    match: Match
    passage: Span | None = None


@dataclass(frozen=True)
class FoundItem(Hit):
    """A test item found in a document, and the passage to take out."""

    passage: Span | None


@dataclass(frozen=True)
class Document:
    """A document in which test items were found.

    Attributes:
        name: where it stands in the corpus.
        length: characters.
        items: what was found, each item once at each place.
    """

    name: str
    length: int
    items: list[FoundItem]

    @cached_property
    def cuts(self) -> list[Span]:
        """The passages to take out."""
        return merged({item.passage for item in self.items if item.passage}, self.length)


class Tally:
    """Counts over a corpus; documents are added in their order."""

    def __init__(self, index: OverlapIndex) -> None:
        self.index = index
        self.documents = self.characters = 0
        self._counts = np.zeros(index.patterns, np.int64)
        self._places: dict[int, list[tuple[int, Found]]] = {}
        self._names: dict[int, tuple[str, int]] = {}

    def add(self, name: str, length: int, found: Sequence[Found]) -> None:
        """Count a document of `length` characters."""
        for pattern in {each.match.pattern for each in found}:
            self._counts[pattern] += 1
            if self._counts[pattern] > BOILERPLATE:
                self._places.pop(pattern, None)
        for each in found:
            if self._counts[each.match.pattern] <= BOILERPLATE:
                self._places.setdefault(each.match.pattern, []).append((self.documents, each))
                self._names[self.documents] = name, length
        self.documents += 1
        self.characters += length

    def verdict(self) -> "Verdict":
        """What counts of all that was found."""
        by_document: dict[int, list[Found]] = {}
        for places in self._places.values():
            for number, found in places:
                by_document.setdefault(number, []).append(found)
        documents = {
            number: Document(*self._names[number], self._items(by_document[number]))
            for number in sorted(by_document)
        }
        return Verdict(self, documents, np.flatnonzero(self._counts > BOILERPLATE).tolist())

    def _items(self, found: Iterable[Found]) -> list[FoundItem]:
        """The items behind matches: of each passage and item, the best match."""
        best: dict[tuple[str, int, Span | None], tuple[float, str, Match]] = {}
        for each in sorted(found, key=lambda each: (each.match.begin, each.match.pattern)):
            for owner in self.index.owners(each.match.pattern):
                key = owner.task, owner.number, each.passage
                if key not in best or best[key][0] < each.match.score:
                    best[key] = each.match.score, owner.matched, each.match
        return [
            FoundItem(task, number, score, matched, self.index.words(match), passage)
            for (task, number, passage), (score, matched, match) in best.items()
        ]

    def boilerplate(self, patterns: Sequence[int]) -> Boilerplate:
        """The sum over patterns that do not count."""
        hits = int(self._counts[patterns].sum())
        return Boilerplate(documents=BOILERPLATE, patterns=len(patterns), hits=hits, items=COMMON)


class Verdict:
    """What counts of all that was found.

    Attributes:
        documents: number of a document -> what was found there, in order.
        items: (task, number) -> where it was found best, and how.
    """

    def __init__(
        self, tally: Tally, documents: dict[int, Document], boilerplate: Sequence[int]
    ) -> None:
        self.documents = documents
        self._tally, self._boilerplate = tally, boilerplate
        self.items: dict[tuple[str, int], tuple[str, FoundItem]] = {}
        for document in documents.values():
            for item in document.items:
                key = item.task, item.item
                if key not in self.items or self.items[key][1].score < item.score:
                    self.items[key] = document.name, item

    def share_of(self, cuts: Iterable[Sequence[Span]]) -> float:
        """The share of the corpus's characters in cuts, from 0 to 1."""
        gone = sum(end - begin for each in cuts for begin, end in each)
        return gone / max(1, self._tally.characters)

    def rows(self) -> Iterator[dict[str, object]]:
        """Every contaminated item, by task and number, as `items.jsonl` has them."""
        order = {task: place for place, task in enumerate(self._tally.index.items)}
        for task, number in sorted(self.items, key=lambda key: (order[key[0]], key[1])):
            document, item = self.items[task, number]
            yield {
                "task": task,
                "doc_id": number,
                "score": round(item.score, 4),
                "document": document,
                "words": item.words,
                "matched": item.matched,
            }

    def summary(self, corpus: str, removed: Removal | None) -> ContaminationRecord:
        """The content of `contamination.json`."""
        rules = self._tally.index.rules
        return ContaminationRecord(
            corpus=corpus,
            n=rules.n,
            min_words=rules.min_words,
            partial=PartialMatch(share=rules.near, run=RUN, min_words=NEAR_WORDS),
            boilerplate=self._tally.boilerplate(self._boilerplate),
            removed=removed.what if removed else False,
            removal=removed,
            documents=self._tally.documents,
            contaminated_documents=len(self.documents),
            tasks=self._tasks(),
            examples=self._examples(),
        )

    def _tasks(self) -> dict[str, TaskOverlap]:
        index = self._tally.index
        documents = dict.fromkeys(index.items, 0)
        for document in self.documents.values():
            for task in {item.task for item in document.items}:
                documents[task] += 1
        common = {
            (owner.task, owner.number)
            for pattern in self._boilerplate
            for owner in index.owners(pattern)
        } - set(self.items)
        found = [item for _, item in self.items.values()]
        return {
            task: TaskOverlap(
                items=items,
                too_short=index.too_short[task],
                contaminated_items=sum(item.task == task for item in found),
                partial_items=sum(item.task == task and item.score < 1 for item in found),
                boilerplate_items=sum(name == task for name, _ in common),
                documents=documents[task],
            )
            for task, items in index.items.items()
        }

    def _examples(self) -> list[OverlapExample]:
        examples: list[OverlapExample] = []
        for document in self.documents.values():
            once = {(item.task, item.item): item for item in document.items}
            examples += [
                OverlapExample(
                    document=document.name,
                    task=item.task,
                    item=item.item,
                    words=item.words,
                    score=round(item.score, 4),
                    matched=item.matched,
                )
                for item in once.values()
            ]
            if len(examples) >= MAX_EXAMPLES:
                break
        return examples[:MAX_EXAMPLES]
