"""Pools as data: a malformed one is named by file and line, and its content has a fingerprint."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from axolotl_cft.core.pool import Prompt, PromptPool, parse_pool, read_pool
from axolotl_cft.errors import CFTError


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "pool.yaml"
    path.write_text(text, encoding="utf-8")
    return path


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
        (
            "name: x\nprompts:\n  - {id: a, text: b}\nprompts: []\n",
            "line 4: the key 'prompts' stands on line 2 already",
        ),
        ("name: x\nprompts:\n  - [&a [1], *a]\n", "each prompt is a mapping"),
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


def test_a_pool_given_as_data_is_checked_like_a_file(tmp_path):
    data = {"name": "mine", "prompts": [{"id": "a", "text": " Think of {topic}. "}]}
    data["defaults"] = {"topic": "it"}
    pool = parse_pool(data, "package acme")
    assert pool.prompts == (Prompt("a", "Think of {topic}."),)
    assert (pool.columns, pool.defaults, pool.origin) == (
        {"topic"},
        {"topic": "it"},
        "package acme",
    )
    with pytest.raises(CFTError, match="^package acme: unknown key 'promts'"):
        parse_pool({**data, "promts": []}, "package acme")
    path = write(tmp_path, yaml.safe_dump(data))
    assert read_pool(path) == replace(pool, origin=str(path))


def test_the_fingerprint_sees_the_defaults():
    prompts = (Prompt("a", "{topic}"),)
    first, other = (PromptPool("n", "", prompts, {"topic": text}) for text in ("x", "y"))
    assert first.fingerprint != other.fingerprint
    assert PromptPool("m", "d", prompts, {"topic": "x"}, "file", "acme").fingerprint == (
        first.fingerprint
    )
