"""How the host's trainer takes an epoch of rows: packing, padding, steps."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from datasets import Dataset

Lengths = npt.NDArray[np.int64]

SEED = 0
"""Of the order in which rows are packed or padded, where training draws one at random."""


def row_lengths(rows: "Dataset") -> Lengths:
    """Tokens of each row, prompts included; the tokens themselves are not read."""
    import pyarrow.compute as pc

    found = [np.empty(0, np.int64)]
    if len(rows):
        batches = rows.with_format("arrow").iter(batch_size=1000)
        found += [pc.list_value_length(table.column("input_ids")).to_numpy() for table in batches]
    return np.concatenate(found).astype(np.int64)


def left_for_training(rows: "Dataset", cfg: Any) -> "Dataset":
    """Prepared rows without those that the host takes away before training.

    axolotl/utils/data/sft.py::_load_and_prepare_datasets.
    """
    from axolotl.utils.data.shared import create_train_validation_split

    if cfg.dataset_shard_num and cfg.dataset_shard_idx is not None:
        rows = rows.shard(num_shards=cfg.dataset_shard_num, index=cfg.dataset_shard_idx)
    if apart := float(cfg.val_set_size or 0):
        rows, _ = create_train_validation_split(rows, cfg, int(apart) if apart > 1 else apart)
    return rows


@dataclass(frozen=True)
class Epoch:
    """The batches of an epoch; numbers of a part of the rows, or an estimate, may be broken.

    Attributes:
        rows: that training has.
        batches: of `micro_batch_size`, of all ranks together.
        positions: tokens and padding in them.
        squares: sum over what attention takes as one sequence of its length's square.
        packed_rows: bins that rows are packed into; None where they are not.
    """

    rows: float
    batches: float
    positions: float
    squares: float
    packed_rows: float | None = None

    def scaled(self, factor: float) -> "Epoch":
        """The same of `factor` times as many rows."""
        names = [name for name, value in vars(self).items() if value is not None]
        return replace(self, **{name: factor * getattr(self, name) for name in names})


def take_epoch(cfg: Any, lengths: Lengths) -> Epoch:
    """One epoch of rows of these lengths, in their order where training keeps it."""
    return _packed(cfg, lengths) if cfg.sample_packing else _padded(cfg, lengths)


def _packed(cfg: Any, lengths: Lengths) -> Epoch:
    """By the host's own sampler (axolotl/core/trainers/base.py::_create_multipack_sampler)."""
    import torch
    from axolotl.utils.samplers import MultipackBatchSampler
    from torch.utils.data import RandomSampler, SequentialSampler

    real = cfg.multipack_real_batches
    if real is None:  # axolotl/core/builders/causal.py
        real = not cfg.attn_supports_packing
    in_batch, capacity = cfg.micro_batch_size, cfg.sequence_len
    if not real:
        in_batch, capacity = 1, in_batch * capacity
    chance = torch.Generator().manual_seed(SEED)
    order: Any = (
        SequentialSampler(lengths)  # type: ignore[arg-type]  # anything that has a length
        if cfg.curriculum_sampling
        else RandomSampler(lengths, generator=chance)  # type: ignore[arg-type]
    )
    sampler = MultipackBatchSampler(
        order,
        lengths=lengths,
        batch_max_len=capacity,
        batch_size=in_batch,
        group_size=cfg.sample_packing_group_size or 100_000,  # core/training_args_base.py
        bin_size=cfg.sample_packing_bin_size or 200,
        sequential=bool(cfg.sample_packing_sequentially),
        drop_last=True,
        num_processes=1,
    )
    batches = len(sampler)
    bins, tokens = batches * in_batch, int(lengths.sum())
    # Without padding to the full length, a bin is as long as the rows in it.
    positions = bins * capacity if cfg.pad_to_sequence_len else tokens
    squares = float((lengths.astype(float) ** 2).sum())
    return Epoch(len(lengths), batches, positions, squares, bins)


def _padded(cfg: Any, lengths: Lengths) -> Epoch:
    """Every batch as long as its longest row (axolotl/core/builders/causal.py::build)."""
    if not cfg.curriculum_sampling:
        lengths = np.random.default_rng(SEED).permutation(lengths)
    if cfg.group_by_length:
        lengths = np.sort(lengths)
    starts = np.arange(0, len(lengths), cfg.micro_batch_size)
    longest = np.maximum.reduceat(lengths, starts) if len(lengths) else lengths
    multiple = cfg.pad_to_multiple_of or 64
    if cfg.pad_to_sequence_len:
        multiple *= math.ceil(cfg.sequence_len / multiple)
    if cfg.pad_to_sequence_len is not False:
        longest = -(-longest // multiple) * multiple
    rows = np.diff([*starts, len(lengths)])
    squares = float((rows * longest.astype(float) ** 2).sum())
    return Epoch(len(lengths), len(starts), int((rows * longest).sum()), squares)


@dataclass(frozen=True)
class Steps:
    """Updates of the weights.

    Attributes:
        an_epoch: in one pass over the rows.
        all: of the training.
        epochs: passes over the rows, or a part of one.
    """

    an_epoch: int
    all: int
    epochs: float


def count_steps(cfg: Any, epoch: Epoch, gpus: int, plugin: bool) -> Steps:
    """The steps of a training, as its trainer counts them.

    Args:
        cfg: the validated config.
        epoch: its rows.
        gpus: processes, each with a GPU.
        plugin: whether ours leaves the counting to the trainer (host/plugin); else the host does it
            before (axolotl/utils/trainer.py::calculate_total_num_steps).
    """
    ranks = data_ranks(cfg, gpus)
    accumulated, micro = cfg.gradient_accumulation_steps, cfg.micro_batch_size
    # accelerate/data_loader.py::BatchSamplerShard: batches that do not go round all ranks are
    # dropped by the packing's sampler, else filled up with rows of the first.
    drops = cfg.sample_packing or bool(cfg.dataloader_drop_last)
    mine = (math.floor if drops else math.ceil)(round(epoch.batches, 6) / ranks)
    an_epoch = max(1, math.ceil(mine / accumulated))  # transformers' set_initial_training_values
    if cfg.max_steps:
        steps = int(cfg.max_steps)
    elif plugin:
        steps = math.ceil(cfg.num_epochs * an_epoch)
    elif cfg.sample_packing:
        whole = max(1, int(epoch.batches * micro // (micro * accumulated * ranks)))
        last = math.ceil(cfg.num_epochs) if cfg.dataloader_drop_last else 0
        steps = math.floor(whole * cfg.num_epochs) - last
    else:
        steps = math.ceil(epoch.rows * cfg.num_epochs / (micro * accumulated * ranks))
    return Steps(an_epoch, steps, steps / an_epoch)


def data_ranks(cfg: Any, gpus: int) -> int:
    """Processes that train on rows of their own: several may share a row or a layer."""
    sharing = (cfg.context_parallel_size or 1) * (cfg.tensor_parallel_size or 1)
    return max(1, gpus // sharing)
