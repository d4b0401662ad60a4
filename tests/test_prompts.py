"""Pools: the built-in ones say what they are, and a malformed one is named by file and line."""

from pathlib import Path

import pytest

from axolotl_cft.core.pool import Prompt, read_pool
from axolotl_cft.errors import CFTError
from axolotl_cft.prompts.registry import builtin_pools, load_pool

STRATEGIES = {
    "Application of Knowledge",
    "In-Depth Exploration",
    "Reflective Thinking",
    "Creative Interpretation",
    "Summarization and Synthesis",
    "Focus on Key Concepts",
    "Contextual Understanding",
    "Critical Analysis",
    "Question-Based Learning",
    "Comparative Learning",
}


def test_paper_pool_has_one_prompt_for_each_strategy_of_the_paper():
    pool = load_pool("paper")
    assert {prompt.strategy for prompt in pool.prompts} == STRATEGIES
    quoted = {prompt.strategy for prompt in pool.prompts if "arXiv 2503.09032" in prompt.source}
    assert quoted == {"Application of Knowledge", "Focus on Key Concepts", "Comparative Learning"}
    for prompt in pool.prompts:
        assert prompt.theory and prompt.source
        assert "{" not in prompt.text and prompt.weight == 1.0


def test_negative_and_fixed_pools():
    assert set(builtin_pools()) == {"paper", "negative", "fixed"}
    assert len(load_pool("negative").prompts) == 10
    assert len(load_pool("fixed").prompts) == 1


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "pool.yaml"
    path.write_text(text, encoding="utf-8")
    return path


GOOD = """\
name: mine
prompts:
  - {id: a, text: Learn about {{topic}}.}
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a pool is a mapping"),
        ("name: x\nprompts: []\n", "line 1: 'prompts' is empty"),
        ("name: x\nprompts:\n", "line 1: 'prompts' is empty"),
        ("prompts:\n  - {id: a, text: b}\n", "line 1: 'name' is missing"),
        ("name: x\nprompts:\n  - id: a\n", "line 3: a prompt's 'text' is missing"),
        ("name: x\nprompts:\n  - id: a\n    text: ''\n", "line 3: a prompt's 'text' is not text"),
        ("name: x\nprompts:\n  - just words\n", "each prompt is a mapping"),
        (
            "name: x\nprompts:\n  - {id: a, text: b}\n  - {id: a, text: c}\n",
            "line 4: the id 'a' is used twice",
        ),
        (
            "name: x\nprompts:\n  - {id: a, text: b, weigth: 2}\n",
            "line 3: unknown key 'weigth'",
        ),
        ("name: x\nprompts:\n  - {id: a, text: b, weight: 0}\n", "line 3: 'weight' must be"),
        ("name: x\nprompts:\n  - {id: a, text: b, weight: yes}\n", "line 3: 'weight' must be"),
        ("name: x\nprompts: [\n", "line 3: not valid YAML"),
        ("name: x\ndefaults: [a]\nprompts:\n  - {id: a, text: b}\n", "line 1: 'defaults' maps"),
        ("name: x\ndefaults: {1: a}\nprompts:\n  - {id: a, text: b}\n", "'defaults' maps"),
        ("name: x\ndefaults: {a: 1}\nprompts:\n  - {id: a, text: b}\n", "'defaults' maps"),
    ],
)
def test_malformed_pools_are_named_by_file_and_line(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(CFTError, match=message.replace("[", r"\[")) as caught:
        read_pool(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unreadable_and_unknown_pools(tmp_path):
    binary = tmp_path / "pool.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CFTError, match="cannot be read"):
        read_pool(binary)
    with pytest.raises(CFTError, match="there is no such file"):
        load_pool("missing/pool.yaml")
    with pytest.raises(CFTError, match="use one of fixed, negative, paper"):
        load_pool("papr")
    with pytest.raises(CFTError, match="unknown prompt pool 'Think hard"):
        load_pool("Think hard about the next text. " * 10)


def test_fingerprint_sees_what_sampling_and_encoding_see(tmp_path):
    base = "name: n\ndescription: d\nprompts:\n  - {id: a, text: x}\n  - {id: b, text: y}\n"
    fingerprint = read_pool(write(tmp_path, base)).fingerprint
    same = base.replace("name: n", "name: m").replace("description: d", "description: e")
    assert read_pool(write(tmp_path, same)).fingerprint == fingerprint
    swapped = "name: n\nprompts:\n  - {id: b, text: y}\n  - {id: a, text: x, source: s}\n"
    assert read_pool(write(tmp_path, swapped)).fingerprint == fingerprint
    for old, new in [("text: x", "text: z"), ("id: a", "id: c"), ("text: x", "text: x, weight: 2")]:
        assert read_pool(write(tmp_path, base.replace(old, new))).fingerprint != fingerprint


def test_placeholders_are_filled_and_never_evaluated():
    prompt = Prompt("a", "Study {topic} in {{braces}}, not {topic.__class__} nor {0}.")
    assert prompt.columns == {"topic"}
    filled = prompt.fill({"topic": "{other} the heart"})
    assert filled == "Study {other} the heart in {braces}, not {topic.__class__} nor {0}."
    with pytest.raises(KeyError):
        prompt.fill({})
