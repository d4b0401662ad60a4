"""Every recipe in example_configs/ goes through Axolotl: its validation, its data, two steps."""

import json
import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import make_documents, write_jsonl
from host import import_all

CONFIG_DIR = Path(__file__).resolve().parents[1] / "example_configs"
NO_TRAINING = ("study_", "corpus_")
RECIPES = sorted(p for p in CONFIG_DIR.glob("*.yml") if not p.name.startswith(NO_TRAINING))

FORCED_BY_CPU_WITHOUT_HUB = frozenset(
    {
        # the model and everything that lies on disk
        "base_model",
        "datasets.path",
        "test_datasets.path",
        "dataset_prepared_path",
        "output_dir",
        # sharding, attention, precision, quantization, optimizer
        "fsdp_version",
        "fsdp_config",
        "attn_implementation",
        "bf16",
        "tf32",
        "load_in_4bit",
        "adapter",
        "optimizer",
        # lengths and batch
        "sequence_len",
        "max_steps",
        "micro_batch_size",
        "gradient_accumulation_steps",
    }
)
"""The only keys that the test may change. Everything else must work as it is written."""


def overridden(recipe: dict, base_model: Path, folder: Path) -> dict:
    """`recipe` for a CPU without the hub."""
    config = dict(recipe) | {
        "base_model": str(base_model),
        "dataset_prepared_path": str(folder / "prepared"),
        "output_dir": str(folder / "out"),
        "attn_implementation": "sdpa",
        "bf16": False,
        "tf32": False,
        "optimizer": "adamw_torch",
        "sequence_len": 256,
        "max_steps": 2,
        "micro_batch_size": 2,
        "gradient_accumulation_steps": 1,
    }
    for key in ("fsdp_version", "fsdp_config", "load_in_4bit"):
        config.pop(key, None)
    if config.get("adapter") == "qlora":
        config["adapter"] = "lora"
    for key in ("datasets", "test_datasets"):
        if key in config:
            config[key] = [dict(item, path=str(data_for(item, folder))) for item in config[key]]
    return config


def data_for(dataset: dict, folder: Path) -> Path:
    """A local file of the kind that the recipe names: raw documents or conversations."""
    if dataset["type"] == "cft":
        documents = [  # 1 % of them is a held-out part
            row | {"document": row["id"]} for row in make_documents(800, words=24)
        ]
        if "ds_type" not in dataset:
            return write_jsonl(folder / "corpus.jsonl", documents)
        for number in range(2):  # a folder of shards, as `corpus make` leaves one
            shard = folder / "data" / f"shard-{number:05}.parquet"
            shard.parent.mkdir(exist_ok=True)
            pq.write_table(pa.Table.from_pylist(documents[number::2]), shard)
        return folder / "data"
    question = {"role": "user", "content": "What does insulin do?"}
    answer = {"role": "assistant", "content": "It lets cells take up glucose."}
    return write_jsonl(folder / "chat.jsonl", [{"messages": [question, answer]}] * 200)


def changed_keys(before: dict, after: dict) -> set[str]:
    """Keys whose values differ, those of the dataset lists spelled out."""
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    for part in changed & {"datasets", "test_datasets"}:
        changed.remove(part)
        assert len(before[part]) == len(after[part])
        for old, new in zip(before[part], after[part], strict=True):
            changed |= {f"{part}.{key}" for key in changed_keys(old, new)}
    return changed


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_trains_two_steps(path, tiny_model, tmp_path, monkeypatch):
    from axolotl.cli.config import load_cfg
    from axolotl.common.datasets import load_datasets
    from axolotl.integrations.base import PluginManager
    from axolotl.train import train

    recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    config = overridden(recipe, tiny_model, tmp_path)
    assert changed_keys(recipe, config) <= FORCED_BY_CPU_WITHOUT_HUB
    config_file = tmp_path / path.name
    config_file.write_text(yaml.safe_dump(config), encoding="utf-8")

    monkeypatch.setenv("AXOLOTL_DATASET_NUM_PROC", "1")  # another process would import the host
    import_all()
    PluginManager.get_instance().plugins.clear()  # a singleton: the last recipe's are still there
    cfg = load_cfg(str(config_file))
    _, _, trainer = train(cfg, load_datasets(cfg=cfg))

    assert trainer.state.global_step == 2
    loss = next(entry["train_loss"] for entry in trainer.state.log_history if "train_loss" in entry)
    assert math.isfinite(loss) and loss > 0
    ledger_file = tmp_path / "out" / "cft_ledger.json"
    assert ledger_file.exists() == ("plugins" in recipe)
    if "plugins" in recipe:
        ledger = json.loads(ledger_file.read_text(encoding="utf-8"))
        mixed = any(dataset["type"] != "cft" for dataset in recipe["datasets"])
        assert ledger["reached_trainer"]["mixed_with_other_datasets"] == mixed
        assert mixed or ledger["reached_trainer"]["trained_tokens_lost"] == 0
        assert ledger["test"]["used"] > 0
        assert ledger["test"]["prompt_tokens"] == 0
    if path.stem == "cooldown":
        assert_prompts_then_none(trainer)


def assert_prompts_then_none(trainer):
    """The trainer meets all rows with a prompt first, then those without."""
    masked = [
        (batch["labels"] == -100).sum(dim=1) - (batch["attention_mask"] == 0).sum(dim=1) > 1
        for batch in trainer.get_train_dataloader()
    ]
    prompted = [bool(value) for batch in masked for value in batch]
    first_bare = prompted.index(False)
    assert 0 < first_bare < len(prompted) - 1
    assert not any(prompted[first_bare:])


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_is_complete(path):
    recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(recipe["seed"], int)
    assert path.read_text(encoding="utf-8").startswith("# ")


def test_recipes_do_not_share_prepared_folders():
    recipes = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in RECIPES]
    folders = [recipe["dataset_prepared_path"] for recipe in recipes]
    assert len(set(folders)) == len(folders)
    outputs = [recipe["output_dir"] for recipe in recipes]
    assert len(set(outputs)) == len(outputs)


def test_published_recipe_has_the_published_settings():
    recipe = yaml.safe_load((CONFIG_DIR / "cft_llama2.yml").read_text(encoding="utf-8"))
    gpus = 8
    assert recipe["micro_batch_size"] * recipe["gradient_accumulation_steps"] * gpus == 128
    published = {
        "num_epochs": 1,
        "learning_rate": 2e-5,
        "sequence_len": 4096,
        "adam_beta1": 0.9,
        "adam_beta2": 0.95,
        "adam_epsilon": 1e-5,
        "weight_decay": 0.1,
        "lr_scheduler": "cosine",
        "warmup_ratio": 0.05,
        "max_grad_norm": 1.0,
    }
    assert {key: recipe[key] for key in published} == published
