"""What a training will do with prepared rows: its steps, and how its learning rate goes.

Nothing of the model is looked at, and of the rows no more than their lengths.
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from axolotl.cli.config import prepare_plugins
from axolotl.utils.config import validate_config
from axolotl.utils.dict import DictDefault
from axolotl.utils.trainer import calculate_total_num_steps
from datasets import Dataset, load_from_disk

from axolotl_cft.errors import CFTError
from axolotl_cft.host.config import attempt
from axolotl_cft.host.epoch import (
    Lengths,
    count_steps,
    data_ranks,
    left_for_training,
    row_lengths,
    take_epoch,
)
from axolotl_cft.host.plan import cft_datasets


@dataclass(frozen=True)
class Schedule:
    """A training, by what decides it.

    Attributes:
        rows: that are trained on, before any packing.
        tokens: in them, prompts included.
        whole: whether these are all rows that were prepared.
        steps: updates of the weights.
        drawn: whether the number of steps depends on an order that is drawn at random.
        epochs: passes over the rows, or a part of one.
        learning_rate: at its peak.
        scheduler: the host's name for how it decays.
        warmup: steps until the peak.
    """

    rows: int
    tokens: int
    whole: bool
    steps: int
    drawn: bool
    epochs: float
    learning_rate: float
    scheduler: str
    warmup: int


def read_schedule(config: Mapping[str, Any], prepared: Path, processes: int) -> Schedule:
    """The schedule of a training on rows that are prepared.

    Args:
        config: the raw config.
        prepared: the folder of the rows, as the host saved them.
        processes: that train together.

    Raises:
        CFTError: the config is not valid, or the rows cannot be read.
    """
    cfg = DictDefault(copy.deepcopy(dict(config)))
    prepare_plugins(cfg)
    cfg = attempt("the config", validate_config, cfg)
    rows = attempt(f"{prepared}", load_from_disk, str(prepared))
    if "input_ids" not in rows.column_names:
        raise CFTError(f"{prepared} holds no rows of tokens; only supervised training is known")
    all_lengths = row_lengths(rows)
    lengths = _left(cfg, all_lengths)
    steps = count_steps(cfg, take_epoch(cfg, lengths), processes, any(cft_datasets(cfg)))
    return Schedule(
        rows=len(lengths),
        tokens=int(lengths.sum()),
        whole=len(lengths) == len(all_lengths),
        steps=steps.all,
        drawn=bool(cfg.sample_packing and not cfg.curriculum_sampling and not cfg.max_steps),
        epochs=steps.epochs,
        learning_rate=float(cfg.learning_rate),
        scheduler=str(cfg.lr_scheduler or "cosine"),
        warmup=_warmup(cfg, lengths, steps.all, processes),
    )


def _left(cfg: Any, lengths: Lengths) -> Lengths:
    """The lengths of the rows that are left for training, split as the rows will be.

    A dataset of lengths leaves no cache beside the rows. Rows that are equal went before.
    """
    plain = DictDefault({**cfg, "dataset_exact_deduplication": False})
    left = left_for_training(Dataset.from_dict({"length": lengths}), plain)
    return np.asarray(left["length"], dtype=np.int64)


def _warmup(cfg: Any, lengths: Lengths, steps: int, processes: int) -> int:
    """axolotl/core/builders/base.py::_configure_warmup_and_logging."""
    warmup: int | None = cfg.warmup_steps
    if warmup is None:
        expected = _expected_by_host(cfg, lengths, processes)
        share = 0.03 if cfg.warmup_ratio is None else cfg.warmup_ratio
        if not expected:
            return math.ceil(share * steps)  # transformers' get_warmup_steps
        warmup = int(share * expected)
        if cfg.warmup_ratio is None:
            warmup = min(warmup, 100)
    return 2 if warmup == 1 else warmup


def _expected_by_host(cfg: Any, lengths: Lengths, processes: int) -> int:
    """The host's own estimate of the steps, from which it takes the warm-up's share.

    axolotl/utils/data/sft.py::_prepare_standard_dataset.
    """
    told = DictDefault(copy.deepcopy(dict(cfg)))
    ranks = data_ranks(cfg, processes)
    told.batch_size = cfg.micro_batch_size * cfg.gradient_accumulation_steps * ranks
    told.total_num_tokens = int(lengths.sum())
    told.total_supervised_tokens = 1  # else it would count them, for the log alone
    told.dataset_num_proc = 1
    rows = Dataset.from_dict({"length": lengths})
    expected = int(calculate_total_num_steps(told, rows, update=False))
    return min(expected, cfg.max_steps) if cfg.max_steps else expected
