"""A second look at a pool: what is probably not meant in it, and the tokens its prompts take."""

import re
from collections.abc import Callable
from itertools import combinations

from axolotl_cft.core.pool import Prompt, PromptPool

SIMILAR = 0.8
"""Share of common words (Jaccard) at which two prompts are called near duplicates."""


def find_doubts(pool: PromptPool) -> list[str]:
    """What is allowed in a pool but probably not meant, one sentence each."""
    found = [
        f"the text of '{prompt.id}' has a brace that belongs to no {{column}}; column names are "
        "letters, digits and _, and a literal brace is written {{ or }}"
        for prompt in pool.prompts
        if _stray_brace(prompt)
    ]
    if unused := sorted(pool.defaults.keys() - pool.columns):
        found.append(f"no prompt names {', '.join(unused)}, for which there is a default")
    words = {prompt.id: set(re.findall(r"\w+", prompt.text.lower())) for prompt in pool.prompts}
    for (one, ours), (other, theirs) in combinations(words.items(), 2):
        shared = len(ours & theirs) / max(1, len(ours | theirs))
        if shared >= SIMILAR:
            found.append(f"'{one}' and '{other}' share {shared:.0%} of their words")
    return found


def _stray_brace(prompt: Prompt) -> bool:
    rest = prompt.text.replace("{{", "").replace("}}", "")
    for column in prompt.columns:
        rest = rest.replace(f"{{{column}}}", "")
    return "{" in rest or "}" in rest


def unbound_columns(pool: PromptPool) -> list[str]:
    """The columns that a row must bring, since the pool has no default for them."""
    return sorted(pool.columns - pool.defaults.keys())


def count_tokens(pool: PromptPool, count: Callable[[str], int]) -> dict[str, int]:
    """The tokens of every prompt by its id; the largest number is the budget that the pool needs.

    Args:
        pool: its defaults are filled in; a column without one counts as its own name.
        count: tokens that a prompt takes in a row, such as `Tokens.of_prompt`.
    """
    values = {**pool.defaults, **{column: column for column in unbound_columns(pool)}}
    return {prompt.id: count(prompt.fill(values)) for prompt in pool.prompts}
