"""It holds in the host: the real Axolotl trains on it, on CPU, with a tiny Llama."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import make_documents, write_jsonl
from host import fit, host_config, losses, prepare, write_config

from axolotl_cft.core.encoding import IGNORE_INDEX
from axolotl_cft.errors import CFTError
from axolotl_cft.host.preparing import descriptions


@pytest.fixture
def corpus(tmp_path) -> Path:
    return write_jsonl(tmp_path / "corpus.jsonl", make_documents(16))


@pytest.fixture
def config(tmp_path, tiny_model, corpus):
    return host_config(tmp_path, tiny_model, corpus)


LORA = {
    "adapter": "lora",
    "lora_r": 4,
    "lora_alpha": 8,
    "lora_target_modules": ["q_proj"],
    # The host's LoRA kernels patch the attention class for good; later tests share this process.
    "lora_qkv_kernel": False,
    "lora_o_kernel": False,
    "lora_mlp_kernel": False,
}
PACKED = {
    "sample_packing": True,
    "curriculum_sampling": True,
    "sample_packing_sequentially": True,
    "micro_batch_size": 1,
    "sequence_len": 512,
}


def nll_of_text(model, rows) -> tuple[float, int]:
    """Summed -log P(x_k | c, x_<k) over the texts, from logits alone, row by row."""
    total, count = 0.0, 0
    for row in rows:
        ids = torch.tensor(row["input_ids"])
        context = row["labels"].count(IGNORE_INDEX)
        assert row["labels"][context:] == row["input_ids"][context:]
        with torch.no_grad():
            log_probs = model(ids[None]).logits[0].double().log_softmax(-1)
        for k in range(context, len(ids)):
            total -= float(log_probs[k - 1, ids[k]])
            count += 1
    return total, count


@pytest.mark.parametrize("packed", [False, True], ids=["unpacked", "packed"])
def test_loss_is_taken_on_the_text_only(config, corpus, packed):
    """The host's first loss equals the paper's L_CFT computed by hand from the logits."""
    from transformers import AutoModelForCausalLM

    write_jsonl(corpus, make_documents(6, words=20))
    config |= {"learning_rate": 0.0, "max_steps": 1, "micro_batch_size": 8}
    if packed:
        config |= {**PACKED, "sequence_len": 2048, "pad_to_sequence_len": True}
    trainer = fit(config)
    rows = list(trainer.train_dataset)
    model = AutoModelForCausalLM.from_pretrained(config["base_model"]).eval()
    total, count = nll_of_text(model, rows)
    assert len(rows) == 6 and count == sum(x != IGNORE_INDEX for row in rows for x in row["labels"])
    assert losses(trainer)[0] == pytest.approx(total / count, abs=2e-4)


@pytest.mark.parametrize("adapter", [{}, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("packing", [{}, PACKED], ids=["unpacked", "packed"])
def test_it_trains(config, adapter, packing):
    trainer = fit({**config, **adapter, **packing, "max_steps": 6, "learning_rate": 1e-2})
    seen = losses(trainer)
    assert len(seen) >= 3 and all(0 < loss < 10 for loss in seen)
    if adapter:  # LoRA's B starts at zero
        learned = [p for name, p in trainer.model.named_parameters() if "lora_B" in name]
        assert learned and all(p.abs().sum() > 0 for p in learned)
    else:
        assert seen[-1] < seen[0]
    ledger = json.loads((Path(config["output_dir"]) / "cft_ledger.json").read_text())
    assert ledger["reached_trainer"]["trained_tokens_lost"] == 0


def test_it_mixes_with_other_strategies(config, tmp_path):
    alpaca = [{"instruction": f"Say {i}.", "input": "", "output": f"{i}."} for i in range(4)]
    chats = [
        {
            "messages": [
                {"role": "user", "content": f"Say {i}."},
                {"role": "assistant", "content": f"{i}."},
            ]
        }
        for i in range(4)
    ]
    config["datasets"] += [
        {"path": str(write_jsonl(tmp_path / "alpaca.jsonl", alpaca)), "type": "alpaca"},
        {"path": str(write_jsonl(tmp_path / "chats.jsonl", chats)), "type": "chat_template"},
    ]
    trainer = fit(config)
    ledger = json.loads((Path(config["output_dir"]) / "cft_ledger.json").read_text())
    assert ledger["reached_trainer"]["mixed_with_other_datasets"]
    assert ledger["reached_trainer"]["rows"] == ledger["train"]["rows"] + 8
    assert len(trainer.train_dataset) == ledger["train"]["rows"] + 8


def test_held_out_documents_are_evaluated_without_prompts(config, corpus):
    config["cft"]["holdout"] = 0.3
    config["test_datasets"] = [{"path": str(corpus), "type": "cft", "field": "text"}]
    config |= {"eval_strategy": "steps", "eval_steps": 2}
    trainer = fit(config)
    assert any("eval_loss" in entry for entry in trainer.state.log_history)
    ledger = json.loads((Path(config["output_dir"]) / "cft_ledger.json").read_text())
    assert ledger["test"]["prompt_tokens"] == 0
    assert ledger["test"]["used"] + ledger["train"]["used"] == 16


def test_streaming_keeps_the_mask_and_has_no_ledger(config, caplog, tmp_path):
    prepare(config)  # starts the tokenizer's threads, which the loader's forks will not have
    config |= {"streaming": True, "dataset_prepared_path": str(tmp_path / "other")}
    with caplog.at_level("INFO"):
        trainer = fit(config)
    row = next(iter(trainer.train_dataset))
    labels = list(map(int, row["labels"]))
    assert 5 < labels.count(IGNORE_INDEX) < len(labels)
    assert len(losses(trainer)) == 2
    assert "no ledger" in caplog.text
    assert not (Path(config["output_dir"]) / "cft_ledger.json").exists()


def test_packed_streaming_keeps_the_mask(config, corpus, tmp_path):
    config["datasets"] = [
        {"path": "json", "data_files": str(corpus), "type": "cft", "field": "text"}
    ]
    config |= {**PACKED, "streaming": True, "dataset_prepared_path": str(tmp_path / "other")}
    trainer = fit(config)
    assert len(losses(trainer)) == 2
    labels = next(iter(trainer.train_dataset))["labels"].flatten().tolist()
    assert 5 < labels.count(IGNORE_INDEX) < len(labels)
    assert not list((tmp_path / "other").glob("*ledger*"))


def test_a_dataset_prepared_in_shards_is_whole(config, corpus):
    """Most shards hold no held-out document, and each is prepared by itself."""
    config["cft"]["holdout"] = 0.15
    shards = {"path": str(corpus), "type": "cft", "field": "text", "preprocess_shards": 8}
    config |= {"datasets": [shards], "test_datasets": [dict(shards)]}
    _, meta = prepare(config)
    train, test = descriptions(meta.train_dataset), descriptions(meta.eval_dataset)
    assert sum(e.ledger.used for e in train) + sum(e.ledger.used for e in test) == 16
    assert 0 < len(test) < 8 and len({entry.path for entry in train}) == len(train)
    config["cft"]["holdout"] = 0.0001
    with pytest.raises(CFTError, match="test_datasets: none of its rows reached the trainer"):
        fit(config)


def test_training_reuses_what_preprocess_made(config, caplog):
    prepare(config, preprocess=True)
    (folder,) = [p for p in Path(config["dataset_prepared_path"]).iterdir() if p.is_dir()]
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    with caplog.at_level("INFO"):
        fit(config)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert "Contextual fine-tuning" not in caplog.text
    assert (Path(config["output_dir"]) / "cft_ledger.json").exists()


@pytest.mark.parametrize("packing", [{}, PACKED], ids=["unpacked", "packed"])
def test_a_resumed_run_has_the_losses_of_an_uninterrupted_one(config, tmp_path, packing):
    config |= {**packing, "max_steps": 4, "save_strategy": "steps", "save_steps": 2}
    whole = losses(fit(config))
    second = tmp_path / "second"
    shutil.copytree(Path(config["output_dir"]) / "checkpoint-2", second / "checkpoint-2")
    resumed = fit({**config, "output_dir": str(second), "auto_resume_from_checkpoints": True})
    assert len(whole) == 4
    assert losses(resumed)[-2:] == whole[-2:]


TWO_RANKS = '''
import sys
from axolotl.integrations.base import BasePlugin


class CPURanks(BasePlugin):
    """Test only: the host forces device_map to the rank's GPU; there is none here."""

    def load_datasets(self, cfg, preprocess=False):
        cfg.device_map = {"": "cpu"}
