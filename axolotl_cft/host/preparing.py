"""What `cft` and `cft.chat` share: which dataset is prepared, and what becomes of its ledger."""

import json
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from axolotl.prompt_tokenizers import DatasetWrappingStrategy
from axolotl.utils.data.shared import generate_dataset_hash_from_config, get_prepared_dataset_path
from axolotl.utils.logging import get_logger
from datasets import Dataset, Features, IterableDataset, Value
from datasets import List as ListFeature
from filelock import FileLock

from axolotl_cft.core.ledger import Ledger
from axolotl_cft.core.near_duplicates import NearDuplicates
from axolotl_cft.core.options import Part, Plan
from axolotl_cft.core.sampling import share_to_hold_out
from axolotl_cft.errors import CFTError
from axolotl_cft.host.identity import RunIdentity
from axolotl_cft.host.output_dir import LEDGER_FILE
from axolotl_cft.host.plan import STAMP_PREFIX, is_complete, plan_stamp
from axolotl_cft.records import LedgerRecord, PreparedDataset, PreparedLedger

LOG = get_logger(__name__)


PLANS: dict[str, Plan] = {}
"""Plans by the first half of their stamp (host/identity), filled by `CFTPlugin.register`, which is
the only one to see the raw config."""


FEATURES = Features(
    {
        "input_ids": ListFeature(Value("int32")),
        "attention_mask": ListFeature(Value("int8")),
        "labels": ListFeature(Value("int64")),
    }
)
"""The host's own column types: int32 labels could not be concatenated with other strategies'."""


FEW = 20
"""Held-out documents below which their loss says little: it rests on the luck of each."""


@dataclass(frozen=True)
class Preparation:
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


def plan_of(dataset: Mapping[str, Any]) -> Plan:
    """What the plugin planned for a dataset of a validated config."""
    return PLANS[plan_stamp(dataset["conversation"])]


Loader = Callable[[Any, Any, Any], "PreparingStrategy"]
IN_PLACE_OF_ENCODING: ContextVar[Loader | None] = ContextVar("in place of encoding", default=None)
"""Asked by the strategies' `load` for another strategy, while shards are merged (merging.py)."""


def find_preparation(tokenizer: Any, cfg: Any, ds_cfg: Any) -> Preparation:
    """What the plugin planned for the dataset of `load`'s arguments.

    Raises:
        CFTError: the plugin was not registered for this config.
    """
    stamp = (ds_cfg or {}).get("conversation") or ""
    plan = PLANS.get(plan_stamp(stamp))
    if plan is None:
        raise CFTError(
            f"dataset {(ds_cfg or {}).get('path')}: `type: {(ds_cfg or {}).get('type')}` works "
            "only with the plugin; add `plugins: [axolotl_cft.CFTPlugin]` to the config"
        )
    # `axolotl evaluate` asks no plugin before it loads data, so that its stamps are not complete.
    whole = stamp if is_complete(stamp) else RunIdentity(cfg, tokenizer).complete(plan, ds_cfg)
    plan = replace(plan, stamp=whole)
    sequence_len = cfg.sequence_len
    if plan.part == "test" and cfg.eval_sequence_len:
        sequence_len = cfg.eval_sequence_len
    # The host streams the training part only.
    streamed = bool(cfg.streaming) and plan.part == "train"
    ledger_file = None if streamed else prepared_ledger(prepared_path(cfg, plan.part, tokenizer))
    label, is_piece = dataset_label(plan.path, ds_cfg), bool(ds_cfg.get("preprocess_shards"))
    return Preparation(plan, sequence_len, label, ledger_file, streamed, is_piece)


