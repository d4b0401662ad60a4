"""Where a held-out document is cut, so that its loss can be told by position."""

import re

from axolotl_cft.host.tokens import Tokens

FIRST = 128
"""Tokens before the first cut; each later one has twice as many before it."""

_REACH = 64
"""Characters by which a cut is moved back, to stand before a word."""

_SPACE = re.compile(r"(?<=\S) (?=\S)")


def find_cuts(text: str, length: int, tokens: Tokens) -> list[tuple[int, int]]:
    """Where the first 128, 256, 512, … tokens of a text end.

    A cut stands before a space between words where one is near, since nearly all tokenizers begin a
    token there: the tokens of what stands before it are then the same as in the whole text. Before
    it stand a few tokens less than the number says, and never more.

    Args:
        text: the document.
        length: its tokens.
        tokens: counts them.

    Returns:
        Pairs of tokens and characters before a cut, both rising, of less than the whole text.
    """
    found: list[tuple[int, int]] = []
    position = FIRST
    while position < length:
        at = _before_a_word(text, tokens.prefix(text, position))
        while tokens.of_text(text[:at]) > position:
            at = _before_a_word(text, at - 1)
        if at > (found[-1][1] if found else 0):
            found.append((position, at))
        position *= 2
    return found


def _before_a_word(text: str, at: int) -> int:
    spaces = [match.start() for match in _SPACE.finditer(text, max(0, at - _REACH), at + 1)]
    return spaces[-1] if spaces else at
