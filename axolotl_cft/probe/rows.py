"""The sample, the prompts with their controls, and the rows that a model scores.

Rows are those of training (`core/documents`): the same ids before the text, the text tokenized
apart, its first token predicted too. So the scored ids are the same under every prompt, and the row
without a prompt is the one that CPT trains. Only the first chunk of a document is scored, without
the EOS that ends a short one: whether a text is over says nothing about its words.
"""

import heapq
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from math import factorial, prod
from typing import Any, Literal

from axolotl_cft.core.choice import Document, FromPool
from axolotl_cft.core.contexts import ContextEncoder, frame_of
from axolotl_cft.core.encoding import Ids, encode_document
from axolotl_cft.core.options import DatasetOptions
from axolotl_cft.core.pool import Prompt, PromptPool
from axolotl_cft.core.sampling import letters_of, text_key, uniform
from axolotl_cft.core.tokenizing import TextEncoder
from axolotl_cft.errors import CFTError

Scored = tuple[Ids, Ids]
"""The ids before a text, and the text's own ids, which are scored."""

SHUFFLED = " (shuffled)"
"""Follows the name of a pool whose prompts have their words out of order."""

# What may change places without a token being split otherwise: tokenizers treat what begins a
# text, or a line, unlike what follows a space, and some join its end with the separator.
_INNER = re.compile(r"(?<= )\S+(?= )")


@dataclass(frozen=True)
class SampledText:
    """A document of the sample.

    Attributes:
        key: of its text (`sampling.text_key`).
        text: the whole text.
        values: the columns of its row, for prompts with placeholders.
    """

    key: bytes
    text: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Arm:
    """A pool as it is probed.

    Attributes:
        pool: the prompts. In a shuffled pool, as many for each prompt as it has shuffles, one after
            the other, with the prompt's id and an equal part of its weight.
        role: "pool" for what the user asked about; "shuffled" for the pool of that name with each
            prompt's words out of order; "fixed" for the constant prefix.
    """

    pool: PromptPool
    role: Literal["pool", "shuffled", "fixed"]

    @property
    def name(self) -> str:
        """The pool's name, and whether it was shuffled."""
        return self.pool.name + (SHUFFLED if self.role == "shuffled" else "")


@dataclass(frozen=True)
class Rows:
    """All rows of a probe: every document behind every context.

    Attributes:
        documents: of the sample, those with a token; one of those that are scored alike.
        texts: of each document, the ids that are scored.
        contexts: for no prompt, then for each prompt of each arm: the ids before each text.
    """

    documents: list[SampledText]
    texts: list[Ids]
    contexts: list[list[Ids]]

    @property
    def flat(self) -> list[Scored]:
        """The rows of the first context, of the second, and so on."""
        return [row for contexts in self.contexts for row in zip(contexts, self.texts, strict=True)]


def sample_documents(
    rows: Iterable[tuple[str | None, Mapping[str, Any]]], count: int, seed: int
) -> list[SampledText]:
    """Draw `count` documents, the same in whatever order they come; fewer where there are fewer.

    A text is drawn once, however often it occurs. Memory holds the sample only.

    Args:
        rows: texts, each with the columns of its row.
        count: documents wanted.
        seed: of the draw.
    """
    heap: list[tuple[float, bytes, SampledText]] = []  # largest draw first, hence the minus below
    chosen: set[bytes] = set()
    for text, values in rows:
        if not text or not text.strip():
            continue
        key = text_key(text)
        rank = -uniform("cft-probe", key, str(seed))
        if key in chosen or (len(heap) == count and rank < heap[0][0]):
            continue
        chosen.add(key)
        heapq.heappush(heap, (rank, key, SampledText(key, text, values)))
        if len(heap) > count:
            chosen.remove(heapq.heappop(heap)[1])
    return [document for _, _, document in sorted(heap, key=lambda entry: entry[:2], reverse=True)]


def make_arms(
    pools: Sequence[PromptPool], fixed: PromptPool, seed: int, shuffles: int
) -> list[Arm]:
    """Each pool, the pool with shuffled words, and the `fixed` pool unless it is among `pools`.

    A prompt whose words have no other order is not in the shuffled pool; nor is the pool among the
    arms where this holds for all of them.

    Args:
        pools: what the user asked about.
        fixed: the constant prefix.
        seed: of the shuffles.
        shuffles: wanted of each prompt.

    Raises:
        CFTError: two pools of one name.
    """
    names = [pool.name for pool in pools]
    for name in names:
        if names.count(name) > 1:
            raise CFTError(f"--pools: two pools are named '{name}'; name each once")
    arms = []
    for pool in pools:
        arms.append(Arm(pool, "pool"))
        kept = shared_words(pool)
        prompts = tuple(
            made for p in pool.prompts for made in shuffle_words(p, seed, shuffles, kept)
        )
        if prompts:
            arms.append(Arm(replace(pool, prompts=prompts), "shuffled"))
    return arms if fixed.name in names else [*arms, Arm(fixed, "fixed")]


