"""Texts to rows: the edge between the pure modules and a Hugging Face tokenizer."""

import functools
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from axolotl_cft.core.budget import Allotment
from axolotl_cft.core.choice import Document
from axolotl_cft.core.contexts import OWN_TEMPLATE, ContextEncoder, Template, frame_of
from axolotl_cft.core.cuts import Cut
from axolotl_cft.core.encoding import Context, Ids, Row, encode_document
from axolotl_cft.core.ledger import Ledger
from axolotl_cft.core.near_duplicates import NearDuplicates
from axolotl_cft.core.options import Plan
from axolotl_cft.core.sampling import letters_of, text_key
from axolotl_cft.core.tokenizing import Tell, TextEncoder, silent, tokenizer_threads

Values = Sequence[Mapping[str, Any]]
"""Of each document, columns by name."""


class DocumentEncoder:
    """Turns texts into rows, and keeps the ledger while it does.

    Args:
        tokenizer: a Hugging Face tokenizer.
        plan: how to encode.
        sequence_len: most tokens in a row.
        template: for `format: chat`.

    Raises:
        CFTError: no EOS, no chat template where one is needed, a prompt that does not fit
            `prompt_budget`, or no room left for text.
    """

    def __init__(
        self, tokenizer: Any, plan: Plan, sequence_len: int, template: Template = OWN_TEMPLATE
    ):
        options = plan.options
        self.plan = plan
        self.ledger = Ledger()
        self.near_duplicates: NearDuplicates | None = None  # where they are to be looked for
        self.threads = True  # whether the tokenizer may use several
        self.tell: Tell = silent
        self.before = 0  # documents of the dataset that stand before the ledger's first
        self.allotment: Allotment | None = None  # where `cft.trained_tokens` bounds what is taken
        self.frame = frame_of(tokenizer, options.prompt_budget, sequence_len, options.every)
        self.contexts = ContextEncoder(
            tokenizer, self.frame, options.format, options.separator, template
        )
        self._is_special = _special_table(tokenizer)
        self._text_ids = TextEncoder(tokenizer, self._pass_on)
        if plan.source.gives_prompts:
            self.contexts.check(plan.source.known, plan.source.label)

    def encode(self, texts: Sequence[str | None], values: Values) -> list[Row]:
        """The rows of `texts`, in order; they are counted.

        Args:
            texts: documents; None counts as empty.
            values: of each document, what its prompts and `Plan.holdout_by` need.
        """
        return self.encode_parts([(texts, values)])

    def start(self, before: int = 0) -> None:
        """Count anew, from the dataset's document after the first `before`."""
        self.ledger, self.before = Ledger(), before

    def encode_parts(self, parts: Iterable[tuple[Sequence[str | None], Values]]) -> list[Row]:
        """`encode` for a series of slices: one is tokenized while the one before becomes rows."""
        rows: list[Row] = []
        with tokenizer_threads(self.threads), ThreadPoolExecutor(max_workers=1) as ahead:
            finish: Callable[[], None] | None = None
            for texts, values in parts:
                chosen = self._select(texts, values)
                ids = ahead.submit(self._text_ids, [texts[i] for i, _, _ in chosen])
                if finish is not None:
                    finish()
                finish = functools.partial(self._add_rows, chosen, ids, values, rows)
            if finish is not None:
                finish()
        return rows

    def measure(self, texts: Sequence[str | None], values: Values) -> list[tuple[bytes, int]]:
        """Key of each document, and what a view of it trains: 0 for one that is not taken."""
        found = [(b"", 0)] * len(texts)
        with tokenizer_threads(self.threads):
            chosen = self._select(texts, values)
            encoded = self._text_ids([texts[index] for index, _, _ in chosen])
        for (index, _, key), ids in zip(chosen, encoded, strict=True):
            found[index] = key, ids.size + 1 if ids.size else 0
        return found

    def _select(self, texts: Sequence[str | None], values: Values) -> list[tuple[int, int, bytes]]:
        """Index, number in the dataset and key of each document of this part."""
        chosen, seen = [], []
        for index, text in enumerate(texts):
            self.ledger.documents += 1
            if not text:
                self.ledger.empty += 1
                continue
            letters = letters_of(text) if self.plan.holdout else b""
            held_out = self.plan.holds_out(text, letters, values[index])
            seen.append((letters, held_out))
            self.ledger.held_out += held_out
            if self.plan.takes(held_out):
                number = self.before + self.ledger.documents
                if self._views(number):
                    chosen.append((index, number, text_key(text)))
                else:
                    self.ledger.beyond_budget += 1
        if self.near_duplicates is not None:
            self.near_duplicates.add(seen)
        return chosen

    def _pass_on(self, done: int, of: int) -> None:
        self.tell(done, of)

    def _views(self, number: int) -> int:
        """Rows of each chunk of a document, which the budget decides where there is one."""
        allotted = self.allotment
        return self.plan.options.views if allotted is None else int(allotted.views[number - 1])

    def _add_rows(
        self,
        chosen: Sequence[tuple[int, int, bytes]],
        tokenized: Future[list[Ids]],
        values: Values,
        rows: list[Row],
    ) -> None:
        for (index, number, key), ids in zip(chosen, tokenized.result(), strict=True):
            if ids.size == 0:
                self.ledger.empty += 1
                continue
            cut = Cut(key, ids, self.frame.capacity, self.frame.every)
            document = Document(self.plan.path, number, key, values[index], cut)
            rows += self._encode_one(document, ids)

    def _encode_one(self, document: Document, ids: Ids) -> list[Row]:
        def contexts(place: int, inside: bool) -> list[Context | None]:
            return [
                None if choice is None else self.contexts.context_of(*choice, inside=inside)
                for choice in self.plan.choose(document, place, views)
            ]

        views = self._views(document.number)
        rows = self._within_budget(document, encode_document(ids, self.frame, contexts))
        if rows:
            self._count(ids, rows, self.plan.source.share_shown(document))
        return rows

    def _within_budget(self, document: Document, rows: list[Row]) -> list[Row]:
        """The rows that the budget has room for, counted where that says something."""
        allotted, index = self.allotment, document.number - 1
        if allotted is None:
            return rows
        if index == allotted.last:
            whole = int(allotted.views[index]) - allotted.views_a_pass
            room = allotted.tokens_of_last
            spent = itertools.accumulate(row.target.size for row in rows if row.view >= whole)
            more = sum(tokens <= room for tokens in spent)
            last = [row for row in rows if row.view >= whole][:more]
            rows = [row for row in rows if row.view < whole] + last
            self.ledger.beyond_budget += not rows
        self.ledger.repeated += any(row.view >= allotted.views_a_pass for row in rows)
        return rows

    def _count(self, ids: Ids, rows: Sequence[Row], shown: float | None) -> None:
        ledger, bare = self.ledger, max(1, len(self.frame.start))
        ledger.used += 1
        ledger.text_tokens += ids.size
        if shown is not None:
            ledger.tokens_shown = (ledger.tokens_shown or 0) + round(shown * ids.size)
        ledger.special_tokens_in_text += int(self._is_special[ids].sum())
        ledger.add_targets(row.target for row in rows if row.view == 0)
        for row in rows:
            ledger.add_row(trained=row.target.size, total=row.size)
            for number, segment in enumerate(row.segments):
                prompt = segment.context.size - (0 if number else bare)
                prompt *= segment.prompt_id is not None
                ledger.add_context(segment.prompt_id, prompt, segment.cut)


_BYTE = re.compile("<0x[0-9A-F]{2}>")
"""A byte of a vocabulary with byte fallback: part of a character, not a special token."""


def special_ids(tokenizer: Any) -> set[int]:
    """Ids of all special tokens: the named ones, and those that only the vocabulary marks.

    Llama-3's `<|eot_id|>` has no name among `special_tokens_map`, and is special all the same.
    """
    marked = {
        index
        for index, token in tokenizer.added_tokens_decoder.items()
        if token.special and not _BYTE.fullmatch(token.content)
    }
    return marked | set(tokenizer.all_special_ids)


def _special_table(tokenizer: Any) -> npt.NDArray[np.bool_]:
    """For each id whether it is a special token; an unknown character is none."""
    special = special_ids(tokenizer)
    # GPT-2's unknown token is also its EOS, and stays special.
    if tokenizer.unk_token_id not in (tokenizer.eos_token_id, tokenizer.bos_token_id):
        special.discard(tokenizer.unk_token_id)
    # Ids may have gaps, so that the highest is not the number of tokens.
    table = np.zeros(max(*tokenizer.get_vocab().values(), *special) + 1, dtype=np.bool_)
    table[list(special)] = True
    return table
