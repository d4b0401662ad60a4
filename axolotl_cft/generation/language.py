"""Is a prompt in the language of its text? By script, and within one script by py3langid.

A question is answered with no unless it is plain: a wrong complaint costs a good prompt, and a text
may be code, a list of names, or in several languages.
"""

import itertools
from collections.abc import Sequence

from axolotl_cft.corpus.language import NEIGHBOR, SAMPLE, gap, prose_language, rank, script_shares

LOOK = 200
"""Characters at the beginning of a text that mostly tell its language."""


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
    ranked, begins = rank(answer), rank(text[:LOOK])
    if ranked and begins and ranked[0][0] == begins[0][0]:
        return None  # as nearly always, which spares a closer look at the text
    language = prose_language(text[:SAMPLE])
    other = language is not None and gap(ranked, language) > NEIGHBOR
    return "it is not in the language of the text" if other else None


def mixture_complaint(sentences: Sequence[str]) -> str | None:
    """Whether some sentences of an answer are plainly in another language than others."""
    shares = [script_shares(sentence) for sentence in sentences]
    scripts = {max(share, key=share.__getitem__) for share in shares if share}
    if len(scripts) > 1:
        return "it mixes two languages"
    long = [sentence for sentence in sentences if len(sentence) >= 25]
    ranked = [rank(sentence) for sentence in long] if len(long) > 1 else []
    for first, second in itertools.combinations(filter(None, ranked), 2):
        if gap(first, second[0][0]) > NEIGHBOR and gap(second, first[0][0]) > NEIGHBOR:
            return "it mixes two languages"
    return None
