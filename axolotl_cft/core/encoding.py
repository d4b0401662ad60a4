"""What CFT does to a document, in token ids (numpy only, no tokenizer, no framework).

A document's *targets* are its own tokens and one EOS. They are cut into *chunks*, and every chunk
becomes a row of its own behind a *context* (BOS and a contextual prompt) that is masked:

    input_ids   [ BOS  c1 … cm | x1 … xn  EOS ]
    labels      [ -100 …  -100 | x1 … xn  EOS ]      L_CFT = -Σ log P(x_k | c, x_<k), paper eq. 3

Room for the context (`prompt_budget`) is kept free in every arm, so the chunks, and with them the
trained tokens, are the same whichever prompt was drawn, or none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

IGNORE_INDEX = -100
"""Label of a token that bears no loss (torch.nn.CrossEntropyLoss's default)."""

ENCODING_VERSION = 1
"""Raised whenever the same input would give other rows; part of a prepared dataset's identity."""

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
    it takes one more from its neighbour: a row that teaches nothing but "stop" helps nobody.

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


@dataclass
class RowBuffer:
    """Rows under construction: a context that is masked and a target that is trained, each."""

    contexts: list[Ids] = field(default_factory=list)
    targets: list[Ids] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.targets)

    def add(self, context: Ids, target: Ids) -> None:
        """Append the row `context + target`."""
        self.contexts.append(context)
        self.targets.append(target)

    def columns(self) -> tuple[npt.NDArray[np.int32], Ids, npt.NDArray[np.int64]]:
        """The rows laid end to end.

        Returns:
            offsets: int32, shape (rows + 1,); row i is `[offsets[i], offsets[i + 1])`.
            input_ids: int32, shape (tokens,).
            labels: int64, shape (tokens,); IGNORE_INDEX on the context.
        """
        lengths = [c.size + t.size for c, t in zip(self.contexts, self.targets, strict=True)]
        offsets = np.zeros(len(lengths) + 1, dtype=np.int32)
        np.cumsum(lengths, out=offsets[1:])
        if not self.targets:
            return offsets, np.empty(0, np.int32), np.empty(0, np.int64)
        parts = [part for row in zip(self.contexts, self.targets, strict=True) for part in row]
        input_ids = np.concatenate(parts, dtype=np.int32)
        labels = input_ids.astype(np.int64)
        for begin, context in zip(offsets, self.contexts, strict=False):
            labels[begin : begin + context.size] = IGNORE_INDEX
        return offsets, input_ids, labels


def encode_document(
    text_ids: Sequence[int] | Ids,
    frame: Frame,
    contexts: Callable[[int], Sequence[Ids | None]],
    rows: RowBuffer,
) -> list[Ids]:
    """Append a document's rows to `rows`.

    Args:
        text_ids: `tokenizer(text, add_special_tokens=False)`, any length.
        frame: what stands around a text.
        contexts: maps a chunk's index to one context per view: the ids before the text (at most
            `frame.prompt_budget`), or None for a row without a prompt. Without any ids the first
            token could not be predicted, so an empty context counts as None.
        rows: receives chunk 0 with all its views, then chunk 1, …

    Returns:
        The chunks' targets, in order: joined they are the text's ids and one EOS. A document
        without tokens has no chunks.

    Raises:
        ValueError: a context is longer than the budget.
    """
    if len(text_ids) == 0:
        return []
    targets = np.append(np.asarray(text_ids, dtype=np.int32), np.int32(frame.eos))
    chunks = []
    for index, (begin, end) in enumerate(chunk_bounds(targets.size, frame.capacity)):
        chunk = targets[begin:end]
        chunks.append(chunk)
        for context in contexts(index):
            if context is None or context.size == 0:
                context = bare_context(frame, int(targets[begin - 1]) if begin else None)
            if context.size > frame.prompt_budget:
                raise ValueError(f"context of {context.size} tokens, budget {frame.prompt_budget}")
            rows.add(context, chunk)
    return chunks
