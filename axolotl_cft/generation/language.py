"""Is a prompt in the language of its text? By script, and within one script by its words.

Words are looked at first: a few little ones (the, und, que) mostly tell, and py3langid is asked
where they do not. A question is answered with no unless it is plain: a wrong complaint costs a good
prompt, and a text may be code, a list of names, or in several languages.
"""

import itertools
import re

from axolotl_cft.corpus.language import (
    NEIGHBOR,
    SAMPLE,
    gap,
    plainly_other,
    prose_language,
    rank,
    script_shares,
)
from axolotl_cft.generation.wording import Answer, fits, glance

LOOK = 200
"""Characters at the beginning of a text that mostly tell its language."""

LONG = 25
"""Characters of a sentence whose language can be told."""

_SHARED = ("LATIN", "CYRILLIC", "ARABIC")
"""Scripts in which several well-known languages are written."""

_LATIN = re.compile(r"[a-zß-öø-ÿ']+")
_PHRASE = re.compile(r"(?:\b[a-z]+ ){3}[a-z]+\b")  # no name and no term
_MARKS = re.compile(r"[*_#`|>~-]+")  # of Markdown, which would make a list of prose
_MIXTURE = "it mixes two languages"
_OTHER = "it is not in the language of the text"


def is_in_another_language(answer: Answer) -> str | None:
    """The prompt is to be in the language of the text, and in that alone."""
    return _other_script(answer) or _other_words(answer) or _mixture(answer)


def is_all_in_another_language(answer: Answer) -> str | None:
    """A text of any form and length: no part of it is in the language of what it is about."""
    language = prose_language(answer.text[:SAMPLE])
    if language is None:
        return None
    return _OTHER if plainly_other(_MARKS.sub(" ", answer.raw), language) else None


def likeliest(text: str) -> str | None:
    """The language that py3langid finds likeliest; None without it."""
    ranked = rank(text)
    return ranked[0][0] if ranked else None


def _main(scripts: dict[str, float]) -> str:
    return max(scripts, key=scripts.__getitem__)


def _other_script(answer: Answer) -> str | None:
    ours, theirs = answer.scripts, answer.text_scripts
    if not ours:
        return None
    script = _main(ours)
    expected = _main(theirs) if theirs else script
    clear = ours[script] > 0.6 < theirs.get(expected, 0) and theirs.get(script, 0) < 0.25
    if script != expected and clear:
        return _OTHER
    if "LATIN" in ours and len(ours) > 1 and theirs.get("LATIN", 0) < 0.2 < ours["LATIN"]:
        # Technical terms are Latin in any script; a phrase has little words.
        inserted = " ".join(_LATIN.findall(answer.heard))
        run = _PHRASE.search(answer.said)
        strange = run is not None and run[0] not in answer.text
        return _MIXTURE if strange or glance(inserted, least=2) else None
    strays = ours.keys() - theirs.keys() - {script, "LATIN", "GREEK"}
    return _MIXTURE if any(ours[stray] > 0.05 for stray in strays) else None


def _other_words(answer: Answer) -> str | None:
    if not answer.scripts or not answer.text_scripts:
        return None
    script = _main(answer.scripts)
    if script not in _SHARED or script != _main(answer.text_scripts):
        return None
    if fits(answer.said, answer.text_language):
        return None  # as nearly always, which spares a closer look
    ranked, begins = rank(answer.said), rank(answer.text[:LOOK])
    if ranked and begins and ranked[0][0] == begins[0][0]:
        return None
    language = prose_language(answer.text[:SAMPLE])
    other = language is not None and gap(ranked, language) > NEIGHBOR
    return _OTHER if other else None


def _mixture(answer: Answer) -> str | None:
    """Whether some sentences are plainly in another language than others."""
    if len(answer.sentences) < 2:
        return None
    shares = [script_shares(sentence) for sentence in answer.sentences]
    if len({_main(share) for share in shares if share}) > 1:
        return _MIXTURE
    long = [sentence for sentence in answer.sentences if len(sentence) >= LONG]
    if len(long) < 2 or all(fits(sentence, answer.language) for sentence in long):
        return None
    ranked = filter(None, map(rank, long))
    for first, second in itertools.combinations(ranked, 2):
        if gap(first, second[0][0]) > NEIGHBOR and gap(second, first[0][0]) > NEIGHBOR:
            return _MIXTURE
    return None
