"""Passages to take out of a text: what stands around a match, and what is worth keeping.

The idea is that of lm-eval's Janitor (Brown et al. 2020, appendix C): with the match go `MARGIN`
characters on both sides, where an item's options and its answer stand.
"""

import re
from collections.abc import Iterable, Sequence

Span = tuple[int, int]

MARGIN = 200
"""Characters that go with a match on each side, at least."""

SHORTEST = 200
"""Characters below which what is left between two passages, or at an end, goes too."""

_REACH = 200  # further characters in which a passage may look for a border
_BORDER = re.compile(r"(?<=[.!?:])\s+|\s*\n\s*")
_SPACE = re.compile(r"\s+")


def around(text: str, begin: int, end: int) -> Span:
    """The passage around a match: `MARGIN` on both sides, and on to the end of a sentence.

    Where no sentence or line ends within reach it is cut at white space, and without that where it
    stands.
    """
    first, last = max(0, begin - MARGIN), min(len(text), end + MARGIN)
    if first:
        low = max(0, first - _REACH)
        borders = _borders(text, low, first)
        first = borders[-1].end() if borders else (0 if low == 0 else first)
    if last < len(text):
        high = min(len(text), last + _REACH)
        borders = _borders(text, last, high)
        last = borders[0].start() if borders else (len(text) if high == len(text) else last)
    return first, last


def _borders(text: str, begin: int, end: int) -> list[re.Match[str]]:
    return list(_BORDER.finditer(text, begin, end)) or list(_SPACE.finditer(text, begin, end))


def merged(passages: Iterable[Span], length: int) -> list[Span]:
    """The parts of a text to take out, in order and apart.

    Args:
        passages: in any order; they may overlap.
        length: of the text.

    Returns:
        Passages with less than `SHORTEST` between them, or between one and an end, are one.
    """
    cuts: list[Span] = []
    for begin, end in sorted(passages):
        before = cuts[-1][1] if cuts else 0
        if begin - before < SHORTEST:
            begin = cuts.pop()[0] if cuts else 0
            end = max(before, end)
        cuts.append((begin, end))
    if cuts and length - cuts[-1][1] < SHORTEST:
        cuts[-1] = (cuts[-1][0], length)
    return cuts


def leftovers(text: str, cuts: Sequence[Span]) -> list[str]:
    """What stays of a text, without white space at the borders of what was taken out."""
    places = [0, *(place for cut in cuts for place in cut), len(text)]
    kept = [text[begin:end] for begin, end in zip(places[::2], places[1::2], strict=True)]
    last = len(kept) - 1
    kept = [part if number == 0 else part.lstrip() for number, part in enumerate(kept)]
    kept = [part if number == last else part.rstrip() for number, part in enumerate(kept)]
    return [part for part in kept if part]
