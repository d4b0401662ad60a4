"""The portions of a text that get a prompt each: the whole text, or every chunk of training."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

from axolotl_cft.core.pool import PromptPool
from axolotl_cft.generation.journal import Entry
from axolotl_cft.generation.prompting import PromptPlan, prompt_key, resolve_answers
from axolotl_cft.generation.workers import Job
from axolotl_cft.host.tokens import well_formed


class Portions(NamedTuple):
    """What is asked for one row of a corpus.

    Attributes:
        keys: what the prompt of each portion is stored under; None for a chunk of nothing but
            white space, about which there is nothing to ask.
        edges: the characters where each portion begins, and where the last one ends.
        digest: of the cut into chunks; None where the portion is the whole text.
    """

    keys: tuple[str | None, ...] = ()
    edges: tuple[int, ...] = (0,)
    digest: str | None = None

    @property
    def asked(self) -> list[str]:
        """The keys, without those that are None."""
        return [key for key in self.keys if key is not None]


def divide(plan: PromptPlan, text: str) -> Portions:
    """The portions of a text as it stands in the corpus; none of an empty one."""
    if not text:
        return Portions()
    if plan.finder is None:
        return Portions((prompt_key(text),), (0, len(text)))
    chunked = plan.finder.find(well_formed(text))
    passages = _passages(plan, text, chunked.edges)
    keys = tuple(prompt_key(here, before) if here.strip() else None for here, before in passages)
    return Portions(keys, chunked.edges, chunked.digest)


def makers(
    plan: PromptPlan, text: str, portions: Portions
) -> Iterator[tuple[str | None, Callable[[], Job]]]:
    """The key of each portion of a text, and how to make its job."""
    passages = _passages(plan, text, portions.edges)
    for key, (here, before) in zip(portions.keys, passages, strict=True):
        yield key, partial(plan.job, here, before)


def _passages(plan: PromptPlan, text: str, edges: Sequence[int]) -> Iterator[tuple[str, str]]:
    """Each portion of a text, and what is shown before it."""
    for begin, end in pairwise(edges):
        yield text[begin:end], text[max(0, begin - plan.context_chars) : begin]


def prompts_of(
    row: Portions, entries: Mapping[str, Entry], fallback: PromptPool | None, seed: int
) -> Any:
    """What stands in the column of prompts: a text, or a list with one for each chunk.

    None where nothing is needed, and where one of them has no usable answer.
    """
    found = resolve_answers(row.keys, entries, fallback, seed)
    if any(key and prompt is None for key, prompt in zip(row.keys, found, strict=True)):
        return None
    if row.digest is None:
        return found[0] if found else None
    return found or None


def share_shown(row: Portions, entries: Mapping[str, Entry]) -> float | None:
    """Share of a text's characters that the LLM was shown for prompts that are used.

    None where nothing is needed, and where the journal is of a version that did not count.
    """
    own = [entries[key] if key else None for key in row.keys]
    if not own or any(entry and entry.get("cut") is True for entry in own):
        return None
    shown = (
        _shown(entry, end - begin)
        for entry, (begin, end) in zip(own, pairwise(row.edges), strict=True)
    )
    return round(sum(shown) / row.edges[-1], 6)


def _shown(entry: Entry | None, length: int) -> int:
    """Characters of a portion that the LLM was shown; white space counts as shown."""
    if entry is None:
        return length
    return 0 if "reject" in entry else int(entry.get("cut", length))
