"""What reached the trainer: stamps, and the ledger in `output_dir`."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from axolotl.utils.logging import get_logger
from datasets import Dataset

from axolotl_cft.core.encoding import IGNORE_INDEX
from axolotl_cft.core.ledger import Ledger
from axolotl_cft.errors import CFTError
from axolotl_cft.host.plan import is_cft_type

# Imported here and not on first use: inside the strategy a ModuleNotFoundError would reach the
# user as "unhandled prompt tokenization strategy".
from axolotl_cft.host.preparing import descriptions
from axolotl_cft.host.trained import not_yet
from axolotl_cft.records import (
    LedgerRecord,
    PreparedDataset,
    ReachedTrainer,
    Software,
    TrainingLedger,
)

LOG = get_logger(__name__)


def check_stamps(cfg: Any, key: str, dataset: Dataset) -> None:
    """Refuse data that were not prepared as this config asks."""
    if len(dataset) == 0:  # every shard of one, say
        raise CFTError(
            f"{key}: none of its rows reached the trainer; raise cft.holdout if that is what left "
            "no documents, or see min_sample_len and excess_length_strategy"
        )
    expected = {
        item["conversation"]: item["path"]
        for item in cfg.get(key) or []
        if is_cft_type(item.get("type"))
    }
    found = {entry.stamp: entry.path for entry in descriptions(dataset)}
    if expected.keys() == found.keys():
        return
    foreign = found.keys() - expected.keys()
    if foreign or not found:
        what = "was prepared with other options" if foreign else "carries no stamp of axolotl-cft"
    else:
        what = "lacks the part of " + ", ".join(expected[s] for s in expected.keys() - found.keys())
    raise CFTError(
        f"{key}: the dataset that reached the trainer {what}; delete its folder under "
        f"{cfg.dataset_prepared_path or 'last_run_prepared'} and prepare again from raw text (a "
        "source that already has input_ids, attention_mask and labels never passes `type: cft`)"
    )


def final_ledger(
    cfg: Any,
    train: Dataset,
    test: Dataset | None,
    split_off: Dataset | None,
    software: Software,
) -> TrainingLedger:
    """The ledger with what reached the trainer; `split_off` is the host's own validation split.

    What of it is trained, and by which `software` before, is known at the end (host/trained.py).
    """
    entries = descriptions(train)
    tested = descriptions(test) if test is not None else []
    made, kept, apart = _total(entries), _count(train), _count(split_off)
    reached = {key: kept[key] + apart[key] for key in kept}
    mixed = any(not is_cft_type(item.get("type")) for item in cfg.datasets)
    if not mixed:
        reached["rows_lost"] = made.rows - reached["rows"]
        reached["trained_tokens_lost"] = made.trained_tokens - reached["trained_tokens"]
    return TrainingLedger(
        train=made,
        test=_total(tested) if tested else None,
        reached_trainer=ReachedTrainer(mixed_with_other_datasets=mixed, **reached),
        trained=not_yet(kept["trained_tokens"]),
        datasets=[*entries, *tested],
        software=[software],
    )


def _total(entries: Iterable[PreparedDataset]) -> LedgerRecord:
    ledgers = (Ledger.from_dict(dict(entry.ledger)) for entry in entries)
    return LedgerRecord(**sum(ledgers, Ledger()).to_dict())


def _count(dataset: Dataset | None) -> dict[str, int]:
    rows = tokens = trained = 0
    for labels in _label_batches(dataset) if dataset is not None else ():
        rows += len(labels)
        values = labels.flatten().to_numpy(zero_copy_only=False)
        tokens += values.size
        trained += int(np.count_nonzero(values != IGNORE_INDEX))
    return {"rows": rows, "tokens": tokens, "trained_tokens": trained}


def _label_batches(dataset: Dataset) -> Iterator[Any]:
    for table in dataset.select_columns(["labels"]).with_format("arrow").iter(batch_size=1000):
        yield from table.column("labels").chunks


def log_reached(reached: ReachedTrainer, path: Path) -> None:
    """Say whether all that was prepared came through."""
    if reached.mixed_with_other_datasets:
        LOG.info(
            f"cft: {reached.rows:,} rows reached the trainer, other datasets' among them, so "
            f"losses cannot be told apart ({path})"
        )
    elif lost := reached.trained_tokens_lost:
        total = lost + reached.trained_tokens
        LOG.warning(
            f"cft: {lost:,} of {total:,} trained tokens ({lost / total:.2%}, "
            f"{reached.rows_lost:,} rows) did not reach the trainer: the host dropped them "
            f"(min_sample_len, exact deduplication, sharding); see {path}"
        )
    else:
        LOG.info(f"cft: every trained token reached the trainer ({path})")
