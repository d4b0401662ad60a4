"""The ledger adds up, survives JSON, and its digest sees targets and nothing else."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from axolotl_cft.core.ledger import NO_PROMPT, Ledger

chunks = st.lists(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=8), max_size=6)
rows = st.lists(
    st.tuples(
        st.sampled_from([None, "a", "b"]), st.integers(0, 9), st.integers(0, 9), st.booleans()
    ),
    max_size=6,
)


def ledger_of(rows, chunks=()):
    ledger = Ledger()
    for prompt_id, trained, prompt, cut in rows:
        ledger.add_row(trained=trained, total=trained + prompt + 1)
        ledger.add_context(prompt_id, prompt, cut)
    ledger.add_targets(np.asarray(chunk, dtype=np.int32) for chunk in chunks)
    return ledger


def test_rows_are_counted_by_prompt_and_tokens_by_kind():
    ledger = ledger_of([("a", 10, 4, False), ("a", 10, 5, True), (None, 7, 0, False)])
    assert ledger.rows == 3
    assert ledger.prompt_counts == {"a": 2, NO_PROMPT: 1}
    assert (ledger.trained_tokens, ledger.prompt_tokens, ledger.total_tokens) == (27, 9, 39)
    assert ledger.prompts_truncated == 1
    assert ledger.prompt_share == 9 / 39
    assert Ledger().prompt_share == 0.0


@given(rows, chunks)
def test_it_survives_json_and_keys_of_later_versions(rows, chunks):
    ledger = ledger_of(rows, chunks)
    data = json.loads(json.dumps(ledger.to_dict()))
    assert Ledger.from_dict({**data, "invented_later": 1}) == ledger
    assert len(data["targets_digest"]) == 32


@given(rows, rows, chunks, chunks)
def test_the_ledger_of_two_parts_is_the_sum_of_theirs(rows, more_rows, chunks, more_chunks):
    parts = ledger_of(rows, chunks) + ledger_of(more_rows, more_chunks)
    assert parts == ledger_of(rows + more_rows, chunks + more_chunks)


def test_what_nobody_counted_stays_unknown_and_does_not_hide_what_was():
    unknown, known = Ledger(), Ledger(near_duplicates=2, compared=5)
    assert (unknown + unknown).near_duplicates is None
    assert (unknown + known).near_duplicates == (known + unknown).near_duplicates == 2
    assert (known + known).compared == 10
    (line,) = [line for line in known.lines() if line.startswith("near duplicates")]
    assert "2 of the 5 held-out documents" in line
    assert not any(line.startswith("near duplicates") for line in unknown.lines())


@given(chunks, st.randoms())
def test_the_digest_does_not_depend_on_the_order_of_documents(chunks, dice):
    shuffled = dice.sample(chunks, len(chunks))
    assert ledger_of([], shuffled).targets_digest == ledger_of([], chunks).targets_digest


def test_the_digest_sees_every_token_every_cut_and_every_repetition():
    variants = [[], [[1, 2, 3]], [[1, 2, 4]], [[1, 2], [3]], [[1, 2, 3]] * 2, [[1, 2, 3, 0]]]
    digests = {ledger_of([], chunks).targets_digest for chunks in variants}
    assert len(digests) == len(variants)


def test_the_digest_does_not_depend_on_the_type_of_ids():
    wide, narrow = Ledger(), Ledger()
    wide.add_targets([np.asarray([1, 2], dtype=np.int64)])
    narrow.add_targets([np.asarray([1, 2], dtype=np.int16)])
    assert wide.targets_digest == narrow.targets_digest != 0


def test_lines_name_a_loss_only_where_there_is_one():
    plain = "\n".join(ledger_of([("a", 10, 4, False)]).lines())
    assert "a 1" in plain and "26.67% of all tokens" in plain
    remarks = {
        "prompts_truncated": "prompts cut",
        "special_tokens_in_text": "special tokens",
        "fits_only_without_prompt": "without prompt",
        "longer_than_row": "too long",
        "prompts_not_placed": "not placed",
    }
    for field, remark in remarks.items():
        assert remark not in plain
        (line,) = [x for x in Ledger(**{field: 1234}).lines() if x.startswith(remark)]
        assert "1,234" in line
