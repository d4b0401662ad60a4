"""What filters go by: figures of one text, as its words, its lines and its paragraphs give them.

Words are what stands between white space, as written. A figure that a text is too short for is 0.
"""

import re
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from itertools import count

import numpy as np
import numpy.typing as npt

from axolotl_cft.corpus.words import Hashes, Places, run_hashes

_ODD = np.uint64(0x9E3779B97F4A7C15)

_LETTER = re.compile(r"[^\W\d_]")
_DIGIT = re.compile(r"[^\W_]")
_OTHER_THAN_RULE = re.compile(r"[^-|=+:&_\u2500-\u257f]")
_RULES, _SIGNS, _DIGITS, _LETTERS, _LINK = range(5)  # what is in a word, the last of them that is

_HEADING = re.compile(r"#+(?=\s)")
_LINKS = re.compile(r"://\S*")
_BLANK_LINES = re.compile(r"\n\s*\n")
_BULLETS = ("•", "-", "*", "‣", "◦", "▪", "●", "–", "·")
_ELLIPSES = ("...", "…")

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
"""Those of Rae et al. 2021, appendix A1.1."""


class Words:
    """The words of a text.

    Attributes:
        distinct: word -> its number, in order of first occurrence.
        numbers: the number of each word of the text, `[words]`.
    """

    def __init__(self, text: str) -> None:
        words = text.split()
        self.distinct = dict(zip(dict.fromkeys(words), count(), strict=False))
        self.numbers = np.fromiter(map(self.distinct.__getitem__, words), np.int64, len(words))

    def __len__(self) -> int:
        return len(self.numbers)

    @cached_property
    def lengths(self) -> Places:
        """Characters of each word of the text, `[words]`."""
        return self._lengths[self.numbers]

    @cached_property
    def _lengths(self) -> Places:
        """Characters of each distinct word."""
        return np.fromiter(map(len, self.distinct), np.int64, len(self.distinct))

    @cached_property
    def _counts(self) -> Places:
        """Occurrences of each distinct word."""
        return np.bincount(self.numbers, minlength=len(self.distinct))

    @cached_property
    def _random(self) -> Hashes:
        """64 bits for each word of the text, equal for equal words: SplitMix64 of its number."""
        hashes = np.arange(1, len(self.distinct) + 1, dtype=np.uint64) * _ODD
        hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return (hashes ^ (hashes >> np.uint64(31)))[self.numbers]

    @cached_property
    def _kinds(self) -> npt.NDArray[np.int64]:
        """Of each distinct word, what is in it."""
        return np.fromiter(map(_kind_of, self.distinct), np.int64, len(self.distinct))

    @property
    def mean_length(self) -> float:
        """Characters of a word, without links and words of signs alone."""
        counts = self._counts * ((self._kinds == _DIGITS) | (self._kinds == _LETTERS))
        return float(counts @ self._lengths / max(1, counts.sum()))

    @property
    def alphabetic(self) -> float:
        """The share of words with at least one letter, without the rules and borders of tables."""
        counts = self._counts * (self._kinds != _RULES)
        return float(counts @ (self._kinds >= _LETTERS) / max(1, counts.sum()))

    @property
    def stop_words(self) -> int:
        """How many of `STOP_WORDS` occur, in small letters or with a capital."""
        return sum(
            word in self.distinct or word.capitalize() in self.distinct for word in STOP_WORDS
        )

    def top_run(self, size: int, within: float = 0.0) -> float:
        """The share of characters in the most frequent run of `size` words, all its occurrences.

        Occurrences that overlap count in full; a run that occurs once is not frequent. A share that
        is certainly not above `within`, by the counts of single words, is not worked out: it is 0.
        """
        total = int(self.lengths.sum())
        # A run occurs no more often than any of its words.
        if np.sort(self._counts * self._lengths)[-size:].sum() <= within * total:
            return 0.0
        hashes = run_hashes(self._random, size)
        ordered = np.sort(hashes)
        begins = _begins(ordered)
        counts = np.diff(begins, append=ordered.size)
        if not counts.size or counts.max() == 1:
            return 0.0
        ends = np.append(0, np.cumsum(self.lengths))
        most = ordered[begins[counts == counts.max()]]
        places = np.flatnonzero(np.isin(hashes, most))
        longest = int((ends[places + size] - ends[places]).max())
        return min(1.0, float(longest * counts.max() / total))

    def repeated_runs(self, sizes: Sequence[int]) -> dict[int, float]:
        """For each size, the share of characters in runs of so many words that stood before.

        What overlaps counts once. `sizes` ascend.
        """
        shares = dict.fromkeys(sizes, 0.0)
        if not shares:
            return shares
        hashes = run_hashes(self._random, sizes[0])
        places = np.arange(hashes.size)
        for size, longer in zip(sizes, [*sizes[1:], 0], strict=True):
            # Beyond the first size: a run can only be repeated where its beginning is.
            hashes, places, again = _repeated(hashes, places)
            if not places.size:
                break
            edges = np.zeros(len(self) + 1, np.int64)
            np.add.at(edges, again, 1)
            np.add.at(edges, again + size, -1)
            covered = np.cumsum(edges[:-1]) > 0
            shares[size] = float(self.lengths[covered].sum() / self.lengths.sum())
            inside = places + longer <= len(self)
            hashes, places = hashes[inside], places[inside]
            for step in range(size, longer):
                hashes = hashes * _ODD + self._random[places + step]
        return shares


