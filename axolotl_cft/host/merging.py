"""The shards of a preparation become the prepared dataset of the unsharded config.

The host prepares as ever; only our strategies read the rows that the shards hold for a while,
instead of encoding. So whatever it does to rows before it saves them (merging with other datasets,
shuffling, dropping, packing columns) is the host's own work, and all it saves is as if one process
had encoded everything.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axolotl.cli.args import PreprocessCliArgs
from axolotl.cli.preprocess import do_preprocess
from axolotl.loaders import load_tokenizer
from datasets import Dataset, concatenate_datasets

from axolotl_cft.core.ledger import Ledger
from axolotl_cft.core.near_duplicates import NearDuplicates
from axolotl_cft.errors import CFTError
from axolotl_cft.host.chat import check_prompted
from axolotl_cft.host.plan import is_chat_type
from axolotl_cft.host.preparing import (
    IN_PLACE_OF_ENCODING,
    Preparation,
    PreparingStrategy,
    find_preparation,
    no_rows,
    prepared_ledger,
)
from axolotl_cft.host.shards import (
    Shard,
    ShardedPart,
    read_near_duplicates,
    read_rows,
    read_shard,
    sharded_parts,
)
from axolotl_cft.records import PreparedDataset, PreparedLedger


class ReadingStrategy(PreparingStrategy):
    """Hands over the rows of all shards in the place of encoding documents.

    Args:
        task: the dataset.
        ds_cfg: its config.
        part: its part of the config.
        shards: all of them, in their order.
    """

    def __init__(self, task: Preparation, ds_cfg: Any, part: ShardedPart, shards: list[Shard]):
        super().__init__(ds_cfg.get("field") or "text", "field", task)
        self.is_chat = is_chat_type(ds_cfg.type)
        self.folders = [part.shards / shard.folder for shard in shards]
        self.entries = []
        for shard in shards:
            held = read_shard(part, shard).datasets
            names = [(entry.stamp, entry.path) for entry in held]
            self.index = names.index((self.plan.stamp, self.label))
            self.entries.append(held[self.index])

    def wrap_dataset(self, dataset: Dataset, *arguments: Any, **options: Any) -> Dataset:
        """The rows of `dataset`, as encoding all of it would make them.

        Raises:
            CFTError: the dataset is not the one that was divided, or nothing is left to train.
        """
        self._check_documents(len(dataset))
        ledger = sum((Ledger.from_dict(dict(entry.ledger)) for entry in self.entries), Ledger())
        pieces = [read_rows(folder, self.index) for folder in self.folders]
        filled = [rows for rows in pieces if len(rows)]
        if self.is_chat and not self.is_piece:
            check_prompted(self.plan, ledger)
        rows = concatenate_datasets(filled) if filled else no_rows()
        return self.finish(rows, ledger, self._near_duplicates())

    def _check_documents(self, found: int) -> None:
        told = {entry.documents for entry in self.entries} | {found}
        read = sum(entry.ledger.documents for entry in self.entries)
        if told != {read}:
            raise CFTError(
                f"dataset {self.label} has {found:,} documents, and its shards were made of "
                f"{', '.join(f'{n:,}' for n in sorted(told - {found}) or [read])}; delete "
                f"{self.folders[0].parent} and prepare all shards again"
            )

    def _near_duplicates(self) -> NearDuplicates | None:
        whole = self.search_for_near_duplicates()
        if whole is not None:
            for folder in self.folders:
                seen = read_near_duplicates(folder, self.index)
                assert seen is not None  # the same question was answered there
                whole.add_all(seen)
        return whole


def load(tokenizer: Any, cfg: Any, ds_cfg: Any) -> ReadingStrategy:
    """What our strategies' entry points give the host while shards are merged."""
    task = find_preparation(tokenizer, cfg, ds_cfg)
    part = next(part for part in sharded_parts(cfg, tokenizer) if part.part == task.plan.part)
    return ReadingStrategy(task, ds_cfg, part, find_shards(part))


def merge_shards(cfg: Any) -> list[tuple[Path, list[PreparedDataset]]]:
    """Have the host prepare a config from its shards.

    Args:
        cfg: the validated config, its stamps complete.

    Returns:
        Each prepared folder, and what its CFT datasets say of themselves.

    Raises:
        CFTError: a shard is missing, foreign or damaged; or what an unsharded preparation would
            refuse.
    """
    parts = sharded_parts(cfg, load_tokenizer(cfg))
    for part in parts:
        for shard in find_shards(part):
            read_shard(part, shard)
    # The host looks at labels of a random row unless told not to, and fetches the model's weights.
    arguments = PreprocessCliArgs(debug_num_examples=0, download=False)
    with _reading_shards(), _preprocessing(cfg):
        do_preprocess(cfg, arguments)
    return [(part.prepared, _described(part)) for part in parts]


def find_shards(part: ShardedPart) -> list[Shard]:
    """All shards of a part, in their order.

    Raises:
        CFTError: some are missing, or there are shards of several divisions.
    """
    names = [path.name for path in part.shards.glob("*-of-*") if path.is_dir()]
    matches = [match for name in names if (match := re.fullmatch(r"(\d+)-of-([1-9]\d*)", name))]
    found = {Shard(int(match[1]), int(match[2])) for match in matches}
    counts = sorted({shard.count for shard in found})
    if not counts:
        raise CFTError(
            f"there are no shards of this config in {part.shards}; prepare each with `--shard I/N` "
            "first, and with the same config, corpus and dataset_prepared_path as now"
        )
    if len(counts) > 1:
        examples = [min(s.folder for s in found if s.count == count) for count in counts]
        raise CFTError(
            f"{part.shards} holds shards of several divisions ({', '.join(examples)}); delete "
            "those of all but one"
        )
    wanted = [Shard(number, counts[0]) for number in range(1, counts[0] + 1)]
    if odd := sorted(shard.folder for shard in found.difference(wanted)):
        raise CFTError(f"{part.shards / odd[0]} is none of {counts[0]} shards; delete it")
    if missing := [str(shard) for shard in wanted if shard not in found]:
        raise CFTError(f"{part.shards} lacks --shard {', '.join(missing)}; prepare them first")
    return wanted


def _described(part: ShardedPart) -> list[PreparedDataset]:
    """What the ledger beside a prepared folder says of this config's datasets."""
    stamps = {item.conversation for item in part.items}
    datasets = PreparedLedger.read(prepared_ledger(part.prepared)).datasets
    return [entry for entry in datasets if entry.stamp in stamps]


@contextmanager
def _reading_shards() -> Iterator[None]:
    """Let our strategies hand over rows of shards."""
    token = IN_PLACE_OF_ENCODING.set(load)
    try:
        yield
    finally:
        IN_PLACE_OF_ENCODING.reset(token)


@contextmanager
def _preprocessing(cfg: Any) -> Iterator[None]:
    """What `axolotl preprocess` sets (axolotl/cli/preprocess.py::do_cli)."""
    cfg.is_preprocess = True
    os.environ["AXOLOTL_IS_PREPROCESS"] = "1"
    try:
        yield
    finally:
        os.environ.pop("AXOLOTL_IS_PREPROCESS", None)
