"""The portions of a text that get a prompt each: the whole text, or every chunk of training."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice, pairwise
from typing import Any, NamedTuple

from axolotl_cft.core.pool import PromptPool
from axolotl_cft.generation.answers import Answer, Keys
from axolotl_cft.generation.earlier_journal import prompt_key
from axolotl_cft.generation.prompting import PromptPlan, draw_prompt, usable_texts
from axolotl_cft.generation.workers import Job
from axolotl_cft.host.tokens import well_formed

MIN_SIGNS = 3
"""Letters and digits below which there is nothing to write a prompt about."""


class Portions(NamedTuple):
    """What is asked for one row of a corpus.

    Attributes:
        keys: what the prompt of each portion is stored under; None for a chunk of white space or
            punctuation, about which there is nothing to ask.
        edges: the characters where each portion begins, and where the last one ends.
        shown: characters of each portion that go into the request.
        digest: of the cut into chunks; None where the portion is the whole text.
    """

    keys: tuple[str | None, ...] = ()
    edges: tuple[int, ...] = (0,)
    shown: tuple[int, ...] = ()
    digest: str | None = None

    @property
    def asked(self) -> list[str]:
        """The keys, without those that are None."""
        return [key for key in self.keys if key is not None]

    @property
    def cut(self) -> int:
        """How many portions are shortened for the request."""
        lengths = (end - begin for begin, end in pairwise(self.edges))
        pairs = zip(self.shown, lengths, strict=True)
        return sum(shown < length for shown, length in pairs)


def divide(plan: PromptPlan, keys: Keys, text: str) -> Portions:
    """The portions of a text as it stands in the corpus; none of an empty one."""
    if not text:
        return Portions()
    chunked = plan.finder.find(well_formed(text)) if plan.finder else None
    edges = chunked.edges if chunked else (0, len(text))
    found: list[str | None] = []
    shown = []
    for here, before in passages(plan, text, edges):
        asked = plan.finder is None or _says_something(here)
        part = plan.shorten(here) if asked else here
        found.append(keys.of(plan.message(part, here, before)) if asked else None)
        shown.append(len(part))
    return Portions(tuple(found), edges, tuple(shown), chunked and chunked.digest)


def _says_something(text: str) -> bool:
    signs = (sign for sign in text if sign.isalnum())
    return len(list(islice(signs, MIN_SIGNS))) == MIN_SIGNS


def makers(
    plan: PromptPlan, keys: Keys, text: str, portions: Portions
) -> Iterator[tuple[str | None, Callable[[], Job]]]:
    """The key of each portion of a text, and how to make its job."""
    pairs = passages(plan, text, portions.edges)
    for key, shown, (here, before) in zip(portions.keys, portions.shown, pairs, strict=True):
        yield key, partial(plan.job, keys, here, before, here[:shown])


def earlier_keys(plan: PromptPlan, text: str, portions: Portions) -> Iterator[tuple[str, str]]:
    """The key of each portion of a text, and the one that version 0.1 had for it."""
    pairs = passages(plan, text, portions.edges)
    for key, (here, before) in zip(portions.keys, pairs, strict=True):
        if key is not None:
            yield key, prompt_key(here, before)


def passages(plan: PromptPlan, text: str, edges: Sequence[int]) -> Iterator[tuple[str, str]]:
    """Each portion of a text, and what is shown before it."""
    for begin, end in pairwise(edges):
        yield text[begin:end], text[max(0, begin - plan.context_chars) : begin]


def stand_ins(
    plan: PromptPlan, pool: PromptPool, text: str, row: Portions, answers: Mapping[str, Answer]
) -> Iterator[tuple[str, str]]:
    """A prompt of the pool for each portion of a text whose own was rejected, by seed and text."""
    pairs = passages(plan, text, row.edges)
    for key, (here, before) in zip(row.keys, pairs, strict=True):
        if key is not None and not answers[key].usable:
            yield key, draw_prompt(pool, plan.seed, here, before).fill(pool.defaults)


def prompts_of(row: Portions, answers: Mapping[str, Answer], instead: Mapping[str, str]) -> Any:
    """What stands in the column of prompts: a text, or a list with one for each chunk.

    None where nothing is needed, and where one of them has no usable answer.
    """
    found = usable_texts(row.keys, answers, instead)
    if any(key and prompt is None for key, prompt in zip(row.keys, found, strict=True)):
        return None
    if row.digest is None:
        return found[0] if found else None
    return found or None


def share_shown(row: Portions, answers: Mapping[str, Answer]) -> float | None:
    """Share of a text's characters that the LLM was shown for prompts that are used.

    What is asked about nobody counts as shown. None where nothing is needed.
    """
    if not row.keys:
        return None
    used = (
        shown
        for key, shown in zip(row.keys, row.shown, strict=True)
        if key is None or answers[key].usable
    )
    return round(sum(used) / row.edges[-1], 6)
