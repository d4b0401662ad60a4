"""Axolotl's prompt strategy `type: cft`: documents in, rows of token ids out.

The edge to the host. Axolotl finds `load` through axolotl/prompt_strategies/__init__.py::load and
calls `CFTStrategy.wrap_dataset`; texts come from an Arrow table and rows go back as one.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from axolotl.prompt_tokenizers import DatasetWrappingStrategy
from axolotl.utils.data.shared import generate_dataset_hash_from_config, get_prepared_dataset_path
from axolotl.utils.logging import get_logger
from datasets import Dataset, Features, IterableDataset, Value
from datasets import List as ListFeature

from axolotl_cft.choice import PromptChooser
from axolotl_cft.config import STAMP_PREFIX, Plan
from axolotl_cft.encoder import DocumentEncoder
from axolotl_cft.encoding import RowBuffer
from axolotl_cft.errors import CFTError
from axolotl_cft.files import write_atomic
from axolotl_cft.ledger import Ledger

LOG = get_logger(__name__)

PLANS: dict[str, Plan] = {}
"""Plans by stamp, filled by `CFTPlugin.register`, which is the only one to see the raw config."""

FEATURES = Features(
    {
        "input_ids": ListFeature(Value("int32")),
        "attention_mask": ListFeature(Value("int8")),
        "labels": ListFeature(Value("int64")),
    }
)
"""The host's own column types: int32 labels could not be concatenated with other strategies'."""

BATCH_BYTES = 16 << 20
"""Most text bytes in one batch, over all views: bounds memory whatever the documents' length."""

BATCH_SIZES = (1000, 500, 200, 100, 50, 20, 10, 5, 2, 1)
"""Documents in a batch: the first of these that keeps to BATCH_BYTES."""

SLICE_BYTES = 1 << 20
"""Text bytes tokenized at a time, while the slice before becomes rows."""


def load(tokenizer: Any, cfg: Any, ds_cfg: Any = None) -> "CFTStrategy":
    """Entry point of the strategy (axolotl/prompt_strategies/__init__.py::load).

    Args:
        tokenizer: the run's tokenizer.
        cfg: the validated config.
        ds_cfg: one element of `datasets` or `test_datasets`.

    Raises:
        CFTError: the plugin was not registered for this config, or a prompt does not fit.
    """
    task = find_task(tokenizer, cfg, ds_cfg)
    encoder = DocumentEncoder(tokenizer, task.plan, task.sequence_len)
    return CFTStrategy(encoder, ds_cfg.get("field") or "text", task)


@dataclass(frozen=True)
class Task:
    """One dataset to prepare.

    Attributes:
        plan: how to encode.
        sequence_len: most tokens in a row.
        label: what to call the dataset in the ledger.
        ledger_file: where to keep the ledger, None for nowhere.
        streamed: its rows are made while training goes on, so that there is no ledger. With
            packing the host hands over a buffer of the stream at a time, as a `Dataset`.
        is_piece: it is one of the `preprocess_shards` of a dataset, and may turn out empty.
    """

    plan: Plan
    sequence_len: int
    label: str
    ledger_file: Path | None = None
    streamed: bool = False
    is_piece: bool = False


def find_task(tokenizer: Any, cfg: Any, ds_cfg: Any) -> Task:
    """What the plugin planned for the dataset of `load`'s arguments.

    Raises:
        CFTError: the plugin was not registered for this config.
    """
    stamp = (ds_cfg or {}).get("conversation") or ""
    plan = PLANS.get(stamp)
    if plan is None:
        raise CFTError(
            f"dataset {(ds_cfg or {}).get('path')}: `type: {(ds_cfg or {}).get('type')}` works "
            "only with the plugin; add `plugins: [axolotl_cft.CFTPlugin]` to the config"
        )
    sequence_len = cfg.sequence_len
    if plan.part == "test" and cfg.eval_sequence_len:
        sequence_len = cfg.eval_sequence_len
    # The host streams the training part only.
    streamed = bool(cfg.streaming) and plan.part == "train"
    ledger_file = None if streamed else _prepared_ledger(cfg, plan.part, tokenizer.name_or_path)
    label, is_piece = _label(plan.path, ds_cfg), bool(ds_cfg.get("preprocess_shards"))
    return Task(plan, sequence_len, label, ledger_file, streamed, is_piece)


class PreparingStrategy(DatasetWrappingStrategy):
    """What `cft` and `cft.chat` share: columns are checked before, and the ledger is kept after.

    Args:
        choose: chooses the prompts.
        field: column that holds the documents.
        field_option: the dataset option that names it.
        task: the dataset.
    """

    def __init__(self, choose: PromptChooser, field: str, field_option: str, task: Task):
        self.plan = task.plan
        self.choose = choose
        self.field = field
        self.field_option = field_option
        self.label = task.label
        self.ledger_file = task.ledger_file
        self.streamed = task.streamed
        self.is_piece = task.is_piece

    def finish(self, encoded: Dataset, ledger: Ledger) -> Dataset:
        """Give the rows their stamp and ledger, and publish the ledger.

        Both ride in `info.description`, which survives what the host does to a dataset later.

        Raises:
            CFTError: there are no rows.
        """
        self._check_result(len(encoded), ledger)
        entry = describe(self.plan, self.label, ledger)
        encoded.info.description = STAMP_PREFIX + json.dumps(entry)
        if self.streamed:
            return encoded
        heading = f"cft: {self.label}, {entry['part']} part, prompts: {entry['prompts']}"
        LOG.info("\n  ".join([heading, *ledger.lines()]))
        self._keep(entry)
        return encoded

    def _keep(self, entry: dict[str, Any]) -> None:
        """Write the ledger beside the prepared folder (inside it would break it)."""
        if self.ledger_file is None:
            return
        entries = []
        if self.ledger_file.exists():
            entries = json.loads(self.ledger_file.read_text(encoding="utf-8"))["datasets"]
        same = (entry["stamp"], entry["path"])
        entries = [e for e in entries if (e["stamp"], e["path"]) != same] + [entry]
        content = json.dumps({"schema": 1, "datasets": entries}, indent=2)
        write_atomic(self.ledger_file, content + "\n")

    def checked_columns(self, dataset: Dataset | IterableDataset) -> list[str]:
        """The dataset's columns, among them the documents and what every prompt needs.

        Raises:
            CFTError: one is missing; names it and the mend.
        """
        # A stream may not know its columns before its first row is read.
        columns = dataset.column_names or list(next(iter(dataset), {}))
        if self.field not in columns:
            raise CFTError(
                f"dataset {self.plan.path} has no column '{self.field}'; set "
                f"`{self.field_option}` to one of {', '.join(columns)}"
            )
        self.choose.check_columns(columns)
        return columns

    def _check_result(self, rows: int, ledger: Ledger) -> None:
        """Check that something is left to train; only a piece of a whole may be empty."""
        if rows or self.is_piece or self.streamed:
            return
        plan = self.plan
        if plan.part == "test" and plan.holdout:
            raise CFTError(
                f"dataset {plan.path}: none of its {ledger.documents} documents fell into the "
                f"held-out part; raise cft.holdout (now {plan.holdout}) or, for a test file of "
                "its own, set it to 0"
            )
        raise CFTError(
            f"dataset {plan.path}: nothing to train on: {ledger.documents} documents read, "
            f"{ledger.empty} empty, {ledger.held_out} held out; check `path`, "
            f"`{self.field_option}: {self.field}` and cft.holdout"
        )


