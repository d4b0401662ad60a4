"""`format: chat` through the host: which template is rendered, with which arguments."""

import copy

import pytest
from axolotl.utils.chat_templates import _CHAT_TEMPLATES
from conftest import make_documents, write_jsonl
from host import host_config, prepare
from jinja2 import TemplateError
from tokenizers import AddedToken

from axolotl_cft.core.contexts import ContextEncoder, Template, frame_of
from axolotl_cft.core.encoding import IGNORE_INDEX
from axolotl_cft.errors import CFTError
from axolotl_cft.host.tokens import read_tokens


@pytest.fixture
def config(tmp_path, tiny_model):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", make_documents(4, words=12))
    config = host_config(tmp_path, tiny_model, corpus, sequence_len=512)
    config["cft"] |= {"format": "chat", "prompts": "fixed", "prompt_budget": 256}
    return config


def contexts(config, tokenizer) -> set[str]:
    """What stands before the texts, decoded."""
    _, meta = prepare(config)
    masked = (
        [
            i
            for i, label in zip(row["input_ids"], row["labels"], strict=True)
            if label == IGNORE_INDEX
        ]
        for row in meta.train_dataset
    )
    return {tokenizer.decode(ids) for ids in masked}


def test_arguments_of_the_template_arrive(config, sentencepiece_tokenizer):
    config |= {"chat_template": "qwen3", "chat_template_kwargs": {"enable_thinking": False}}
    (context,) = contexts(config, sentencepiece_tokenizer)
    assert context.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")


def test_a_dataset_has_a_template_of_its_own(config, sentencepiece_tokenizer):
    config["chat_template"] = "llama3"
    (context,) = contexts(config, sentencepiece_tokenizer)
    assert "<|start_header_id|>assistant" in context
    config["datasets"][0]["chat_template"] = "chatml"
    (context,) = contexts(config, sentencepiece_tokenizer)
    assert context.endswith("<|im_start|>assistant\n") and "header_id" not in context
    jinja = "{{ 'ASK ' + messages[0].content + ' ANSWER ' }}"
    config["datasets"][0] |= {"chat_template": "jinja", "chat_template_jinja": jinja}
    (context,) = contexts(config, sentencepiece_tokenizer)
    assert context.startswith("<s>") and "ASK " in context and context.endswith(" ANSWER ")


def test_counting_tokens_uses_the_same_arguments(config, tmp_path):
    from host import write_config

    config |= {"chat_template": "qwen3"}
    with pytest.raises(CFTError, match="opens <think>"):
        read_tokens(write_config(tmp_path / "a.yml", config), None)
    config["chat_template_kwargs"] = {"enable_thinking": False}
    assert read_tokens(write_config(tmp_path / "a.yml", config), None).of_prompt("Study.") > 5


THINKING = {"qwen3", "qwen3_5"}


def encoder_for(tokenizer, jinja: str) -> ContextEncoder:
    frame = frame_of(tokenizer, 2000, 4000)
    return ContextEncoder(tokenizer, frame, "chat", template=Template(jinja))


@pytest.mark.parametrize("name", sorted(_CHAT_TEMPLATES))
def test_templates_that_open_a_thought_are_refused_and_no_others(name, sentencepiece_tokenizer):
    encoder = encoder_for(sentencepiece_tokenizer, _CHAT_TEMPLATES[name])
    try:
        encoder.length("")
    except TemplateError:
        pytest.skip("the template takes no such conversation")
    if name in THINKING:
        with pytest.raises(CFTError, match="opens <think> where the reply begins"):
            encoder.check({})
    else:
        encoder.check({})


@pytest.mark.parametrize(
    "tag", ["<think>", "[THINK]", "<|START_THINKING|>", "<seed:think>", "<thinking>", "<Think>\n"]
)
def test_thoughts_under_other_names(tag, sentencepiece_tokenizer):
    user = "{{ '<|im_start|>user ' + messages[0].content + '<|im_end|>' }}"
    with pytest.raises(CFTError, match="the text would be trained as thinking"):
        encoder_for(sentencepiece_tokenizer, f"{user}assistant {tag}").check({})
    closed = tag.strip().replace("START", "END")
    closed = closed if "END" in closed else closed[0] + "/" + closed[1:]
    encoder_for(sentencepiece_tokenizer, f"{user}assistant {tag}{closed}").check({})
    # A system text that speaks of thinking does not open one.
    encoder_for(sentencepiece_tokenizer, f"Use {tag}. {user}assistant ").check({})


def test_special_tokens_without_a_name_are_counted(sentencepiece_tokenizer):
    """Llama-3's <|eot_id|> is special in the vocabulary and in no entry of special_tokens_map."""
    from axolotl_cft.core.documents import special_ids
    from axolotl_cft.preview.collect import decode_spans

    tokenizer = copy.deepcopy(sentencepiece_tokenizer)
    tokenizer.add_tokens([AddedToken("<|eot_id|>", special=True), AddedToken("<plain>")])
    eot, plain = tokenizer.convert_tokens_to_ids(["<|eot_id|>", "<plain>"])
    assert eot in special_ids(tokenizer) and plain not in special_ids(tokenizer)
    assert not {tokenizer.convert_tokens_to_ids(f"<0x{byte:02X}>") for byte in (0, 65, 255)} & (
        special_ids(tokenizer) - {tokenizer.unk_token_id}
    )
    assert ("<|eot_id|>", True) in decode_spans(tokenizer, [eot])
    _, ledger = _encode(tokenizer, ["A text.<|eot_id|> Another<plain>."])
    assert ledger.special_tokens_in_text == 1


def _encode(tokenizer, texts):
    from axolotl_cft.core.documents import DocumentEncoder
    from axolotl_cft.core.options import CFTConfig
    from axolotl_cft.host.plan import make_plan

    plan = make_plan("datasets[0]", "train", {"path": "corpus"}, CFTConfig(), 42)
    encoder = DocumentEncoder(tokenizer, plan, 192)
    return encoder.encode(texts, [{}] * len(texts)), encoder.ledger
