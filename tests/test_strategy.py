"""Real tokenizers, real Arrow: the invariants of encoding at the edges."""

import copy
import json
import os
from collections import Counter

import numpy as np
import pytest
from conftest import TOPICS, make_documents
from datasets import Dataset, Features, IterableDataset, Value, concatenate_datasets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, pre_tokenizers

from axolotl_cft.core.documents import DocumentEncoder
from axolotl_cft.core.encoding import IGNORE_INDEX
from axolotl_cft.core.options import CFTConfig
from axolotl_cft.core.sampling import holdout_key, is_held_out
from axolotl_cft.errors import CFTError
from axolotl_cft.host.documents import CFTStrategy
from axolotl_cft.host.plan import make_plan
from axolotl_cft.host.preparing import FEATURES, Task, descriptions
from axolotl_cft.prompts.registry import load_pool


def strategy_for(
    tokenizer, *, part="train", sequence_len=192, field="text", is_piece=False, **options
):
    options = {"prompt_budget": 128, **options}
    top = CFTConfig(**{k: options.pop(k) for k in ("holdout", "holdout_by") if k in options})
    plan = make_plan("datasets[0]", part, {"path": "corpus", "cft": options}, top, 42)
    task = Task(plan, sequence_len, plan.path, is_piece=is_piece)
    return CFTStrategy(DocumentEncoder(tokenizer, plan, sequence_len), field, task)


def encode(tokenizer, texts, **options):
    strategy = strategy_for(tokenizer, **options)
    return strategy.wrap_dataset(Dataset.from_dict({"text": texts})), strategy.encoder.ledger


def trained_tokens(rows):
    return [x for row in rows["labels"] for x in row[1:] if x != IGNORE_INDEX]


def expected_targets(tokenizer, texts):
    targets = []
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        targets += [*ids, tokenizer.eos_token_id] if ids else []
    return targets


TEXTS = [
    *TOPICS.values(),
    "",
    " ",
    "\n\n",
    "A </s> inside <|endoftext|> a text, <|im_start|> too. <s>",
    "word " * 3000,
    "\u0000\u200d\U0010ffff",
]


@pytest.mark.parametrize("options", [{}, {"prompts": "none"}, {"prompts": "negative"}])
def test_every_arm_gives_every_document_back_token_for_token(any_tokenizer, options):
    rows, ledger = encode(any_tokenizer, TEXTS, **options)
    assert trained_tokens(rows) == expected_targets(any_tokenizer, TEXTS)
    assert max(map(len, rows["input_ids"])) <= 192
    assert ledger.documents == len(TEXTS)
    assert ledger.used + ledger.empty == len(TEXTS)
    assert ledger.trained_tokens == len(trained_tokens(rows))
    assert ledger.text_tokens == ledger.trained_tokens - ledger.used
    assert ledger.total_tokens == sum(map(len, rows["input_ids"]))


