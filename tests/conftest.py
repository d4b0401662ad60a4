"""Shared fixtures: tokenizers of the common families, a tiny Llama, a small corpus. No network."""

import atexit
import json
import os
import random
import shutil
import tempfile
from pathlib import Path

# Before anything imports the host: no telemetry, no hub, and threads that leave room for xdist.
os.environ.update(AXOLOTL_DO_NOT_TRACK="1", HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# And no memory of hashed files in the home of whoever runs the tests.
os.environ.update(HF_ASSETS_CACHE=tempfile.mkdtemp(prefix="cft-assets-"))
os.environ.pop("AXOLOTL_CFT_PROMPTS", None)  # it would decide what the tests train

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, and nothing about what is tested.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

atexit.register(shutil.rmtree, os.environ["HF_ASSETS_CACHE"], ignore_errors=True)


def pytest_collection_modifyitems(items):
    """Mark the tests of modules that drive Axolotl: these run on every version of it."""
    for item in items:
        if any(getattr(thing, "__module__", "") == "host" for thing in vars(item.module).values()):
            item.add_marker("host")


TOPICS = {
    "heart": "The heart pumps blood through the vessels. Valves keep it from flowing back.",
    "insulin": "Insulin lets cells take up glucose. Without it the blood sugar rises.",
    "bonds": "A bond's price falls when interest rates rise, since its coupons are fixed.",
    "unicode": "Zürich, naïve, 東京, 🫀 and a tab\there; e\u0301 is decomposed, \u200b invisible.",
}


def slow(*parameters: object) -> list:
    """These parameters of a test for `-m slow`; the others are enough for every day."""
    return [pytest.param(parameter, marks=pytest.mark.slow) for parameter in parameters]


def make_documents(count: int, words: int = 60) -> list[dict[str, str]]:
    """Distinct documents of varied length, in order, with a topic column."""
    documents = []
    for index in range(count):
        topic = list(TOPICS)[index % len(TOPICS)]
        repeats = 1 + (index * 7) % max(1, words // 12)
        text = f"Section {index}. " + " ".join([TOPICS[topic]] * repeats)
        documents.append({"id": f"d{index}", "topic": topic, "text": text})
    return documents


def varied(text: str, seed: int) -> str:
    """The same words, otherwise typeset."""
    chance = random.Random(seed)
    words = [chance.choice([word, word.upper(), word.title()]) for word in text.split()]
    return "".join(word + chance.choice([" ", "  ", "\n", ", ", "\u00a0"]) for word in words)


def sentences(seed: int) -> str:
    """490 characters that no other seed gives."""
    chance = random.Random(seed)
    return " ".join("".join(chance.choices("abcdefghijklmnopqrst", k=6)) for _ in range(70))


def write_jsonl(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


CHATML_WITH_DATE = (
    "{% set today = date_string if date_string is defined else strftime_now('%d %b %Y') %}"
    "<|im_start|>system\nToday: {{ today }}, {{ strftime_now('%Y') }}<|im_end|>\n"
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tokenizer_texts() -> list[str]:
    """What the test tokenizers learn from: with the prompts in, these take about 30 tokens."""
    from axolotl_cft.prompts.registry import load_pool

    pools = [load_pool("paper"), load_pool("negative")]
    return [*TOPICS.values(), *(prompt.text for pool in pools for prompt in pool.prompts)] * 2


@pytest.fixture(scope="session")
def sentencepiece_tokenizer():
    """BPE with byte fallback that sets BOS by itself, as Llama-2's; with a chat template."""
    from axolotl_cft.demo.tiny import build_tokenizer

    return build_tokenizer(tokenizer_texts(), vocab_size=900)


@pytest.fixture(scope="session")
def bytelevel_tokenizer():
    """Byte-level BPE without BOS, as Qwen's; its chat template inserts today's date."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=900, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator(tokenizer_texts(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=specials[1:],
        chat_template=CHATML_WITH_DATE,
    )


@pytest.fixture(scope="session")
def eos_adding_tokenizer(sentencepiece_tokenizer):
    """Sets BOS and EOS by itself, as some encoder-bred tokenizers do."""
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    source = sentencepiece_tokenizer
    core = type(source.backend_tokenizer).from_str(source.backend_tokenizer.to_str())
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="</s>",
    )


@pytest.fixture(params=["sentencepiece", "bytelevel", "eos_adding"])
def any_tokenizer(request):
    """Each of the tokenizer families in turn."""
    return request.getfixturevalue(f"{request.param}_tokenizer")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory, sentencepiece_tokenizer) -> Path:
    """Folder of a random 2-layer Llama with its tokenizer."""
    from axolotl_cft.demo.tiny import build_model

    return build_model(tmp_path_factory.mktemp("model"), sentencepiece_tokenizer)