def shared_words(pool: PromptPool) -> frozenset[bytes]:
    """The words that occur in several prompts of a pool, as `letters_of` spells them."""
    words = ({letters_of(word) for word in prompt.text.split()} for prompt in pool.prompts)
    counts = Counter(word for of_one in words for word in of_one)
    return frozenset(word for word, number in counts.items() if number > 1)


def shuffle_words(
    prompt: Prompt, seed: int, shuffles: int, kept: frozenset[bytes] = frozenset()
) -> list[Prompt]:
    """The prompt with its words in other orders, each drawn from all orders and none twice.

    The first and the last word (of each line) stay in place, so that all orders have the same
    tokens. If the order of the others does not matter, the prompt itself is one more draw from
    them. Shuffle k does not depend on how many are wanted.

    Args:
        prompt: words are divided by white space; a placeholder is a word or part of one.
        seed: with the prompt's id and text, decides the draws.
        shuffles: wanted; fewer are returned where there are no more orders.
        kept: words that stay in place too. Prompts of one pool begin alike ("Read the next text"),
            so that their orders are no independent draws as long as the words they share move.
    """
    places = [word for word in _INNER.finditer(prompt.text) if letters_of(word[0]) not in kept]
    words = [place[0] for place in places]
    wanted = min(shuffles, _orders(words) - 1)
    key = text_key(prompt.text)
    texts = {prompt.text: None}  # a dict keeps the order of the draws
    for attempt in count():
        if len(texts) > wanted:
            break
        label = f"{seed}/{prompt.id}/{attempt}/"
        ranks = [uniform("cft-shuffle", key, f"{label}{place}") for place in range(len(words))]
        shuffled = [word for _, word in sorted(zip(ranks, words, strict=True))]
        texts[_with_words(prompt.text, places, shuffled)] = None
    weight = prompt.weight / max(wanted, 1)
    return [replace(prompt, text=text, weight=weight) for text in list(texts)[1:]]


def _with_words(text: str, places: Sequence[re.Match[str]], words: Sequence[str]) -> str:
    pieces, end = [], 0
    for place, word in zip(places, words, strict=True):
        pieces += [text[end : place.start()], word]
        end = place.end()
    return "".join([*pieces, text[end:]])


def _orders(words: Sequence[str]) -> int:
    """How many texts the words can make; equal words change places unseen."""
    return factorial(len(words)) // prod(factorial(words.count(word)) for word in set(words))


class RowMaker:
    """Makes rows as training does.

    Args:
        tokenizer: a Hugging Face tokenizer.
        options: `format`, `separator` and `prompt_budget` count here.
        max_tokens: most tokens of a document that are scored.
        source: what to call the data in messages.
    """

    def __init__(self, tokenizer: Any, options: DatasetOptions, max_tokens: int, source: str):
        budget = options.prompt_budget
        self.source = source
        self.frame = frame_of(tokenizer, budget, max_tokens + budget)
        self._contexts = ContextEncoder(tokenizer, self.frame, options.format, options.separator)
        self._text_ids = TextEncoder(tokenizer)

    def bare(self, text: str) -> Scored | None:
        """The first chunk of a text without a prompt; None for a text without a token."""
        rows = encode_document(self._text_ids([text])[0], self.frame, lambda *_: [None])
        if not rows:
            return None
        ends = len(rows) == 1  # then the chunk holds the EOS
        context, target = rows[0].segments[0][:2]
        return context, target[:-1] if ends else target

    def contexts(
        self, prompt: Prompt, pool: PromptPool, documents: Sequence[SampledText]
    ) -> list[Ids]:
        """What stands before each document's text where `prompt` is drawn from `pool`.

        Raises:
            CFTError: the prompt does not fit the budget, or a document lacks a value it names.
        """
        source = FromPool(replace(pool, prompts=(prompt,)), pool.name)
        self._contexts.check(source.known, source.label)
        choices = [
            source.offer(Document(self.source, number, d.key, d.values), chunk=0, seed=0, views=1)
            for number, d in enumerate(documents, 1)
        ]
        return [self._contexts.context_of(*choice).ids for (choice,) in choices]


def make_rows(maker: RowMaker, documents: Sequence[SampledText], arms: Sequence[Arm]) -> Rows:
    """The rows of every document, without a prompt and behind every prompt.

    Raises:
        CFTError: fewer than two documents that differ, or a prompt that cannot be used.
    """
    # Documents that begin alike may be scored alike, and are then one observation.
    distinct: dict[bytes, tuple[SampledText, Scored]] = {}
    for document in documents:
        row = maker.bare(document.text)
        if row is not None:
            distinct.setdefault(row[1].tobytes(), (document, row))
    bare = [*distinct.values()]
    if len(bare) < 2:
        raise CFTError(
            f"{maker.source} holds {len(bare)} texts that differ in the tokens that are scored, "
            "and intervals over documents need two or more; check --data, --field, --documents "
            "and --max-tokens"
        )
    used = [document for document, _ in bare]
    contexts = [[context for _, (context, _) in bare]]
    contexts += [maker.contexts(p, arm.pool, used) for arm in arms for p in arm.pool.prompts]
    return Rows(used, [text for _, (_, text) in bare], contexts)
