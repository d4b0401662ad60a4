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
"""Text bytes aimed at in one batch: bounds memory whatever the documents' length."""

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
    return CFTStrategy(encoder, ds_cfg.get("field") or "text", task.label, task.ledger_file)


@dataclass(frozen=True)
class Task:
    """One dataset to prepare: its plan, most tokens in a row, its name and place in the ledger."""

    plan: Plan
    sequence_len: int
    label: str
    ledger_file: Path | None


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
    ledger_file = _prepared_ledger(cfg, plan.part, tokenizer.name_or_path)
    return Task(plan, sequence_len, _label(plan.path, ds_cfg), ledger_file)


class PreparingStrategy(DatasetWrappingStrategy):
    """What `cft` and `cft.chat` share: columns are checked before, and the ledger is kept after.

    Args:
        choose: chooses the prompts.
        field: column that holds the documents.
        field_option: the dataset option that names it.
        label: what to call the dataset in the ledger.
        ledger_file: where to keep the ledger, None for nowhere.
    """

    def __init__(
        self,
        choose: PromptChooser,
        field: str,
        field_option: str,
        label: str,
        ledger_file: Path | None,
    ):
        self.plan = choose.plan
        self.choose = choose
        self.field = field
        self.field_option = field_option
        self.label = label or self.plan.path
        self.ledger_file = ledger_file

    def finish(self, encoded: Dataset, ledger: Ledger) -> Dataset:
        """Give the rows their stamp and ledger, and publish the ledger.

        Both ride in `info.description`, which survives what the host does to a dataset later.

        Raises:
            CFTError: there are no rows.
        """
        self.check_result(len(encoded), ledger)
        entry = describe(self.plan, self.label, ledger)
        encoded.info.description = STAMP_PREFIX + json.dumps(entry)
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

    def check_result(self, rows: int, ledger: Ledger) -> None:
        """Check that something is left to train.

        Raises:
            CFTError: there are no rows; says where the documents went.
        """
        if rows:
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
        label: what to call the dataset in the ledger.
        ledger_file: where to keep the ledger, None for nowhere.
    """

    def __init__(
        self,
        encoder: "DocumentEncoder",
        field: str,
        label: str = "",
        ledger_file: Path | None = None,
    ):
        super().__init__(encoder.choose, field, "field", label, ledger_file)
        self.encoder = encoder

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
            self.encoder.threads = False
            return dataset.map(
                self._encode_lists, batched=True, remove_columns=columns, features=FEATURES
            )
        self._check_text(dataset.data.schema.field(self.field).type)
        self.encoder.ledger = Ledger()
        encoded = dataset.with_format("arrow").map(
            self._encode_table,
            batched=True,
            batch_size=_batch_size(dataset, self.field),
            remove_columns=columns,
            features=FEATURES,
            keep_in_memory=bool(keep_in_memory),
            # The prepared folder is the cache. A map cache beside it would not see code changes,
            # and a hit would leave the ledger empty.
            load_from_cache_file=False,
            desc=f"Contextual fine-tuning ({self.plan.prompts_name})",
        )
        return self.finish(encoded.with_format(None), self.encoder.ledger)

    def _check_text(self, type_: pa.DataType) -> None:
        if not (pa.types.is_string(type_) or pa.types.is_large_string(type_)):
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
        return _to_arrow_dict(self._encode_table(pa.table(dict(batch))))


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


def _prepared_ledger(cfg: Any, part: str, tokenizer_name: str) -> Path | None:
    """`<prepared>/<hash>.cft_ledger.json`, beside the folder that the host will write."""
    if cfg.streaming:
        return None
    configs = cfg.datasets if part == "train" else cfg.test_datasets
    hash_ = generate_dataset_hash_from_config(cfg, configs, tokenizer_name)
    folder = get_prepared_dataset_path(cfg, hash_)
    return folder.with_name(f"{folder.name}.cft_ledger.json")


def _label(path: str, ds_cfg: Mapping[str, Any]) -> str:
    """The dataset's path with whatever else tells its pieces apart."""
    name, shards = ds_cfg.get("name"), ds_cfg.get("shards")
    shard = f" shard {ds_cfg.get('shards_idx') or 0} of {shards}" if shards else ""
    return path + (f" ({name})" if name else "") + shard


def _batch_size(dataset: Dataset, field: str) -> int:
    """Documents in a batch so that it holds about BATCH_BYTES of text, at most 1,000."""
    total = pc.sum(pc.binary_length(dataset.data.table.column(field))).as_py() or 0
    mean = total / max(1, len(dataset.data))
    return max(1, min(1000, int(BATCH_BYTES / max(1.0, mean))))


def _cut_by_bytes(column: pa.ChunkedArray) -> list[int]:
    """Bounds of consecutive slices of about SLICE_BYTES each, at least one document."""
    lengths = pc.fill_null(pc.binary_length(column), 0).to_numpy()
    slices = np.cumsum(lengths) // SLICE_BYTES
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


def _to_arrow_dict(table: pa.Table) -> dict[str, list[Any]]:
    return {name: table.column(name).to_pylist() for name in table.column_names}
