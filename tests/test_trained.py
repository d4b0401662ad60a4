"""The ledger counts what was trained: what the host's sampler leaves out shows, and can be had."""

import json
import logging
import shutil
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import make_documents, write_jsonl
from host import fit, host_config, load_cfg
from transformers import Trainer, TrainerControl, TrainerState

from axolotl_cft.core.encoding import IGNORE_INDEX
from axolotl_cft.host.output_dir import LEDGER_FILE
from axolotl_cft.host.packing import lossless_overrides, missing_lines
from axolotl_cft.host.trained import (
    NOT_ENDED,
    TrainedTokens,
    log_trained,
    not_yet,
    reason_not_to_count,
    trained_entry,
    why_lost,
)
from axolotl_cft.records import LedgerRecord, Software, TrainingLedger

LOSSLESS = {"multipack_real_batches": False, "curriculum_sampling": True}


@pytest.fixture
def config(tmp_path, tiny_model):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", make_documents(30, words=24))
    config = host_config(tmp_path, tiny_model, corpus, sequence_len=160, micro_batch_size=3)
    del config["max_steps"]
    return config


def ledger_of(config: dict[str, Any]) -> dict[str, Any]:
    return json.loads((Path(config["output_dir"]) / "cft_ledger.json").read_text())


@pytest.fixture
def counted(monkeypatch) -> list[int]:
    """Labels of each training step, counted beside the host."""
    seen: list[int] = []
    step = Trainer.training_step

    def counting_step(self, model, inputs, *args, **kwargs):
        seen.append(int((inputs["labels"] != IGNORE_INDEX).sum()))
        return step(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(Trainer, "training_step", counting_step)
    return seen


# --- in the host -----------------------------------------------------------------------------


def test_rows_that_the_packing_sampler_drops_show_as_a_loss(config, counted, caplog):
    config |= {"sample_packing": True, "eval_strategy": "epoch", "eval_sample_packing": False}
    config["test_datasets"] = [{**config["datasets"][0], "cft": {"prompts": "none"}}]
    with caplog.at_level(logging.WARNING):
        fit(config)
    trained, reached = ledger_of(config)["trained"], ledger_of(config)["reached_trainer"]
    assert trained["tokens"] == sum(counted) < reached["trained_tokens"]
    assert reached["trained_tokens_lost"] == 0  # all that is lost is lost in the sampler
    lost = reached["trained_tokens"] - sum(counted)
    assert trained["tokens_lost"] == lost
    assert trained["share_lost"] == pytest.approx(lost / reached["trained_tokens"], abs=1e-6)
    assert trained["steps"] == len(counted)
    assert f"cft: {lost:,} tokens ({trained['share_lost']:.2%}) reached the trainer" in caplog.text
    assert "set multipack_real_batches: false and curriculum_sampling: true; see" in caplog.text


@pytest.mark.slow
def test_with_the_lossless_lines_every_token_is_trained_alone_and_through_a_resume(
    config, counted, tmp_path
):
    """Two epochs of updates that do not divide an epoch's bins, then again from a checkpoint."""
    config |= {**LOSSLESS, "sample_packing": True, "pad_to_sequence_len": False, "num_epochs": 2}
    config |= {"gradient_accumulation_steps": 4, "save_strategy": "steps", "save_steps": 1}
    config["datasets"][0]["shards"] = 1
    trainer = fit(config)
    bins = len(trainer.get_train_dataloader())
    assert bins % 4, "an epoch must end within an update"
    ledger = ledger_of(config)
    trained, an_epoch = ledger["trained"], ledger["reached_trainer"]["trained_tokens"]
    assert trained["by_epoch"] == [an_epoch, an_epoch] and sum(counted) == trained["tokens"]
    assert (trained["tokens_lost"], trained["share_lost"], trained["epochs"]) == (0, 0.0, 2.0)
    assert len(counted) == 2 * bins
    check_isolation(trainer)

    an_epoch_of_steps = trained["steps"] // 2
    for step in (an_epoch_of_steps - 1, an_epoch_of_steps):  # within an epoch, and at its end
        resumed = {**config, "output_dir": str(tmp_path / f"from-{step}")}
        checkpoint = f"checkpoint-{step}"
        shutil.copytree(
            Path(config["output_dir"]) / checkpoint, Path(resumed["output_dir"]) / checkpoint
        )
        counted.clear()
        fit({**resumed, "auto_resume_from_checkpoints": True})
        assert 0 < sum(counted) < trained["tokens"]
        assert ledger_of(resumed)["trained"] == trained


def check_isolation(trainer: Any) -> None:
    """Packed in one bin of several rows' length, a document's logits are those it has alone."""
    batches = list(trainer.get_train_dataloader())
    batch = max(batches, key=lambda batch: batch["input_ids"].shape[1])
    ids, positions = batch["input_ids"].cpu(), batch["position_ids"].cpu()
    assert ids.shape[0] == 1 and ids.shape[1] > trainer.args.max_seq_length
    assert "attention_mask" not in batch
    model = trainer.model.eval().cpu()
    starts = [*(positions[0] == 0).nonzero().flatten().tolist(), ids.shape[1]]
    assert len(starts) > 4
    with torch.no_grad():
        packed = model(input_ids=ids, position_ids=positions).logits[0]
        told_nothing = torch.arange(ids.shape[1])[None]
        mixed = model(input_ids=ids, position_ids=told_nothing).logits[0]
        alone = [model(ids[:, a:b]).logits[0] for a, b in pairwise(starts)]
    assert float((packed - torch.cat(alone)).abs().max()) < 1e-5
    assert float((mixed - torch.cat(alone)).abs().max()) > 1e-2  # the check can fail


def test_an_unpacked_run_loses_nothing_and_ends_where_its_epochs_end(config, counted):
    """By itself the host would stop after ceil(30 * 3 / 12) steps, within the third epoch."""
    config |= {"num_epochs": 3, "gradient_accumulation_steps": 4}
    fit(config)
    trained = ledger_of(config)["trained"]
    assert trained["steps"] == 3 * 3
    assert trained["tokens"] == sum(counted) == 3 * trained["tokens_an_epoch"]
    assert (trained["tokens_lost"], trained["share_lost"]) == (0, 0.0)


def test_where_the_host_does_not_count_the_ledger_says_so(config, caplog):
    with caplog.at_level(logging.WARNING):
        fit({**config, "include_tkps": False, "max_steps": 1})
    trained = ledger_of(config)["trained"]
    assert trained["tokens"] is None and trained["not_counted"] == "include_tkps is off"
    assert trained["steps"] == 1 and trained["tokens_an_epoch"] > 0
    assert "trained tokens were not counted: include_tkps is off" in caplog.text


def test_an_epoch_of_the_trainer_is_no_limit_of_the_user(config):
    from axolotl.integrations.base import PluginManager

    for limit, expected in ((None, {"max_steps": -1}), (7, {})):
        cfg = load_cfg({**config, "max_steps": limit})
        assert PluginManager.get_instance().get_training_args(cfg) == expected


# --- the count -------------------------------------------------------------------------------


def test_losses_are_told_of_whole_epochs():
    whole = trained_entry(180, [95, 180], 100, 2.0, 20)
    assert (whole.by_epoch, whole.tokens_lost, whole.share_lost) == ([95, 85], 20, 0.1)
    cut = trained_entry(120, [95], 100, 1.3, 13)
    assert (cut.by_epoch, cut.tokens_lost, cut.share_lost) == ([95, 25], 5, 0.05)
    less = trained_entry(30, [], 100, 0.3, 3)
    assert (less.by_epoch, less.tokens_lost, less.share_lost) == ([30], None, None)
    unknown = trained_entry(190, None, 100, 2.0, 20)
    assert (unknown.by_epoch, unknown.tokens_lost) == (None, 10)
    assert trained_entry(190, None, 100, 2.5, 25).tokens_lost is None


class Run:
    """A trainer's state and our callback, without a trainer."""

    def __init__(self, folder: Path, step: int = 0, epoch: float = 0.0, kept: Any = None):
        self.args = SimpleNamespace(
            output_dir=str(folder),
            sample_packing=True,
            multipack_real_batches=True,
            per_device_train_batch_size=2,
            curriculum_sampling=None,
            world_size=1,
        )
        self.state = TrainerState(global_step=step, epoch=epoch)
        self.state.is_world_process_zero = True
        self.control = TrainerControl()
        self.callback = TrainedTokens(Software(versions={"torch": "2"}))
        if kept is not None:
            self.state.stateful_callbacks["TrainedTokens"] = json.loads(json.dumps(kept))

    def tell(self, event: str) -> None:
        getattr(self.callback, f"on_{event}")(self.args, self.state, self.control)

    def step(self, tokens: int, epoch: float) -> None:
        self.state.tokens["trainable"] = self.state.tokens["trainable"] + torch.tensor(tokens)
        self.state.global_step += 1
        self.state.epoch = epoch


def test_counts_beyond_the_reach_of_float32_are_exact(tmp_path):
    run = Run(tmp_path)
    run.tell("train_begin")
    for _ in range(3):
        run.step(2**24 + 1, 1.0)
    run.tell("epoch_end")
    assert run.callback.ends == [3 * (2**24 + 1)]


def test_a_count_that_is_added_up_only_for_logs_is_read_after_the_log(tmp_path):
    """As newer versions of the host do it."""
    run = Run(tmp_path)
    run.tell("train_begin")
    run.state.global_step, run.state.epoch = 1, 1.0
    run.tell("epoch_end")
    assert run.control.should_log
    run.state.tokens["trainable"] = torch.tensor(50)
    run.tell("log")
    run.step(10, 1.5)
    run.tell("log")
    assert run.callback.ends == [50]


def test_a_run_that_is_cut_short_has_no_end_of_that_epoch(tmp_path):
    run = Run(tmp_path)
    run.tell("train_begin")
    run.step(10, 0.5)
    run.control.should_training_stop = True
    run.tell("epoch_end")
    assert run.callback.ends == []
    early = Run(tmp_path)  # a random order may pack an epoch into fewer bins than the host expects
    early.tell("train_begin")
    early.step(10, 0.9)
    early.tell("epoch_end")
    assert early.callback.ends == [10]


def test_what_a_checkpoint_does_not_hold_is_not_made_up(tmp_path):
    nothing = Run(tmp_path, step=3, epoch=1.5)  # saved by a run without this callback
    nothing.tell("train_begin")
    assert nothing.callback.ends is None
    assert (
        nothing.callback.not_counted == "the checkpoint that training resumed from holds no count"
    )
    assert "TrainedTokens" in nothing.state.stateful_callbacks  # the host saves into this place
    again = Run(tmp_path, step=4, epoch=2.0, kept=nothing.callback.state())
    (tmp_path / "checkpoint-4").mkdir()
    (tmp_path / "checkpoint-4/tokens_state.json").write_text('{"total": 9, "trainable": 7}')
    again.tell("train_begin")  # the file counts the second session alone
    assert again.callback.not_counted == nothing.callback.not_counted
    tokens_only = Run(tmp_path, step=4, epoch=2.0)
    tokens_only.tell("train_begin")
    assert tokens_only.callback.not_counted is None and tokens_only.callback.ends is None
    assert int(tokens_only.state.tokens["trainable"]) == 7


def test_a_ledger_that_is_gone_does_not_cost_the_model(tmp_path, caplog):
    run = Run(tmp_path)
    run.tell("train_begin")
    run.step(10, 1.0)
    with caplog.at_level(logging.WARNING):
        run.tell("train_end")
    assert "what was trained is not in the ledger" in caplog.text
    path = tmp_path / LEDGER_FILE
    TrainingLedger(train=LedgerRecord(), trained=not_yet(10)).write(path)
    run.tell("train_end")
    assert TrainingLedger.read(path).trained == trained_entry(10, [], 10, 1.0, 1)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"include_tkps": True}, None),
        ({"include_tkps": False}, "include_tkps is off"),
        ({"include_tkps": True, "context_parallel_size": 2}, "with context_parallel_size the host"),
        ({"include_tkps": True, "tensor_parallel_size": 4}, "with tensor_parallel_size the host"),
    ],
)
def test_why_a_run_is_not_counted(options, reason):
    from axolotl.utils.dict import DictDefault

    found = reason_not_to_count(DictDefault(options))
    assert found is None if reason is None else found.startswith(reason)


