"""The text of each chunk of training, found by character offsets, under every kind of tokenizer."""

import random
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_pieces import LLAMA_3, MADE, SPECIAL, awkward, byte_level
from tokenizers import normalizers, processors

from axolotl_cft.core import cuts
from axolotl_cft.core.cuts import Chunked, ChunkFinder, Cut
from axolotl_cft.core.encoding import Frame, Ids, encode_document
from axolotl_cft.core.pieces import Cutter
from axolotl_cft.core.sampling import text_key
from axolotl_cft.core.tokenizing import TextEncoder
from axolotl_cft.errors import CFTError

PLAIN = [
    "the",
    "heart",
    " ",
    " ",
    "\n",
    "\r\n",
    "👩‍🔬",
    "👨‍👩‍👧‍👦🫀",
    "e\u0301\u0323",
    "é",
    "漢字",
    "東京。",
    "\t",
]
messy = st.lists(st.sampled_from(PLAIN), min_size=1, max_size=60).map("".join)
"""Text without special tokens, so that each token's bytes are known."""


def trimmed() -> Any:
    """As the hub's GPT-2 and Llama-3 are saved: offsets leave out the space before a word."""
    tokenizer = byte_level(LLAMA_3)
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    return tokenizer


def decomposing() -> Any:
    """Takes letters and accents apart, and puts the accents in order."""
    tokenizer = byte_level()
    tokenizer.backend_tokenizer.normalizer = normalizers.NFD()
    return tokenizer


SPELLING: dict[str, Callable[[], Any]] = {**MADE, "trimmed": trimmed}
"""Tokenizers whose tokens spell the text byte for byte."""

KINDS = {**SPELLING, "decomposing": decomposing}


class Kind(NamedTuple):
    """A tokenizer, and what is made of it once."""

    tokenizer: Any
    encode: Callable[[list[Any]], list[Ids]]
    finder: ChunkFinder

    def find(self, text: str, capacity: int) -> Chunked:
        self.finder.capacity = capacity
        return self.finder.find(text)

    def trained(self, text: str, capacity: int) -> list[list[int]]:
        """The targets of the text's rows."""
        frame = Frame((), self.tokenizer.eos_token_id, capacity + 8, 8)
        rows = encode_document(self.encode([text])[0], frame, lambda *_: [None])
        return [row.target.tolist() for row in rows]


@pytest.fixture(scope="module")
def kinds() -> dict[str, Kind]:
    made = {kind: make() for kind, make in KINDS.items()}
    return {kind: Kind(t, TextEncoder(t), ChunkFinder(t, 2)) for kind, t in made.items()}


def bytes_of(tokenizer: Any, ids: list[int]) -> int:
    """How many bytes of a text these tokens spell."""
    tokens = tokenizer.convert_ids_to_tokens(ids)
    if tokenizer.backend_tokenizer.decoder is None:  # byte level: a letter for each byte
        return sum(map(len, tokens))
    plain = (re.sub("<0x[0-9A-F]{2}>", "x", token).replace("▁", " ") for token in tokens)
    return sum(len(token.encode()) for token in plain)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=100, deadline=None)
@given(text=awkward | messy | st.text(max_size=60), capacity=st.integers(2, 40))
def test_chunks_are_those_of_training_and_together_the_text(
    kinds: dict[str, Kind], kind: str, text: str, capacity: int
) -> None:
    found, trained = kinds[kind].find(text, capacity), kinds[kind].trained(text, capacity)
    assert len(list(found.spans)) == len(trained)
    assert list(found.edges) == sorted(found.edges)
    if trained:
        assert "".join(text[a:b] for a, b in found.spans) == text
    assert found.digest == Cut(text_key(text), kinds[kind].encode([text])[0], capacity).digest


@pytest.mark.parametrize("kind", SPELLING)
@settings(max_examples=100, deadline=None)
@given(text=messy, capacity=st.integers(2, 40))
def test_each_chunk_has_the_text_that_its_tokens_spell(
    kinds: dict[str, Kind], kind: str, text: str, capacity: int
) -> None:
    *begun, last = kinds[kind].trained(text, capacity)
    lengths = [bytes_of(kinds[kind].tokenizer, ids) for ids in [*begun, last[:-1]]]
    encoded = text.encode()
    lengths[0] -= sum(lengths) - len(encoded)  # a ▁ that the tokenizer puts before every text
    ends = np.cumsum(lengths[:-1]).tolist()
    # A character whose bytes fall into two chunks belongs to the later one.
    whole = [len(encoded[:end].decode("utf-8", "ignore")) for end in ends]
    assert list(kinds[kind].find(text, capacity).edges) == [0, *whole, len(text)]


@pytest.mark.parametrize("kind", MADE)
def test_a_long_text_is_tokenized_in_windows_to_the_same_end(
    kinds: dict[str, Kind], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(3)
    paragraphs = ("".join(dice.choices(PLAIN, k=80)) + "the end" for _ in range(600))
    text, finder = "\n\n".join(paragraphs), kinds[kind].finder
    monkeypatch.setattr(cuts, "WINDOW", 1 << 15)
    windows = list(finder._windows(text))
    assert len(windows) > 1 and max(map(len, windows)) > 1
    found = kinds[kind].find(text, 100)
    monkeypatch.setattr(finder, "_cutter", Cutter.nowhere())
    assert len(list(finder._windows(text))) == 1
    assert found == kinds[kind].find(text, 100)


def test_a_digest_is_of_text_tokens_and_bounds() -> None:
    ids = np.arange(50, dtype=np.int32)
    cut = Cut(b"a", ids, 20)
    others = [Cut(b"b", ids, 20), Cut(b"a", ids[::-1], 20), Cut(b"a", ids, 19)]
    assert len({cut.digest, *(other.digest for other in others)}) == 4
    assert cut.digest == Cut(b"a", ids.astype(">i8"), 20).digest
    assert Cut(b"a", ids, 60).digest == Cut(b"a", ids, 90).digest  # one chunk, the same
    assert len(cut.bounds) == 3 and Cut(b"a", ids[:0], 20).bounds == []


def test_a_tokenizer_without_offsets_is_refused_in_a_sentence() -> None:
    class Slow:
        name_or_path, is_fast = "old-model", False

    with pytest.raises(CFTError, match="old-model is a slow one.*write prompts per document"):
        ChunkFinder(Slow(), 20)


def test_special_tokens_in_a_text_are_part_of_their_chunks(kinds: dict[str, Kind]) -> None:
    text = "the heart " + " and ".join(SPECIAL) + " pumps"
    for kind in kinds.values():
        spans = kind.find(text, 3).spans
        assert "".join(text[a:b] for a, b in spans) == text
