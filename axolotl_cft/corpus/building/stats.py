"""What a corpus holds, counted in one reading.

Lengths, licences, topics, languages, doubles, and how dense the texts are.
"""

import hashlib
import heapq
import json
from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from axolotl_cft.core.density import QUANTILES, density
from axolotl_cft.core.sampling import letters_of
from axolotl_cft.corpus.building.packed import read_corpus
from axolotl_cft.corpus.building.shards import TEXT
from axolotl_cft.corpus.building.sums import Sum

EXCERPTS = 10
EXCERPT_CHARACTERS = 400


@dataclass(frozen=True)
class Excerpt:
    """A random document's beginning."""

    doc_id: str
    text: str


@dataclass
class CorpusStats:
    """Counts over all documents of a corpus.

    Attributes:
        total: of all.
        by: "licence", "topic" or "source" -> each of them -> its sum.
        languages: ISO 639-1 code -> documents; empty where nobody told them.
        lengths: power of two -> documents of so many characters or more, and fewer than twice that.
        density: percent -> the density (`density.density`) that so many percent of the documents
            do not exceed; empty where no document is long enough.
        with_density: documents that are.
        doubles: documents whose text another one has too, case and punctuation aside.
        excerpts: of documents drawn at random, by seed and id.
        counted_with: the tokenizer; None where tokens were not counted.
    """

    total: Sum = field(default_factory=Sum)
    by: dict[str, dict[str, Sum]] = field(
        default_factory=lambda: {"licence": {}, "topic": {}, "source": {}}
    )
    languages: Counter[str] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)
    density: dict[int, float] = field(default_factory=dict)
    with_density: int = 0
    doubles: int = 0
    excerpts: list[Excerpt] = field(default_factory=list)
    counted_with: str | None = None


def collect(
    folder: Path,
    *,
    count_tokens: Callable[[list[str]], list[int]] | None = None,
    language_of: Callable[[str], str | None] | None = None,
    seed: int = 42,
    told: Callable[[int], None] = lambda documents: None,
) -> CorpusStats:
    """Count a corpus.

    Args:
        folder: with the shards and their manifest.
        count_tokens: gives the tokens of texts, if they are to be counted.
        language_of: tells the language of a text, if it is to be told.
        seed: of the excerpts.
        told: is told of documents that were counted.

    Raises:
        CFTError: the corpus cannot be read.
    """
    stats, keys, densities = CorpusStats(), array("Q"), array("f")
    drawn: list[tuple[bytes, str, str]] = []  # a heap with the largest draw first
    for rows in read_corpus(folder):
        texts = [row[TEXT] for row in rows]
        tokens = count_tokens(texts) if count_tokens else [0] * len(texts)
        for row, text, count in zip(rows, texts, tokens, strict=True):
            _count(stats, row, len(text), count)
            keys.append(int.from_bytes(_key(text), "little"))
            if (dense := density(text)) is not None:
                densities.append(dense)
            _draw(drawn, _key(json.dumps([seed, row["doc_id"]])), row["doc_id"], text)
            if language_of and (language := language_of(text)):
                stats.languages[language] += 1
        told(len(rows))
    distinct = len(np.unique(np.frombuffer(keys, np.uint64))) if keys else 0
    stats.doubles = stats.total.documents - distinct
    stats.with_density = len(densities)
    if densities:
        found = np.percentile(np.frombuffer(densities, np.float32), QUANTILES).tolist()
        stats.density = dict(zip(QUANTILES, found, strict=True))
    stats.excerpts = [Excerpt(doc_id, text) for _, doc_id, text in sorted(drawn, reverse=True)]
    return stats


def _key(text: str) -> bytes:
    """Eight bytes for the letters and digits of a text."""
    return hashlib.blake2b(letters_of(text), digest_size=8).digest()


def _count(stats: CorpusStats, row: dict[str, Any], characters: int, tokens: int) -> None:
    stats.total.add(characters, tokens)
    for name, sums in stats.by.items():
        if row[name]:
            sums.setdefault(row[name], Sum()).add(characters, tokens)
    stats.lengths[1 << max(0, characters.bit_length() - 1)] += 1


def _draw(drawn: list[tuple[bytes, str, str]], key: bytes, doc_id: str, text: str) -> None:
    """Keep a document if its draw is among the smallest so far."""
    place = bytes(255 - byte for byte in key)  # so that the heap's first is the largest draw
    entry = (place, doc_id, " ".join(text[: 4 * EXCERPT_CHARACTERS].split())[:EXCERPT_CHARACTERS])
    if len(drawn) < EXCERPTS:
        heapq.heappush(drawn, entry)
    elif place > drawn[0][0]:
        heapq.heapreplace(drawn, entry)
