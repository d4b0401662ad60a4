"""Texts to rows: the edge between the pure modules and a Hugging Face tokenizer."""

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from axolotl_cft.core.choice import Document, PromptChooser
from axolotl_cft.core.encoding import Frame, Ids, RowBuffer, encode_document
from axolotl_cft.core.ledger import NO_PROMPT, Ledger
from axolotl_cft.core.options import Plan
from axolotl_cft.core.sampling import is_held_out, text_key
from axolotl_cft.errors import CFTError

PINNED_DATE = datetime(2024, 7, 26)
"""The date that chat templates see, so that a prepared dataset does not depend on the day."""


@dataclass(frozen=True)
class Context:
    """A prompt as it stands before a text: its id in the ledger, its ids, whether it was cut."""

    prompt_id: str
    ids: Ids
    truncated: bool


class DocumentEncoder:
    """Turns texts into rows, and keeps the ledger while it does.

    Args:
        tokenizer: a Hugging Face tokenizer.
        plan: how to encode.
        sequence_len: most tokens in a row.

    Raises:
        CFTError: no EOS, no chat template where one is needed, a prompt that does not fit
            `prompt_budget`, or no room left for text.
    """

    def __init__(self, tokenizer: Any, plan: Plan, sequence_len: int):
        self.tokenizer = tokenizer
        self.plan = plan
        self.ledger = Ledger()
        self.threads = True  # whether the tokenizer may use several
        self.choose = PromptChooser(plan)
        self.frame = _frame(tokenizer, plan.options.prompt_budget, sequence_len)
        self._is_special = _special_table(tokenizer)
        self._text_ids = _fast_encoder(tokenizer)
        # A pool's prompts recur; prompts from columns mostly do not, hence the bound.
        self._context = functools.lru_cache(maxsize=4096)(self._encode_prompt)
        if plan.options.prompts != "none":
            self._check_budget()

    def _check_budget(self) -> None:
        """Refuse prompts that cannot fit; those that only the data bring are cut instead."""
        pool, budget = self.plan.pool, self.frame.prompt_budget
        if self.plan.options.format == "chat" and not self.tokenizer.chat_template:
            raise CFTError(
                "cft.format: chat needs a chat template, and the tokenizer has none; set "
                "`chat_template` in the config, or use format: plain"
            )
        around = self._encode_prompt("", "", cut=False).ids.size
        if around >= budget:
            raise CFTError(
                f"cft.prompt_budget: {budget} has no room for a prompt beside the {around} tokens "
                "of BOS, separator or chat template; raise it"
            )
        needed = {
            prompt.id: self._encode_prompt(prompt.id, prompt.fill({}), cut=False).ids.size
            for prompt in (pool.prompts if pool is not None else ())
            if not prompt.columns
        }
        worst = max(needed, key=needed.__getitem__, default="")
        if pool is not None and needed.get(worst, 0) > budget:
            raise CFTError(
                f"pool {pool.name}: prompt '{worst}' takes {needed[worst]} tokens with "
                f"what surrounds it, more than cft.prompt_budget: {budget}; set it to at least "
                f"{needed[worst]}"
            )

    def encode(
        self, texts: Sequence[str | None], values: Sequence[Mapping[str, Any]], rows: RowBuffer
    ) -> None:
        """Append the rows of `texts` to `rows` and count them.

        Args:
            texts: documents; None counts as empty.
            values: of each document, what its prompts need.
            rows: receives the rows in order.
        """
        self.encode_parts([(texts, values)], rows)

    def encode_parts(
        self,
        parts: Iterable[tuple[Sequence[str | None], Sequence[Mapping[str, Any]]]],
        rows: RowBuffer,
    ) -> None:
        """`encode` for a series of slices: one is tokenized while the one before becomes rows."""
        with _tokenizer_threads(self.threads), ThreadPoolExecutor(max_workers=1) as ahead:
            finish: Callable[[], None] | None = None
            for texts, values in parts:
                chosen = list(self._select(texts))
                ids = ahead.submit(self._text_ids, [texts[i] for i, _, _ in chosen])
                if finish is not None:
                    finish()
                finish = functools.partial(self._add_rows, chosen, ids, values, rows)
            if finish is not None:
                finish()

    def _select(self, texts: Sequence[str | None]) -> Iterator[tuple[int, int, bytes]]:
        """Index, number in the dataset and key of each document of this part."""
        for index, text in enumerate(texts):
            self.ledger.documents += 1
            if not text:
                self.ledger.empty += 1
                continue
            key = text_key(text)
            held_out = is_held_out(key, self.plan.holdout)
            self.ledger.held_out += held_out
            if self.plan.takes(held_out):
                yield index, self.ledger.documents, key

    def _add_rows(
        self,
        chosen: Sequence[tuple[int, int, bytes]],
        tokenized: Future[list[list[int]]],
        values: Sequence[Mapping[str, Any]],
        rows: RowBuffer,
    ) -> None:
        for (index, number, key), ids in zip(chosen, tokenized.result(), strict=True):
            if len(ids) == 0:
                self.ledger.empty += 1
                continue
            document = Document(number, key, values[index])
            self._encode_one(document, np.asarray(ids, dtype=np.int32), rows)

    def _encode_one(self, document: Document, ids: Ids, rows: RowBuffer) -> None:
        contexts: list[Context | None] = []

        def contexts_of(chunk: int) -> list[Ids | None]:
            choices = self.choose(document, chunk)
            drawn = [None if choice is None else self._context(*choice) for choice in choices]
            contexts.extend(drawn)
            return [None if context is None else context.ids for context in drawn]

        first = len(rows)
        chunks = encode_document(ids, self.frame, contexts_of, rows)
        self._count(ids, chunks, contexts, rows, first)

    def _encode_prompt(self, prompt_id: str, text: str, cut: bool = True) -> Context:
        """The ids that stand before a text: BOS, prompt and separator, or a rendered user turn."""
        budget = self.frame.prompt_budget
        render = self._render_chat if self.plan.options.format == "chat" else self._render_plain
        ids, text_ids = render(text), self._plain_ids(text)
        truncated = cut and len(ids) > budget
        keep = len(text_ids)
        while cut and len(ids) > budget and keep > 0:
            # A text that was cut between tokens may not encode to the same ids again: cut further.
            keep = max(0, keep - max(1, len(ids) - budget))
            ids = render(self.tokenizer.decode(text_ids[:keep]))
        return Context(prompt_id, np.asarray(ids, dtype=np.int32), truncated)

    def _render_plain(self, prompt: str) -> list[int]:
        return [*self.frame.start, *self._plain_ids(prompt + self.plan.options.separator)]

    def _plain_ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def _render_chat(self, prompt: str) -> list[int]:
        """User turn and generation prompt of the tokenizer's template, the date pinned.

        BOS comes first where the tokenizer sets one, whether or not the template writes it.
        """
        rendered = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}],
            tokenize=False,
            add_generation_prompt=True,
            date_string=PINNED_DATE.strftime("%d %b %Y"),
            strftime_now=PINNED_DATE.strftime,
        )
        ids, start = self._plain_ids(rendered), list(self.frame.start)
        return ids if ids[: len(start)] == start else [*start, *ids]

    def _count(
        self,
        ids: Ids,
        chunks: list[Ids],
        contexts: list[Context | None],
        rows: RowBuffer,
        first: int,
    ) -> None:
        ledger = self.ledger
        ledger.used += 1
        ledger.text_tokens += ids.size
        ledger.special_tokens_in_text += int(self._is_special[ids].sum())
        ledger.add_targets(chunks)
        bare = max(1, len(self.frame.start))
        for context, row_context, target in zip(
            contexts, rows.contexts[first:], rows.targets[first:], strict=True
        ):
            ledger.rows += 1
            ledger.trained_tokens += target.size
            ledger.total_tokens += row_context.size + target.size
            if context is None:
                ledger.prompt_counts[NO_PROMPT] += 1
                continue
            ledger.prompt_counts[context.prompt_id] += 1
            ledger.prompt_tokens += row_context.size - bare
            ledger.prompts_truncated += context.truncated


def _frame(tokenizer: Any, prompt_budget: int, sequence_len: int) -> Frame:
    if tokenizer.eos_token_id is None:
        raise CFTError("the tokenizer has no EOS token; set special_tokens.eos_token in the config")
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    special = tokenizer("a")["input_ids"]
    # What the tokenizer puts in front by itself is what the model was trained to expect; a BOS
    # that is defined but not set by default (Phi-3, say) is not.
    begin = next((i for i in range(len(special)) if special[i : i + len(plain)] == plain), 0)
    if sequence_len - prompt_budget < 2:
        raise CFTError(
            f"cft.prompt_budget: {prompt_budget} leaves no room for text in sequence_len: "
            f"{sequence_len}; lower the one or raise the other"
        )
    if begin > prompt_budget:
        raise CFTError(
            f"cft.prompt_budget: {prompt_budget} has no room for BOS; set {begin} or more"
        )
    return Frame(tuple(special[:begin]), tokenizer.eos_token_id, sequence_len, prompt_budget)


def _special_table(tokenizer: Any) -> npt.NDArray[np.bool_]:
    """For each id whether it is a special token; an unknown character is none."""
    special = set(tokenizer.all_special_ids)
    # GPT-2's unknown token is also its EOS, and stays special.
    if tokenizer.unk_token_id not in (tokenizer.eos_token_id, tokenizer.bos_token_id):
        special.discard(tokenizer.unk_token_id)
    # Ids may have gaps, so that the highest is not the number of tokens.
    table = np.zeros(max(*tokenizer.get_vocab().values(), *special) + 1, dtype=np.bool_)
    table[list(special)] = True
    return table


def _fast_encoder(tokenizer: Any) -> Callable[[list[Any]], list[list[int]]]:
    """`tokenizer(texts, add_special_tokens=False)`, straight from the Rust core where it agrees.

    `encode_batch_fast` leaves out offsets, which nothing here needs.
    """

    def slow(texts: list[Any]) -> list[list[int]]:
        return tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []

    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not hasattr(backend, "encode_batch_fast"):
        return slow

    def fast(texts: list[Any]) -> list[list[int]]:
        # A call elsewhere may have left truncation or padding switched on in the shared core.
        backend.no_truncation()
        backend.no_padding()
        return [e.ids for e in backend.encode_batch_fast(texts, add_special_tokens=False)]

    specials = " ".join(map(str, tokenizer.all_special_tokens))
    probe = [f"Probe: héllo  wörld\n\n\t1,234 {specials} end", " leading", ""]
    return fast if fast(probe) == slow(probe) else slow


@contextmanager
def _tokenizer_threads(wanted: bool) -> Iterator[None]:
    """Let the tokenizer use its threads; the host switches them off for the sake of its forks.

    `tokenizers` reads the variable at each call, so restoring it keeps those forks safe.
    """
    before = os.environ.get("TOKENIZERS_PARALLELISM")
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if wanted else "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ["TOKENIZERS_PARALLELISM"]
        else:
            os.environ["TOKENIZERS_PARALLELISM"] = before
