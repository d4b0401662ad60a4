"""Cut a long text into pieces whose tokens, joined, are the tokens of the whole.

A BPE that does not split its input (Llama-2, Mistral) costs more per token the longer the text, and
a tokenizer's threads share texts, not parts of one. Both go away if a long text can be cut, and
whether it can is a property of the tokenizer:

- no pre-tokenizer but spaces (SentencePiece-style BPE): nothing merges with a newline that does not
  stand at its beginning, so the text may be cut *before* a newline. What the tokenizer puts before
  every text ("▁") is then put before every piece, and dropped again.
- GPT-2's pattern: a newline after anything but white space begins a piece of its own.
- Llama-3's, Qwen's and their like take newlines into the piece *before* them, so that a letter or
  digit after a newline always begins one.

The patterns are searched from left to right without looking back, so a place where one piece
always ends is a place to cut. Whatever is not recognized is left whole, and what is recognized is
tried on awkward text first.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from axolotl_cft.core.encoding import Ids

PIECE = 16_384
"""Characters in a piece, at the least: below it the cost per token does not fall any further."""

Encode = Callable[[list[str]], list[list[int]]]

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_BEFORE_A_LETTER = {
    # Llama-3; Qwen-2 takes digits one by one, others up to three.
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    for digits in ("", "{1,3}")
}


@dataclass(frozen=True)
class Cutter:
    """Where a tokenizer's texts may be cut.

    Attributes:
        place: finds the places to cut; each match begins at one.
        artefact: tokens that the tokenizer puts before every piece but should not.
    """

    place: re.Pattern[str]
    artefact: int = 0

    @classmethod
    def nowhere(cls) -> "Cutter":
        """Leaves every text whole."""
        return cls(re.compile(r"(?!)"))

    def cut(self, text: str, least: int = PIECE) -> Iterator[str]:
        """The pieces of a text, none but the last shorter than `least` characters."""
        begin = 0
        while len(text) - begin > least:
            match = self.place.search(text, begin + least)
            if match is None:
                break
            yield text[begin : match.start()]
            begin = match.start()
        yield text[begin:]

    def join(self, pieces: Sequence[Sequence[int] | Ids]) -> Ids:
        """The tokens of a text from those of its pieces."""
        arrays = [np.asarray(ids, dtype=np.int32) for ids in pieces]
        if len(arrays) == 1:
            return arrays[0]
        return np.concatenate([arrays[0], *(ids[self.artefact :] for ids in arrays[1:])])


def find_cutter(tokenizer: Any, encode: Encode) -> Cutter | None:
    """How the tokenizer's texts may be cut; None if they are to be left whole.

    Args:
        tokenizer: a Hugging Face tokenizer.
        encode: what will be asked for ids.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    parts = json.loads(backend.to_str())
    added = parts["added_tokens"]
    if any(t["lstrip"] or t["rstrip"] or t["single_word"] for t in added):
        return None  # such a token takes white space in, on either side of a cut
    if any({"\n", "\r"} & set(token["content"]) for token in added):
        return None
    model = parts["model"]
    if model["type"] != "BPE" or model.get("dropout"):
        return None
    cutter = _spaces_only(parts, encode) or _by_pattern(parts)
    return cutter if cutter and _holds(cutter, encode, [t["content"] for t in added]) else None


def _spaces_only(parts: dict[str, Any], encode: Encode) -> Cutter | None:
    """For a BPE over whole texts, in which spaces are letters (▁)."""
    normalizers = _sequence(parts["normalizer"], "normalizers")
    if any(n["type"] not in ("Prepend", "Replace") for n in normalizers):
        return None
    if any(n["type"] == "Replace" and n["pattern"] != {"String": " "} for n in normalizers):
        return None
    if any(p["type"] != "Metaspace" for p in _sequence(parts["pre_tokenizer"], "pretokenizers")):
        return None
    vocabulary, unknown = parts["model"]["vocab"], parts["model"].get("unk_token")
    if any(re.search(r"[^\n]\n", token) for token in vocabulary):
        return None
    alone, after = encode(["\n", "a\n"])
    (letter,) = encode(["a"])
    newline = after[len(letter) :]
    artefact = len(alone) - len(newline)
    if artefact < 0 or not newline or alone[artefact:] != newline:
        return None
    if unknown in vocabulary and vocabulary[unknown] in newline:
        return None  # neighboring unknowns become one
    # Behind a token of its own the tokenizer begins anew, and puts a ▁ before the newline.
    ends = "".join(sorted({token["content"][-1] for token in parts["added_tokens"]}))
    return Cutter(re.compile(rf"(?<=[^\n{re.escape(ends)}])\n"), artefact)


def _by_pattern(parts: dict[str, Any]) -> Cutter | None:
    """For a byte-level BPE behind one of the known patterns."""
    normalizers = _sequence(parts["normalizer"], "normalizers")
    if any(n["type"] != "NFC" for n in normalizers):  # no newline takes part in a composition
        return None
    match _sequence(parts["pre_tokenizer"], "pretokenizers"):
        case [{"type": "ByteLevel", "use_regex": True, "add_prefix_space": False}]:
            return Cutter(re.compile(r"(?<=\S)[\r\n]"))
        case [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"},
            {"type": "ByteLevel", "use_regex": False, "add_prefix_space": False},
        ] if pattern in _BEFORE_A_LETTER:
            return Cutter(re.compile(r"(?<=[\r\n])[^\W_]"))
    return None


def _sequence(part: dict[str, Any] | None, name: str) -> list[dict[str, Any]]:
    """The members of a sequence of normalizers or pre-tokenizers, which may be one or none."""
    if part is None:
        return []
    return part[name] if part["type"] == "Sequence" else [part]


def _holds(cutter: Cutter, encode: Encode, added: Sequence[str]) -> bool:
    """Whether awkward text gives the same tokens whole and cut wherever it may be."""
    ends = ["word", "end.", "12", "e\u0301", "👩‍🔬", "a ", "b\t", "—", *added[:8]]
    breaks = ["\n", "\n\n", "\r\n", " \n\t\n\n", "\n\n\r\r\n"]
    starts = ["Word", " two", "3", "‘q’", "\u0301x", "漢字", "#", *added[:8]]
    text = "".join(end + gap + start for end in ends for gap in breaks for start in starts)
    pieces = list(cutter.cut(text, least=1))
    (whole,) = encode([text])
    return len(pieces) > 1 and np.array_equal(cutter.join(encode(pieces)), whole)