def test_what_the_log_says_of_each_outcome(tmp_path, caplog):
    args = Run(tmp_path).args
    with caplog.at_level(logging.INFO):
        for entry in (
            trained_entry(200, [100, 200], 100, 2.0, 20),
            trained_entry(104, [104], 100, 1.0, 10),
            trained_entry(30, [], 100, 0.3, 3),
            not_yet(100).model_copy(update={"epochs": 1.0, "steps": 10}),
        ):
            log_trained(entry, args, tmp_path)
    for words in (
        "every token of every epoch was trained, in 20 steps",
        "every token was trained, 4 of them twice",
        "30 tokens trained in 3 steps, less than an epoch",
        f"not counted: {NOT_ENDED}",
    ):
        assert words in caplog.text


def test_the_reason_of_a_loss_names_the_line_to_set(tmp_path):
    args = Run(tmp_path).args
    assert why_lost(args).endswith(
        "set multipack_real_batches: false and curriculum_sampling: true"
    )
    args.per_device_train_batch_size = 1
    assert why_lost(args).endswith("set curriculum_sampling: true")
    args.curriculum_sampling, args.world_size = True, 2
    assert "do not go round all 2 ranks" in why_lost(args)
    args.sample_packing = False
    assert why_lost(args).endswith("set dataloader_drop_last: false")


