"""Draws are pure functions of their arguments, and have the distribution they claim."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axolotl_cft.core.sampling import (
    draw,
    is_dropped,
    is_held_out,
    share_to_hold_out,
    text_key,
    uniform,
)

IDS = [f"p{i}" for i in range(10)]
KEYS = [text_key(f"document {i}") for i in range(4000)]


@given(st.text(), st.integers(), st.integers(0, 1000), st.integers(1, 25))
def test_draws_do_not_depend_on_order_or_on_the_number_of_views(text, seed, chunk, views):
    key, ones = text_key(text), [1.0] * len(IDS)
    drawn = [IDS[i] for i in draw(IDS, ones, seed, key, chunk, views)]
    shuffled = random.Random(0).sample(IDS, len(IDS))
    assert [shuffled[i] for i in draw(shuffled, ones, seed, key, chunk, views)] == drawn
    assert [IDS[i] for i in draw(IDS, ones, seed, key, chunk, 30)][:views] == drawn
    for begin in range(0, views, len(IDS)):  # without replacement while the pool lasts
        round_ = drawn[begin : begin + len(IDS)]
        assert len(set(round_)) == len(round_)


def chi_square(counts, expected):
    return sum((counts[i] - e) ** 2 / e for i, e in expected.items())


def test_uniform_without_weights():
    counts = Counter(draw(IDS, [1.0] * 10, 42, key, 0, 1)[0] for key in KEYS)
    expected = dict.fromkeys(range(10), len(KEYS) / 10)
    assert chi_square(counts, expected) < 27.9  # 99.9 % of chi-square with 9 degrees of freedom


def test_weights_are_relative_frequencies_of_the_first_view():
    weights = [1.0, 2.0, 5.0]
    counts = Counter(draw(IDS[:3], weights, 1, key, 0, 1)[0] for key in KEYS)
    expected = {i: len(KEYS) * w / 8 for i, w in enumerate(weights)}
    assert chi_square(counts, expected) < 13.8  # 2 degrees of freedom


def test_second_view_follows_weighted_sampling_without_replacement():
    weights = [1.0, 2.0, 5.0]
    pairs = Counter(tuple(draw(IDS[:3], weights, 1, key, 0, 2)) for key in KEYS)
    expected = {
        (i, j): len(KEYS) * weights[i] / 8 * weights[j] / (8 - weights[i])
        for i in range(3)
        for j in range(3)
        if i != j
    }
    assert chi_square(pairs, expected) < 20.5  # 5 degrees of freedom


def test_seed_chunk_and_text_all_matter():
    base = [draw(IDS, [1.0] * 10, 1, key, 0, 1) for key in KEYS[:200]]
    for other in (
        [draw(IDS, [1.0] * 10, 2, key, 0, 1) for key in KEYS[:200]],
        [draw(IDS, [1.0] * 10, 1, key, 1, 1) for key in KEYS[:200]],
        [draw(IDS, [1.0] * 10, 1, key, 0, 1) for key in KEYS[200:400]],
    ):
        same = sum(a == b for a, b in zip(base, other, strict=True))
        assert same < 45  # 20 expected of 200


def test_holdout_is_by_text_alone_nested_and_of_the_right_size():
    held = {key for key in KEYS if is_held_out(key, 0.1)}
    assert 320 < len(held) < 480
    assert held <= {key for key in KEYS if is_held_out(key, 0.2)}
    assert not any(is_held_out(key, 0.0) for key in KEYS)


def test_dropout_hits_its_share():
    dropped = sum(is_dropped(7, key, 3, 0, 0.2) for key in KEYS)
    assert 700 < dropped < 900
    assert not any(is_dropped(7, key, 3, 0, 0.0) for key in KEYS)


def test_decisions_are_independent_of_each_other():
    held = [key for key in KEYS if is_held_out(key, 0.5)]
    dropped = sum(is_dropped(7, key, 0, 0, 0.5) for key in held)
    assert 0.44 < dropped / len(held) < 0.56


def test_uniform_stays_inside_the_open_interval(monkeypatch):
    class Extreme:
        def __init__(self, byte):
            self.byte = byte

        def digest(self):
            return self.byte * 8

    for byte in (b"\x00", b"\xff"):
        monkeypatch.setattr("hashlib.blake2b", lambda *a, byte=byte, **k: Extreme(byte))
        assert 0.0 < uniform("x", b"") < 1.0


@pytest.mark.parametrize("text", ["", "\ud800", "é", "a" * 10**6])
def test_any_text_has_a_key(text):
    assert len(text_key(text)) == 16


@pytest.mark.parametrize("documents", [100, 198, 2000])
def test_the_share_for_so_many_held_out_documents_nearly_always_holds_out_as_many(documents):
    def held_out(corpus, share):
        keys = (text_key(f"{corpus} {number}") for number in range(documents))
        return sum(is_held_out(key, share) for key in keys)

    share = share_to_hold_out(documents, 20)
    assert len(f"{share:g}".lstrip("0.")) <= 2
    enough = sum(held_out(corpus, share) >= 20 for corpus in range(100))
    naive = sum(held_out(corpus, 20 / documents) >= 20 for corpus in range(100))
    assert enough >= 94 > 75 > naive


def test_no_share_is_enough_where_there_are_too_few_documents():
    assert share_to_hold_out(20, 20) > 1
