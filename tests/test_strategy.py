"""The strategy for documents in the host: Arrow tables, batches, streams, the ledger."""

from collections import Counter

import numpy as np
import pytest
from conftest import TOPICS, make_documents
from datasets import Dataset, Features, IterableDataset, Value, concatenate_datasets
from encoder import (
    encode,
    encode_texts,
    expected_targets,
    strategy_for,
    trained_tokens,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axolotl_cft.core.encoding import IGNORE_INDEX
from axolotl_cft.errors import CFTError
from axolotl_cft.host.preparing import FEATURES, descriptions
from axolotl_cft.prompts.registry import load_pool


def test_rows_are_bos_prompt_separator_text_eos(sentencepiece_tokenizer):
    tokenizer = sentencepiece_tokenizer
    rows, _ = encode(tokenizer, ["The heart pumps blood."])
    ids, labels = rows[0]["input_ids"], rows[0]["labels"]
    context = [i for i, label in zip(ids, labels, strict=True) if label == IGNORE_INDEX]
    assert context[0] == tokenizer.bos_token_id
    assert tokenizer.decode(context[1:]).strip() in {p.text for p in load_pool("paper").prompts}
    assert tokenizer.decode(context).endswith("\n\n")
    assert ids[-1] == labels[-1] == tokenizer.eos_token_id
    assert rows.features == FEATURES
    assert rows.with_format("numpy")[0]["attention_mask"].all()


@given(texts=st.lists(st.none() | st.text(max_size=400), max_size=6))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_table_becomes_the_encoders_own_rows(sentencepiece_tokenizer, texts):
    strategy = strategy_for(sentencepiece_tokenizer)
    table = Dataset.from_dict({"text": texts}, features=Features({"text": Value("string")}))
    rows = strategy._encode_table(table.data.table).to_pydict()
    expected, ledger = encode_texts(sentencepiece_tokenizer, texts)
    assert rows["input_ids"] == list(expected["input_ids"])
    assert rows["labels"] == list(expected["labels"])
    assert strategy.encoder.ledger.to_dict() == ledger.to_dict()


def test_order_batches_and_streaming_change_nothing(any_tokenizer, monkeypatch):
    texts = [document["text"] for document in make_documents(40)]
    rows, ledger = encode(any_tokenizer, texts)
    by_row = Counter(map(tuple, rows["input_ids"]))
    backwards, other = encode(any_tokenizer, texts[::-1])
    assert Counter(map(tuple, backwards["input_ids"])) == by_row
    assert other.to_dict() == ledger.to_dict()
    monkeypatch.setattr("axolotl_cft.host.documents.BATCH_BYTES", 300)
    monkeypatch.setattr("axolotl_cft.host.documents.SLICE_BYTES", 100)
    small, _ = encode(any_tokenizer, texts)
    assert small["input_ids"] == rows["input_ids"]
    stream = Dataset.from_dict({"text": texts}).to_iterable_dataset(num_shards=4)
    streamed = strategy_for(any_tokenizer).wrap_dataset(stream)
    assert isinstance(streamed, IterableDataset)
    assert [row["input_ids"] for row in streamed] == list(rows["input_ids"])
    assert [row["labels"] for row in streamed] == list(rows["labels"])


@pytest.mark.parametrize("format_", ["plain", "chat"])
def test_column_prompts_are_cut_to_the_budget_and_counted(bytelevel_tokenizer, format_):
    texts = ["The heart."] * 3
    prompts = ["Short.", "A very long prompt é. " * 50, "Short."]
    table = Dataset.from_dict({"text": texts, "p": prompts})
    strategy = strategy_for(bytelevel_tokenizer, prompts={"column": "p"}, format=format_)
    rows = strategy.wrap_dataset(table)
    ledger = strategy.encoder.ledger
    assert ledger.prompts_truncated == 1
    assert ledger.prompt_counts == {"p": 3}
    assert 100 < rows["labels"][1].count(IGNORE_INDEX) <= 128
    tail = "\n\n" if format_ == "plain" else "<|im_start|>assistant\n"
    cut = rows["labels"][1].count(IGNORE_INDEX)
    assert bytelevel_tokenizer.decode(rows["input_ids"][1][:cut]).endswith(tail)


def test_ledger_rides_along_and_survives_merging(sentencepiece_tokenizer):
    one, ledger = encode(sentencepiece_tokenizer, [TOPICS["heart"]])
    two, _ = encode(sentencepiece_tokenizer, [TOPICS["bonds"]], prompts="negative")
    merged = concatenate_datasets([one, two]).shuffle(seed=1).filter(lambda row: True)
    entries = descriptions(merged)
    assert [entry.prompts for entry in entries] == ["paper", "negative"]
    assert dict(entries[0].ledger) == ledger.to_dict()


def test_batches_are_bounded_whatever_the_order_of_lengths(sentencepiece_tokenizer, monkeypatch):
    monkeypatch.setattr("axolotl_cft.host.documents.BATCH_BYTES", 100_000)
    short, long = ["a" * 10] * 3000, ["b" * 5_000] * 100

    def batch(texts, **options):
        strategy = strategy_for(sentencepiece_tokenizer, **options)
        return strategy._batch_size(np.array([len(text or "") for text in texts]))

    assert batch(short) == 1000
    assert batch(short, views=10) == 1000
    assert batch(short + long) == batch(long + short) == 20
    assert batch(long, views=10) == 2
    assert batch([*short, "c" * 1_000_000]) == 1000  # one such document is a batch's size anyway
    assert batch([None, "", None]) == 1000


def test_streams_may_hold_other_columns_of_any_kind_and_nulls(sentencepiece_tokenizer):
    def rows():
        yield from ({"text": None, "extra": {"a": 1}} for _ in range(1000))
        yield {"text": TOPICS["heart"], "extra": 1}
        yield {"text": TOPICS["bonds"], "extra": "one"}

    streamed = strategy_for(sentencepiece_tokenizer).wrap_dataset(
        IterableDataset.from_generator(rows)
    )
    labels = {"labels": [row["labels"] for row in streamed]}
    texts = [TOPICS["heart"], TOPICS["bonds"]]
    assert trained_tokens(labels) == expected_targets(sentencepiece_tokenizer, texts)


def test_only_a_piece_of_a_dataset_may_be_empty(sentencepiece_tokenizer):
    """Of a dataset prepared in shards, each comes here alone; not all need a held-out document."""
    options = {"holdout": 0.0001, "part": "test"}
    strategy = strategy_for(sentencepiece_tokenizer, is_piece=True, **options)
    rows = strategy.wrap_dataset(Dataset.from_dict({"text": ["a", "b"]}))
    assert len(rows) == 0 and rows.features == FEATURES
    assert descriptions(rows)[0].ledger.documents == 2


def test_missing_columns_and_wrong_types_are_named(sentencepiece_tokenizer):
    table = Dataset.from_dict({"body": ["a"], "n": [1]})
    with pytest.raises(CFTError, match="no column 'text'; set `field` to one of body, n"):
        strategy_for(sentencepiece_tokenizer).wrap_dataset(table)
    with pytest.raises(CFTError, match="column 'n' holds int64, not text"):
        strategy_for(sentencepiece_tokenizer, field="n").wrap_dataset(table)
    with pytest.raises(CFTError, match=r"no column 'p'; set `cft.prompts.column`"):
        strategy_for(sentencepiece_tokenizer, field="body", prompts={"column": "p"}).wrap_dataset(
            table
        )


def test_rows_without_a_prompt_in_the_column_are_named(sentencepiece_tokenizer):
    table = Dataset.from_dict({"text": ["", "a", "b"], "p": ["x", "y", None]})
    with pytest.raises(CFTError, match="document 3 has no prompt in column 'p'"):
        strategy_for(sentencepiece_tokenizer, prompts={"column": "p"}).wrap_dataset(table)


def test_nothing_left_to_train_is_refused(sentencepiece_tokenizer):
    with pytest.raises(CFTError, match="nothing to train on: 2 documents read, 2 empty"):
        encode(sentencepiece_tokenizer, ["", None])
    with pytest.raises(CFTError, match=r"held-out part; raise cft.holdout \(now 0.0001\)"):
        encode(sentencepiece_tokenizer, ["a", "b"], holdout=0.0001, part="test")
