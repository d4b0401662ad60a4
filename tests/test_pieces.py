"""Texts cut into pieces give the tokens of the whole, under every kind of tokenizer."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from axolotl_cft.core.pieces import Cutter, find_cutter
from axolotl_cft.core.tokenizing import TextEncoder

SENTENCE = "the heart pumps blood. In 1628, Harvey wrote of it; he wasn't believed (at first)"
WORDS = SENTENCE.split()
LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN_2 = LLAMA_3.replace(r"\p{N}{1,3}", r"\p{N}")
SPECIAL = ["<unk>", "<s>", "</s>", "<|eot_id|>"]


def corpus() -> list[str]:
    rng = random.Random(5)
    breaks = [" "] * 12 + ["\n", "\n\n", ".\n", "  ", " \n", "\r\n", "\t"]
    return ["".join(rng.choice(WORDS) + rng.choice(breaks) for _ in range(120)) for _ in range(60)]


def wrapped(core: Tokenizer) -> PreTrainedTokenizerFast:
    core.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    named = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=core, **named)


def sentencepiece(scheme: str | None = None, merge_newlines: bool = False) -> Any:
    """A BPE over whole texts with byte fallback: Llama-2's way, or with `scheme` Mistral's."""
    core = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    spaces = normalizers.Replace(" ", "▁")
    if scheme is None:
        core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), spaces])
    else:
        core.pre_tokenizer = pre_tokenizers.Metaspace("▁", scheme, split=False)
    given = [text if merge_newlines else text.replace("\n", " ") for text in corpus()]
    letters = [f"<0x{byte:02X}>" for byte in range(256)]
    core.train_from_iterator(
        given, trainers.BpeTrainer(vocab_size=600, special_tokens=["<unk>", *letters])
    )
    core.decoder = decoders.ByteFallback()
    return wrapped(core)


def byte_level(pattern: str | None = None, prefix: bool = False) -> Any:
    """A byte-level BPE behind GPT-2's pattern, or another."""
    core = Tokenizer(models.BPE())
    if pattern is None:
        core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    else:
        split = pre_tokenizers.Split(Regex(pattern), "isolated")
        rest = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        core.pre_tokenizer = pre_tokenizers.Sequence([split, rest])
    letters = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        corpus(), trainers.BpeTrainer(vocab_size=600, initial_alphabet=letters)
    )
    return wrapped(core)


MADE: dict[str, Callable[[], Any]] = {
    "Llama-2": sentencepiece,
    "Mistral": lambda: sentencepiece("first"),
    "never a prefix": lambda: sentencepiece("never"),
    "GPT-2": byte_level,
    "Llama-3": lambda: byte_level(LLAMA_3),
    "Qwen-2": lambda: byte_level(QWEN_2),
}


@pytest.fixture(scope="module")
def tokenizers_by_kind() -> dict[str, Any]:
    return {kind: make() for kind, make in MADE.items()}


@pytest.fixture(scope="module")
def cutters(tokenizers_by_kind: dict[str, Any]) -> dict[str, Cutter | None]:
    return {kind: find_cutter(t, encoder(t)) for kind, t in tokenizers_by_kind.items()}


def encoder(tokenizer: Any) -> Callable[[list[str]], list[list[int]]]:
    return lambda texts: tokenizer(texts, add_special_tokens=False)["input_ids"]


PARTS = [
    *WORDS,
    *SPECIAL,
    "<0x0A>",
    "▁",
    "é",
    "e\u0301",
    "\u0301",
    "👩‍🔬",
    "👨‍👩‍👧‍👦",
    "漢字",
    "\u200b",
]
PARTS += ["\x00", "\x85", "\u2028", "\u00a0", "\x0b", "_", "'s", "'", "—", "₂", "½", "Ⅳ", "a", "."]
BREAKS = ["\n", "\n", "\n\n", "\r\n", "\r", " \n", "\n ", "\n\t\n", " ", "  ", "   ", "\t", ""]
awkward = st.lists(
    st.tuples(st.sampled_from(PARTS), st.sampled_from(BREAKS)), min_size=1, max_size=40
).map(lambda parts: "".join(word + gap for word, gap in parts))


@pytest.mark.parametrize("kind", MADE)
@settings(max_examples=300, deadline=None)
@given(text=awkward | st.text(alphabet="ab1.\n\r \té", max_size=40))
def test_pieces_have_the_tokens_of_the_whole(
    tokenizers_by_kind: dict[str, Any], cutters: dict[str, Cutter | None], kind: str, text: str
) -> None:
    encode, cutter = encoder(tokenizers_by_kind[kind]), cutters[kind]
    assert cutter is not None
    pieces = list(cutter.cut(text, least=1))
    assert "".join(pieces) == text
    assert cutter.join(encode(pieces)).tolist() == encode([text])[0]


@pytest.mark.parametrize("kind", MADE)
def test_prose_is_cut_about_where_it_should(
    tokenizers_by_kind: dict[str, Any], cutters: dict[str, Cutter | None], kind: str
) -> None:
    tokenizer, cutter = tokenizers_by_kind[kind], cutters[kind]
    assert cutter is not None
    book = "\n\n".join(corpus() * 20)
    sizes = [len(piece) for piece in cutter.cut(book, least=2_000)]
    assert min(sizes[:-1]) >= 2_000 and max(sizes) < 4_000
    assert TextEncoder(tokenizer)([book, "", "short"])[0].tolist() == encoder(tokenizer)([book])[0]


def test_a_text_without_a_place_stays_whole(cutters: dict[str, Cutter | None]) -> None:
    cutter = cutters["Llama-2"]
    assert cutter is not None
    assert list(cutter.cut("word " * 10_000)) == ["word " * 10_000]
    assert list(Cutter.nowhere().cut("a\n" * 50_000)) == ["a\n" * 50_000]


def eats_space() -> Any:
    tokenizer = sentencepiece()
    tokenizer.add_tokens([AddedToken("<mask>", rstrip=True)])
    return tokenizer


def holds_newline() -> Any:
    tokenizer = byte_level()
    tokenizer.add_tokens([AddedToken("\nUser:")])
    return tokenizer


def word_piece() -> Any:
    core = Tokenizer(models.WordPiece({"<unk>": 0, "a": 1}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    return wrapped(core)


def merged_words() -> Any:
    return sentencepiece(merge_newlines=True)


@pytest.mark.parametrize(
    "make",
    [
        eats_space,
        holds_newline,
        word_piece,
        merged_words,
        lambda: byte_level(prefix=True),
        lambda: byte_level(r"\w+|\s+|[^\w\s]+"),
    ],
    ids=["rstrip", "newline", "WordPiece", "merged", "prefix space", "other pattern"],
)
def test_what_is_not_known_to_agree_is_left_whole(make: Callable[[], Any]) -> None:
    tokenizer = make()
    assert find_cutter(tokenizer, encoder(tokenizer)) is None
    text = "\n".join(corpus() * 3)
    assert TextEncoder(tokenizer)([text])[0].tolist() == encoder(tokenizer)([text])[0]
