"""How alike the prompts of a corpus are (pure): a model that says one thing of every text."""

from collections import Counter
from collections.abc import Iterable

from axolotl_cft.generation.wording import words_of
from axolotl_cft.records import PromptLikeness

OPENING = 4
"""Words of an opening; signs, in a script without spaces."""

FEW = 20
"""Fewer prompts than this may well be alike."""

DISTINCT, ALIKE = 0.9, 0.5
"""It is said if fewer prompts are distinct, or if more begin with the same words."""


def likeness_of(prompts: Iterable[str]) -> PromptLikeness:
    """Distinct prompts, and the openings that most share; case and punctuation do not matter."""
    worded = [tuple(words_of(prompt)) for prompt in prompts]
    openings = Counter(" ".join(words[:OPENING]) for words in worded)
    shared = {opening: count for opening, count in openings.most_common(5) if count > 1}
    return PromptLikeness(prompts=len(worded), distinct=len(set(worded)), openings=shared)


def likeness_in_words(likeness: PromptLikeness) -> str | None:
    """A sentence where prompts are (nearly) all alike."""
    total = likeness.prompts
    if total < FEW:
        return None
    if likeness.distinct < DISTINCT * total:
        share = likeness.distinct / total
        return (
            f"Only {share:.0%} of the {total:,} prompts are distinct: they can hardly fit each text"
        )
    opening, count = next(iter(likeness.openings.items()), ("", 0))
    if count <= ALIKE * total:
        return None
    return f'{count / total:.0%} of the {total:,} prompts begin alike ("{opening} …")'
