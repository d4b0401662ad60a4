"""A Llama small enough for any machine, made on the spot: for the demo and the tests.

Nothing is downloaded. The model is random, so its losses say how training works, not how well.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "<|{{ message['role'] }}|>\n{{ message['content'] }}{{ eos_token }}\n"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


def build_tokenizer(texts: Iterable[str], vocab_size: int = 1024) -> Any:
    """Train a SentencePiece-style BPE with byte fallback that sets BOS, as Llama-2's does.

    Args:
        texts: what to learn the merges from.
        vocab_size: size of the vocabulary, special tokens and 256 bytes included.

    Returns:
        A `PreTrainedTokenizerFast` with <s>, </s>, <unk> and a chat template.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    specials = ["<unk>", "<s>", "</s>"]
    core = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    core.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[*specials, *(f"<0x{byte:02X}>" for byte in range(256))],
        max_token_length=12,
        show_progress=False,
    )
    core.train_from_iterator(_pieces(texts), trainer)
    core.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="</s>",
        chat_template=CHAT_TEMPLATE,
    )


def _pieces(texts: Iterable[str]) -> Iterable[str]:
    """Single words; whole texts would let merges span sentences, and make training slow."""
    for text in texts:
        yield from text.split(" ")


def build_model(
    directory: Path,
    tokenizer: Any,
    max_positions: int = 2048,
    seed: int = 0,
    *,
    width: int = 64,
    intermediate: int = 176,
    layers: int = 2,
    tied: bool = False,
) -> Path:
    """Save a random Llama of four heads with `tokenizer` to `directory`.

    Args:
        directory: receives the model and the tokenizer.
        tokenizer: whose vocabulary and special tokens the model has.
        max_positions: tokens of the longest row.
        seed: decides the weights.
        width: size of the hidden state, a multiple of eight.
        intermediate: size of the MLPs' inner layer.
        layers: how many.
        tied: whether input and output embeddings are the same.

    Returns:
        `directory`, which `base_model` can name.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # for a model of 1 MB
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=max_positions,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=tied,
    )
    LlamaForCausalLM(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory
