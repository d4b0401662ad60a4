"""Axolotl's prompt strategy `type: cft`: documents in, rows of token ids out.

The edge to the host. Axolotl finds `load` through axolotl/prompt_strategies/__init__.py::load and
calls `CFTStrategy.wrap_dataset`; texts come from an Arrow table and rows go back as one.
"""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from axolotl.utils.chat_templates import get_chat_template_from_config
from axolotl.utils.logging import get_logger
from datasets import Dataset, Features, IterableDataset, Value

from axolotl_cft.core.budget import Allotment, allot, place_in_line
from axolotl_cft.core.contexts import Template
from axolotl_cft.core.documents import DocumentEncoder
from axolotl_cft.core.encoding import Row, lay_out
from axolotl_cft.core.ledger import Ledger
from axolotl_cft.errors import CFTError
from axolotl_cft.host.preparing import (
    FEATURES,
    IN_PLACE_OF_ENCODING,
    Preparation,
    PreparingStrategy,
    find_preparation,
    no_rows,
    processes_here,
)

LOG = get_logger(__name__)


BATCH_BYTES = 16 << 20
"""Most text bytes in one batch, over all views: bounds memory whatever the documents' length."""

BATCH_SIZES = (1000, 500, 200, 100, 50, 20, 10, 5, 2, 1)
"""Documents in a batch: the first of these that stays within BATCH_BYTES."""

SLICE_BYTES = 1 << 20
"""Text bytes tokenized at a time, while the slice before becomes rows."""


TOLD = 16 << 20
"""Characters of a long document between two lines of the log."""

MEASURED = 1000
"""Documents in a batch whose tokens are only counted, a slice of SLICE_BYTES at a time."""

MOST_PASSES = 1000
"""How often `cft.trained_tokens` may go through the documents; more is a slip of the pen."""

BYTES_PER_PROCESS = 16 << 20
"""Text bytes that make a process worth its start."""


def load(tokenizer: Any, cfg: Any, ds_cfg: Any = None) -> PreparingStrategy:
    """Entry point of the strategy (axolotl/prompt_strategies/__init__.py::load).

    Args:
        tokenizer: the run's tokenizer.
        cfg: the validated config.
        ds_cfg: one element of `datasets` or `test_datasets`.

    Raises:
        CFTError: the plugin was not registered for this config, or a prompt does not fit.
    """
    if (instead := IN_PLACE_OF_ENCODING.get()) is not None:
        return instead(tokenizer, cfg, ds_cfg)
    task = find_preparation(tokenizer, cfg, ds_cfg)
    template = chosen_template(tokenizer, cfg, ds_cfg)
    encoder = DocumentEncoder(tokenizer, task.plan, task.sequence_len, template)
    return CFTStrategy(encoder, ds_cfg.get("field") or "text", task)


def chosen_template(tokenizer: Any, cfg: Any, ds_cfg: Any) -> Template:
    """The chat template that a dataset names, else the config's, and its arguments.

    The config's is the tokenizer's own by now (axolotl/loaders/tokenizer.py::load_tokenizer).
    """
    own = ds_cfg.get("chat_template") or ds_cfg.get("chat_template_jinja")
    jinja = get_chat_template_from_config(cfg, ds_cfg, tokenizer) if own else None
    return Template(jinja, dict(cfg.get("chat_template_kwargs") or {}))


