"""Where the text of a row begins or ends within a word, since chunks are cut between tokens."""

import unicodedata
from collections.abc import Sequence, Set
from itertools import pairwise
from typing import Any

from axolotl_cft.core.encoding import Ids, Row

Place = tuple[int, int]
"""A segment of a document: index of its chunk, and its own within the chunk's row."""

_REACH = 8
"""Tokens on each side of a cut that are decoded: more than any character takes."""


def find_cuts(tokenizer: Any, rows: Sequence[Row]) -> set[Place]:
    """The segments of a document, given by all its rows, that begin within a word."""
    parts = [
        ((row.chunk, number), segment.target)
        for row in rows
        if row.view == 0
        for number, segment in enumerate(row.segments)
    ]
    return {
        place
        for (_, before), (place, after) in pairwise(parts)
        if splits_word(tokenizer, before, after)
    }


def places_of(row: Row, cuts: Set[Place]) -> set[int]:
    """The tokens of a row before or behind which (`row.size`) its text was cut within a word."""
    places, at = set(), 0
    for number, segment in enumerate(row.segments):
        if (row.chunk, number) in cuts:
            places.add(at + segment.context.size)
        at += segment.context.size + segment.target.size
        is_last = number == len(row.segments) - 1
        if ((row.chunk + 1, 0) if is_last else (row.chunk, number + 1)) in cuts:
            places.add(at)
    return places


def splits_word(tokenizer: Any, before: Ids, after: Ids) -> bool:
    """Whether a text that was cut between two runs of its tokens was cut within a word.

    That is between two letters, digits or marks, or within a character. Where words are written
    without spaces between them, as in Chinese, every cut between two characters is one.
    """
    tail, head = before[-_REACH:].tolist(), after[:_REACH].tolist()
    left, both = (
        tokenizer.decode(ids, clean_up_tokenization_spaces=False) for ids in (tail, tail + head)
    )
    if not both.startswith(left) or left.endswith("\ufffd"):
        return True  # the rest of a character makes another one of what was decoded
    return _is_of_word(left[-1:]) and _is_of_word(both[len(left) : len(left) + 1])


def _is_of_word(character: str) -> bool:
    return bool(character) and unicodedata.category(character)[0] in "LMN"
