"""Which documents of a corpus are no text to learn from: published rules, each by its name.

    Gopher  Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from Training
            Gopher" (arXiv 2112.11446), appendix A1.1 and table A1
    C4      Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified
            Text-to-Text Transformer" (JMLR 21), section 2.2

The rules were made for pages of the web. Those limits of theirs that textbooks, papers with tables
and formulas, code, glossaries and poems cross are wider here, and `Limits` gives the published one
of each. Not taken over: Gopher's most of 100,000 words, which books have; C4's rules against curly
brackets (code, formulas), for lines (they change a text), and for bad words.

Rules that count words say nothing of writing without spaces between words; see `not_judged`.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property

from axolotl_cft.corpus.building import measures
from axolotl_cft.corpus.building.unspaced import unspaced_share
from axolotl_cft.corpus.language import known_languages, plainly_other
from axolotl_cft.errors import CFTError

LOOKED_AT = 1 << 22
"""Characters at the beginning of a text by which it is judged."""

UNSPACED = 0.2
"""Share of signs without spaces between words from which on words are not counted."""

Shares = tuple[tuple[int, float], ...]
"""(n, the most that a share may be for n words in a row)."""


@dataclass(frozen=True)
class Limits:
    """What a document must keep to. None, or () for runs of n words, switches a rule off.

    Attributes:
        min_words: Gopher has 50.
        min_characters: of writing without spaces between words, without white space; ours.
        min_mean_word_length: characters of a word; Gopher has 3. Links and words of signs
            alone do not count.
        max_mean_word_length: Gopher has 10.
        min_alphabetic_words: share of words with a letter; Gopher has 0.8. Borders of tables do
            not count.
        max_symbols_per_word: hash signs or ellipses; Gopher's. Those of headings and links do not
            count.
        max_bullet_lines: share of lines that begin with a bullet; Gopher has 0.9.
        max_ellipsis_lines: share of lines that end with an ellipsis; Gopher's.
        min_stop_words: different ones of the, be, to, of, and, that, have, with; Gopher has 2.
            For English only.
        max_duplicate_lines: share of lines that stood before; Gopher has 0.3.
        max_duplicate_line_characters: share of characters in these; Gopher has 0.2.
        max_duplicate_paragraphs: share of paragraphs that stood before; Gopher has 0.3.
        max_duplicate_paragraph_characters: share of characters in these; Gopher has 0.2.
        max_top_ngrams: (n, share of characters in the most frequent n words in a row); Gopher has
            0.2, 0.18, 0.16.
        max_duplicate_ngrams: (n, share of characters in n words in a row that stood before);
            Gopher has 0.15, 0.14, 0.13, 0.12, 0.11, 0.1.
        max_lorem_ipsum: how often these two words may occur; C4's.
        language: ISO 639 code (en). Removed is prose that is plainly in another one; tables, lists,
            code, and texts partly in this language stay. Needs py3langid.

    Raises:
        CFTError: a limit is negative or n is 0, or the language is not known.
    """

    min_words: int | None = 25
    min_characters: int | None = 50
    min_mean_word_length: float | None = 2.0
    max_mean_word_length: float | None = 15.0
    min_alphabetic_words: float | None = 0.4
    max_symbols_per_word: float | None = 0.1
    max_bullet_lines: float | None = None
    max_ellipsis_lines: float | None = 0.3
    min_stop_words: int | None = None
    max_duplicate_lines: float | None = 0.6
    max_duplicate_line_characters: float | None = 0.4
    max_duplicate_paragraphs: float | None = 0.5
    max_duplicate_paragraph_characters: float | None = 0.4
    max_top_ngrams: Shares = ((2, 0.3), (3, 0.3), (4, 0.3))
    max_duplicate_ngrams: Shares = ((5, 0.5), (10, 0.4))
    max_lorem_ipsum: int | None = 0
    language: str | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            for n, limit in value if isinstance(value, tuple) else [(1, value)]:
                if n < 1 or (isinstance(limit, int | float) and not limit >= 0):
                    low = f"filter {field.name} is {value}"
                    raise CFTError(f"{low}: a limit is at least 0, and an n at least 1")
        if self.language is not None:
            _check_language(self.language)


def _check_language(language: str) -> None:
    known = known_languages()
    if not known:
        raise CFTError(
            "filter language needs py3langid: install it with `pip install axolotl-cft[corpus]`"
        )
    if language not in known:
        raise CFTError(
            f"filter language {language!r} is not known: it is one of {', '.join(sorted(known))}"
        )


@dataclass(frozen=True)
class Figure:
    """A figure of a text, and what it may be."""

    value: float
    least: float = 0.0
    most: float = float("inf")

    @property
    def allowed(self) -> bool:
        """Whether the value is between its bounds, or one of them."""
        return self.least <= self.value <= self.most


def judge(text: str, limits: Limits) -> list[str]:
    """The rules that a text breaks, by their published names; none: it is kept."""
    return [name for name, figure in figures_of(text, limits).items() if not figure.allowed]


def not_judged(text: str) -> bool:
    """Whether a text is not judged by words, since its writing puts no spaces between them."""
    return unspaced_share(text[:LOOKED_AT]) > UNSPACED


def figures_of(text: str, limits: Limits) -> dict[str, Figure]:
    """What `judge` goes by: the figures of the rules that are on and can judge the text.

    A top n-gram's figure is 0 where that of single words already shows it to be allowed.
    """
    parts = _Parts(text)
    figures = {}
    rules = {**(_UNSPACED if parts.unspaced else _SPACED), **_RULES}
    for name, (figure, *sides) in rules.items():
        least, most = (getattr(limits, side) if side else None for side in sides)
        if least is not None or most is not None:
            bounds = least or 0.0, float("inf") if most is None else most
            figures[name] = Figure(figure(parts), *bounds)
    if not parts.unspaced:
        figures.update(_ngram_figures(parts.words, limits))
    if limits.language is not None:
        other = plainly_other(parts.text, limits.language)
        figures["language"] = Figure(float(other), most=0.0)
    return figures


class _Parts:
    """What a text falls into."""

    def __init__(self, text: str) -> None:
        self.text = text[:LOOKED_AT]
        self.unspaced = not_judged(self.text)

    @cached_property
    def words(self) -> measures.Words:
        return measures.Words(self.text)

    @cached_property
    def lines(self) -> list[str]:
        return measures.lines_of(self.text)

    @cached_property
    def paragraphs(self) -> list[str]:
        return measures.paragraphs_of(self.text)


_Rule = tuple[Callable[[_Parts], float], str | None, str | None]
"""A figure, and which of the limits are the least and the most it may be."""

_RULES: dict[str, _Rule] = {
    "lines ending with an ellipsis": (
        lambda parts: measures.ellipsis_share(parts.lines), None, "max_ellipsis_lines"
    ),
    "lines beginning with a bullet": (
        lambda parts: measures.bullet_share(parts.lines), None, "max_bullet_lines"
    ),
    "duplicate line fraction": (
        lambda parts: measures.repeated_share(parts.lines), None, "max_duplicate_lines"
    ),
    "duplicate line character fraction": (
        lambda parts: measures.repeated_characters(parts.lines),
        None, "max_duplicate_line_characters",
    ),
    "duplicate paragraph fraction": (
        lambda parts: measures.repeated_share(parts.paragraphs), None, "max_duplicate_paragraphs"
    ),
    "duplicate paragraph character fraction": (
        lambda parts: measures.repeated_characters(parts.paragraphs),
        None, "max_duplicate_paragraph_characters",
    ),
    "lorem ipsum": (
        lambda parts: parts.text.lower().count("lorem ipsum"), None, "max_lorem_ipsum"
    ),
}  # fmt: skip

_SPACED: dict[str, _Rule] = {
    "word count": (lambda parts: len(parts.words), "min_words", None),
    "mean word length": (
        lambda parts: parts.words.mean_length, "min_mean_word_length", "max_mean_word_length"
    ),
    "alphabetic words": (lambda parts: parts.words.alphabetic, "min_alphabetic_words", None),
    "symbol-to-word ratio": (
        lambda parts: measures.symbols_per_word(parts.lines, len(parts.words)),
        None, "max_symbols_per_word",
    ),
    "stop words": (lambda parts: parts.words.stop_words, "min_stop_words", None),
}  # fmt: skip

_UNSPACED: dict[str, _Rule] = {
    "character count": (lambda parts: len("".join(parts.text.split())), "min_characters", None),
}


def _ngram_figures(words: measures.Words, limits: Limits) -> dict[str, Figure]:
    figures = {
        f"top {n}-gram character fraction": Figure(words.top_run(n, within=most), most=most)
        for n, most in limits.max_top_ngrams
    }
    most_of = dict(sorted(limits.max_duplicate_ngrams))
    for n, share in words.repeated_runs(list(most_of)).items():
        figures[f"duplicate {n}-gram character fraction"] = Figure(share, most=most_of[n])
    return figures