class PreparingStrategy(DatasetWrappingStrategy):
    """What `cft` and `cft.chat` share: columns are checked before, and the ledger is kept after.

    Args:
        field: column that holds the documents.
        field_option: the dataset option that names it.
        task: the dataset.

    Attributes:
        is_sample: only some of the dataset's documents are seen, so that their number says nothing.
    """

    encoder: Any
    """What makes the rows; it has a `plan`."""

    def __init__(self, field: str, field_option: str, task: Preparation):
        self.plan = task.plan
        self.field = field
        self.field_option = field_option
        self.label = task.label
        self.ledger_file = task.ledger_file
        self.streamed = task.streamed
        self.is_piece = task.is_piece
        self.is_slice = False
        self.is_sample = False
        self.counted: tuple[Ledger, NearDuplicates | None] = (Ledger(), None)

    def encode_slice(
        self, documents: Dataset, before: int, process_count: int | None = None
    ) -> tuple[Dataset, Ledger, NearDuplicates | None]:
        """The rows of some of the dataset's documents, and what was counted; nothing is published.

        Args:
            documents: consecutive ones.
            before: how many documents of the dataset stand before them.
            process_count: as the host hands it to `wrap_dataset`.

        Returns:
            Rows in memory, counts, and what saw every document if near duplicates are looked for.

        Raises:
            CFTError: as `wrap_dataset`, but for no rows.
        """
        self.plan = self.encoder.plan = replace(self.plan, before=before)
        self.is_slice = True
        rows = self.wrap_dataset(documents, process_count, keep_in_memory=True)
        return rows, *self.counted

    def search_for_near_duplicates(self) -> NearDuplicates | None:
        """What collects documents while the test part is made, which reads the training part too.

        A piece of a dataset says nothing of what stands in the others.
        """
        wanted = self.plan.part == "test" and self.plan.holdout and not self.is_piece
        return NearDuplicates() if wanted else None

    def finish(
        self, encoded: Dataset, ledger: Ledger, near_duplicates: NearDuplicates | None = None
    ) -> Dataset:
        """Give the rows their stamp and ledger, and publish the ledger.

        Both ride in `info.description`, which survives what the host does to a dataset later.

        Args:
            encoded: the rows.
            ledger: what was counted on the way.
            near_duplicates: what saw every document, if they were looked for.

        Raises:
            CFTError: there are no rows.
        """
        self.counted = (ledger, near_duplicates)
        if self.is_slice:
            return encoded
        self._check_result(len(encoded), ledger)
        if near_duplicates is not None:
            ledger.near_duplicates, ledger.compared = near_duplicates.count()
        entry = describe(self.plan, self.label, ledger)
        encoded.info.description = STAMP_PREFIX + json.dumps(entry.content())
        if self.streamed:
            return encoded
        heading = f"cft: {self.label}, {entry.part} part, prompts: {entry.prompts}"
        LOG.info("\n  ".join([heading, *ledger.lines()]))
        self._warn_about_near_duplicates(ledger)
        self._warn_about_few(ledger)
        self._keep(entry)
        return encoded

    def _warn_about_near_duplicates(self, ledger: Ledger) -> None:
        if not ledger.near_duplicates:
            return
        if self.plan.holdout_by is None:
            advice = "set cft.holdout_by to a column that such documents have in common"
        else:
            advice = f"documents of one {self.plan.holdout_by} already stay together;"
            advice += " drop the duplicates, or choose a coarser column"
        sample = "" if ledger.compared == ledger.held_out else f" ({ledger.compared:,} compared)"
        LOG.warning(
            f"cft: {self.label}: {ledger.near_duplicates:,} of {ledger.held_out:,} held-out "
            f"documents{sample} have a fifth or more of their text in training, so that the loss "
            f"on them flatters; {advice}"
        )

    def _warn_about_few(self, ledger: Ledger) -> None:
        """Warn of a held-out part on which a loss means little."""
        plan, documents = self.plan, ledger.documents - ledger.empty
        if plan.part == "train" or not plan.holdout or self.is_piece or self.is_sample:
            return
        if ledger.held_out >= FEW:
            return
        share = share_to_hold_out(documents, FEW)
        if share > 0.5:
            advice = "bring more documents, or read nothing into that loss"
        elif plan.holdout_by or share <= plan.holdout:
            advice = "raise cft.holdout"
        else:
            advice = f"set cft.holdout: {share:g} for {FEW} or more"
        LOG.warning(
            f"cft: {self.label}: cft.holdout: {plan.holdout:g} holds out {ledger.held_out:,} of "
            f"{documents:,} documents, too few for a loss to compare; {advice}"
        )

    def _keep(self, entry: PreparedDataset) -> None:
        """Write the ledger beside the prepared folder (inside it would break it)."""
        if self.ledger_file is None:
            return
        self.ledger_file.parent.mkdir(parents=True, exist_ok=True)
        # Another thread or process may be done with another dataset at the same moment.
        with FileLock(str(self.ledger_file.with_name(f".{self.ledger_file.name}.lock"))):
            there = self.ledger_file.exists()
            entries = PreparedLedger.read(self.ledger_file).datasets if there else []
            same = (entry.stamp, entry.path)
            others = [e for e in entries if (e.stamp, e.path) != same]
            PreparedLedger(datasets=[*others, entry]).write(self.ledger_file)

    def checked_columns(self, dataset: Dataset | IterableDataset) -> list[str]:
        """The dataset's columns, among them the documents and what every prompt needs.

        Raises:
            CFTError: one is missing; names it and says what to do.
        """
        # A stream may not know its columns before its first row is read.
        columns = dataset.column_names or list(next(iter(dataset), {}))
        if self.field not in columns:
            raise CFTError(
                f"dataset {self.plan.path} has no column '{self.field}'; set "
                f"`{self.field_option}` to one of {', '.join(columns)}"
            )
        by = self.plan.holdout_by
        if by and by not in columns:
            raise CFTError(
                f"dataset {self.plan.path} has no column '{by}', which cft.holdout_by names; add "
                f"it, or name one of {', '.join(columns)}"
            )
        self.plan.source.check_columns(columns, self.plan.path)
        return columns

    def _check_result(self, rows: int, ledger: Ledger) -> None:
        """Check that something is left to train; only a piece of a whole may be empty."""
        if rows or self.is_piece or self.streamed:
            return
        plan = self.plan
        if plan.part == "test" and plan.holdout:
            finer = ", or name a column of more values in cft.holdout_by" if plan.holdout_by else ""
            raise CFTError(
                f"dataset {plan.path}: none of its {ledger.documents} documents fell into the "
                f"held-out part; raise cft.holdout (now {plan.holdout}){finer}"
            )
        if ledger.beyond_budget:
            raise CFTError(
                f"dataset {plan.path}: nothing to train on: cft.trained_tokens: "
                f"{plan.options.trained_tokens} is less than a row of its documents; raise it"
            )
        raise CFTError(
            f"dataset {plan.path}: nothing to train on: {ledger.documents} documents read, "
            f"{ledger.empty} empty, {ledger.held_out} held out; check `path`, "
            f"`{self.field_option}: {self.field}` and cft.holdout"
        )


