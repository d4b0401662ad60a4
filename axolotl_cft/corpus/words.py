"""Texts as normalized words, as hashes of words, and back to places in the text.

Words are runs of letters and digits after NFKC and case folding. Invisible characters (soft
hyphens, zero-width spaces and joiners, marks of direction) are left out first, since they would cut
words. Languages that put no spaces between words are not cut into words.

Whole batches of texts are hashed at once: word by word in Python would take thrice the time.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]

_PIECE = 1 << 18  # bytes hashed at once, for some 40 times as much memory; fits a CPU's cache
_ODD = re.compile(r"[^\x00-\x7f]")
_ASCII = bytes(
    ord(chr(code).lower()) if code > 127 or chr(code).isalnum() else 32 for code in range(128)
) + bytes(range(128, 256))
_BETWEEN = b" \x00 "  # a word that is in no text: byte 0 is a separator there
_CHUNK = re.compile(r".{1,2000}(?=\s|\Z)|\S+", re.DOTALL)
_TOKEN = re.compile(r"\S+")

_random = np.random.default_rng(0)
_OF_BYTE = _random.integers(1 << 64, size=256, dtype=np.uint64)
_BASE = 0x9E3779B97F4A7C15
_MIX = np.uint64(0xBF58476D1CE4E5B9)


def words_of(text: str) -> list[str]:
    """The normalized words of a text.

    Example:
        >>> words_of("Naïve B-cells: 5 µg/mL")
        ['naïve', 'b', 'cells', '5', 'μg', 'ml']
    """
    return _spaced(text).decode("utf-8", "surrogatepass").split()


def _spaced(text: str) -> bytes:
    """The words in UTF-8, with any number of spaces around each."""
    if not text.isascii():
        # First what cuts words or stands for nothing: mostly typographic signs, and without them
        # most texts are ASCII, which needs no normalization.
        for character in set(_ODD.findall(text)):
            if (instead := _instead(character)) is not None:
                text = text.replace(character, instead)
        if not text.isascii():
            text = unicodedata.normalize("NFKC", text).casefold()
            for character in set(_ODD.findall(text)):
                if not character.isalnum():
                    text = text.replace(character, " ")
    return text.encode("utf-8", "surrogatepass").translate(_ASCII)


@cache
def _instead(character: str) -> str | None:
    """What to put for a character before the text is normalized; None for itself."""
    if unicodedata.category(character) == "Cf" or character == "\u034f":
        return ""
    if "\ufe00" <= character <= "\ufe0f":  # selectors of a glyph's form
        return ""
    normal = unicodedata.normalize("NFKC", character)
    mark = unicodedata.combining(character) != 0  # may become one with the letter before it
    return None if mark or any(map(str.isalnum, normal)) else " "


def hashes_of(texts: Iterable[str]) -> tuple[Hashes, Places]:
    """The words of several texts as 64-bit hashes, one after the other.

    Returns:
        `[words]` hashes with a word that is in no text behind every text; and `[texts + 1]`, where
        the words of each begin (the last is the number of all).
    """
    data = b"".join(part for text in texts for part in (_spaced(text), _BETWEEN))
    pieces = [_hash_words(piece) for piece in _pieces(data)]
    hashes = np.concatenate(pieces) if pieces else np.empty(0, np.uint64)
    ends = np.flatnonzero(hashes == _separator())
    return hashes, np.concatenate(([0], ends + 1)).astype(np.int64)


@cache
def _separator() -> np.uint64:
    return np.uint64(_hash_words(_BETWEEN)[0])


def _pieces(data: bytes) -> Iterator[bytes]:
    """The bytes in pieces of `_PIECE`, cut at spaces."""
    begin = 0
    while begin < len(data):
        end = begin + _PIECE
        if end < len(data):
            end = data.rfind(b" ", begin, end) + 1 or data.find(b" ", end) + 1 or len(data)
        yield data[begin:end]
        begin = end


def _hash_words(data: bytes) -> Hashes:
    """Every word as the sum of its bytes' random numbers times powers of the place in the word."""
    letters = np.frombuffer(data, np.uint8)
    inside = np.concatenate(([False], letters != 32, [False]))
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    starts, ends = edges[::2], edges[1::2]
    powers, inverses = _powers(len(letters))
    sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(_OF_BYTE[letters] * powers)))
    hashes = (sums[ends] - sums[starts]) * inverses[starts]
    hashes ^= hashes >> np.uint64(31)
    hashes *= _MIX
    return hashes ^ (hashes >> np.uint64(29))


def run_hashes(words: Hashes, length: int) -> Hashes:
    """A hash of every `length` words in a row, `[words - length + 1]`; the high bits are best."""
    if len(words) < length:
        return np.empty(0, np.uint64)
    powers, inverses = _powers(len(words))
    sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(words * powers)))
    return (sums[length:] - sums[:-length]) * inverses[: len(words) - length + 1]


_known_powers: list[Hashes] = []


def _powers(count: int) -> tuple[Hashes, Hashes]:
    """The first `count` powers of an odd number modulo 2^64, and of its inverse."""
    if not _known_powers or len(_known_powers[0]) < count:
        bases = (_BASE, pow(_BASE, -1, 1 << 64))
        size = max(count, _PIECE)
        factors = [np.full(size, base, np.uint64) for base in bases]
        for factor in factors:
            factor[0] = 1
        _known_powers[:] = [np.cumprod(factor, dtype=np.uint64) for factor in factors]
    powers, inverses = _known_powers
    return powers[:count], inverses[:count]


def word_spans(text: str, numbers: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Where words of a text stand.

    Args:
        text: the text.
        numbers: places in `words_of(text)`.

    Returns:
        number -> begin and end in `text` of the characters between white space that hold the word.
    """
    wanted, spans, count = set(numbers), {}, 0
    for chunk in _CHUNK.finditer(text):
        within = range(count, count + len(words_of(chunk.group())))
        if not wanted.isdisjoint(within):
            for token in _TOKEN.finditer(text, *chunk.span()):
                for _ in words_of(token.group()):
                    if count in wanted:
                        spans[count] = token.span()
                    count += 1
        count = within.stop
    return spans
