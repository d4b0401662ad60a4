"""The rows that training makes of documents, by the functions that make them there."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from axolotl_cft.core.encoding import IGNORE_INDEX
from axolotl_cft.core.ledger import Ledger
from axolotl_cft.host.epoch import row_lengths

if TYPE_CHECKING:
    from datasets import Dataset

    from axolotl_cft.core.options import Part
    from axolotl_cft.host.preparing import PreparingStrategy

COUNTS = ("documents", "held_out", "rows", "tokens", "trained", "prompt", "stored")
"""What is counted of rows; `stored` is bytes of the columns as they are saved."""


@dataclass(frozen=True)
class Made:
    """Rows, and what was counted while they were made.

    Attributes:
        rows: with all columns that are saved.
        ledger: of the CFT datasets among them; of others it counts the documents.
    """

    rows: "Dataset"
    ledger: Ledger

    def counts(self) -> npt.NDArray[np.float64]:
        """Of each of COUNTS, how many."""
        tokens = trained = stored = 0
        for table in batches_of(self.rows):
            labels = table.column("labels").combine_chunks().flatten().to_numpy()
            tokens += labels.size
            trained += int(np.count_nonzero(labels != IGNORE_INDEX))
            stored += table.nbytes
        ledger, rows = self.ledger, len(self.rows)
        # A row that the host drops takes its prompt along.
        kept = tokens / ledger.total_tokens if ledger.total_tokens > tokens else 1.0
        prompt = kept * ledger.prompt_tokens
        return np.array(
            [ledger.documents, ledger.held_out, rows, tokens, trained, prompt, stored], float
        )

    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each row."""
        return row_lengths(self.rows)

    def size_on_disk(self) -> int:
        """Bytes of the rows as the host saves them, measured."""
        with tempfile.TemporaryDirectory(prefix="cft-size-") as folder:
            self.rows.save_to_disk(folder)
            return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())


def batches_of(rows: "Dataset") -> Iterator[Any]:
    """The rows as Arrow tables, some at a time."""
    if len(rows):
        yield from rows.with_format("arrow").iter(batch_size=1000)


class RowMaker:
    """Makes the rows that the host would save of documents, with the host's own functions.

    As axolotl/utils/data/sft.py::_load_raw_datasets goes about it.

    Args:
        cfg: the validated config.
        tokenizer: as the host loads it.
        part: which rows.
        sampled: the documents are a sample, which no budget of tokens is shared out among.
    """

    def __init__(self, cfg: Any, tokenizer: Any, part: "Part", sampled: bool = False):
        self.cfg, self.tokenizer, self.part, self.sampled = cfg, tokenizer, part, sampled
        self._strategies: dict[str, PreparingStrategy] = {}

    def make(self, pieces: Sequence[tuple[Any, "Dataset"]]) -> Made:
        """The rows of some documents.

        Args:
            pieces: a dataset's config and documents of it, for each dataset.

        Raises:
            CFTError, ValueError: what training would refuse about the documents.
        """
        from axolotl.utils.data.shared import merge_datasets

        from axolotl_cft.host.preparing import no_rows

        made = [self._encode(dataset, documents) for dataset, documents in pieces]
        ledger = sum((each.ledger for each in made), Ledger())
        filled = [each.rows for each in made if len(each.rows)]
        if not filled:
            return Made(no_rows(), ledger)
        rows = merge_datasets(filled, self.cfg)
        streamed = self.cfg.streaming and self.part == "train"
        return Made(rows if streamed else self._finish(rows), ledger)

    def _finish(self, rows: "Dataset") -> "Dataset":
        """What the host does to encoded rows before it saves them."""
        from axolotl.utils.data.utils import (
            deduplicate_and_log_datasets,
            handle_long_seq_in_dataset,
        )
        from axolotl.utils.trainer import process_datasets_for_packing

        cfg, is_test = self.cfg, self.part == "test"
        length = (cfg.eval_sequence_len if is_test else None) or cfg.sequence_len
        rows = handle_long_seq_in_dataset(rows, length, cfg)
        if (cfg.eval_sample_packing if is_test else cfg.sample_packing) and len(rows):
            rows, _ = process_datasets_for_packing(cfg, rows, None)
        if cfg.dataset_exact_deduplication:
            rows, _ = deduplicate_and_log_datasets(dataset=rows)
        return rows

    def _encode(self, dataset: Any, documents: "Dataset") -> Made:
        """The rows of one dataset: by our strategies, or by what the host has for its type."""
        from axolotl.utils.data.wrappers import get_dataset_wrapper

        from axolotl_cft.host.plan import is_cft_type

        if is_cft_type(dataset.type):
            rows, ledger, _ = self._strategy(dataset).encode_slice(documents, 0)
            return Made(rows, ledger)
        base, _, style = (dataset.type if isinstance(dataset.type, str) else "").partition(":")
        rows, _ = get_dataset_wrapper(
            dataset_config=dataset,
            tokenizer=self.tokenizer,
            cfg=self.cfg,
            dataset_base_type=base or None,
            dataset=documents,
            dataset_prompt_style=style or None,
        )
        return Made(rows, Ledger(documents=len(documents)))

    def _strategy(self, dataset: Any) -> "PreparingStrategy":
        from axolotl_cft.host import chat
        from axolotl_cft.host import documents as strategy
        from axolotl_cft.host.plan import is_chat_type

        if (key := str(dataset)) not in self._strategies:
            load = chat.load if is_chat_type(dataset.type) else strategy.load
            made = self._strategies[key] = load(self.tokenizer, self.cfg, dataset)
            if self.sampled:
                made.plan = made.encoder.plan = made.plan.of_a_sample()
        return self._strategies[key]
