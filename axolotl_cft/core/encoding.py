"""What CFT does to a document, in token ids (numpy only, no tokenizer, no framework).

A document's *targets* are its own tokens and one EOS. They are cut into *chunks*, and every chunk
becomes a row of its own behind a *context* (BOS and a contextual prompt) that is masked:

    input_ids   [ BOS  c1 … cm | x1 … xn  EOS ]
    labels      [ -100 …  -100 | x1 … xn  EOS ]      L_CFT = -Σ log P(x_k | c, x_<k), paper eq. 3

Room for the context (`prompt_budget`) is kept free in every arm, so the chunks, and with them the
trained tokens, are the same whichever prompt was drawn, or none.

With `every`, a context stands before every so many tokens of a chunk, inside its row. The row is
then a list of *segments*, each a context and the targets that follow it:

    input_ids   [ BOS  c1 … cm | x1 … xN | d1 … dk | xN+1 … xn  EOS ]
    labels      [ -100 …  -100 | x1 … xN | -100 …  | xN+1 … xn  EOS ]
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
        prompt_budget: tokens kept free for each context.
        every: most target tokens behind a context; None for one context in a row.
    """

    start: tuple[int, ...]
    eos: int
    sequence_len: int
    prompt_budget: int
    every: int | None = None

    @property
    def capacity(self) -> int:
        """Most target tokens in a row: n with n + ceil(n / every) * prompt_budget tokens in all."""
        if self.every is None:
            return self.sequence_len - self.prompt_budget
        full, left = divmod(self.sequence_len, self.every + self.prompt_budget)
        return full * self.every + max(0, left - self.prompt_budget)


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
    return list(itertools.pairwise([*begins, n_targets]))


def segment_bounds(n_targets: int, every: int | None) -> list[tuple[int, int]]:
    """Cut the targets of a chunk into segments of `every`, as half-open (begin, end) pairs.

    A last one of a single token (the EOS, mostly) belongs to the one before: a prompt of its own
    would be one for no text.
    """
    begins = list(range(0, n_targets, every or n_targets))
    if len(begins) > 1 and n_targets - begins[-1] == 1:
        begins.pop()
    return list(itertools.pairwise([*begins, n_targets]))


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


class Segment(NamedTuple):
    """A context and what follows it.

    Attributes:
        context: ids that are masked; none where a segment inside a row has no prompt.
        target: ids that are trained; they follow the context.
        prompt_id: of the prompt in the context; None without one.
        cut: whether that prompt was cut to fit `prompt_budget`.
    """

    context: Ids
    target: Ids
    prompt_id: str | None = None
    cut: bool = False


class Row(NamedTuple):
    """A training row, and where it comes from.

    Attributes:
        segments: what it consists of, in order; one without `every`.
        chunk: index of the chunk in its document.
        view: index of the view of that chunk.
    """

    segments: tuple[Segment, ...]
    chunk: int
    view: int

    @property
    def target(self) -> Ids:
        """Ids that are trained, the same in every arm."""
        targets = [segment.target for segment in self.segments]
        return targets[0] if len(targets) == 1 else np.concatenate(targets)

    @property
    def size(self) -> int:
        """Tokens of the row."""
        return sum(part.context.size + part.target.size for part in self.segments)


def encode_document(
    text_ids: Sequence[int] | Ids,
    frame: Frame,
    contexts: Callable[[int, bool], Sequence[Context | None]],
) -> list[Row]:
    """The rows of a document: chunk 0 with all its views, then chunk 1, …

    Args:
        text_ids: `tokenizer(text, add_special_tokens=False)`, any length.
        frame: what stands around a text.
        contexts: maps a segment's number in the document (a chunk's, without `every`), and whether
            it stands inside a row, to one context per view (at most `frame.prompt_budget` ids), or
            None for none. Without any ids a row's first token could not be predicted, so an empty
            context counts as None.

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
    number = itertools.count()
    for index, (begin, end) in enumerate(chunk_bounds(targets.size, frame.capacity)):
        parts = []
        for first, last in segment_bounds(end - begin, frame.every):
            target = targets[begin + first : begin + last]
            bare = _NOTHING if first else bare_context(frame, _before(targets, begin))
            found = contexts(next(number), first > 0)
            parts.append([_segment(target, frame, bare, context) for context in found])
        views = zip(*parts, strict=True)
        rows += [Row(segments, index, view) for view, segments in enumerate(views)]
    return rows


_NOTHING: Ids = np.empty(0, dtype=np.int32)
"""Context of a segment inside a row that has no prompt: the text before it is context enough."""


def _before(targets: Ids, begin: int) -> int | None:
    return int(targets[begin - 1]) if begin else None


def _segment(target: Ids, frame: Frame, bare: Ids, context: Context | None) -> Segment:
    if context is None or context.ids.size == 0:
        context = (context or Context(bare))._replace(ids=bare)
    if context.ids.size > frame.prompt_budget:
        raise ValueError(f"context of {context.ids.size} tokens, budget {frame.prompt_budget}")
    return Segment(context.ids, target, context.prompt_id, context.cut)


def lay_out(rows: Sequence[Row]) -> tuple[npt.NDArray[np.int32], Ids, npt.NDArray[np.int64]]:
    """The rows laid end to end.

    Returns:
        offsets: int32, shape (rows + 1,); row i is `[offsets[i], offsets[i + 1])`.
        input_ids: int32, shape (tokens,).
        labels: int64, shape (tokens,); IGNORE_INDEX on the contexts.
    """
    offsets = np.zeros(len(rows) + 1, dtype=np.int32)
    np.cumsum([row.size for row in rows], out=offsets[1:])
    if not rows:
        return offsets, np.empty(0, np.int32), np.empty(0, np.int64)
    parts = [part for row in rows for segment in row.segments for part in segment[:2]]
    input_ids = np.concatenate(parts, dtype=np.int32)
    labels = input_ids.astype(np.int64)
    begin = 0
    for row in rows:
        for segment in row.segments:
            labels[begin : begin + segment.context.size] = IGNORE_INDEX
            begin += segment.context.size + segment.target.size
    return offsets, input_ids, labels
