"""What a text is made of: headings, paragraphs of prose, and the rest; prose as sentences.

Everything is told as places in the text, which lie end to end, so that nothing can get lost.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from axolotl_cft.errors import CFTError

Span = tuple[int, int]

_BLANK_LINES = re.compile(r"\n(?:[ \t\r\f\v]*\n)+")
_MARKED_HEADING = re.compile(r"(#{1,6})[ \t]+([^\n]*)(?:\n|\Z)")
_ITEM = re.compile(r"[ \t]*(?:[-*+•‣▪–][ \t]|\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,4})[.)][ \t])")
_NO_PROSE = re.compile(r"[ \t]*(?:[|>]|```|~~~|!\[|\\begin|</?[a-z])|(?: {4}|\t)\S")
_ENDS = re.compile(r"[.!?…][\"'”’»)\]*_]*\Z")
_PLAIN_HEADING = 80  # characters
_UNWRAPPED = 200
"""Characters of a line that nobody broke: its neighbors are paragraphs of their own."""


@dataclass(frozen=True)
class Block:
    """A piece of a text, with the white space behind it.

    Attributes:
        begin, end: its place.
        kind: "other" is a list, a table, code, or what else is no prose.
        level: of a heading, 1 to 6 as marked in Markdown, or 7 for a short line by itself.
        heading: its words, without marks.
    """

    begin: int
    end: int
    kind: Literal["heading", "prose", "other"]
    level: int = 0
    heading: str = ""

    @property
    def size(self) -> int:
        """Characters."""
        return self.end - self.begin


def blocks(text: str) -> list[Block]:
    """The blocks of a text, end to end."""
    found: list[Block] = []
    for begin, end in _between_blank_lines(text):
        head = _marked_heading(text, begin, end) or _line_above(text, begin, end)
        if head is not None:
            found.append(head)
            begin = head.end
        if begin < end:
            found.append(_judge(text, begin, end))
    return found


def _marked_heading(text: str, begin: int, end: int) -> Block | None:
    marked = _MARKED_HEADING.match(text, begin, end)
    words = marked[2].strip().rstrip("#").rstrip() if marked else ""
    if not marked or not words:
        return None
    alone = not text[marked.end() : end].strip()
    return Block(begin, end if alone else marked.end(), "heading", len(marked[1]), words)


def _line_above(text: str, begin: int, end: int) -> Block | None:
    """A short line right above one that nobody broke: no line of the same paragraph."""
    line, _, rest = text[begin:end].partition("\n")
    if len(rest.partition("\n")[0]) <= _UNWRAPPED or not _is_heading(line.strip()):
        return None
    return Block(begin, begin + len(line) + 1, "heading", 7, line.strip())


def _is_heading(line: str) -> bool:
    return 0 < len(line) <= _PLAIN_HEADING and line[0].isupper() and line[-1].isalnum()


def _between_blank_lines(text: str) -> Iterator[Span]:
    begin = 0
    for gap in _BLANK_LINES.finditer(text):
        yield begin, gap.end()
        begin = gap.end()
    if begin < len(text):
        yield begin, len(text)


def _judge(text: str, begin: int, end: int) -> Block:
    content = text[begin:end]
    if any(_ITEM.match(line) or _NO_PROSE.match(line) for line in content.splitlines()):
        return Block(begin, end, "other")
    line = content.strip()
    # The last block of a text heads nothing.
    if "\n" not in line and end < len(text) and _is_heading(line):
        return Block(begin, end, "heading", 7, line)
    return Block(begin, end, "prose")


def paragraphs(text: str, block: Block) -> list[Span]:
    """Where the paragraphs of a block of prose stand, end to end.

    Lines that were broken to a width are one paragraph; long lines are one each.
    """
    lines, place = [], block.begin
    for line in text[block.begin : block.end].splitlines(keepends=True):
        lines.append((place, place + len(line)))
        place += len(line)
    if max((end - begin for begin, end in lines), default=0) <= _UNWRAPPED:
        return [(block.begin, block.end)]
    return lines


def sentences(text: str, paragraph: Span) -> list[Span]:
    """Where the sentences of a paragraph stand, end to end, each with the white space behind it.

    Raises:
        CFTError: sentencex is not installed.
    """
    try:
        import sentencex
    except ImportError as exc:
        raise CFTError(
            "cutting texts into sentences needs sentencex: pip install 'axolotl-cft[corpus]'"
        ) from exc
    first, last = paragraph
    # Line ends of a wrapped paragraph end no sentence. Replaced one by one, they move nothing.
    content = encodable(text[first:last].replace("\n", " ").replace("\r", " "))
    starts = [found["start_index"] for found in sentencex.get_sentence_boundaries("en", content)]
    # Only where sentences begin is taken from there: what it says of their ends leaves some white
    # space out.
    places = sorted({first, *(first + start for start in starts), last})
    return list(itertools.pairwise(places))


def encodable(text: str) -> str:
    """The text with `?` for each lone surrogate, which has no UTF-8 form; as long as before."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def ends_a_sentence(text: str) -> bool:
    """Whether a piece of text ends as a sentence does."""
    return bool(_ENDS.search(text.rstrip()[-20:]))