@lru_cache(1 << 16)
def _kind_of(word: str) -> int:
    if "://" in word:
        return _LINK
    if word.isalpha() or _LETTER.search(word):
        return _LETTERS
    if _DIGIT.search(word):
        return _DIGITS
    return _SIGNS if _OTHER_THAN_RULE.search(word) else _RULES


def _begins(ordered: Hashes) -> Places:
    """Where a new value begins in a sorted array."""
    return np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: ordered.size])


def _repeated(hashes: Hashes, places: Places) -> tuple[Hashes, Places, Places]:
    """(values that occur twice or more, their places, those places where one stood before)."""
    ordered = np.sort(hashes)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if not twice.size:
        return hashes[:0], places[:0], places[:0]
    found = np.minimum(np.searchsorted(twice, hashes), twice.size - 1)
    some = twice[found] == hashes
    hashes, places = hashes[some], places[some]
    order = np.argsort(hashes, kind="stable")
    again = np.ones(order.size, np.bool_)
    again[_begins(hashes[order])] = False
    return hashes, places, places[order][again]


def lines_of(text: str) -> list[str]:
    """Lines without the white space around them, and without empty ones."""
    return [line for line in map(str.strip, text.split("\n")) if line]


def paragraphs_of(text: str) -> list[str]:
    """What stands between empty lines."""
    return [part for part in map(str.strip, _BLANK_LINES.split(text)) if part]


def symbols_per_word(lines: Sequence[str], words: int) -> float:
    """Hash signs, or ellipses if they are more, for each word; without headings' and links'."""
    text = _LINKS.sub("", "\n".join(lines))
    hashes = text.count("#")
    if hashes:
        hashes -= sum(match.end() for match in map(_HEADING.match, lines) if match)
    return max(hashes, *map(text.count, _ELLIPSES)) / max(words, 1)


def bullet_share(lines: Sequence[str]) -> float:
    """The share of lines that begin with a bullet."""
    return _share(lines, lambda line: line.startswith(_BULLETS))


def ellipsis_share(lines: Sequence[str]) -> float:
    """The share of lines that end with an ellipsis."""
    return _share(lines, lambda line: line.endswith(_ELLIPSES))


def _share(lines: Sequence[str], holds: Callable[[str], bool]) -> float:
    return sum(map(holds, lines)) / len(lines) if lines else 0.0


def repeated_share(parts: Sequence[str]) -> float:
    """The share of lines or paragraphs that stood before."""
    return 1 - len(set(parts)) / len(parts) if parts else 0.0


def repeated_characters(parts: Sequence[str]) -> float:
    """The share of characters in lines or paragraphs that stood before."""
    total = sum(map(len, parts))
    return 1 - sum(map(len, set(parts))) / total if total else 0.0
