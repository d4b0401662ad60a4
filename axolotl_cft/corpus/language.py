"""What language and what script a text is in: scripts by Unicode's names, languages by py3langid.

A text is said to be in a language only where that is plain: it may be code, a list of names, or in
several languages.
"""

import functools
import re
import unicodedata
from collections import Counter

SAMPLE = 4000
"""Characters of a text that are looked at."""

_LETTERS_PER_SIGN = {"CJK": 3, "KANA": 2, "HANGUL": 2}
"""How much more a sign of these scripts says than a letter, roughly."""

_PIECE, _PIECES = 160, 5
"""Characters of one piece of a text, and how many are looked at; they must agree on a language."""

_TRUSTED = frozenset(
    {"ar", "bg", "cs", "da", "de", "el", "en", "es", "fa", "fi", "fr", "he", "hi", "hu", "id"}
    | {"it", "ja", "ko", "nl", "no", "pl", "pt", "ro", "ru", "sv", "th", "tr", "uk", "vi", "zh"}
)
"""Languages by which a text may be called prose: lists of names, dialects and transliterations are
mostly taken for one of the others."""

_SCRIPTS = {
    **{language: {"CYRILLIC"} for language in ("bg", "ru", "uk")},
    **{language: {"ARABIC"} for language in ("ar", "fa")},
    **{"el": {"GREEK"}, "he": {"HEBREW"}, "hi": {"DEVANAGARI"}, "ko": {"HANGUL", "CJK"}},
    **{"ja": {"KANA", "CJK"}, "th": {"THAI"}, "zh": {"CJK"}},
}
"""What languages of `_TRUSTED` are written in, other than Latin letters."""

NEIGHBOR = 12.0
"""By how much (in log-likelihood) a text must be likelier in another language to be in that one.
Neighbors such as Danish and Norwegian stay below it."""

_NOT_LATIN = re.compile(r"[^\W\d_a-zA-ZÀ-ÖØ-öø-ʯ]")  # a letter of another script
_LETTERS = re.compile(r"(?:[\W\d_]*[^\W\d_]){8}")

_STOP = re.compile(r"[.!?…؟।](?=\s|$)|[。！？]")
_PER_STOP = 400
"""Characters of prose in which a sentence ends at least once; a list has no sentences."""


def load_identifier() -> None:
    """Read py3langid's model, which takes a second, before anything has to wait for it."""
    rank("a")


def known_languages() -> frozenset[str]:
    """ISO 639 codes of all languages that can be told; none without py3langid."""
    return frozenset(language for language, _ in rank("a"))


def plainly_other(text: str, language: str) -> bool:
    """Whether a text is plainly, and in no part, in another language than this one.

    It is if most of its letters are in another script, or if it is prose in another language that
    is well known. What begins, goes on or ends in this language, as five samples of it tell, is
    not; and neither are tables, lists and code.

    Args:
        text: any.
        language: one of `known_languages`.
    """
    for piece in _spread(text, _PIECE):
        ranked = rank(piece)
        if ranked and gap(ranked, language) < NEIGHBOR:
            return False
    sample = " ".join(_spread(text, SAMPLE // _PIECES))
    scripts = script_shares(sample)
    usual = _SCRIPTS.get(language, {"LATIN"})
    others = {script: share for script, share in scripts.items() if script not in usual}
    if language in _TRUSTED and max(others.values(), default=0.0) > 0.6:
        return sum(others.values()) > 0.75
    return prose_language(sample) not in (None, language)


def _spread(text: str, size: int) -> list[str]:
    """`_PIECES` pieces of a text, the first at its beginning and the last at its end."""
    room = len(text) - size * _PIECES
    if room <= 0:
        return [text[begin : begin + size] for begin in range(0, len(text), size)]
    gaps = (room * number // (_PIECES - 1) for number in range(_PIECES))
    begins = (size * number + gap for number, gap in enumerate(gaps))
    return [text[begin : begin + size] for begin in begins]


def script_shares(text: str) -> dict[str, float]:
    """Script -> its share of the letters of `text`, by Unicode's names; {} for a few letters.

    Chinese signs beside kana are Japanese.
    """
    if text.isascii() or not _NOT_LATIN.search(text):
        return {"LATIN": 1.0} if _LETTERS.match(text) else {}
    weights: Counter[str] = Counter()
    for sign, count in Counter(text).items():
        script = _script(sign)
        if script:
            weights[script] += count * _LETTERS_PER_SIGN.get(script, 1)
    total = sum(weights.values())
    if total < 8:
        return {}
    if weights["KANA"] > 0.1 * (weights["KANA"] + weights["CJK"]):
        weights["KANA"] += weights.pop("CJK", 0)
    return {script: weight / total for script, weight in weights.items() if weight}


@functools.lru_cache(4096)
def _script(sign: str) -> str | None:
    if not sign.isalpha():
        return None
    name = unicodedata.name(sign, "").split(" ")[0]
    return "KANA" if name in ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA") else name


@functools.lru_cache(256)
def prose_language(text: str) -> str | None:
    """The language of prose, if its pieces agree on one; None for code and the like."""
    prose = re.sub(r"\s+", " ", text)
    plain = sum(sign == " " or unicodedata.category(sign)[0] in "LM" for sign in prose)
    if len(prose) < 60 or plain < 0.9 * len(prose):
        return None
    if _PER_STOP * len(_STOP.findall(prose)) < len(prose):
        return None
    step = max(_PIECE, len(prose) // _PIECES)
    pieces = [prose[i : i + _PIECE] for i in range(0, len(prose), step)]
    ranked = (rank(piece) for piece in pieces if len(piece) >= 60)
    votes = Counter(languages[0][0] for languages in ranked if languages)
    if not votes:
        return None
    [(language, votes_for_it)] = votes.most_common(1)
    agreed = language in _TRUSTED and votes_for_it >= 0.8 * votes.total()
    return language if agreed else None


def document_language(text: str) -> str | None:
    """`prose_language` of a sample of a text, however long that is."""
    return prose_language(" ".join(_spread(text, SAMPLE // _PIECES)))


Ranking = list[tuple[str, float]]


def gap(ranked: Ranking, language: str) -> float:
    """By how much another language is likelier."""
    return ranked[0][1] - dict(ranked)[language]


def rank(text: str) -> Ranking:
    """Languages and log-likelihoods, the likeliest first; none without py3langid."""
    try:
        import py3langid  # comes with `generate` and `corpus`; without it, scripts must do
    except ImportError:
        return []
    return py3langid.rank(text)
