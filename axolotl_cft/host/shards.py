"""One of N shards of a preparation, so that N machines encode what one would take days for.

A shard is a run of consecutive documents of every CFT dataset of a config, encoded as the host has
it done, and kept beside the folder that the unsharded config is looked up in:

    <prepared>/<hash>/                      what `host/merging.py` lets the host write
    <prepared>/<hash>.shards/3-of-8/        whole, or absent
        cft_shard.json   0.arrow   0.npz    record; rows and near duplicates of the first dataset
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from axolotl.loaders import load_tokenizer
from axolotl.utils.data.shared import datasets_with_name_generator
from axolotl.utils.trainer import disable_datasets_caching
from datasets import Dataset
from filelock import FileLock, Timeout

from axolotl_cft.core.ledger import Ledger
from axolotl_cft.core.near_duplicates import NearDuplicates
from axolotl_cft.core.options import Part
from axolotl_cft.errors import CFTError
from axolotl_cft.files import sync_folder
from axolotl_cft.host import chat, documents
from axolotl_cft.host.config import attempt
from axolotl_cft.host.plan import all_datasets, cft_datasets, is_cft_type, is_chat_type
from axolotl_cft.host.preparing import (
    FEATURES,
    dataset_label,
    plan_of,
    prepared_path,
    shards_folder,
)
from axolotl_cft.host.raw_documents import load_documents
from axolotl_cft.records import SHARD_FILE, LedgerRecord, ShardedDataset, ShardRecord

BLOCK_BYTES = 128 << 20
"""Text bytes, on average, that are encoded in memory before their rows are written."""

Show = Callable[[str, float | None], AbstractContextManager[Any]]
"""Shows a piece of work of a label and a number of documents, if that is known: cli/progress.py."""


@dataclass(frozen=True)
class Shard:
    """The `number`-th of `count` shards, from 1."""

    number: int
    count: int

    @property
    def folder(self) -> str:
        """Its name on disk."""
        return f"{self.number}-of-{self.count}"

    def bounds(self, documents: int) -> tuple[int, int]:
        """First document and the one after the last, of so many from 0."""
        return documents * (self.number - 1) // self.count, documents * self.number // self.count

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


class ShardedPart(NamedTuple):
    """The CFT datasets of `datasets` or of `test_datasets`.

    Attributes:
        part: which of the two.
        prepared: the folder that the host looks their rows up in.
        items: what the host loads one by one; each gives a run of rows.
    """

    part: Part
    prepared: Path
    items: list[Any]

    @property
    def shards(self) -> Path:
        """Where its shards are kept."""
        return shards_folder(self.prepared)


def sharded_parts(cfg: Any, tokenizer: Any) -> list[ShardedPart]:
    """The parts of a config that have CFT datasets.

    Args:
        cfg: the validated config, its stamps complete (`CFTPlugin.load_datasets`).
        tokenizer: as the host loads it.

    Raises:
        CFTError: there are none, rows are made while training goes on, or a budget needs the whole.
    """
    if not any(cft_datasets(cfg)):
        raise CFTError("no dataset has `type: cft`, so there is nothing to prepare in shards")
    if cfg.streaming:
        raise CFTError("streaming: rows are made during training; remove it to prepare them first")
    if any(plan_of(dataset).options.trained_tokens for _, _, dataset in cft_datasets(cfg)):
        raise CFTError(
            "cft.trained_tokens: all documents are counted before any is taken, and a shard sees "
            "its own only; prepare the config as a whole (`axolotl preprocess`)"
        )
    parts = []
    for part in sorted({part for _, part, _ in cft_datasets(cfg)}, reverse=True):
        listed = [dataset for _, where, dataset in all_datasets(cfg) if where == part]
        items = [x for x in datasets_with_name_generator(listed) if is_cft_type(x.type)]
        parts.append(ShardedPart(part, prepared_path(cfg, part, tokenizer), items))
    return parts


def prepare_shard(cfg: Any, shard: Shard, show: Show) -> Iterator[tuple[ShardRecord, Path, bool]]:
    """Encode a shard of every CFT dataset; yields, for each part, what it holds.

    Args:
        cfg: the validated config, its stamps complete.
        shard: which.
        show: shows how far it is.

    Yields:
        The record, its folder, and whether it was there already.

    Raises:
        CFTError: as for an unsharded preparation; a shard that is there is another's; or another
            process is at it.
    """
    tokenizer = load_tokenizer(cfg)
    for part in sharded_parts(cfg, tokenizer):
        folder = part.shards / shard.folder
        part.shards.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(part.shards / f".{shard.folder}.lock", blocking=False):
                there = folder.is_dir()
                if not there:
                    _write(cfg, tokenizer, part, shard, show)
        except Timeout:
            raise CFTError(f"shard {shard}: another process is preparing {folder}") from None
        yield read_shard(part, shard), folder, there


def read_shard(part: ShardedPart, shard: Shard) -> ShardRecord:
    """The record of a shard that is there.

    Raises:
        CFTError: it is damaged, or was made by another version, from another config or corpus, or
            under another number.
    """
    folder = part.shards / shard.folder
    record = ShardRecord.read(folder / SHARD_FILE)
    again = f"delete {folder} and run `--shard {shard}` again"
    if (record.number, record.count) != (shard.number, shard.count):
        found = Shard(record.number, record.count)
        raise CFTError(f"{folder} holds shard {found} under the name of another; {again}")
    if record.version != version("axolotl-cft"):
        raise CFTError(
            f"shard {shard} was prepared by axolotl-cft {record.version}, not by "
            f"{version('axolotl-cft')}; {again}"
        )
    if [(entry.stamp, entry.path) for entry in record.datasets] != _names(part):
        raise CFTError(f"shard {shard} was prepared from another config or corpus; {again}")
    for index, entry in enumerate(record.datasets):
        file = folder / f"{index}.arrow"
        if not file.is_file() or file.stat().st_size != entry.bytes:
            raise CFTError(f"shard {shard}: {file} is missing or cut short; {again}")
    return record


def _names(part: ShardedPart) -> list[tuple[str, str]]:
    """Stamp and label of each dataset, which tell it from the others."""
    return [(item.conversation, dataset_label(str(item.path), item)) for item in part.items]


def _write(cfg: Any, tokenizer: Any, part: ShardedPart, shard: Shard, show: Show) -> None:
    """Encode a shard under another name, which it loses when it is whole."""
    partial = part.shards / f".{shard.folder}.partial"
    shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
    partial.mkdir()
    entries = []
    for index, item in enumerate(part.items):
        label = dataset_label(str(item.path), item)
        with show(f"Loading {label}", None):
            texts = attempt(f"dataset {item.path}", _load, item, cfg, part.part)
        load = chat.load if is_chat_type(item.type) else documents.load
        strategy = load(tokenizer, cfg, item)
        strategy.checked_columns(texts)
        begin, end = shard.bounds(len(texts))
        with show(f"Encoding shard {shard} of {label}", end - begin) as work:
            file = partial / f"{index}.arrow"
            ledger = _encode(strategy, texts, range(begin, end), file, work, cfg.dataset_num_proc)
        entries.append(
            ShardedDataset(
                stamp=item.conversation,
                path=label,
                documents=len(texts),
                bytes=file.stat().st_size,
                ledger=LedgerRecord(**ledger.to_dict()),
            )
        )
    record = ShardRecord(
        number=shard.number, count=shard.count, version=version("axolotl-cft"), datasets=entries
    )
    record.write(partial / SHARD_FILE)
    partial.rename(part.shards / shard.folder)
    sync_folder(part.shards)


def _load(item: Any, cfg: Any, part: Part) -> Dataset:
    return load_documents(item, part, cfg.hf_use_auth_token, cfg.seed, lazy=False)


def _encode(
    strategy: Any, texts: Dataset, chosen: range, file: Path, work: Any, processes: int | None
) -> Ledger:
    """Write the rows of a range of documents, a block of them at a time."""
    ledger, near_duplicates = Ledger(), strategy.search_for_near_duplicates()
    step = max(1, BLOCK_BYTES * len(texts) // max(1, texts.data.nbytes))
    with file.open("wb") as sink, pa.ipc.new_stream(sink, FEATURES.arrow_schema) as writer:
        for begin in range(chosen.start, chosen.stop, step):
            block = texts.select(range(begin, min(begin + step, chosen.stop)))
            with disable_datasets_caching():
                rows, counted, seen = strategy.encode_slice(block, begin, processes)
            writer.write_table(rows.data.table)
            ledger += counted
            if near_duplicates is not None:
                near_duplicates.add_all(seen)
            work.update(advance=len(block))
        writer.close()
        sink.flush()
        os.fsync(sink.fileno())
    if near_duplicates is not None:
        near_duplicates.save(file.with_suffix(".npz"))
    return ledger


def read_rows(folder: Path, index: int) -> Dataset:
    """The rows of a shard's dataset, mapped from disk."""
    return Dataset.from_file(str(folder / f"{index}.arrow"))


def read_near_duplicates(folder: Path, index: int) -> NearDuplicates | None:
    """What saw the documents of a shard's dataset; None where nobody looked."""
    file = folder / f"{index}.npz"
    return NearDuplicates.load(file) if file.is_file() else None
