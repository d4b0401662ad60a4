"""What CFT does to a document, in token ids (numpy only, no tokenizer, no framework).

A document's *targets* are its own tokens and one EOS. They are cut into *chunks*, and every chunk
becomes a row of its own behind a *context* (BOS and a contextual prompt) that is masked:

    input_ids   [ BOS  c1 … cm | x1 … xn  EOS ]
    labels      [ -100 …  -100 | x1 … xn  EOS ]      L_CFT = -Σ log P(x_k | c, x_<k), paper eq. 3

Room for the context (`prompt_budget`) is kept free in every arm, so the chunks, and with them the
trained tokens, are the same whichever prompt was drawn, or none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

IGNORE_INDEX = -100
"""Label of a token that bears no loss (torch.nn.CrossEntropyLoss's default)."""

ENCODING_VERSION = 2
"""Raised whenever the same input gives different rows; part of a prepared dataset's identity."""

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Frame:
    """What stands around a text, and how much fits into a row.

    Attributes:
        start: ids that the tokenizer puts before a text by itself (BOS; empty for many BPEs).
        eos: id that ends a document.
        sequence_len: most tokens in a row.
        prompt_budget: tokens of every row kept free for the context.
    """

    start: tuple[int, ...]
    eos: int
    sequence_len: int
    prompt_budget: int

    @property
    def capacity(self) -> int:
        """Most target tokens in a row."""
        return self.sequence_len - self.prompt_budget


def chunk_bounds(n_targets: int, capacity: int) -> list[tuple[int, int]]:
    """Cut `n_targets` tokens into chunks of at most `capacity`, as half-open (begin, end) pairs.

    All chunks are full but the last. When the last would hold a single token (the EOS alone),
    it takes one more from its neighbor: a row that teaches nothing but "stop" helps nobody.

    Raises:
        ValueError: capacity below 2.
    """
    if capacity < 2:
        raise ValueError(f"a chunk needs room for 2 tokens, got {capacity}")
    begins = list(range(0, n_targets, capacity))
    if len(begins) > 1 and n_targets - begins[-1] == 1:
        begins[-1] -= 1
    return list(pairwise([*begins, n_targets]))


def bare_context(frame: Frame, previous: int | None) -> Ids:
    """Context of a row without a prompt: what lets its first token be predicted at all.

    BOS where the tokenizer sets one. Without one the first token of a row would have nothing
    before it and drop out of the loss, so a masked token stands in: EOS (the boundary that
    really is there) before a document, and before a later chunk the token that precedes it,
    as lm-eval's rolling windows do (lm_eval/utils.py::get_rolling_token_windows).

    Args:
        frame: what stands around a text.
        previous: the target before the chunk, None for a document's first chunk.
    """
    if frame.start:
        return np.asarray(frame.start, dtype=np.int32)
    return np.asarray([frame.eos if previous is None else previous], dtype=np.int32)


class Context(NamedTuple):
    """What stands before a text.

    Attributes:
        ids: token ids, BOS included.
        prompt_id: of the prompt in it; None for a row without one.
        cut: whether the prompt was cut to fit `prompt_budget`.
    """

    ids: Ids
    prompt_id: str | None = None
    cut: bool = False


class Row(NamedTuple):
    """A training row, and where it comes from.

    Attributes:
        context: ids that are masked.
        target: ids that are trained; they follow the context.
        prompt_id: of the prompt in the context; None without one.
        cut: whether that prompt was cut to fit `prompt_budget`.
        chunk: index of the chunk in its document.
        view: index of the view of that chunk.
    """

    context: Ids
    target: Ids
    prompt_id: str | None
    cut: bool
    chunk: int
    view: int


def encode_document(
    text_ids: Sequence[int] | Ids,
    frame: Frame,
    contexts: Callable[[int], Sequence[Context | None]],
) -> list[Row]:
    """The rows of a document: chunk 0 with all its views, then chunk 1, …

    Args:
        text_ids: `tokenizer(text, add_special_tokens=False)`, any length.
        frame: what stands around a text.
        contexts: maps a chunk's index to one context per view (at most `frame.prompt_budget`
            ids), or None for a row without a prompt. Without any ids the first token could not
            be predicted, so an empty context counts as None.

    Returns:
        The rows. The targets of one view, joined, are the text's ids and one EOS. A document
        without tokens has no rows.

    Raises:
        ValueError: a context is longer than the budget.
    """
    if len(text_ids) == 0:
        return []
    targets = np.append(np.asarray(text_ids, dtype=np.int32), np.int32(frame.eos))
    rows = []
    for index, (begin, end) in enumerate(chunk_bounds(targets.size, frame.capacity)):
        chunk = targets[begin:end]
        for view, context in enumerate(contexts(index)):
            if context is None or context.ids.size == 0:
                before = int(targets[begin - 1]) if begin else None
                context = (context or Context(targets))._replace(ids=bare_context(frame, before))
            if context.ids.size > frame.prompt_budget:
                raise ValueError(
                    f"context of {context.ids.size} tokens, budget {frame.prompt_budget}"
                )
            rows.append(Row(context.ids, chunk, context.prompt_id, context.cut, index, view))
    return rows


def lay_out(rows: Sequence[Row]) -> tuple[npt.NDArray[np.int32], Ids, npt.NDArray[np.int64]]:
    """The rows laid end to end.

    Returns:
        offsets: int32, shape (rows + 1,); row i is `[offsets[i], offsets[i + 1])`.
        input_ids: int32, shape (tokens,).
        labels: int64, shape (tokens,); IGNORE_INDEX on the context.
    """
    offsets = np.zeros(len(rows) + 1, dtype=np.int32)
    np.cumsum([row.context.size + row.target.size for row in rows], out=offsets[1:])
    if not rows:
        return offsets, np.empty(0, np.int32), np.empty(0, np.int64)
    parts = [part for row in rows for part in (row.context, row.target)]
    input_ids = np.concatenate(parts, dtype=np.int32)
    labels = input_ids.astype(np.int64)
    for begin, row in zip(offsets, rows, strict=False):
        labels[begin : begin + row.context.size] = IGNORE_INDEX
    return offsets, input_ids, labels
