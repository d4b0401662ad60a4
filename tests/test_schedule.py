"""What a study tells of its arms before it trains them is what the host then does."""

import shlex

import pytest
from conftest import make_documents, slow, write_jsonl
from datasets import Dataset
from host import fit, host_config

from axolotl_cft.errors import CFTError
from axolotl_cft.host.schedule import read_schedule
from axolotl_cft.study.plan import Run, Step
from axolotl_cft.study.schedule import _read, processes_of

PACKED = {"sample_packing": True, "multipack_real_batches": False, "curriculum_sampling": True}


@pytest.mark.parametrize(
    "changes",
    [
        {"lr_scheduler": "cosine"},  # a warm-up of 3 % of the steps
        {"warmup_steps": 1, "max_steps": 5},
        *slow(
            {"warmup_ratio": 0.2, "gradient_accumulation_steps": 4, "lr_scheduler": "linear"},
            {"warmup_ratio": 0.3, "max_steps": 7, "num_epochs": 1},
            {**PACKED, "warmup_ratio": 0.25, "num_epochs": 3},
            {**PACKED, "multipack_real_batches": None, "warmup_ratio": 0.25, "micro_batch_size": 3},
            {"val_set_size": 0.25, "warmup_ratio": 0.2},
            {"cft": {"every": 20, "prompt_budget": 64}, "dataset_exact_deduplication": True},
        ),
    ],
)
def test_steps_and_warm_up_are_the_trainers(tmp_path, tiny_model, changes):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", make_documents(24, words=240))
    changes = {"max_steps": None, "num_epochs": 2, **changes}
    config = host_config(tmp_path, tiny_model, corpus, **changes)
    trainer = fit(config)
    [prepared] = (path for path in (tmp_path / "prepared").iterdir() if path.is_dir())
    before = sorted(prepared.iterdir())
    found = read_schedule(config, prepared, processes=1)
    assert sorted(prepared.iterdir()) == before
    rows = trainer.train_dataset
    assert (found.rows, found.tokens) == (len(rows), sum(map(len, rows["input_ids"])))
    assert found.whole == ("val_set_size" not in changes)
    assert found.steps == trainer.state.global_step
    assert found.epochs == pytest.approx(trainer.state.epoch, abs=0.01)
    assert found.warmup == trainer.args.get_warmup_steps(trainer.state.max_steps)
    assert (found.learning_rate, found.scheduler) == (
        trainer.args.learning_rate,
        trainer.args.lr_scheduler_type.value,
    )
    assert not found.drawn


def test_what_cannot_be_told_is_said(tmp_path, tiny_model):
    config = host_config(tmp_path, tiny_model, tmp_path / "corpus.jsonl")
    with pytest.raises(CFTError, match="absent cannot be used"):
        read_schedule(config, tmp_path / "absent", processes=1)
    with pytest.raises(CFTError, match="the config cannot be used: micro_batch_size"):
        read_schedule(config | {"micro_batch_size": "two"}, tmp_path, processes=1)


def test_a_host_that_fails_at_it_is_said_too(tmp_path, tiny_model):
    Dataset.from_dict({"input_ids": [1, 2]}).save_to_disk(tmp_path / "prepared")
    config = host_config(tmp_path, tiny_model, tmp_path / "corpus.jsonl")
    step = Step("prepare", Run("cpt", 1), (), "x", config)
    with pytest.raises(CFTError, match=r"the host failed at it \(Arrow"):
        _read(step, tmp_path / "prepared", 1)


@pytest.mark.parametrize(
    ("command", "gpus", "expected"),
    [
        ("python -m axolotl.cli.train c.yml", 4, 1),
        ("accelerate launch -m axolotl.cli.train c.yml", 4, 4),
        ("/opt/bin/accelerate launch -m axolotl.cli.train c.yml", 0, 1),
        ("accelerate launch --num_processes 2 -m axolotl.cli.train c.yml", 8, 2),
        ("python -m accelerate.commands.launch --cpu --num_processes 1 -m x c.yml", 8, 1),
        ("torchrun --nproc_per_node=8 --nnodes 2 -m axolotl.cli.train c.yml", 8, 16),
        ("torchrun --nproc-per-node gpu -m axolotl.cli.train c.yml", 3, 3),
        ("srun --gpus=8 accelerate launch -m axolotl.cli.train c.yml", 8, 8),
    ],
)
def test_the_processes_of_a_launch_command(command, gpus, expected):
    assert processes_of(shlex.split(command), gpus) == expected
