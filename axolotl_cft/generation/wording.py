"""An answer as the checks look at it: its words, its sentences, its scripts (pure)."""

import functools
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

from axolotl_cft.corpus.language import SAMPLE, script_shares
from axolotl_cft.generation.phrases import FUNCTION_WORDS
from axolotl_cft.generation.sentences import sentence_ends

# Scripts without spaces: a sign is a word here, and a copy is longer by this factor.
UNSPACED = r"぀-ヿ㐀-鿿豈-﫿฀-๿"
_SIGNS_PER_WORD = 1.6
_WORD = re.compile(rf"[{UNSPACED}]|[^\W_{UNSPACED}]+(?:['’][^\W_{UNSPACED}]+)*")
SIGN = re.compile(rf"[{UNSPACED}]")

# What stands in quotation marks is spoken of and not said.
_QUOTED = re.compile(
    r"“[^”]*”|„[^“”]*[“”]|«[^»]*»|»[^«]*«|「[^」]*」|『[^』]*』|\"[^\"]*\"|`[^`]*`|‘[^‘’]*’(?!\w)"
    r"|(?<!\w)'[^']+'(?!\w)"
)

_LOOK = 400
"""Characters at the beginning of a text whose words mostly tell its language."""


@dataclass(frozen=True)
class Answer:
    """An answer without its wrappers, and what it is compared with.

    Attributes:
        raw: with its line breaks, and wide forms made narrow (`unwrapping.narrow`).
        text: what it is to stand before.
        instruction: the words of the request other than `text` and the example of a strategy.
        special: the tokenizer's special tokens.
    """

    raw: str
    text: str = ""
    instruction: str = ""
    special: Collection[str] = ()

    @functools.cached_property
    def plain(self) -> str:
        """On one line."""
        return " ".join(self.raw.split())

    @functools.cached_property
    def words(self) -> list[str]:
        """In lower case; a sign of a script without spaces is one."""
        return words_of(self.plain)

    @functools.cached_property
    def text_words(self) -> list[str]:
        """Those of the text."""
        return words_of(self.text)

    @functools.cached_property
    def said(self) -> str:
        """Without what it quotes, and with one kind of apostrophe."""
        return _QUOTED.sub("…", self.plain).replace("’", "'")

    @functools.cached_property
    def sentences(self) -> list[str]:
        """Those of what it says."""
        ends = pairwise([0, *sentence_ends(self.said), len(self.said)])
        return [said for begin, end in ends if (said := self.said[begin:end].strip())]

    @functools.cached_property
    def heard(self) -> str:
        """What it says in lower case, its sentences one space apart."""
        return " ".join(map(str.lower, self.sentences))

    @functools.cached_property
    def begins(self) -> list[int]:
        """Where the sentences begin in `heard`."""
        begins = [0]
        for sentence in self.sentences[:-1]:
            begins.append(begins[-1] + len(sentence.lower()) + 1)
        return begins

    @functools.cached_property
    def scripts(self) -> dict[str, float]:
        """Shares of the scripts in what it says."""
        return script_shares(self.said)

    @functools.cached_property
    def text_scripts(self) -> dict[str, float]:
        """Those in the text."""
        return script_shares(self.text[:SAMPLE])

    @functools.cached_property
    def language(self) -> str | None:
        """What its little words tell at a glance."""
        return glance(self.said)

    @functools.cached_property
    def text_language(self) -> str | None:
        """The same of the text."""
        return glance(self.text[:_LOOK])


def words_of(text: str) -> list[str]:
    """Its words in lower case; a sign of a script without spaces is one."""
    return _WORD.findall(text.lower())


def little_words(text: str) -> Counter[str]:
    """Language -> how many little words (the, und, que) of `text` belong to it."""
    return Counter(chain.from_iterable(filter(None, map(_LITTLE.get, text.lower().split()))))


def glance(text: str, least: int = 3) -> str | None:
    """The language of most of the little words, if it is plain."""
    counted = little_words(text)
    if not counted:
        return None
    language = max(counted, key=counted.__getitem__)
    most = counted.pop(language)
    return language if most >= max(least, 2 + max(counted.values(), default=0)) else None


def fits(text: str, language: str | None) -> bool:
    """Whether more little words belong to this language than to any other."""
    counted = little_words(text)
    most = counted.pop(language, 0) if language else 0
    return most > max(counted.values(), default=0)


def stretch(words: Sequence[str]) -> float:
    """By how much a run of `words` is to be longer than one of spaced words."""
    signs = sum(map(bool, map(SIGN.fullmatch, words)))
    return _SIGNS_PER_WORD if signs > 0.5 * len(words) else 1.0


def shares_run(words: Sequence[str], source: str, length: int) -> bool:
    """Whether `length` consecutive words, or as much in signs, stand in `source` too."""
    length = round(length * stretch(words))
    low, longest, run = source.lower(), 0, 0
    for word in words:  # of nearly all answers too few words are there, in whatever order
        run = run + 1 if word in low else 0
        longest = max(longest, run)
    if longest < length:
        return False
    haystack = f" {' '.join(words_of(source))} "
    runs = (words[i : i + length] for i in range(len(words) - length + 1))
    return any(f" {' '.join(run)} " in haystack for run in runs)


def share_copied(words: Sequence[str], source: Sequence[str], length: int) -> float:
    """The share of `words` in runs of `length`, or of as much in signs, that `source` has too.

    A source of fewer words is looked for as a whole.
    """
    length = max(1, min(round(length * stretch(words)), len(source)))
    runs = {tuple(source[i : i + length]) for i in range(len(source) - length + 1)}
    copied = reached = 0
    for i in range(len(words)):
        if tuple(words[i : i + length]) in runs:
            reached = i + length
        copied += i < reached
    return copied / max(1, len(words))


def _by_word() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for language, words in FUNCTION_WORDS.items():
        for word in words.split():
            found[word] = (*found.get(word, ()), language)
    return found


_LITTLE = _by_word()
