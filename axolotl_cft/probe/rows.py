"""The sample, the prompts with their controls, and the rows that a model scores.

Rows are those of training (`core/documents`): the same ids before the text, the text tokenized
apart, its first token predicted too. So the scored ids are the same under every prompt, and the row
without a prompt is the one that CPT trains. Only the first chunk of a document is scored, without
the EOS that ends a short one: whether a text is over says nothing about its words.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from axolotl_cft.core.choice import Document, FromPool
from axolotl_cft.core.contexts import ContextEncoder, frame_of
from axolotl_cft.core.documents import text_encoder
from axolotl_cft.core.encoding import Ids, encode_document
from axolotl_cft.core.options import DatasetOptions
from axolotl_cft.core.pool import Prompt, PromptPool
from axolotl_cft.core.sampling import text_key, uniform
from axolotl_cft.errors import CFTError

Scored = tuple[Ids, Ids]
"""The ids before a text, and the text's own ids, which are scored."""

SHUFFLED = " (shuffled)"
"""Follows the name of a pool whose prompts have their words out of order."""


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
        pool: the prompts.
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
        documents: of the sample, those with a token.
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


def make_arms(pools: Sequence[PromptPool], fixed: PromptPool, seed: int) -> list[Arm]:
    """Each pool, the pool with shuffled words, and the `fixed` pool unless it is among `pools`.

    A pool of one prompt is a constant itself and is not shuffled.

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
        if len(pool.prompts) > 1:
            prompts = tuple(shuffle_words(prompt, seed) for prompt in pool.prompts)
            arms.append(Arm(replace(pool, prompts=prompts), "shuffled"))
    return arms if fixed.name in names else [*arms, Arm(fixed, "fixed")]


def shuffle_words(prompt: Prompt, seed: int) -> Prompt:
    """The prompt with its words in another order, fixed by `seed` and the text."""
    key = text_key(prompt.text)
    words = list(enumerate(prompt.text.split()))
    words.sort(key=lambda word: uniform("cft-shuffle", key, f"{seed}/{word[0]}"))
    return replace(prompt, text=" ".join(word for _, word in words))


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
        self._text_ids = text_encoder(tokenizer)

    def bare(self, text: str) -> Scored | None:
        """The first chunk of a text without a prompt; None for a text without a token."""
        rows = encode_document(self._text_ids([text])[0], self.frame, lambda chunk: [None])
        if not rows:
            return None
        ends = len(rows) == 1  # then the chunk holds the EOS
        return rows[0].context, rows[0].target[:-1] if ends else rows[0].target

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
        CFTError: fewer than two documents with a token, or a prompt that cannot be used.
    """
    made = [(document, maker.bare(document.text)) for document in documents]
    bare = [(document, row) for document, row in made if row is not None]
    if len(bare) < 2:
        raise CFTError(
            f"{maker.source} holds {len(bare)} distinct texts: intervals over documents need two "
            "or more; check --data, --field and --documents"
        )
    used = [document for document, _ in bare]
    contexts = [[context for _, (context, _) in bare]]
    contexts += [maker.contexts(p, arm.pool, used) for arm in arms for p in arm.pool.prompts]
    return Rows(used, [text for _, (_, text) in bare], contexts)
