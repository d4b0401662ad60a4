"""The pure core against an obvious reference: same targets, nothing lost, a context each."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axolotl_cft.core.encoding import (
    IGNORE_INDEX,
    Context,
    Frame,
    bare_context,
    chunk_bounds,
    encode_document,
    lay_out,
    segment_bounds,
)

EOS = 2
frames = st.builds(
    lambda start, budget, room, every: Frame(start, EOS, budget + room, budget, every),
    start=st.sampled_from([(), (1,), (7, 8)]),
    budget=st.integers(2, 6),
    room=st.integers(2, 30),
    every=st.one_of(st.none(), st.integers(2, 9)),
)
texts = st.lists(st.integers(3, 50), max_size=60)


def rows_of(text_ids, frame, contexts):
    def named(place, inside):
        return [None if ids is None else Context(ids, "p") for ids in contexts(place)]

    rows = encode_document(text_ids, frame, named)
    offsets, input_ids, labels = lay_out(rows)
    pairs = [(input_ids[a:b].tolist(), labels[a:b].tolist()) for a, b in pairwise(offsets)]
    return [row.target for row in rows if row.view == 0], pairs


def reference_rows(text_ids, frame, context):
    """One list at a time, no arrays: what the docstring of encoding.py says."""
    if not text_ids:
        return []
    left, rows, previous = [*text_ids, EOS], [], None
    while left:
        take = room = max(n for n in range(frame.sequence_len) if fits(n, frame))
        take = min(take, len(left))
        if len(left) - take == 1 and take == room:
            take -= 1
        chunk, left = left[:take], left[take:]
        ids, labels = [], []
        before = list(frame.start) or [EOS if previous is None else previous]
        for place in range(0, len(chunk), frame.every or len(chunk)):
            ctx = list(context) if context is not None else [] if place else before
            if place and place == len(chunk) - 1:
                ctx = []  # a lone token belongs to the segment before it
            part = chunk[place : place + (frame.every or len(chunk))]
            ids, labels = ids + ctx + part, labels + [IGNORE_INDEX] * len(ctx) + part
        rows.append((ids, labels))
        previous = chunk[-1]
    return rows


def fits(n, frame):
    """Whether a row holds `n` targets and a whole budget for each place of a prompt."""
    places = -(-n // frame.every) if frame.every else 1
    return n + places * frame.prompt_budget <= frame.sequence_len


@given(texts, frames, st.sampled_from([None, (9, 9)]))
def test_rows_equal_the_reference(text_ids, frame, context):
    array = None if context is None else np.asarray(context, dtype=np.int32)
    _, rows = rows_of(text_ids, frame, lambda place: [array])
    assert rows == reference_rows(text_ids, frame, context)


@given(texts, frames, st.data())
def test_every_arm_trains_the_same_targets_once(text_ids, frame, data):
    """Invariants 1-3, whatever contexts are drawn, and under the shifted loss of a causal LM."""
    context = st.lists(st.integers(3, 50), max_size=frame.prompt_budget)

    def contexts(place):
        drawn = data.draw(st.one_of(st.none(), context))
        return [drawn if drawn is None else np.asarray(drawn, dtype=np.int32)]

    _, arm = rows_of(text_ids, frame, contexts)
    _, cpt = rows_of(text_ids, frame, lambda place: [None])

    def trained(rows):  # labels[0] never enters a causal LM's loss
        return [[x for x in labels[1:] if x != IGNORE_INDEX] for _, labels in rows]

    assert trained(arm) == trained(cpt)
    expected = [*text_ids, EOS] if text_ids else []
    assert [x for row in trained(arm) for x in row] == expected
    for ids, labels in arm + cpt:
        assert len(ids) <= frame.sequence_len
        assert EOS not in [x for x in labels[:-1] if x != IGNORE_INDEX]
        assert all(label in (IGNORE_INDEX, id_) for id_, label in zip(ids, labels, strict=True))


@given(texts, frames, st.integers(1, 4))
def test_views_repeat_every_chunk_with_its_own_context(text_ids, frame, views):
    contexts = [np.asarray([100 + v], dtype=np.int32) for v in range(views)]
    chunks, rows = rows_of(text_ids, frame, lambda place: contexts)
    assert len(rows) == views * len(chunks)
    for index, (ids, labels) in enumerate(rows):
        assert ids[0] == 100 + index % views
        assert {id_ for id_ in ids if id_ >= 100} == {ids[0]}
        targets = [label for label in labels if label != IGNORE_INDEX]
        assert targets == chunks[index // views].tolist()


def test_a_prompt_stands_before_every_so_many_tokens_inside_a_row():
    frame = Frame((1,), EOS, sequence_len=17, prompt_budget=3, every=4)
    assert frame.capacity == 8  # two places of 3 + 4, and too little left for a third
    text = list(range(10, 23))
    _, rows = rows_of(text, frame, lambda place: [np.asarray([100 + place, 3], np.int32)])
    assert [ids for ids, _ in rows] == [
        [100, 3, 10, 11, 12, 13, 101, 3, 14, 15, 16, 17],
        [102, 3, 18, 19, 20, 21, 103, 3, 22, EOS],
    ]


def test_the_lone_end_of_a_text_gets_no_prompt_of_its_own():
    assert segment_bounds(9, 4) == [(0, 4), (4, 9)]
    assert segment_bounds(10, 4) == [(0, 4), (4, 8), (8, 10)]
    assert segment_bounds(9, None) == [(0, 9)]


def test_one_place_in_a_row_is_a_row_as_it_is_without_places():
    """Also where a row has no room for `every` tokens."""
    for room in range(2, 12):
        plain, wide = (Frame((1,), EOS, 5 + room, 5, every) for every in (None, 12))
        assert plain.capacity == wide.capacity


@given(st.integers(0, 300), st.integers(2, 40))
def test_chunks_cover_everything_and_never_hold_a_lone_token(n, capacity):
    bounds = chunk_bounds(n, capacity)
    assert [i for a, b in bounds for i in range(a, b)] == list(range(n))
    assert len(bounds) == -(-n // capacity)
    if n > 1:
        assert all(2 <= b - a <= capacity for a, b in bounds) or capacity == 2


def test_lone_eos_takes_its_neighbour_along():
    assert chunk_bounds(9, 4) == [(0, 4), (4, 7), (7, 9)]


def test_a_row_without_prompt_or_bos_can_still_predict_its_first_token():
    frame = Frame((), EOS, 10, 2)
    assert bare_context(frame, None).tolist() == [EOS]
    assert bare_context(frame, 17).tolist() == [17]
    assert bare_context(Frame((1,), EOS, 10, 2), 17).tolist() == [1]


def test_column_types_and_empty_buffers():
    offsets, input_ids, labels = lay_out([])
    assert (offsets.tolist(), input_ids.size, labels.size) == ([0], 0, 0)
    assert (offsets.dtype, input_ids.dtype, labels.dtype) == (np.int32, np.int32, np.int64)


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="room for 2 tokens"):
        chunk_bounds(5, 1)
    with pytest.raises(ValueError, match="context of 3 tokens, budget 2"):
        rows_of([5], Frame((), EOS, 10, 2), lambda place: [np.zeros(3, dtype=np.int32)])