'''


@pytest.mark.slow
def test_two_ranks_share_one_preparation(config, tmp_path):
    (tmp_path / "cpu_ranks.py").write_text(TWO_RANKS)
    config["plugins"].append("cpu_ranks.CPURanks")
    config |= {"dataset_num_proc": 1, "ddp_backend": "gloo", **PACKED, "sequence_len": 192}
    config |= {"multipack_real_batches": False, "micro_batch_size": 2}
    del config["max_steps"]
    path = write_config(tmp_path / "config.yml", config)
    environment = {
        **os.environ,
        "ACCELERATE_USE_CPU": "true",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
    }
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*torchrun, "--nproc_per_node", "2", "-m", "axolotl.cli.train", str(path)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("cft: every trained token reached the trainer") == 1
    ledger = json.loads((Path(config["output_dir"]) / "cft_ledger.json").read_text())
    card = (Path(config["output_dir"]) / "README.md").read_text()
    assert card.count("## What was trained") == 1
    assert ledger["reached_trainer"]["trained_tokens_lost"] == 0
    trained = ledger["trained"]
    assert (trained["epochs"], trained["by_epoch"]) == (1.0, [trained["tokens"]])
    assert trained["tokens"] > trained["tokens_an_epoch"] / 2  # of both ranks
    # The bound: of packed rows, fewer than there are ranks do not go round.
    assert 0 <= trained["tokens_lost"] < 1 * config["micro_batch_size"] * config["sequence_len"]
    if trained["tokens_lost"]:
        assert "which do not go round all 2 ranks, are dropped" in done.stdout + done.stderr