# --- the host's sampler ----------------------------------------------------------------------


def tokens_lost(lengths: list[int], ranks: int, real_batches: bool, in_order: bool) -> int:
    """Of one epoch, as the host's trainer sets its sampler up, with 8 rows of 256 a batch."""
    from accelerate.data_loader import BatchSamplerShard
    from axolotl.utils.samplers import MultipackBatchSampler
    from torch.utils.data import RandomSampler, SequentialSampler

    order = torch.arange(len(lengths))
    sampler = MultipackBatchSampler(
        SequentialSampler(order) if in_order else RandomSampler(order),
        batch_size=8 if real_batches else 1,
        batch_max_len=256 if real_batches else 8 * 256,
        lengths=lengths,
        bin_size=200,
        num_processes=1,
    )
    len(sampler)  # the least of a few tries
    sampler.set_epoch(1)
    shards = [BatchSamplerShard(sampler, ranks, rank, False, False) for rank in range(ranks)]
    trained = [index for shard in shards for batch in shard for bin_ in batch for index in bin_]
    assert len(trained) == len(set(trained))
    return sum(lengths) - sum(lengths[index] for index in trained)


@pytest.mark.slow
def test_the_lines_lose_nothing_on_one_rank_and_less_than_a_batch_a_rank_on_several():
    torch.manual_seed(1)
    corpora = [torch.randint(20, 250, (300,)).tolist() for _ in range(6)]
    default = [tokens_lost(corpus, 1, True, False) / sum(corpus) for corpus in corpora]
    assert 0.005 < sum(default) / len(default) < 0.1
    for corpus in corpora:
        assert tokens_lost(corpus, 1, False, True) == 0
        for ranks in (2, 3):
            lost = tokens_lost(corpus, ranks, False, True)
            assert lost <= (ranks - 1) * 8 * 256
    several = [tokens_lost(corpus, 3, False, True) for corpus in corpora]
    assert any(several)  # so the bound is a bound on something