class CFTStrategy(PreparingStrategy):
    """Encodes a dataset of raw documents.

    Args:
        encoder: makes rows of documents.
        field: column that holds the text.
        task: the dataset.
    """

    def __init__(self, encoder: DocumentEncoder, field: str, task: Preparation):
        super().__init__(field, "field", task)
        self.encoder = encoder
        # Streams are encoded in forked workers of the data loader, where threads that the parent
        # process started no longer exist and waiting for them would never end.
        self.encoder.threads = not task.streamed
        self.encoder.tell = self._tell
        self._told = 0

    def wrap_dataset(
        self,
        dataset: Dataset | IterableDataset,
        process_count: int | None = None,
        keep_in_memory: bool | None = False,
        **kwargs: Any,
    ) -> Dataset | IterableDataset:
        """Encode `dataset` (axolotl/utils/data/wrappers.py::_handle_loaded_strategy).

        A small dataset is encoded in one process, by the tokenizer's own threads; a large one in
        up to `process_count` processes of one thread each. Datasets may be wrapped at once, by
        threads (one process each) or in processes of their own.

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
        lengths = _byte_lengths(dataset.data.table.column(self.field))
        self.encoder.start()
        self.encoder.allotment = None
        self.encoder.near_duplicates = self.search_for_near_duplicates()
        processes = self._processes(lengths, process_count)
        if (budget := self.plan.options.trained_tokens) is not None:
            self.encoder.allotment = self._allot(dataset, columns, processes, budget)
        how: dict[str, Any] = {
            "batched": True,
            "batch_size": self._batch_size(lengths),
            "remove_columns": columns,
            "features": FEATURES,
            "keep_in_memory": bool(keep_in_memory),
            # The prepared folder is the cache. A map cache beside it would not see code changes,
            # and a hit would leave the ledger empty.
            "load_from_cache_file": False,
            "desc": f"Contextual fine-tuning ({self.plan.source.name})",
        }
        documents = dataset.with_format("arrow")
        if processes == 1:
            encoded = documents.map(self._encode_table, **how)
            ledger = self.encoder.ledger
        else:
            encoded, ledger = self._encode_in_processes(documents, processes, how)
        encoded = encoded.with_format(None) if len(encoded) else no_rows()
        return self.finish(encoded, ledger, self.encoder.near_duplicates)

    def count(self, dataset: Dataset, process_count: int | None = None) -> int:
        """Tokens with loss in the dataset's rows, all views together, whatever the budget."""
        columns = self.checked_columns(dataset)
        lengths = _byte_lengths(dataset.data.table.column(self.field))
        _, tokens = self._measured(dataset, columns, self._processes(lengths, process_count))
        return int(tokens.sum()) * self.plan.options.views

    def _allot(
        self, dataset: Dataset, columns: list[str], processes: int, budget: int
    ) -> Allotment:
        """What the budget takes of each document, whose tokens are counted for it first.

        Raises:
            CFTError: there is nothing to train on, or far too little.
        """
        places, tokens = self._measured(dataset, columns, processes)
        counted, views = self.encoder.ledger, self.plan.options.views
        self.encoder.start()
        if not tokens.any():
            self._check_result(0, counted)
        if budget > MOST_PASSES * (there := int(tokens.sum()) * views):
            raise CFTError(
                f"dataset {self.plan.path}: cft.trained_tokens: {budget:,} is {budget // there:,} "
                f"times its {there:,} tokens; lower it, or add documents"
            )
        return allot(places, tokens, views, budget)

    def _measured(
        self, dataset: Dataset, columns: list[str], processes: int
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Of each document, its place in line and the tokens that a view of it trains."""
        threads, self.encoder.threads = self.encoder.threads, processes == 1
        measured = dataset.with_format("arrow").map(
            self._measure_table,
            batched=True,
            batch_size=MEASURED,
            remove_columns=columns,
            features=Features({"place": Value("float64"), "tokens": Value("int64")}),
            num_proc=processes if processes > 1 else None,
            keep_in_memory=True,
            load_from_cache_file=False,
            desc="Counting tokens",
        )
        self.encoder.threads = threads
        places, tokens = (measured.data.table.column(n).to_numpy() for n in ("place", "tokens"))
        return places, tokens

    def _measure_table(self, table: pa.Table) -> pa.Table:
        """Of each document of an Arrow table, its place in line and its trained tokens."""
        column = table.column(self.field)
        found: list[tuple[bytes, int]] = []
        for part in (table.slice(a, b - a) for a, b in pairwise(_cut_by_bytes(column))):
            found += self.encoder.measure(part.column(self.field).to_pylist(), self._values(part))
        places = [place_in_line(key) for key, _ in found]
        return pa.table({"place": places, "tokens": [tokens for _, tokens in found]})

    def _tell(self, done: int, of: int) -> None:
        """A line now and then during a long document, for which the bar stands still."""
        if done < self._told:  # of another document
            self._told = 0
        if done - self._told >= TOLD:
            self._told = done
            LOG.info(
                f"cft: {self.label}: {done / 1e6:,.0f} of {of / 1e6:,.0f} million characters of a "
                "long document"
            )

    def _processes(self, lengths: npt.NDArray[np.int64], allowed: int | None) -> int:
        """How many processes are worth their start, which the log says."""
        if self.encoder.near_duplicates is not None:  # one place sees all documents
            return 1
        most = min(processes_here(allowed), lengths.size, int(lengths.sum()) // BYTES_PER_PROCESS)
        if most < 2:
            return 1
        LOG.info(f"cft: {self.label}: {lengths.sum() / 1e6:,.0f} MB in {most} processes")
        return most

    def _encode_in_processes(
        self, documents: Dataset, processes: int, how: Mapping[str, Any]
    ) -> tuple[Dataset, Ledger]:
        """The rows in the documents' order, and what the processes counted."""
        with tempfile.TemporaryDirectory(prefix="cft-counts-") as folder:
            encoded = documents.map(
                self._encode_and_count,
                with_indices=True,
                fn_kwargs={"folder": folder},
                num_proc=processes,
                **how,
            )
            files = sorted(Path(folder).iterdir())
            lines = [line for file in files for line in file.read_text().splitlines()]
        return encoded, sum((Ledger.from_dict(json.loads(line)) for line in lines), Ledger())

    def _encode_and_count(self, table: pa.Table, indices: Sequence[int], folder: str) -> pa.Table:
        """`_encode_table` in a process of its own, which leaves its counts in a file.

        A column of the rows cannot carry them: a batch may have none.
        """
        # A fork of a process whose tokenizer has used threads must not wait for them.
        self.encoder.threads = False
        self.encoder.start(before=indices[0])
        rows = self._encode_table(table)
        with (Path(folder) / str(os.getpid())).open("a") as file:
            file.write(json.dumps(self.encoder.ledger.to_dict()) + "\n")
        return rows

    def _batch_size(self, lengths: npt.NDArray[np.int64]) -> int:
        """The documents of a batch; a single document may be larger than a batch should be."""
        if not lengths.size:
            return 1
        allotted = self.encoder.allotment
        views = self.plan.options.views if allotted is None else int(allotted.views.max())
        limit = max(BATCH_BYTES // views, 2 * int(lengths.max()))
        for size in BATCH_SIZES:
            if np.add.reduceat(lengths, np.arange(0, lengths.size, size)).max() <= limit:
                return size
        return 1

    def _check_text(self, type_: pa.DataType) -> None:
        # A batch of a stream that holds only nulls does not know its type.
        types = pa.types
        known = (types.is_string, types.is_large_string, types.is_string_view, types.is_null)
        if not any(is_known(type_) for is_known in known):
            raise CFTError(
                f"dataset {self.plan.path}: column '{self.field}' holds {type_}, not text; "
                "name the text column in `field`"
            )

    def _encode_table(self, table: pa.Table) -> pa.Table:
        """An Arrow table of documents to an Arrow table of rows."""
        column = table.column(self.field)
        self._check_text(column.type)
        parts = (
            (part.column(self.field).to_pylist(), self._values(part))
            for part in (table.slice(a, b - a) for a, b in pairwise(_cut_by_bytes(column)))
        )
        return _to_arrow(self.encoder.encode_parts(parts))

    def _values(self, table: pa.Table) -> Sequence[Mapping[str, Any]]:
        """Of each document, the columns that prompts and the hold-out refer to."""
        wanted = self.plan.columns
        present = [name for name in table.column_names if wanted is None or name in wanted]
        return table.select(present).to_pylist() if present else [{}] * len(table)

    def _encode_lists(self, batch: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        """A batch of a streaming dataset."""
        wanted = self.plan.columns
        # Other columns may hold what Arrow has no type for.
        taken = {k: v for k, v in batch.items() if wanted is None or k in {self.field, *wanted}}
        table = self._encode_table(pa.table(taken))
        return {name: table.column(name).to_pylist() for name in table.column_names}


def _byte_lengths(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Bytes of each text, 0 for a null."""
    if pa.types.is_null(column.type):
        return np.zeros(len(column), dtype=np.int64)
    if pa.types.is_string_view(column.type):  # Arrow counts no bytes of a view
        column = column.cast(pa.large_string())
    return pc.fill_null(pc.binary_length(column), 0).to_numpy().astype(np.int64)


def _cut_by_bytes(column: pa.ChunkedArray) -> list[int]:
    """Bounds of consecutive slices of about SLICE_BYTES each, at least one document."""
    slices = np.cumsum(_byte_lengths(column)) // SLICE_BYTES
    return [0, *(np.flatnonzero(np.diff(slices)) + 1).tolist(), len(column)]


def _to_arrow(rows: Sequence[Row]) -> pa.Table:
    offsets, input_ids, labels = lay_out(rows)
    ends = pa.array(offsets)
    values = {
        "input_ids": pa.array(input_ids),
        "attention_mask": pa.array(np.ones(input_ids.size, dtype=np.int8)),
        "labels": pa.array(labels),
    }
    columns = {name: pa.ListArray.from_arrays(ends, array) for name, array in values.items()}
    return pa.table(columns, schema=FEATURES.arrow_schema)
