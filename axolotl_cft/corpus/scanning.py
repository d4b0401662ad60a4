"""A corpus searched in batches of documents, in one process or several."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from axolotl_cft.corpus.in_order import in_order
from axolotl_cft.corpus.overlap_index import Match, OverlapIndex
from axolotl_cft.corpus.passages import around
from axolotl_cft.corpus.readers import Part
from axolotl_cft.corpus.tally import BOILERPLATE, Found
from axolotl_cft.corpus.words import word_spans

BATCH = 1 << 19
"""Characters searched at once, or one document."""


@dataclass
class Batch:
    """Some consecutive documents.

    Attributes:
        names: where each stands.
        texts: their texts.
        read: bytes of the corpus's files that were read for them.
    """

    names: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    read: int = 0


def batches(parts: Sequence[Part]) -> Iterator[Batch]:
    """The documents of a corpus, in order."""
    batch, size = Batch(), 0
    for part in parts:
        position = 0
        for block in part.blocks():
            for name, text in zip(block.names, block.texts, strict=True):
                batch.names.append(name)
                batch.texts.append(text)
                size += len(text)
                if size >= BATCH:
                    yield batch
                    batch, size = Batch(), 0
            batch.read += block.position - position
            position = block.position
    yield batch


def checksum(texts: Sequence[str], before: int = 0) -> int:
    """A CRC-32 of texts, to tell whether a corpus is the same when it is read again."""
    for text in texts:
        before = zlib.crc32(b"%d\n" % len(text), before)
        before = zlib.crc32(text.encode("utf-8", "surrogatepass"), before)
    return before


class Scanner:
    """Searches batches with an index.

    Args:
        index: what is looked for.
        located: whether the passages around the matches are needed.
    """

    def __init__(self, index: OverlapIndex, located: bool) -> None:
        self._index, self._located = index, located
        self._seen = np.zeros(index.patterns, np.int64)

    def scan(self, texts: Sequence[str]) -> list[list[Found]]:
        """What is in each text."""
        found = self._index.scan(texts)
        return [self._locate(*pair) for pair in zip(texts, found, strict=True)]

    def _locate(self, text: str, matches: list[Match]) -> list[Found]:
        if not matches or not self._located:
            return [Found(match) for match in matches]
        patterns = list({match.pattern for match in matches})
        self._seen[patterns] += 1
        # A footer is not located in every document. Batches come in order, so the first
        # documents of a corpus to hold a pattern are among the first here.
        counting = [match for match in matches if self._seen[match.pattern] <= BOILERPLATE]
        words = [word for match in counting for word in (match.begin, match.end - 1)]
        spans = word_spans(text, words) if words else {}
        passages = {
            match: around(text, spans[match.begin][0], spans[match.end - 1][1])
            for match in counting
        }
        return [Found(match, passages.get(match)) for match in matches]


def scan(
    parts: Sequence[Part], index: OverlapIndex, *, located: bool, processes: int = 1
) -> Iterator[tuple[Batch, list[list[Found]]]]:
    """Search a corpus.

    Args:
        parts: from `readers.open_corpus`.
        index: what is looked for.
        located: whether the passages around the matches are needed.
        processes: how many search; with 1 this one does.

    Yields:
        The batches in order, and what is in each of their documents.

    Raises:
        CFTError: the corpus cannot be read, or a process was killed.
    """
    scanner = Scanner(index, located)
    yield from in_order(scanner.scan, ((batch, batch.texts) for batch in batches(parts)), processes)
