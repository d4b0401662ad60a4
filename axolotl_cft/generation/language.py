"""Is a prompt in the language of its text? By script, and within one script by py3langid.

A question is answered with no unless it is plain: a wrong complaint costs a good prompt, and a text
may be code, a list of names, or in several languages.
"""

import functools
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

SAMPLE = 4000
"""Characters of a text that are looked at."""

_LETTERS_PER_SIGN = {"CJK": 3, "KANA": 2, "HANGUL": 2}
"""How much more a sign of these scripts says than a letter, roughly."""

_PIECE, _PIECES = 160, 5
"""Characters of one piece of a text, and how many are looked at; they must agree on a language."""

_MARGIN = 12.0
"""By how much (in log-likelihood) an answer must be likelier in another language than the text's.
Neighbors such as Danish and Norwegian stay below it."""

_TRUSTED = frozenset(
    {"ar", "bg", "cs", "da", "de", "el", "en", "es", "fa", "fi", "fr", "he", "hi", "hu", "id"}
    | {"it", "ja", "ko", "nl", "no", "pl", "pt", "ro", "ru", "sv", "th", "tr", "uk", "vi", "zh"}
)
"""Languages by which a text may be called prose: lists of names, dialects and transliterations are
mostly taken for one of the others."""

_STOP = re.compile(r"[.!?…؟।](?=\s|$)|[。！？]")
_PER_STOP = 400
"""Characters of prose in which a sentence ends at least once; a list has no sentences."""


def language_complaint(answer: str, text: str) -> str | None:
    """What is wrong with the language of `answer`, if anything plainly is."""
    ours, theirs = script_shares(answer), script_shares(text[:SAMPLE])
    if not ours or not theirs:
        return None
    script, expected = max(ours, key=ours.__getitem__), max(theirs, key=theirs.__getitem__)
    if script != expected:
        clear = ours[script] > 0.6 and theirs[expected] > 0.6 and theirs.get(script, 0) < 0.25
        return "it is not in the language of the text" if clear else None
    strays = ours.keys() - theirs.keys() - {"LATIN", "GREEK"}
    if any(ours[stray] > 0.05 for stray in strays):
        return "it mixes two languages"
    language = _language_of(text[:SAMPLE])
    other = language is not None and _gap(_rank(answer), language) > _MARGIN
    return "it is not in the language of the text" if other else None


def load_identifier() -> None:
    """Read py3langid's model, which takes a second, before an answer has to wait for it."""
    _rank("a")


def mixture_complaint(sentences: Sequence[str]) -> str | None:
    """Whether some sentences of an answer are plainly in another language than others."""
    shares = [script_shares(sentence) for sentence in sentences]
    scripts = {max(share, key=share.__getitem__) for share in shares if share}
    if len(scripts) > 1:
        return "it mixes two languages"
    ranked = [_rank(sentence) for sentence in sentences if len(sentence) >= 25]
    for first, second in itertools.combinations(filter(None, ranked), 2):
        if _gap(first, second[0][0]) > _MARGIN and _gap(second, first[0][0]) > _MARGIN:
            return "it mixes two languages"
    return None


def script_shares(text: str) -> dict[str, float]:
    """Script -> its share of the letters of `text`, by Unicode's names; {} for a few letters.

    Chinese signs beside kana are Japanese.
    """
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
def _language_of(text: str) -> str | None:
    """The language of prose, if its pieces agree on one; None for code and the like."""
    prose = re.sub(r"\s+", " ", text)
    plain = sum(sign == " " or unicodedata.category(sign)[0] in "LM" for sign in prose)
    if len(prose) < 60 or plain < 0.9 * len(prose):
        return None
    if _PER_STOP * len(_STOP.findall(prose)) < len(prose):
        return None
    step = max(_PIECE, len(prose) // _PIECES)
    pieces = [prose[i : i + _PIECE] for i in range(0, len(prose), step)]
    votes = Counter(_rank(piece)[0][0] for piece in pieces if len(piece) >= 60 and _rank(piece))
    if not votes:
        return None
    [(language, votes_for_it)] = votes.most_common(1)
    agreed = language in _TRUSTED and votes_for_it >= 0.8 * votes.total()
    return language if agreed else None


Ranking = list[tuple[str, float]]


def _gap(ranked: Ranking, language: str) -> float:
    """By how much another language is likelier."""
    return ranked[0][1] - dict(ranked)[language]


def _rank(text: str) -> Ranking:
    """Languages and log-likelihoods, the likeliest first; none without py3langid."""
    try:
        import py3langid  # comes with the extra `generate`; without it, scripts must do
    except ImportError:
        return []
    return py3langid.rank(text)
