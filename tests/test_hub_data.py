"""Data on a hub, named as our recipes name them: found, fetched, prepared, known by commit."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import loopback_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import make_documents

from axolotl_cft.records import SOURCES_FILE, SourcesRecord

RECIPE = Path(__file__).parents[1] / "example_configs" / "cft_t4.yml"


def parquet(column: str, texts: list[str]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{"label": 1, column: text} for text in texts]), buffer)
    return buffer.getvalue()


TEXTS = [document["text"] for document in make_documents(200)]

# In the layouts that the two have on the real hub.
CARD = b"""---
configs:
- config_name: default
  default: true
  data_files: [{split: train, path: data/train-*}, {split: test, path: data/test-*}]
- config_name: labels
  data_files: [{split: train, path: labels/train-*}]
---
"""
REPOSITORIES = {
    "TimSchopf/medical_abstracts": {
        "README.md": CARD,
        "data/train-00000-of-00001.parquet": parquet("medical_abstract", TEXTS),
        "data/test-00000-of-00001.parquet": parquet("medical_abstract", ["No training."]),
        "labels/train-00000-of-00001.parquet": parquet("condition_name", ["No text."]),
    },
    "PleIAs/SEC": {
        "README.md": b"---\nlicense: cc0-1.0\n---\n",
        "1993.parquet": parquet("text", TEXTS),
        "1994.parquet": parquet("text", ["Not asked for."]),
    },
}


def datasets_of_the_recipe() -> dict[str, dict[str, Any]]:
    """The corpus that it trains on, and the one in its comment."""
    text = RECIPE.read_text(encoding="utf-8")
    (block,) = re.findall(r"In both lists:\n#\n((?:#   .*\n)+)", text)
    both = [*yaml.safe_load(text)["datasets"], *yaml.safe_load(re.sub("(?m)^#", "", block))]
    return {dataset["path"]: dataset for dataset in both}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "fetched"),
    [
        ("TimSchopf/medical_abstracts", {"data/train-00000-of-00001.parquet"}),
        ("PleIAs/SEC", {"1993.parquet"}),
    ],
)
def test_both_corpora_of_the_t4_recipe_are_found_on_a_hub(path, fetched, tiny_model, tmp_path):
    dataset = datasets_of_the_recipe()[path]
    config = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))
    config |= {"datasets": [dataset], "test_datasets": [dataset], "base_model": str(tiny_model)}
    config |= {"fp16": False, "dataset_prepared_path": "prepared"}
    config["cft"] |= {"trained_tokens": 4000}
    (tmp_path / "t4.yml").write_text(yaml.safe_dump(config), encoding="utf-8")

    with loopback_hub.serve(REPOSITORIES) as (address, asked):
        environment = {
            **os.environ,
            **{"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home")},
            **{"HF_HUB_OFFLINE": "0", "HF_DATASETS_OFFLINE": "0"},
            "AXOLOTL_DATASET_NUM_PROC": "0",
        }

        def run(*command: str) -> str:
            called = [sys.executable, "-m", *command]
            ended = subprocess.run(
                called, cwd=tmp_path, env=environment, capture_output=True, text=True
            )
            assert ended.returncode == 0, ended.stderr[-2000:]
            return ended.stdout

        [shown] = json.loads(run("axolotl_cft.cli", "preview", "t4.yml", "--json"))
        run("axolotl.cli.preprocess", "t4.yml")

    assert shown["ledger"]["documents"] == len(TEXTS) and shown["ledger"]["empty"] == 0
    assert fetched <= {name for name in asked if name.endswith(".parquet")}
    assert "1994.parquet" not in asked and not any(name.startswith("labels/") for name in asked)
    ledgers = (tmp_path / "prepared").glob("*.cft_ledger.json")
    parts = [json.loads(path.read_text(encoding="utf-8"))["datasets"] for path in ledgers]
    found = {entry["part"]: entry["ledger"] for entries in parts for entry in entries}
    assert found["train"]["documents"] == found["test"]["documents"] == len(TEXTS)
    assert 4000 - 512 < found["train"]["trained_tokens"] <= 4000
    assert 0 < found["test"]["used"] == found["train"]["held_out"]
    [source] = SourcesRecord.read(tmp_path / "prepared" / SOURCES_FILE).sources
    assert (source.source.kind, source.source.version) == ("hub", loopback_hub.COMMIT)