@given(texts=st.lists(st.text(max_size=400), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_unicode_survives(sentencepiece_tokenizer, bytelevel_tokenizer, texts):
    for tokenizer in (sentencepiece_tokenizer, bytelevel_tokenizer):
        strategy = strategy_for(tokenizer)
        table = Dataset.from_dict({"text": texts}, features=Features({"text": Value("string")}))
        rows = strategy._encode_table(table.data.table)
        labels = {"labels": rows.column("labels").to_pylist()}
        assert trained_tokens(labels) == expected_targets(tokenizer, texts)


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


def test_chunks_agree_across_arms_and_share_the_digest(any_tokenizer):
    texts = [document["text"] for document in make_documents(30)]
    digests, targets = set(), set()
    for prompts in ("paper", "negative", "fixed", "none"):
        rows, ledger = encode(any_tokenizer, texts, prompts=prompts)
        digests.add(ledger.targets_digest)
        targets.add(tuple(tuple(x for x in r if x != IGNORE_INDEX) for r in rows["labels"]))
    assert len(digests) == len(targets) == 1
    _, other = encode(any_tokenizer, [*texts[:-1], texts[-1] + "!"], prompts="none")
    assert other.targets_digest not in digests


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


def test_views_seed_and_dropout(sentencepiece_tokenizer):
    texts = [document["text"] for document in make_documents(60)]
    once, one = encode(sentencepiece_tokenizer, texts)
    thrice, three = encode(sentencepiece_tokenizer, texts, views=3)
    assert len(thrice) == 3 * len(once)
    assert list(thrice["input_ids"])[::3] == list(once["input_ids"])
    assert three.targets_digest == one.targets_digest
    assert three.text_tokens == one.text_tokens
    for i in range(0, len(thrice), 3):
        assert len({tuple(row) for row in thrice["input_ids"][i : i + 3]}) == 3
    reseeded, _ = encode(sentencepiece_tokenizer, texts, seed=1)
    assert reseeded["input_ids"] != once["input_ids"]
    dropped, ledger = encode(sentencepiece_tokenizer, texts, dropout=0.5)
    share = ledger.prompt_counts["(none)"] / len(dropped)
    assert 0.25 < share < 0.75
    assert sum(ledger.prompt_counts.values()) == len(dropped)


def test_holdout_parts_are_a_partition_by_text(sentencepiece_tokenizer):
    texts = [document["text"] for document in make_documents(60)]
    rows, train = encode(sentencepiece_tokenizer, texts, holdout=0.3, prompts="none")
    held, test = encode(sentencepiece_tokenizer, texts, holdout=0.3, prompts="none", part="test")
    keys = [is_held_out(holdout_key(text), 0.3) for text in texts]
    assert (train.used, test.used) == (keys.count(False), keys.count(True))
    assert train.held_out == test.held_out == keys.count(True)
    held_texts = [text for text, out in zip(texts, keys, strict=True) if out]
    assert trained_tokens(held) == expected_targets(sentencepiece_tokenizer, held_texts)
    assert len(trained_tokens(rows)) + len(trained_tokens(held)) == len(
        expected_targets(sentencepiece_tokenizer, texts)
    )


def test_special_token_strings_in_text_are_kept_and_counted(sentencepiece_tokenizer):
    _, ledger = encode(sentencepiece_tokenizer, ["one </s> two <s> three", "é \U0001f9ec"])
    assert ledger.special_tokens_in_text == 2


def test_chat_format_renders_only_what_stands_before_the_text(bytelevel_tokenizer):
    rows, ledger = encode(bytelevel_tokenizer, ["The heart."], format="chat", sequence_len=256)
    ids, labels = rows[0]["input_ids"], rows[0]["labels"]
    cut = labels.index(next(x for x in labels if x != IGNORE_INDEX))
    context = bytelevel_tokenizer.decode(ids[:cut])
    assert context.startswith("<|im_start|>system\nToday: 26 Jul 2024, 2024<|im_end|>\n")
    assert context.endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert bytelevel_tokenizer.decode(ids[cut:]) == "The heart.<|endoftext|>"
    bare, none = encode(
        bytelevel_tokenizer, ["The heart."], format="chat", prompts="none", sequence_len=256
    )
    assert bytelevel_tokenizer.decode(bare[0]["input_ids"]) == (
        "<|endoftext|>The heart.<|endoftext|>"
    )
    assert none.targets_digest == ledger.targets_digest


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
        return strategy._batch_size(Dataset.from_dict({"text": texts}))

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


def test_threads_setting_is_left_as_the_host_wants_it(sentencepiece_tokenizer, monkeypatch):
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    encode(sentencepiece_tokenizer, ["a"])
    assert os.environ["TOKENIZERS_PARALLELISM"] == "false"
    monkeypatch.delenv("TOKENIZERS_PARALLELISM")
    encode(sentencepiece_tokenizer, ["a"])
    assert "TOKENIZERS_PARALLELISM" not in os.environ


def test_truncation_left_on_in_the_tokenizer_loses_nothing(sentencepiece_tokenizer):
    sentencepiece_tokenizer(["one two three"], truncation=True, max_length=2)
    rows, _ = encode(sentencepiece_tokenizer, [TOPICS["heart"]])
    assert trained_tokens(rows) == expected_targets(sentencepiece_tokenizer, [TOPICS["heart"]])


def test_long_documents_keep_every_token(bytelevel_tokenizer):
    text = " ".join(TOPICS.values()) * 4000
    rows, ledger = encode(bytelevel_tokenizer, [text], sequence_len=1024)
    assert ledger.text_tokens > 200_000
    targets = np.asarray(trained_tokens(rows))
    assert (targets == expected_targets(bytelevel_tokenizer, [text])).all()


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


def test_budgets_that_cannot_work_are_refused(sentencepiece_tokenizer, bytelevel_tokenizer):
    with pytest.raises(CFTError, match=r"takes \d+ tokens .* set it to at least \d+"):
        strategy_for(sentencepiece_tokenizer, prompt_budget=10)
    with pytest.raises(CFTError, match="leaves no room for text in sequence_len: 100"):
        strategy_for(sentencepiece_tokenizer, sequence_len=100)
    with pytest.raises(CFTError, match="has no room for a prompt beside"):
        strategy_for(bytelevel_tokenizer, prompt_budget=20, format="chat", prompts="fixed")
    needed = strategy_for(sentencepiece_tokenizer).encoder
    sizes = [needed.contexts.length(text) for text in needed.plan.source.known.values()]
    assert strategy_for(sentencepiece_tokenizer, prompt_budget=max(sizes))


def test_chat_format_begins_with_the_bos_that_its_template_leaves_out(sentencepiece_tokenizer):
    tokenizer = copy.deepcopy(sentencepiece_tokenizer)
    for template in (tokenizer.chat_template, tokenizer.chat_template.replace("bos_token", "''")):
        tokenizer.chat_template = template
        rows, _ = encode(tokenizer, ["The heart."], format="chat")
        assert rows[0]["input_ids"].count(tokenizer.bos_token_id) == 1
        assert rows[0]["input_ids"][0] == tokenizer.bos_token_id


def test_a_tokenizer_may_have_one_special_token_for_everything(bytelevel_tokenizer):
    """As GPT-2's, whose unknown token is its EOS; and ids may have gaps."""
    from transformers import PreTrainedTokenizerFast

    one = dict.fromkeys(["bos_token", "eos_token", "unk_token"], "<|endoftext|>")
    core = bytelevel_tokenizer.backend_tokenizer
    _, ledger = encode(
        PreTrainedTokenizerFast(tokenizer_object=core, **one), ["one <|endoftext|> two"]
    )
    assert ledger.special_tokens_in_text == 1
    model = {"type": "WordLevel", "vocab": {"[UNK]": 0, "</s>": 1, "far": 70}, "unk_token": "[UNK]"}
    gaps = Tokenizer.from_str(json.dumps({"version": "1.0", "model": model}))
    gaps.pre_tokenizer = pre_tokenizers.Whitespace()
    sparse = PreTrainedTokenizerFast(tokenizer_object=gaps, eos_token="</s>", unk_token="[UNK]")
    rows, _ = encode(sparse, ["far far"], prompts="none")
    assert rows[0]["input_ids"] == [1, 70, 70, 1]


def test_chat_format_needs_a_template(eos_adding_tokenizer):
    with pytest.raises(CFTError, match="needs a chat template"):
        strategy_for(eos_adding_tokenizer, format="chat")


def test_a_tokenizer_without_eos_is_refused(sentencepiece_tokenizer):
    from transformers import PreTrainedTokenizerFast

    bare = PreTrainedTokenizerFast(tokenizer_object=sentencepiece_tokenizer.backend_tokenizer)
    with pytest.raises(CFTError, match="no EOS token"):
        strategy_for(bare)