class CFTStrategy(PreparingStrategy):
    """Encodes a dataset of raw documents.

    Args:
        encoder: makes rows of documents.
        field: column that holds the text.
        task: the dataset.
    """

    def __init__(self, encoder: DocumentEncoder, field: str, task: Task):
        super().__init__(encoder.choose, field, "field", task)
        self.encoder = encoder
        # Streams are encoded in forked workers of the data loader, where threads that the parent
        # process started no longer exist and waiting for them would never end.
        self.encoder.threads = not task.streamed

    def wrap_dataset(
        self,
        dataset: Dataset | IterableDataset,
        process_count: int | None = None,
        keep_in_memory: bool | None = False,
        **kwargs: Any,
    ) -> Dataset | IterableDataset:
        """Encode `dataset` (axolotl/utils/data/wrappers.py::_handle_loaded_strategy).

        One process writes; the tokenizer's own threads do the work (`process_count` is not
        needed, and its forks would switch those threads off).

        Raises:
            CFTError: the text column or a prompt column is missing, or nothing is left to train.
        """
        columns = self.checked_columns(dataset)
        if isinstance(dataset, IterableDataset):
            LOG.info("cft: a streaming dataset has no ledger and no stamp")
            return dataset.map(
                self._encode_lists, batched=True, remove_columns=columns, features=FEATURES
            )
        self._check_text(dataset.data.schema.field(self.field).type)
        self.encoder.ledger = Ledger()
        encoded = dataset.with_format("arrow").map(
            self._encode_table,
            batched=True,
            batch_size=self._batch_size(dataset),
            remove_columns=columns,
            features=FEATURES,
            keep_in_memory=bool(keep_in_memory),
            # The prepared folder is the cache. A map cache beside it would not see code changes,
            # and a hit would leave the ledger empty.
            load_from_cache_file=False,
            desc=f"Contextual fine-tuning ({self.plan.prompts_name})",
        )
        encoded = encoded.with_format(None) if len(encoded) else no_rows()
        return self.finish(encoded, self.encoder.ledger)

    def _batch_size(self, dataset: Dataset) -> int:
        """The documents of a batch; a single document may be larger than a batch should be."""
        lengths = _byte_lengths(dataset.data.table.column(self.field))
        if not lengths.size:
            return 1
        limit = max(BATCH_BYTES // self.plan.options.views, 2 * int(lengths.max()))
        for size in BATCH_SIZES:
            if np.add.reduceat(lengths, np.arange(0, lengths.size, size)).max() <= limit:
                return size
        return 1

    def _check_text(self, type_: pa.DataType) -> None:
        # A batch of a stream that holds nulls alone does not know its type.
        types = pa.types
        if not (types.is_string(type_) or types.is_large_string(type_) or types.is_null(type_)):
            raise CFTError(
                f"dataset {self.plan.path}: column '{self.field}' holds {type_}, not text; "
                "name the text column in `field`"
            )

    def _encode_table(self, table: pa.Table) -> pa.Table:
        """An Arrow table of documents to an Arrow table of rows."""
        column = table.column(self.field)
        self._check_text(column.type)
        rows = RowBuffer()
        parts = (
            (part.column(self.field).to_pylist(), self._values(part))
            for part in (table.slice(a, b - a) for a, b in pairwise(_cut_by_bytes(column)))
        )
        self.encoder.encode_parts(parts, rows)
        return _to_arrow(rows)

    def _values(self, table: pa.Table) -> Sequence[Mapping[str, Any]]:
        """Of each document, the columns that prompts refer to."""
        wanted = self.choose.columns
        present = [name for name in table.column_names if wanted is None or name in wanted]
        return table.select(present).to_pylist() if present else [{}] * len(table)

    def _encode_lists(self, batch: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        """A batch of a streaming dataset."""
        wanted = self.choose.columns
        # Other columns may hold what Arrow has no type for.
        taken = {k: v for k, v in batch.items() if wanted is None or k in {self.field, *wanted}}
        table = self._encode_table(pa.table(taken))
        return {name: table.column(name).to_pylist() for name in table.column_names}


def describe(plan: Plan, label: str, ledger: Ledger) -> dict[str, Any]:
    """What a prepared dataset says of itself: stamp, source, part, prompts and ledger."""
    return {
        "stamp": plan.stamp,
        "path": label,
        "part": plan.part,
        "prompts": plan.prompts_name,
        "ledger": ledger.to_dict(),
    }


def descriptions(dataset: Dataset) -> list[dict[str, Any]]:
    """What `describe` said, one entry for each dataset that was merged into this one."""
    lines = (dataset.info.description or "").splitlines()
    return [
        json.loads(line.removeprefix(STAMP_PREFIX))
        for line in lines
        if line.startswith(STAMP_PREFIX + "{")
    ]


def _prepared_ledger(cfg: Any, part: str, tokenizer_name: str) -> Path:
    """`<prepared>/<hash>.cft_ledger.json`, beside the folder that the host will write."""
    configs = cfg.datasets if part == "train" else cfg.test_datasets
    hash_ = generate_dataset_hash_from_config(cfg, configs, tokenizer_name)
    folder = get_prepared_dataset_path(cfg, hash_)
    return folder.with_name(f"{folder.name}.cft_ledger.json")


def _label(path: str, ds_cfg: Mapping[str, Any]) -> str:
    """The dataset's path with whatever else tells its pieces apart."""
    details = ", ".join(str(ds_cfg[key]) for key in ("name", "split") if ds_cfg.get(key))
    shards = ds_cfg.get("shards")
    shard = f" shard {ds_cfg.get('shards_idx') or 0} of {shards}" if shards else ""
    return path + (f" ({details})" if details else "") + shard


def no_rows() -> Dataset:
    """What `map` makes of no documents lacks the columns."""
    return Dataset.from_dict({name: [] for name in FEATURES}, features=FEATURES)


def _byte_lengths(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Bytes of each text, 0 for a null."""
    if pa.types.is_null(column.type):
        return np.zeros(len(column), dtype=np.int64)
    return pc.fill_null(pc.binary_length(column), 0).to_numpy().astype(np.int64)


def _cut_by_bytes(column: pa.ChunkedArray) -> list[int]:
    """Bounds of consecutive slices of about SLICE_BYTES each, at least one document."""
    slices = np.cumsum(_byte_lengths(column)) // SLICE_BYTES
    return [0, *(np.flatnonzero(np.diff(slices)) + 1).tolist(), len(column)]


def _to_arrow(rows: RowBuffer) -> pa.Table:
    offsets, input_ids, labels = rows.columns()
    ends = pa.array(offsets)
    values = {
        "input_ids": pa.array(input_ids),
        "attention_mask": pa.array(np.ones(input_ids.size, dtype=np.int8)),
        "labels": pa.array(labels),
    }
    columns = {name: pa.ListArray.from_arrays(ends, array) for name, array in values.items()}
    return pa.table(columns, schema=FEATURES.arrow_schema)
