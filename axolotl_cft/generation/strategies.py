"""The strategies for studying a document that a model's answer names (pure, stdlib only).

Asked for is a heading that begins with ## for each; headings of another level, numbers and bold
print are read too, where nothing else tells strategies apart.
"""

import re
from collections import Counter
from itertools import pairwise

_HEADING = re.compile(r"^ {0,3}(#{1,6})(?!#)[ \t]*(?=\S)", re.MULTILINE)
_NUMBERED = re.compile(r"^(?:\d{1,2}[.)]\s+(?=\S)|(?=[*_]{2}\d{1,2}[.)]))", re.MULTILINE)
_BOLD = re.compile(r"^(?:[-*•][ \t]+)?(?=[*_]{2}\w)", re.MULTILINE)
_RULE = re.compile(r"(?:\n\s*[-*_=]{3,}\s*)+$")

ASKED = 2
"""The level of the headings that are asked for."""


def strategies_in(answer: str) -> tuple[str, ...]:
    """The strategies that an answer names, each with all that is said about it; equal ones once.

    A heading above all others is a title, and one below is a part of a strategy.

    Example:
        >>> strategies_in("# Plan\\n## Timeline\\nList the dates.\\n## Quiz")
        ('Timeline\\nList the dates.', 'Quiz')
    """
    headings = [(len(match[1]), match.start(), match.end()) for match in _HEADING.finditer(answer)]
    found = _sections(answer, headings)
    for marks in (_NUMBERED, _BOLD):
        if len(found) < 2 <= len(items := _items(answer, marks)):
            found = items
    tidied = (_RULE.sub("", part.strip()).strip() for part in found)
    return tuple(dict.fromkeys(part for part in tidied if re.search(r"\w", part)))


def _sections(answer: str, headings: list[tuple[int, int, int]]) -> list[str]:
    """What stands under the headings of one level, up to the next that is not below it."""
    level = _level(Counter(level for level, _, _ in headings))
    if level is None:
        return []
    edges = [edge for edge in headings if edge[0] <= level]
    edges.append((0, len(answer), len(answer)))
    pairs = pairwise(edges)
    return [answer[end:begin] for (its, _, end), (_, begin, _) in pairs if its == level]


def _level(counts: Counter[int]) -> int | None:
    """The level of the strategies' headings: the one asked for, or the first with several.

    A single heading counts only where it is of the level that was asked for.
    """
    several = [level for level, count in counts.items() if count > 1]
    if ASKED in several or (not several and ASKED in counts):
        return ASKED
    return min(several, default=None)


def _items(answer: str, marks: re.Pattern[str]) -> list[str]:
    """What follows each mark, up to the next."""
    edges = [(match.start(), match.end()) for match in marks.finditer(answer)]
    edges.append((len(answer), len(answer)))
    return [answer[end:begin] for (_, end), (begin, _) in pairwise(edges)]
