"""Tables of phrases made into patterns that are quick to search (pure, stdlib only).

A table has one phrase a line, a regular expression in lower case; a deeper indented line goes on
with the one above. It is looked for

- `^phrase`: where the answer begins,
- `. phrase`: where a sentence begins,
- `+ phrase`: where a sentence after the first begins,
- `~phrase`: anywhere, for scripts whose words are not set apart,
- `phrase`: where a word begins.

A pattern that ignores case, or whose alternatives each bring their own anchor, is slower by ten.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

_MARKS = {"^": "begin", ".": "sentence", "+": "later", "~": "anywhere"}
_FOREIGN = re.compile(r"[^\x00-\u036f\u0400-\u052f\u1e00-\u203f]")  # beyond Latin and Cyrillic


class Phrases:
    """Finds any phrase of some tables in an answer that is in lower case."""

    def __init__(self, *tables: Mapping[str, str]) -> None:
        found: dict[str, list[str]] = {kind: [] for kind in (*_MARKS.values(), "word")}
        for lines in chain.from_iterable(table.values() for table in tables):
            for phrase in _unfolded(lines):
                kind = _MARKS.get(phrase[0], "word")
                found[kind].append(phrase if kind == "word" else phrase[1:].lstrip())
        self._begin = _any(r"\W*", found["begin"])
        self._sentence = _any(r"\W*", found["sentence"])
        self._later = _any(r"\W*", found["later"])
        self._word = _any(r"\b(?<!\w-)", found["word"])
        self._anywhere = _any("", found["anywhere"])

    def found(self, heard: str, begins: Sequence[int] = (0,)) -> bool:
        """Whether a phrase stands in `heard`, whose sentences begin at `begins`."""
        return bool(
            self._begin.match(heard)
            or any(self._sentence.match(heard, begin) for begin in begins)
            or any(self._later.match(heard, begin) for begin in begins[1:])
            or self._word.search(heard)
            or (_FOREIGN.search(heard) and self._anywhere.search(heard))
        )


def _unfolded(lines: str) -> Iterator[str]:
    """The phrases of a table."""
    folded = re.sub(r"\n {12,}", "", lines)
    return (line.strip(" ") for line in folded.splitlines() if line.strip())


def _any(anchor: str, phrases: Sequence[str]) -> re.Pattern[str]:
    return re.compile(f"{anchor}(?:{'|'.join(phrases)})" if phrases else r"(?!)")


def one_of(words: str) -> str:
    """A pattern that finds any of the words or phrases, one a line or with `|` between them."""
    return "|".join(line.strip().strip("|") for line in words.splitlines() if line.strip())