def processes_here(wanted: int | None) -> int:
    """How many processes may be started from this thread: `wanted` or, beside others, one.

    `datasets` forks, and a fork of a process whose other threads are at work waits forever for the
    locks that they held. The host calls from its main thread, or hands datasets to a pool.
    """
    alone = threading.current_thread() is threading.main_thread()
    return max(wanted or 1, 1) if alone else 1


def describe(plan: Plan, label: str, ledger: Ledger) -> PreparedDataset:
    """What a prepared dataset says of itself: stamp, source, part, prompts and ledger."""
    return PreparedDataset(
        stamp=plan.stamp,
        path=label,
        part=plan.part,
        prompts=plan.source.name,
        ledger=LedgerRecord(**ledger.to_dict()),
    )


def descriptions(dataset: Dataset) -> list[PreparedDataset]:
    """What `describe` said, one entry for each dataset that was merged into this one."""
    lines = (dataset.info.description or "").splitlines()
    return [
        PreparedDataset.parse(json.loads(line.removeprefix(STAMP_PREFIX)), "a prepared dataset")
        for line in lines
        if line.startswith(STAMP_PREFIX + "{")
    ]


def prepared_path(cfg: Any, part: Part, tokenizer: Any) -> Path:
    """The folder that the host will write: `<prepared>/<hash>`."""
    configs = cfg.datasets if part == "train" else cfg.test_datasets
    hash_ = generate_dataset_hash_from_config(cfg, configs, tokenizer.name_or_path)
    return Path(get_prepared_dataset_path(cfg, hash_))


def shards_folder(prepared: Path) -> Path:
    """`<hash>.shards`, beside the folder: where `axolotl-cft prepare` keeps them (host/shards)."""
    return prepared.with_name(f"{prepared.name}.shards")


def check_merged(prepared: Path) -> None:
    """Refuse to encode in a training run what is encoded in shards.

    Raises:
        CFTError: there are shards of what the host would prepare anew; names their folder.
    """
    shards = shards_folder(prepared)
    if shards.is_dir() and not any(prepared.glob("*")):
        raise CFTError(
            f"{shards} holds shards of this config that were not merged; run `axolotl-cft prepare "
            "CONFIG --merge`, or delete them"
        )


def prepared_ledger(folder: Path) -> Path:
    """`<hash>.cft_ledger.json`, beside the folder."""
    return folder.with_name(f"{folder.name}.{LEDGER_FILE}")


def dataset_label(path: str, ds_cfg: Mapping[str, Any]) -> str:
    """The dataset's path with whatever else tells its pieces apart."""
    details = ", ".join(str(ds_cfg[key]) for key in ("name", "split") if ds_cfg.get(key))
    shards = ds_cfg.get("shards")
    # One shard is the whole; it only has the host shuffle the documents.
    several = (shards or 1) > 1
    shard = f" shard {ds_cfg.get('shards_idx') or 0} of {shards}" if several else ""
    return path + (f" ({details})" if details else "") + shard


def no_rows() -> Dataset:
    """What `map` makes of no documents lacks the columns."""
    return Dataset.from_dict({name: [] for name in FEATURES}, features=FEATURES)
