"""What LLM calls cost, from the ledgers of real generations to the report of a study."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from conftest import make_documents, write_jsonl
from loopback_llm import Loopback, serve
from studies import FAKE, call, recorded, write_study

from axolotl_cft.cli import main
from axolotl_cft.evaluation.llm_cost import llm_columns
from axolotl_cft.evaluation.sources import Training
from axolotl_cft.records import GenerationLedger, LLMUse, StepMark
from axolotl_cft.study import preflight
from axolotl_cft.study.llm_use import llm_use
from axolotl_cft.study.making import made_for

COLUMN = {"prompts": {"column": "contextual_prompt"}}


def ours(*arguments: object) -> None:
    result = CliRunner().invoke(main, list(map(str, arguments)), env={"OPENAI_API_KEY": ""})
    assert result.exit_code == 0, result.output


def generate(corpus: Path, output: Path, *more: object) -> GenerationLedger:
    """Prompts by a real `generate`, asked for at a real endpoint; its ledger."""
    with serve(Loopback()) as server:
        ours(
            *("generate", corpus, "--model", "m", "--base-url", server.url),
            *("--output-dir", output, *more),
        )
    return GenerationLedger.read(output / "generation.json")


def config(*paths: Path, **cft: Any) -> dict[str, Any]:
    return {"datasets": [{"path": str(path), "type": "cft"} for path in paths], "cft": cft}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A packed corpus of six documents."""
    (tmp_path / "texts").mkdir()
    for index, document in enumerate(make_documents(6)):
        (tmp_path / f"texts/{index}.txt").write_text(document["text"])
    ours("corpus", "pack", tmp_path / "texts", "--output-dir", tmp_path / "packed")
    return tmp_path / "packed"


def test_tokens_and_money_are_those_of_the_ledgers_behind_the_data(corpus, tmp_path):
    prompts = tmp_path / "prompts"
    first = generate(corpus / "data", prompts, "--price-in", 2, "--price-out", 10)
    assert first.answers.tokens_in > 0 and first.cost
    written = prompts / str(first.output)
    spent = LLMUse(
        ledgers=1,
        complete=True,
        tokens_in=first.answers.tokens_in,
        tokens_out=first.answers.tokens_out,
        cost=first.cost,
    )
    assert llm_use(config(written, **COLUMN), []) == spent
    assert llm_use(config(written, prompts="none"), [prompts]) == spent  # the same ledger once
    # What is made of it costs as much, and a second generation is added; it has no prices.
    ours("corpus", "pack", written, "--output-dir", tmp_path / "again")
    second = generate(tmp_path / "again/data", tmp_path / "more")
    both = llm_use(config(tmp_path / "more" / str(second.output), **COLUMN), [])
    assert both and (both.ledgers, both.complete, both.cost) == (2, True, None)
    assert both.tokens_in == first.answers.tokens_in + second.answers.tokens_in
    assert both.tokens_out == first.answers.tokens_out + second.answers.tokens_out


def test_a_missing_ledger_is_not_taken_for_none(corpus, tmp_path):
    shards = corpus / "data"
    none = LLMUse(ledgers=0, complete=True, tokens_in=0, tokens_out=0, cost=0.0)
    assert llm_use(config(shards, prompts="paper"), []) == none
    assert llm_use(config(shards, **COLUMN), []) is None  # somebody wrote these prompts
    plain = write_jsonl(tmp_path / "plain.jsonl", make_documents(3))
    assert llm_use(config(plain), []) is None
    assert llm_use(config(shards, plain), []) is None
    assert llm_use(config(tmp_path / "absent.jsonl"), []) is None
    assert llm_use(config(Path("some/hub-dataset")), []) is None
    assert llm_use({"datasets": []}, []) is None

    ledger = generate(shards, tmp_path / "prompts")
    written = tmp_path / "prompts" / str(ledger.output)
    mixed = llm_use(config(written, plain, **COLUMN), [])
    assert mixed and (mixed.ledgers, mixed.complete) == (1, False)
    alone = shutil.copy(written, tmp_path / "copied.parquet")
    assert llm_use(config(Path(alone), **COLUMN), []) is None
    other = shutil.copy(written, written.with_name("other.parquet"))  # not what the ledger names
    assert llm_use(config(Path(other), prompts="none"), []) is None
    (tmp_path / "prompts/generation.json").write_text("{")
    assert llm_use(config(written, **COLUMN), []) is None
    assert llm_use(config(shards, prompts="none"), [tmp_path / "prompts"]) is None


