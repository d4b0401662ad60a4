"""Pools: the built-in ones say what they are, and a malformed one is named by file and line."""

import pytest

from axolotl_cft.core.pool import read_pool
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
