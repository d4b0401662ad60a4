"""How a text is cut into chunks: how many, told from others by a digest, and where in the text.

Whoever writes something for each chunk of a text (`generate --per chunk`) asks `ChunkFinder` what
the chunks will be; training compares its own `Cut` with the digest that was kept.
"""

import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from axolotl_cft.core.encoding import Ids, chunk_bounds, segment_bounds
from axolotl_cft.core.pieces import Cutter, find_cutter
from axolotl_cft.core.sampling import text_key
from axolotl_cft.errors import CFTError

WINDOW = 1 << 18
"""Characters tokenized at a time: a token takes a few hundred bytes until its offsets are read."""


@dataclass(frozen=True, eq=False)
class Cut:
    """How the tokens of a text fall into chunks.

    Attributes:
        key: of the text (`sampling.text_key`).
        ids: the text's tokens.
        capacity: most tokens in a chunk (`Frame.capacity`).
        every: most tokens behind a prompt inside a chunk (`Frame.every`).
    """

    key: bytes
    ids: Ids
    capacity: int
    every: int | None = None

    @functools.cached_property
    def bounds(self) -> list[tuple[int, int]]:
        """Of each chunk, in the text's tokens and one EOS; none for a text without tokens.

        With `every`, of each of their segments: there are as many as places for a prompt.
        """
        if not self.ids.size:
            return []
        return [
            (begin + first, begin + last)
            for begin, end in chunk_bounds(self.ids.size + 1, self.capacity)
            for first, last in segment_bounds(end - begin, self.every)
        ]

    @functools.cached_property
    def digest(self) -> str:
        """32 hex digits: equal for equal texts with equal tokens in equal chunks and segments."""
        digest = hashlib.blake2b(self.key, digest_size=16)
        digest.update(np.asarray(self.bounds, dtype="<i8").tobytes())
        digest.update(self.ids.astype("<i4").tobytes())
        return digest.hexdigest()


class Chunked(NamedTuple):
    """A text's chunks, in characters.

    Attributes:
        edges: where each chunk begins, and where the last one ends; `(0,)` without chunks.
        digest: of the cut.
    """

    edges: tuple[int, ...]
    digest: str

    @property
    def spans(self) -> Iterator[tuple[int, int]]:
        """Begin and end of each chunk; together they are the text."""
        return pairwise(self.edges)


class ChunkFinder:
    """Finds the chunks of texts, as training will cut them.

    Args:
        tokenizer: a fast Hugging Face tokenizer.
        capacity: most tokens in a chunk (`Frame.capacity`).
        every: most tokens behind a prompt inside a chunk; what is found are then its segments.

    Raises:
        CFTError: the tokenizer does not say where in a text its tokens stand.
    """

    def __init__(self, tokenizer: Any, capacity: int, every: int | None = None):
        if not getattr(tokenizer, "is_fast", False):
            raise CFTError(
                f"the tokenizer {getattr(tokenizer, 'name_or_path', '')} is a slow one, which does "
                "not say where in a text its tokens stand, so that a chunk's text is not known; "
                "write prompts per document, or use a model with a fast tokenizer"
            )
        self.tokenizer = tokenizer
        self.capacity = capacity
        self.every = every
        self._cutter = find_cutter(tokenizer, self._ids) or Cutter.nowhere()

    def find(self, text: str) -> Chunked:
        """The chunks of a text.

        A character whose tokens fall into two chunks belongs to the later one.
        """
        ids, begins = self._tokenize(text)
        cut = Cut(text_key(text), ids, self.capacity, self.every)
        if not cut.bounds:
            return Chunked((0,), cut.digest)
        inner = begins[[begin for begin, _ in cut.bounds[1:]]]
        return Chunked((0, *inner.tolist(), len(text)), cut.digest)

    def _ids(self, texts: list[str]) -> list[list[int]]:
        ids: list[list[int]] = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
        return ids

    def _tokenize(self, text: str) -> tuple[Ids, Ids]:
        """The tokens of a text, and the characters where they begin; both of shape (n,)."""
        ids, begins, begin = [], [], 0
        for pieces in self._windows(text):
            made = self.tokenizer(
                pieces,
                add_special_tokens=False,
                return_offsets_mapping=True,
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,
            )
            for piece, its_ids, offsets in zip(
                pieces, made["input_ids"], made["offset_mapping"], strict=True
            ):
                ids.append(np.asarray(its_ids, dtype=np.int32))
                begins.append(_begins(offsets) + np.int32(begin))
                begin += len(piece)
        return self._cutter.join(ids), self._cutter.join(begins)

    def _windows(self, text: str) -> Iterator[list[str]]:
        """The pieces of a text, some WINDOW of characters at a time."""
        pieces: list[str] = []
        size = 0
        for piece in self._cutter.cut(text):
            pieces.append(piece)
            size += len(piece)
            if size >= WINDOW:
                yield pieces
                pieces, size = [], 0
        if pieces:
            yield pieces


def _begins(offsets: list[tuple[int, int]]) -> Ids:
    """The characters where the tokens of a piece begin, spaces included.

    The offsets of byte-level tokenizers leave out the space that a token begins with; it is where
    the token before ends. Of a character in several tokens each has the offsets of all of it.
    """
    begins, ends = np.asarray(offsets, dtype=np.int32).reshape(-1, 2).T
    return np.minimum(begins, np.concatenate([np.zeros(1, np.int32), ends[:-1]]))