def test_what_was_packed_of_texts_that_are_gone_is_not_known(corpus, tmp_path):
    shutil.rmtree(tmp_path / "texts")
    assert llm_use(config(corpus / "data", prompts="paper"), []) is None


def test_corpora_that_name_one_another_are_not_known(corpus, tmp_path):
    """One was packed anew of what had been packed of it."""
    ours("corpus", "pack", corpus / "data", "--output-dir", tmp_path / "again")
    manifest = json.loads((corpus / "manifest.json").read_text())
    for source in manifest["sources"].values():
        source["path"] = str(tmp_path / "again/data")
    (corpus / "manifest.json").write_text(json.dumps(manifest))
    assert llm_use(config(corpus / "data", prompts="paper"), []) is None


def test_what_an_arm_made_is_known_by_its_marks(tmp_path):
    command = ["axolotl-cft", "generate", "corpus.jsonl", "--output-dir", "prompts"]
    StepMark(status="done", identity="x", command=command).write(tmp_path / "cft/make-1.json")
    assert made_for(tmp_path / "cft") == [Path("prompts")]
    assert made_for(tmp_path / "cpt") == []


def training(use: LLMUse | None) -> Training:
    return Training("a", "a", "", Path(), None, None, llm=use)


def test_columns_tell_none_unknown_and_incomplete_apart():
    free = LLMUse(ledgers=0, complete=True, tokens_in=0, tokens_out=0, cost=0.0)
    known = LLMUse(ledgers=1, complete=True, tokens_in=1_000, tokens_out=234, cost=1.5)
    partly = LLMUse(ledgers=1, complete=False, tokens_in=10, tokens_out=5)
    found = llm_columns([training(use) for use in (free, None, known, partly)])
    assert found == [
        ["LLM tokens", "none", "–", "1,234", "≥ 15"],
        ["LLM cost", "none", "–", "1.50", "–"],
    ]
    assert llm_columns([training(None), training(None)]) == []
    assert [column[0] for column in llm_columns([training(free)])] == ["LLM tokens"]


@pytest.mark.slow
def test_a_study_records_it_and_its_report_needs_no_data(tmp_path, tiny_model, monkeypatch):
    monkeypatch.setattr(preflight, "check_plan", lambda *arguments: None)
    arms = {"cpt": {"cft.prompts": "none"}, "cft": {}}
    one = {"arms": arms, "seeds": [1], "stages": {}, "evaluate": None, "name": "cost"}
    study = write_study(tmp_path, tiny_model, FAKE, **one)
    corpus = tmp_path / "corpus.jsonl"
    ledger = generate(corpus, tmp_path / "prompts", "--price-in", 1000, "--price-out", 1000)
    content = yaml.safe_load(study.read_text())
    own = {"datasets.0.path": str(tmp_path / "prompts" / str(ledger.output))}
    content["arms"]["cft"] = own | {"cft.prompts": COLUMN["prompts"]}
    study.write_text(yaml.safe_dump(content))
    root = tmp_path / "out"
    result = call(study, root)
    assert result.exit_code == 0, result.output
    runs = recorded(root)
    assert runs["cpt", 1, None]["llm"] is None
    assert runs["cft", 1, None]["llm"]["tokens_in"] == ledger.answers.tokens_in
    shutil.rmtree(tmp_path / "prompts")
    corpus.unlink()
    shutil.rmtree(root / "report")
    again = CliRunner().invoke(main, ["report", str(root)])
    assert again.exit_code == 0, again.output
    text = (root / "report/report.md").read_text().split("## What training cost")[1]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    assert rows[0][-2:] == ["LLM tokens", "LLM cost"]
    tokens = ledger.answers.tokens_in + ledger.answers.tokens_out
    cells = {row[0]: row[-2:] for row in rows[2:]}
    assert cells == {
        "cpt, seed 1": ["–", "–"],
        "cft, seed 1": [f"{tokens:,}", f"{tokens / 1000:.2f}"],
    }
    assert json.loads((root / "study.json").read_text())["schema"] == 1
