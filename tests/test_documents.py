"""Real tokenizers: the invariants of a text that becomes rows."""

import json
import os

import numpy as np
import pytest
from conftest import TOPICS, make_documents
from encoder import (
    encode_texts,
    encoder_for,
    expected_targets,
    trained_tokens,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, pre_tokenizers

from axolotl_cft.core.encoding import IGNORE_INDEX
from axolotl_cft.core.sampling import holdout_key, is_held_out

TEXTS = [
    *TOPICS.values(),
    "",
    " ",
    "\n\n",
    "A </s> inside <|endoftext|> a text, <|im_start|> too. <s>",
    "word " * 3000,
    "\u0000\u200d\U0010ffff",
]


ARMS = [{}, {"prompts": "none"}, {"prompts": "negative"}]


@pytest.mark.parametrize("options", [*ARMS, *({**arm, "every": 7} for arm in ARMS)])
def test_every_arm_gives_every_document_back_token_for_token(any_tokenizer, options):
    rows, ledger = encode_texts(any_tokenizer, TEXTS, **options)
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
        rows, _ = encode_texts(tokenizer, texts)
        assert trained_tokens(rows) == expected_targets(tokenizer, texts)


@pytest.mark.parametrize("every", [None, 5, 30])
def test_chunks_agree_across_arms_and_share_the_digest(any_tokenizer, every):
    texts = [document["text"] for document in make_documents(30)]
    digests, targets = set(), set()
    for prompts in ("paper", "negative", "fixed", "none"):
        rows, ledger = encode_texts(any_tokenizer, texts, prompts=prompts, every=every)
        digests.add(ledger.targets_digest)
        targets.add(tuple(tuple(x for x in r if x != IGNORE_INDEX) for r in rows["labels"]))
    assert len(digests) == len(targets) == 1
    changed = [*texts[:-1], texts[-1] + "!"]
    _, other = encode_texts(any_tokenizer, changed, prompts="none", every=every)
    assert other.targets_digest not in digests


def test_prompts_inside_a_row_are_drawn_for_each_place_and_set_apart(sentencepiece_tokenizer):
    text = " ".join(document["text"] for document in make_documents(30))
    options = {"sequence_len": 600, "prompt_budget": 70, "every": 50}
    encoder = encoder_for(sentencepiece_tokenizer, **options)
    [row, *_] = encoder.encode([text], [{}])
    assert [part.target.size for part in row.segments] == [50] * 5
    assert len({part.prompt_id for part in row.segments}) > 1
    first, second = (sentencepiece_tokenizer.decode(part.context) for part in row.segments[:2])
    assert first.startswith("<s>") and first.endswith("\n\n")
    assert second.startswith("\n\n") and second.endswith("\n\n") and "<s>" not in second
    assert encoder.ledger.prompt_counts.total() > encoder.ledger.rows
    _, bare = encode_texts(sentencepiece_tokenizer, [text], **options, prompts="none")
    assert bare.prompt_tokens == 0 and bare.total_tokens == bare.trained_tokens + bare.rows
    added = encoder.ledger.total_tokens - bare.total_tokens
    assert encoder.ledger.prompt_tokens == added


def test_dropout_leaves_single_places_without_a_prompt(sentencepiece_tokenizer):
    text = " ".join(document["text"] for document in make_documents(60))
    options = {"sequence_len": 600, "prompt_budget": 70, "every": 20, "dropout": 0.4}
    encoder = encoder_for(sentencepiece_tokenizer, **options)
    parts = [part for row in encoder.encode([text], [{}]) for part in row.segments]
    without = [part for part in parts if part.prompt_id is None]
    assert 0.2 < len(without) / len(parts) < 0.6
    assert {part.context.size for part in without} <= {0, 1}


def test_views_seed_and_dropout(sentencepiece_tokenizer):
    texts = [document["text"] for document in make_documents(60)]
    once, one = encode_texts(sentencepiece_tokenizer, texts)
    thrice, three = encode_texts(sentencepiece_tokenizer, texts, views=3)
    assert len(thrice) == 3 * len(once)
    assert list(thrice["input_ids"])[::3] == list(once["input_ids"])
    assert three.targets_digest == one.targets_digest
    assert three.text_tokens == one.text_tokens
    for i in range(0, len(thrice), 3):
        assert len({tuple(row) for row in thrice["input_ids"][i : i + 3]}) == 3
    reseeded, _ = encode_texts(sentencepiece_tokenizer, texts, seed=1)
    assert reseeded["input_ids"] != once["input_ids"]
    dropped, ledger = encode_texts(sentencepiece_tokenizer, texts, dropout=0.5)
    share = ledger.prompt_counts["(none)"] / len(dropped)
    assert 0.25 < share < 0.75
    assert sum(ledger.prompt_counts.values()) == len(dropped)


def test_holdout_parts_are_a_partition_by_text(sentencepiece_tokenizer):
    texts = [document["text"] for document in make_documents(60)]
    rows, train = encode_texts(sentencepiece_tokenizer, texts, holdout=0.3, prompts="none")
    held, test = encode_texts(
        sentencepiece_tokenizer, texts, holdout=0.3, prompts="none", part="test"
    )
    keys = [is_held_out(holdout_key(text), 0.3) for text in texts]
    assert (train.used, test.used) == (keys.count(False), keys.count(True))
    assert train.held_out == test.held_out == keys.count(True)
    held_texts = [text for text, out in zip(texts, keys, strict=True) if out]
    assert trained_tokens(held) == expected_targets(sentencepiece_tokenizer, held_texts)
    assert len(trained_tokens(rows)) + len(trained_tokens(held)) == len(
        expected_targets(sentencepiece_tokenizer, texts)
    )


def test_special_token_strings_in_text_are_kept_and_counted(sentencepiece_tokenizer):
    _, ledger = encode_texts(sentencepiece_tokenizer, ["one </s> two <s> three", "é \U0001f9ec"])
    assert ledger.special_tokens_in_text == 2


def test_threads_setting_is_left_as_the_host_wants_it(sentencepiece_tokenizer, monkeypatch):
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    encode_texts(sentencepiece_tokenizer, ["a"])
    assert os.environ["TOKENIZERS_PARALLELISM"] == "false"
    monkeypatch.delenv("TOKENIZERS_PARALLELISM")
    encode_texts(sentencepiece_tokenizer, ["a"])
    assert "TOKENIZERS_PARALLELISM" not in os.environ


def test_truncation_left_on_in_the_tokenizer_loses_nothing(sentencepiece_tokenizer):
    sentencepiece_tokenizer(["one two three"], truncation=True, max_length=2)
    rows, _ = encode_texts(sentencepiece_tokenizer, [TOPICS["heart"]])
    assert trained_tokens(rows) == expected_targets(sentencepiece_tokenizer, [TOPICS["heart"]])


def test_long_documents_keep_every_token(bytelevel_tokenizer):
    text = " ".join(TOPICS.values()) * 4000
    rows, ledger = encode_texts(bytelevel_tokenizer, [text], sequence_len=1024)
    assert ledger.text_tokens > 200_000
    targets = np.asarray(trained_tokens(rows))
    assert (targets == expected_targets(bytelevel_tokenizer, [text])).all()


def test_a_tokenizer_may_have_one_special_token_for_everything(bytelevel_tokenizer):
    """As GPT-2's, whose unknown token is its EOS; and ids may have gaps."""
    from transformers import PreTrainedTokenizerFast

    one = dict.fromkeys(["bos_token", "eos_token", "unk_token"], "<|endoftext|>")
    core = bytelevel_tokenizer.backend_tokenizer
    _, ledger = encode_texts(
        PreTrainedTokenizerFast(tokenizer_object=core, **one), ["one <|endoftext|> two"]
    )
    assert ledger.special_tokens_in_text == 1
    model = {"type": "WordLevel", "vocab": {"[UNK]": 0, "</s>": 1, "far": 70}, "unk_token": "[UNK]"}
    gaps = Tokenizer.from_str(json.dumps({"version": "1.0", "model": model}))
    gaps.pre_tokenizer = pre_tokenizers.Whitespace()
    sparse = PreTrainedTokenizerFast(tokenizer_object=gaps, eos_token="</s>", unk_token="[UNK]")
    rows, _ = encode_texts(sparse, ["far far"], prompts="none")
    assert rows[0]["input_ids"] == [1, 70, 70, 1]
