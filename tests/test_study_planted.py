"""A whole study finds a difference that is there, and none where luck alone differs."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from conftest import write_jsonl
from host import host_config
from studies import REAL, call, write_study

from axolotl_cft.cli import main

LEARNING = {"micro_batch_size": 8, "lr_scheduler": "cosine", "max_steps": None, "logging_steps": 20}


def prose(domain: str, folder: Path) -> list[dict[str, Any]]:
    """320 documents, each about somebody or something else."""
    wanted = ["--domain", domain, "--things", "800", "--half", "base", "--items", "8"]
    result = CliRunner().invoke(main, ["facts", "make", *wanted, "--output-dir", str(folder)])
    assert result.exit_code == 0, result.output
    lines = (folder / "base/documents.jsonl").open()
    return [{"text": json.loads(line)["text"]} for line in lines]


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(3000)
def test_twice_the_text_is_found_and_other_seeds_are_not(tmp_path, tiny_model):
    """Arms start from a model that reads already, so that seeds are not most of what differs."""
    people = write_jsonl(tmp_path / "people.jsonl", prose("people", tmp_path / "people"))
    texts = prose("medical", tmp_path / "medical")
    half = write_jsonl(tmp_path / "half.jsonl", texts[::2])
    whole = write_jsonl(tmp_path / "whole.jsonl", texts)
    reader = tmp_path / "reader"
    first = host_config(tmp_path, tiny_model, people, **LEARNING, num_epochs=6, learning_rate=3e-3)
    first |= {"cft": {"prompts": "none"}, "output_dir": str(reader)}
    (tmp_path / "first.yml").write_text(yaml.safe_dump(first))
    path = write_study(
        tmp_path,
        reader,
        REAL,
        make=["train first.yml"],
        arms={
            "half": {"cft.prompts": "none"},
            "again": {"cft.prompts": "none", "seeds": [3, 4]},
            "whole": {"cft.prompts": "none", "datasets.0.path": str(whole)},
        },
        seeds=[1, 2],
        stages={},
        baseline="half",
        allow_different=["targets"],
        heldout_documents=60,
    )
    study = yaml.safe_load(path.read_text())
    del study["evaluate"]
    study["base"] |= {**LEARNING, "num_epochs": 2, "learning_rate": 1e-3, "save_strategy": "no"}
    study["base"]["datasets"][0]["path"] = str(half)
    study["base"]["cft"] = {"holdout": 0.2, "prompt_budget": 96}
    del study["base"]["save_steps"]
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    result = call(path, tmp_path / "out")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out/report/report.json").read_text())
    found = {
        row["row"]: row
        for row in report["comparisons"]
        if row["task"] == "cft_heldout" and row["metric"].startswith("bits_per_byte")
    }
    assert found["whole"]["difference"] < 0 and found["whole"]["p_holm"] < 0.05, found
    assert found["again"]["p_holm"] > 0.05, found
