"""A document → sections of bounded size, cut between paragraphs, or else between sentences.

What was published cuts a document at 1,848 tokens and forgets the rest. Here every section is
followed by exercises of its own, and the sections, end to end, are the document.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter

from axolotl_cft.corpus.comprehension.blocks import (
    Block,
    Span,
    blocks,
    paragraphs,
    sentences,
)
from axolotl_cft.corpus.comprehension.passages import without_markup

SECTION_CHARACTERS = 7500
"""Some 1,850 tokens of English: what is left of 2,048 for a text in the published rows."""

_LONGEST_TITLE = 200


@dataclass(frozen=True)
class Section:
    """A section of a document.

    Attributes:
        text: all of it.
        title: of the section, as far as it says it itself, else of the document; None without one.
        head: characters at the beginning of `text` that hold the title and nothing else.
    """

    text: str
    title: str | None
    head: int = 0


def sections(text: str, limit: int, title: str | None = None) -> list[Section]:
    """Cut a document into sections.

    Args:
        text: the document.
        limit: most characters of a section; a sentence that is longer stays whole.
        title: of the document, if it is known from elsewhere; otherwise its first line counts
            where it looks like a title and something follows.

    Returns:
        The sections; joined, their texts are the document. A text without one has one, of nothing.
    """
    found = blocks(text)
    first = _first_line(text, found)
    title = _words(title) or _words(first.heading if first else None)
    spans = list(_spans(text, found, limit)) or [(0, 0)]
    return [_section(text, begin, end, found, title, first) for begin, end in spans]


def _words(title: str | None) -> str | None:
    """A title on one line without marks; None where nothing is left, or too much for one."""
    words = without_markup(title or "")
    return words if words and len(words) <= _LONGEST_TITLE else None


def _first_line(text: str, found: Sequence[Block]) -> Block | None:
    """The heading that a document begins with, if it is followed by something."""
    if not found or not text[found[0].end :].strip():
        return None
    return found[0] if found[0].kind == "heading" else None


def _section(
    text: str,
    begin: int,
    end: int,
    found: Sequence[Block],
    title: str | None,
    first: Block | None,
) -> Section:
    places = (bisect_left(found, place, key=attrgetter("begin")) for place in (begin, end))
    inside = [block for block in found[slice(*places)] if block.end <= end]
    own = inside[0] if inside and inside[0].begin == begin else None
    others = [block.level for block in inside[1:] if block.kind == "heading"]
    if own is None or own.kind != "heading" or not text[own.end : end].strip():
        return Section(text[begin:end], title)
    words = _words(own.heading)
    if own is first and words == title:
        return Section(text[begin:end], title, own.size)
    # Of what it begins with, a section is about that alone if nothing of that rank follows.
    if words is None or own.level == 7 or min(others, default=8) <= own.level:
        return Section(text[begin:end], title)
    if title is None or words.casefold() == title.casefold():
        return Section(text[begin:end], words, own.size)
    return Section(text[begin:end], f"{title}: {words}", own.size)


def _spans(text: str, found: Sequence[Block], limit: int) -> Iterator[Span]:
    """Where the sections stand: as much as fits, and a heading stays with what it heads."""
    begin = end = 0
    for group in _under_headings(found):
        whole = group[-1].end - group[0].begin
        full = group[-1].end - begin > limit
        # What fits into no section of its own may as well begin in one that is nearly empty.
        if full and end > begin and (whole <= limit or end - begin > limit // 4):
            yield begin, end
            begin = end
        for piece in [group[-1].end] if whole <= limit else _pieces(text, group, limit):
            if piece - begin > limit and end > begin:
                yield begin, end
                begin = end
            end = piece
    if end > begin:
        yield begin, end


def _under_headings(found: Sequence[Block]) -> Iterator[list[Block]]:
    """Blocks from one heading to the next; headings in a row are together."""
    group: list[Block] = []
    for block in found:
        if group and block.kind == "heading" and group[-1].kind != "heading":
            yield group
            group = []
        group.append(block)
    if group:
        yield group


def _pieces(text: str, group: Sequence[Block], limit: int) -> Iterator[int]:
    """Where a group that is too long may be cut; the last is its end."""
    headed = False
    for block in group:
        headed = block.kind == "heading"
        if headed:
            continue
        if block.size > limit:
            yield from _inside(text, block, limit)
        yield block.end
    if headed:  # nothing but headings
        yield group[-1].end


def _inside(text: str, block: Block, limit: int) -> Iterator[int]:
    """Where a block may be cut: between lines that are paragraphs or no prose, else sentences."""
    lines = paragraphs(text, block) if block.kind == "prose" else list(_lines(text, block))
    for begin, end in lines:
        if end - begin > limit:
            ends = [place for _, place in sentences(text, (begin, end))]
            yield from (place for place in ends if place < block.end)
        elif end < block.end:
            yield end


def _lines(text: str, block: Block) -> Iterator[Span]:
    content = text[block.begin : block.end]
    ends = [match.end() for match in re.finditer(r"\n", content)]
    for begin, end in pairwise([0, *ends, *([] if ends[-1:] == [block.size] else [block.size])]):
        yield block.begin + begin, block.begin + end
