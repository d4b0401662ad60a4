"""What stands before a text: its format, its budget, and what is refused."""

import copy

import pytest
from encoder import (
    encode_texts,
    encoder_for,
)

from axolotl_cft.core.encoding import IGNORE_INDEX
from axolotl_cft.errors import CFTError


def test_chat_format_renders_only_what_stands_before_the_text(bytelevel_tokenizer):
    rows, ledger = encode_texts(
        bytelevel_tokenizer, ["The heart."], format="chat", sequence_len=256
    )
    ids, labels = rows[0]["input_ids"], rows[0]["labels"]
    cut = labels.index(next(x for x in labels if x != IGNORE_INDEX))
    context = bytelevel_tokenizer.decode(ids[:cut])
    assert context.startswith("<|im_start|>system\nToday: 26 Jul 2024, 2024<|im_end|>\n")
    assert context.endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert bytelevel_tokenizer.decode(ids[cut:]) == "The heart.<|endoftext|>"
    bare, none = encode_texts(
        bytelevel_tokenizer, ["The heart."], format="chat", prompts="none", sequence_len=256
    )
    assert bytelevel_tokenizer.decode(bare[0]["input_ids"]) == (
        "<|endoftext|>The heart.<|endoftext|>"
    )
    assert none.targets_digest == ledger.targets_digest


def test_budgets_that_cannot_work_are_refused(sentencepiece_tokenizer, bytelevel_tokenizer):
    with pytest.raises(CFTError, match=r"takes \d+ tokens .* set it to at least \d+"):
        encoder_for(sentencepiece_tokenizer, prompt_budget=10)
    with pytest.raises(CFTError, match="leaves no room for text in sequence_len: 100"):
        encoder_for(sentencepiece_tokenizer, sequence_len=100)
    with pytest.raises(CFTError, match="has no room for a prompt beside"):
        encoder_for(bytelevel_tokenizer, prompt_budget=20, format="chat", prompts="fixed")
    needed = encoder_for(sentencepiece_tokenizer)
    sizes = [needed.contexts.length(text) for text in needed.plan.source.known.values()]
    assert encoder_for(sentencepiece_tokenizer, prompt_budget=max(sizes))


def test_chat_format_begins_with_the_bos_that_its_template_leaves_out(sentencepiece_tokenizer):
    tokenizer = copy.deepcopy(sentencepiece_tokenizer)
    for template in (tokenizer.chat_template, tokenizer.chat_template.replace("bos_token", "''")):
        tokenizer.chat_template = template
        rows, _ = encode_texts(tokenizer, ["The heart."], format="chat")
        assert rows[0]["input_ids"].count(tokenizer.bos_token_id) == 1
        assert rows[0]["input_ids"][0] == tokenizer.bos_token_id


def test_chat_format_needs_a_template(eos_adding_tokenizer):
    with pytest.raises(CFTError, match="needs a chat template"):
        encoder_for(eos_adding_tokenizer, format="chat")


def test_a_tokenizer_without_eos_is_refused(sentencepiece_tokenizer):
    from transformers import PreTrainedTokenizerFast

    bare = PreTrainedTokenizerFast(tokenizer_object=sentencepiece_tokenizer.backend_tokenizer)
    with pytest.raises(CFTError, match="no EOS token"):
        encoder_for(bare)
