"""`axolotl-cft prompts`: what a user sees of pools, on a terminal's terms and through a pipe."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from axolotl_cft.cli import main
from axolotl_cft.core.pool import read_pool
from axolotl_cft.prompts.doubts import find_doubts
from axolotl_cft.prompts.registry import load_pool

POOL = """\
name: mine
description: For tests [not markup].
defaults: {topic: medicine, unused: x}
prompts:
  - {id: a, text: "Link the next text with what you know of {topic}.", weight: 3, source: me}
  - {id: b, text: "Link the next text with what you know of {field}."}
  - {id: c, text: "Do {so mething} else entirely, please."}
"""


@pytest.fixture
def pool_file(tmp_path) -> Path:
    path = tmp_path / "pool.yaml"
    path.write_text(POOL, encoding="utf-8")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["prompts", *map(str, arguments)])


def test_list_names_every_pool_with_its_whole_description():
    result = run("list")
    assert result.exit_code == 0
    for name, count in [("paper", 10), ("negative", 10), ("fixed", 1)]:
        line = next(line for line in result.output.splitlines() if line.startswith(f" {name} "))
        assert line.split()[:4] == [name, str(count), "built", "in"]
        assert line.endswith(load_pool(name).description)


def test_list_for_programs():
    told = run("list", "--json")
    assert told.exit_code == 0
    found = {pool.pop("name"): pool for pool in json.loads(told.stdout)}
    paper = load_pool("paper")
    assert found["paper"] == {
        "prompts": len(paper.prompts),
        "columns": [],
        "package": "axolotl-cft",
        "fingerprint": paper.fingerprint,
        "description": paper.description,
    }
    assert all(f" {name} " in run("list").output for name in found)


def test_show_prints_all_of_a_built_in_prompt_uncut():
    lines = run("show", "paper").output.splitlines()
    for prompt in load_pool("paper").prompts:
        at = lines.index(prompt.id)
        facts = [prompt.strategy, prompt.text, prompt.source, prompt.theory]
        assert [line[2:].split(maxsplit=1)[1] for line in lines[at + 1 : at + 5]] == facts
        assert "drawn for 10.0% of the chunks" in lines[at + 5]


def test_show_a_pool_file_with_weights(pool_file):
    output = run("show", pool_file).output
    assert "mine: For tests [not markup]." in output
    assert f"file {pool_file}; 3 prompts, weighted" in output
    assert "3 (drawn for 60.0% of the chunks)" in output
    assert "source" in output and output.count("theory") == 0


def test_check_counts_and_warns(pool_file):
    result = run("check", pool_file)
    assert result.exit_code == 0
    assert "mine: 3 prompts, weighted" in result.output
    assert "columns it names: field, topic" in result.output
    assert "the text of 'c' has a brace that belongs to no {column}" in result.output
    assert "no prompt names unused" in result.output
    assert "'a' and 'b' share 82% of their words" in result.output
    assert "valid, with warnings" in result.output


@pytest.mark.parametrize("name", ["paper", "negative", "fixed"])
def test_built_in_pools_raise_no_doubts(name):
    assert find_doubts(load_pool(name)) == []
    assert run("check", name).output.splitlines()[-1] == "valid"


def test_escaped_braces_are_no_stray_ones(tmp_path):
    path = tmp_path / "pool.yaml"
    path.write_text("name: n\nprompts:\n  - {id: a, text: 'Keep {{braces}} and {topic}.'}\n")
    assert find_doubts(read_pool(path)) == []


def test_check_names_file_and_line(tmp_path):
    path = tmp_path / "pool.yaml"
    path.write_text("name: n\nprompts:\n  - {id: a, text: x}\n  - {id: b, txet: y}\n")
    result = run("check", path)
    assert result.exit_code == 1
    assert f"Error: {path}, line 4: unknown key 'txet'" in result.output
    assert run("show", "papr").exit_code == 1


@pytest.mark.parametrize("format_", ["plain", "chat"])
def test_check_counts_tokens_as_training_does(
    pool_file, sentencepiece_tokenizer, tmp_path, format_
):
    folder = tmp_path / "tokenizer"
    sentencepiece_tokenizer.save_pretrained(folder)
    output = run("check", pool_file, "--tokenizer", folder, "--format", format_).output
    texts = {
        "a": "Link the next text with what you know of medicine.",
        "b": "Link the next text with what you know of field.",
        "c": "Do {so mething} else entirely, please.",
    }
    expected = {
        id_: len(before_text(sentencepiece_tokenizer, text, format_)) for id_, text in texts.items()
    }
    counted = dict(line.split() for line in output.splitlines() if line[1:3] in {"a ", "b ", "c "})
    assert counted == {id_: str(size) for id_, size in expected.items()}
    assert f"smallest prompt_budget that fits: {max(expected.values())}" in output
    assert "columns without a default count as their names: field" in output


def before_text(tokenizer, prompt: str, format_: str) -> list[int]:
    if format_ == "plain":
        return tokenizer(prompt + "\n\n")["input_ids"]  # this tokenizer sets BOS, and no EOS
    turn = f"<s><|user|>\n{prompt}</s>\n<|assistant|>\n"
    return tokenizer(turn, add_special_tokens=False)["input_ids"]


def test_an_unknown_tokenizer_is_named(pool_file, tmp_path):
    result = run("check", pool_file, "--tokenizer", tmp_path / "none")
    assert result.exit_code == 1
    assert str(tmp_path / "none") in result.output
