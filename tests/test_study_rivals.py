"""The shipped study of the rivals, end to end: a tiny model, a loopback LLM, one seed."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import write_jsonl
from loopback_llm import Loopback, serve
from studies import REAL, TASK, call
from test_example_configs import CONFIG_DIR, overridden

ROWS = 256
TEXT = (
    "The heart number {i} pumps blood through all the vessels of the human body every day. "
    "However, the valves of the heart keep this blood from flowing back at any time. "
    "Thus, the blood of the body moves through its vessels in a single direction only. "
    "The slow beat of heart number {i} in old age is due to a loss of cells in its muscle. "
    "In other words, a heart of {i} years has fewer of the cells that set its rhythm. "
)


def documents(count: int) -> list[dict[str, Any]]:
    """With the columns of a packed corpus that the study names."""
    return [
        {
            "doc_id": f"book/{i}",
            "title": f"Heart {i}",
            "url": f"site{i % 3}.example" if i % 3 else None,
            "text": TEXT.format(i=i) * (1 + i % 4),
        }
        for i in range(count)
    ]


@pytest.fixture
def study(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped file where its data lie; model, sizes, tasks and launchers are for a CPU."""
    monkeypatch.chdir(tmp_path)
    shards = tmp_path / "data/openmedtext/data"
    shards.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(documents(60)), shards / "shard-00000.parquet")
    green = "Number {i}: in the street the trees were green."
    general = [{"doc_id": f"g{i}", "text": green.format(i=i)} for i in range(80)]
    write_jsonl(tmp_path / "data/general.jsonl", general)
    items = [{"question": f"{i} is", "label": i % 2} for i in range(8)]
    (tmp_path / "tasks").mkdir()
    task = TASK.replace("ITEMS", str(write_jsonl(tmp_path / "items.jsonl", items)))
    (tmp_path / "tasks/parity.yaml").write_text(task)

    configs = tmp_path / "example_configs"
    configs.mkdir()
    (configs / "metadata_pool.yaml").write_text((CONFIG_DIR / "metadata_pool.yaml").read_text())
    recipe = yaml.safe_load((CONFIG_DIR / "cft_llama2.yml").read_text())
    tiny = overridden(recipe, tiny_model, tmp_path) | {"sequence_len": ROWS, "save_strategy": "no"}
    del tiny["max_steps"]
    for key in ("saves_per_epoch", "save_total_limit", "attn_implementation"):
        tiny.pop(key, None)
    tiny["datasets"] = recipe["datasets"]
    tiny["cft"] = tiny["cft"] | {"holdout": 0.2, "prompt_budget": 96}
    (configs / "cft_llama2.yml").write_text(yaml.safe_dump(tiny, sort_keys=False))

    text = (CONFIG_DIR / "study_rivals.yml").read_text()
    shipped = yaml.safe_load(text.replace("meta-llama/Llama-2-7b-chat-hf", str(tiny_model)))
    content = shipped | {
        "seeds": [1],
        "tasks": ["study_parity"],
        "general": ["study_parity"],
        "heldout_documents": 6,
        "lm_eval": {"include_path": str(tmp_path / "tasks"), "device": "cpu", "limit": 8},
        "launch": REAL,
    }
    path = configs / "study_rivals.yml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(3000)
def test_all_arms_train_as_many_tokens_and_are_in_the_report(study, tmp_path, monkeypatch):
    root = tmp_path / "rivals"
    with serve(Loopback()) as server:
        for name, value in (("BASE_URL", server.url), ("MODEL", "m"), ("API_KEY", "none")):
            monkeypatch.setenv(f"OPENAI_{name}", value)
        result = call(study, root)
    assert result.exit_code == 0, result.output
    arms = yaml.safe_load(study.read_text())["arms"]
    ledgers = {
        path.parents[3].name: json.loads(path.read_text())
        for path in root.glob("*/seed1/train/train/cft_ledger.json")
    }
    assert ledgers.keys() == arms.keys() - {"chat"}
    tokens = {arm: ledger["trained"]["tokens"] for arm, ledger in ledgers.items()}
    assert max(tokens.values()) - min(tokens.values()) < 2 * ROWS, tokens  # replay has two datasets
    assert ledgers["cft"]["train"]["beyond_budget"] > 0
    heldout = [json.loads(line) for line in (root / "heldout/test.jsonl").open()]
    texts = {row["text"] for row in documents(60)}
    assert heldout and {row["text"] for row in heldout} <= texts
    report = (root / "report" / "report.md").read_text()
    assert all(f"{arm}" in report for arm in arms)
    assert "did not all train on the same tokens" in report