# --- the lines -------------------------------------------------------------------------------

PACKED = {
    "sample_packing": True,
    "attn_implementation": "sdpa",
    "micro_batch_size": 8,
    "datasets": [{"path": "corpus.jsonl", "type": "cft"}],
}


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ({}, ["multipack_real_batches: false", "curriculum_sampling: true"]),
        ({"curriculum_sampling": True}, ["multipack_real_batches: false"]),
        ({"multipack_real_batches": False}, ["curriculum_sampling: true"]),
        ({"micro_batch_size": 1}, ["curriculum_sampling: true"]),
        ({"attn_implementation": "flash_attention_2"}, ["curriculum_sampling: true"]),
        ({"attn_implementation": None, "flash_attention": True}, ["curriculum_sampling: true"]),
        (
            {"attn_implementation": "flash_attention_2", "multipack_real_batches": True},
            ["multipack_real_batches: false", "curriculum_sampling: true"],
        ),
        (LOSSLESS, []),
        ({"sample_packing": False}, []),
        ({"streaming": True}, []),
    ],
)
def test_lines_that_a_packed_config_lacks(options, lines):
    assert missing_lines({**PACKED, **options}) == lines


@pytest.mark.parametrize(
    ("options", "overrides"),
    [
        ({}, {**LOSSLESS, "datasets.0.shards": 1}),
        ({"attn_implementation": "flash_attention_2"}, {**LOSSLESS, "datasets.0.shards": 1}),
        (
            {"attn_implementation": "kernels-community/flash-attn2@main"},
            {**LOSSLESS, "datasets.0.shards": 1},
        ),
        (
            {"attn_implementation": None, "sdp_attention": True},
            {**LOSSLESS, "datasets.0.shards": 1},
        ),
        ({"attn_implementation": None}, {}),  # packed documents would see each other
        ({"attn_implementation": "fp8"}, {}),
        ({"multipack_real_batches": True}, {"curriculum_sampling": True, "datasets.0.shards": 1}),
        ({"curriculum_sampling": False}, {"multipack_real_batches": False}),
        ({"datasets": [{"path": "a", "preprocess_shards": 4}]}, LOSSLESS),
        ({"datasets": [{"path": "a"}, {"path": "b"}]}, LOSSLESS),  # shuffled when merged
        (
            {"datasets": [{"path": "a"}, {"path": "b"}], "shuffle_merged_datasets": False},
            {"multipack_real_batches": False},  # in their order, one would follow the other
        ),
        ({"sample_packing": None}, {}),
        ({"streaming": True}, {}),
    ],
)
def test_what_a_study_adds_to_a_packed_config(options, overrides):
    assert lossless_overrides({**PACKED, **options}) == overrides


def test_one_shard_shuffles_the_documents_by_the_seed(config):
    from host import prepare

    def rows(**options: Any) -> list[list[int]]:
        dataset = {**config["datasets"][0], **options.pop("dataset", {})}
        _, meta = prepare({**config, **LOSSLESS, "datasets": [dataset], **options})
        return meta.train_dataset["input_ids"][:]

    kept, shuffled = rows(), rows(dataset={"shards": 1})
    assert kept != shuffled and sorted(kept) == sorted(shuffled)
    assert (
        rows(dataset={"shards": 1}, dataset_prepared_path=f"{config['output_dir']}-2") == shuffled
    )
