"""Axolotl's plugin: registration, cache identity, refusals, and the ledger at the trainer.

The host calls `register` with the raw config before validation, in every process and command;
`load_datasets` after validation and before any data; `post_trainer_create` before the first step
(axolotl/integrations/base.py::BasePlugin).
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from axolotl.integrations.base import BasePlugin
from axolotl.utils.data.shared import get_dataset_type
from axolotl.utils.dict import DictDefault
from axolotl.utils.distributed import is_main_process
from axolotl.utils.logging import get_logger
from datasets import Dataset
from packaging.version import Version

# Imported here and not on first use: inside the strategy a ModuleNotFoundError would reach the
# user as "unhandled prompt tokenization strategy".
from axolotl_cft import chat, strategy
from axolotl_cft.config import (
    DEFAULT_SEED,
    STAMP_PREFIX,
    CFTConfig,
    all_datasets,
    cft_datasets,
    check_reach,
    is_cft_type,
    local_files,
    make_plan,
    parse_options,
    source_of,
)
from axolotl_cft.encoding import IGNORE_INDEX
from axolotl_cft.errors import CFTError
from axolotl_cft.files import write_atomic
from axolotl_cft.ledger import Ledger

LOG = get_logger(__name__)

MIN_AXOLOTL = "0.18"
LEDGER_FILE = "cft_ledger.json"
DATA_SUFFIXES = frozenset({".arrow", ".csv", ".json", ".jsonl", ".ndjson", ".parquet", ".tsv"})
"""Of files that `datasets` reads record by record."""


class CFTPlugin(BasePlugin):
    """Contextual fine-tuning as `type: cft`; add `axolotl_cft.CFTPlugin` to `plugins`."""

    def get_input_args(self) -> str:
        """Adds the `cft:` block to the config's schema."""
        return "axolotl_cft.config.CFTArgs"

    def register(self, cfg: Any) -> None:
        """Make `type: cft` known, resolve every CFT dataset, and give each its cache identity.

        Called with the same config more than once by some commands; the result is the same.

        Raises:
            CFTError: anything about the config that cannot work, before a model is loaded.
        """
        sys.modules["axolotl.prompt_strategies.cft"] = strategy
        sys.modules["axolotl.prompt_strategies.cft.chat"] = chat
        _check_host_version()
        _check_raw(cfg)
        options = parse_options(cfg)
        check_reach(options, cfg)
        seed, eval_sequence_len = cfg.get("seed"), cfg.get("eval_sequence_len")
        same: Counter[str] = Counter()
        for place, part, dataset in cft_datasets(cfg):
            _check_dataset(place, dataset, seed)
            plan = make_plan(place, part, dataset, options, seed, eval_sequence_len)
            same[plan.stamp] += 1
            if (count := same[plan.stamp]) > 1:
                # Listed again to weigh more; under one stamp, one ledger would be kept of both.
                plan = replace(plan, stamp=f"{plan.stamp}/{count}")
            # A hashed field of the host's that nothing reads for this type: the least invasive way
            # to let options and prompt texts decide which prepared dataset is used
            # (axolotl/utils/data/shared.py::DATASET_HASH_BASE_DATASET_FIELDS).
            dataset["conversation"] = plan.stamp
            strategy.PLANS[plan.stamp] = plan
        _warn(cfg, options)

    def load_datasets(self, cfg: Any, preprocess: bool = False) -> None:
        """Refuse what only the validated config shows; loading itself is left to the host."""
        if not any(cft_datasets(cfg)):
            return
        packed = cfg.sample_packing or cfg.eval_sample_packing
        if packed and not cfg.attn_decontaminates_packing:
            raise CFTError(
                "sample_packing: this attention lets packed documents see each other's prompts; "
                "set attn_implementation to sdpa, flash_attention_2 or another that isolates "
                "them, or sample_packing: false"
            )

    def post_trainer_create(self, cfg: Any, trainer: Any) -> None:
        """Check that the data are the ones this config asks for, and write the ledger.

        Raises:
            CFTError: a dataset was prepared otherwise, or was tokenized before it came here.
        """
        train, test = trainer.train_dataset, trainer.eval_dataset
        if not isinstance(train, Dataset):
            LOG.info("cft: streaming: no ledger is kept and stamps cannot be checked")
            return
        _check_stamps(cfg, "datasets", train)
        if cfg.test_datasets and isinstance(test, Dataset):
            _check_stamps(cfg, "test_datasets", test)
        if not is_main_process():
            return
        split_off = test if cfg.val_set_size and not cfg.test_datasets else None
        ledger = _final_ledger(cfg, train, test if cfg.test_datasets else None, split_off)
        path = Path(cfg.output_dir) / LEDGER_FILE
        write_atomic(path, json.dumps(ledger, indent=2) + "\n")
        _log_reached(ledger["reached_trainer"], path)


def _check_host_version() -> None:
    found = version("axolotl")
    if Version(found) < Version(MIN_AXOLOTL):
        raise CFTError(
            f"axolotl {found} is too old for axolotl-cft; "
            f"run `pip install 'axolotl>={MIN_AXOLOTL}'`"
        )


def _check_raw(cfg: Mapping[str, Any]) -> None:
    """Refuse what would silently bypass the strategy or undo the mask."""
    if cfg.get("pretraining_dataset"):
        raise CFTError(
            "pretraining_dataset: the host rebuilds the labels of such data, so the prompt would "
            "be trained; list it under `datasets` as `type: cft`, with `streaming: true` if needed"
        )
    for place, _, dataset in all_datasets(cfg):
        if dataset.get("cft") is not None and not is_cft_type(dataset.get("type")):
            raise CFTError(
                f"{place}.cft: `type: {dataset.get('type')}` does not use these options; set "
                "`type: cft` (or cft.chat for conversations), or remove them"
            )
    if not any(cft_datasets(cfg)):
        if cfg.get("cft") is not None:
            raise CFTError(
                "cft: no dataset uses these options; give one `type: cft`, or remove the block"
            )
        return
    if cfg.get("skip_prepare_dataset"):
        raise CFTError("skip_prepare_dataset: the host would skip `type: cft`; remove the option")
    if cfg.get("rl"):
        raise CFTError(
            f"rl: {cfg.get('rl')} trains on preferences, not on texts; remove it for cft"
        )
    if cfg.get("streaming") and cfg.get("sample_packing") and len(cfg.get("datasets") or []) > 1:
        # axolotl/utils/data/sft.py::_prepare_streaming_dataset
        raise CFTError(
            "streaming: with sample_packing the host reads the first of `datasets` and leaves the "
            "others out; list one dataset, or set one of the two to false"
        )


def _check_dataset(place: str, dataset: Mapping[str, Any], seed: int | None) -> None:
    given = dataset.get("conversation")
    if given and not str(given).startswith(STAMP_PREFIX):
        raise CFTError(
            f"{place}.conversation: axolotl-cft keeps the cache identity here, and the host does "
            "not use it for `type: cft`; remove it"
        )
    for key in ("shards", "preprocess_shards"):
        if dataset.get(key) and seed is None:
            # axolotl/utils/data/sft.py::_load_and_process_single_dataset
            raise CFTError(
                f"{place}.{key}: without a `seed` in the config the host shuffles anew before it "
                "takes each shard, which repeats documents and leaves others out; set seed"
            )
    if file := _file_split_by_line(dataset):
        raise CFTError(
            f"{place}: {file} would be split into a document a line by the host; convert it to "
            "JSONL or Parquet with one document a row (docs/data.md shows how)"
        )


def _file_split_by_line(dataset: Mapping[str, Any]) -> str | None:
    """The file or folder of a dataset that the host would read line by line, if there is one."""
    path, data_files = str(dataset.get("path")), dataset.get("data_files") or []
    names = [data_files] if isinstance(data_files, str) else list(data_files)
    if not Path(path).is_dir():
        names.append(path)
    elif not names:
        # `datasets` takes a folder for what most of its files are, whatever `ds_type` says.
        suffixes = [path.suffixes for path in local_files(dataset)]
        texts = sum(".txt" in found for found in suffixes)
        others = sum(not DATA_SUFFIXES.isdisjoint(found) for found in suffixes)
        return path if texts > 0 and texts >= others else None
    ds_type = dataset.get("ds_type")
    kinds = {name: get_dataset_type(DictDefault(path=name, ds_type=ds_type)) for name in names}
    return next((name for name, kind in kinds.items() if kind == "text"), None)


def _warn(cfg: Mapping[str, Any], options: CFTConfig) -> None:
    if not any(cft_datasets(cfg)):
        return
    _warn_about_evaluation(cfg, options)
    if cfg.get("seed") is None:
        unset = options.seed is None
        detail = f"prompts are drawn with seed {DEFAULT_SEED}, but " if unset else ""
        LOG.warning(
            f"cft: no `seed` in the config: {detail}the order of rows will differ from run to run"
        )
    if cfg.get("sample_packing") and not cfg.get("curriculum_sampling"):
        LOG.warning(
            "cft: a packed run that is resumed repeats and skips rows (the host's sampler keeps no "
            "state); set curriculum_sampling: true to resume exactly, and shuffle the documents "
            "first, since a single dataset then keeps its order"
        )


def _warn_about_evaluation(cfg: Mapping[str, Any], options: CFTConfig) -> None:
    if cfg.get("val_set_size"):
        LOG.warning(
            "cft: val_set_size splits after chunking, so chunks of one document land on both "
            "sides; use cft.holdout with test_datasets instead"
        )
    trained = [source_of(item) for _, part, item in cft_datasets(cfg) if part == "train"]
    for place, part, dataset in cft_datasets(cfg):
        # Of what has several splits, the host takes another one for each part.
        shared = source_of(dataset) in trained and Path(str(dataset.get("path"))).is_file()
        if part == "test" and shared and not options.holdout:
            LOG.warning(
                f"cft: {place} holds the documents that are trained on; set cft.holdout to keep "
                "a share of them out of training"
            )
    if options.holdout and not any(part == "test" for _, part, _ in cft_datasets(cfg)):
        LOG.warning(
            f"cft: holdout: {options.holdout} keeps documents out of training, but no "
            "test_datasets of type cft evaluate them"
        )
    if cfg.get("test_datasets") and cfg.get("streaming") and not cfg.get("sample_packing"):
        # axolotl/utils/data/sft.py::_prepare_streaming_dataset
        LOG.warning(
            "cft: streaming without sample_packing makes the host leave test_datasets out, so "
            "nothing is evaluated; evaluate the saved model afterwards"
        )
    evaluates = any("lm_eval" in str(name) for name in cfg.get("plugins") or [])
    if evaluates and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        LOG.warning(
            "cft: LMEvalPlugin evaluates once on every rank; run lm_eval after training instead"
        )


def _check_stamps(cfg: Any, key: str, dataset: Dataset) -> None:
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
    found = {entry["stamp"]: entry["path"] for entry in strategy.descriptions(dataset)}
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


def _final_ledger(
    cfg: Any, train: Dataset, test: Dataset | None, split_off: Dataset | None
) -> dict[str, Any]:
    """The ledger with what reached the trainer; `split_off` is the host's own validation split."""
    entries = strategy.descriptions(train)
    made = sum((Ledger.from_dict(entry["ledger"]) for entry in entries), Ledger())
    reached = _count([train, split_off])
    mixed = any(not is_cft_type(item.get("type")) for item in cfg.datasets)
    reached["mixed_with_other_datasets"] = mixed
    if not mixed:
        reached["rows_lost"] = made.rows - reached["rows"]
        reached["trained_tokens_lost"] = made.trained_tokens - reached["trained_tokens"]
    test_entries = strategy.descriptions(test) if test is not None else []
    tested = sum((Ledger.from_dict(entry["ledger"]) for entry in test_entries), Ledger())
    return {
        "schema": 1,
        "train": made.to_dict(),
        "test": tested.to_dict() if test_entries else None,
        "reached_trainer": reached,
        "datasets": entries + test_entries,
    }


def _count(datasets: list[Dataset | None]) -> dict[str, Any]:
    rows = tokens = trained = 0
    for dataset in datasets:
        for labels in _label_batches(dataset) if dataset is not None else ():
            rows += len(labels)
            values = labels.flatten().to_numpy(zero_copy_only=False)
            tokens += values.size
            trained += int(np.count_nonzero(values != IGNORE_INDEX))
    return {"rows": rows, "tokens": tokens, "trained_tokens": trained}


def _label_batches(dataset: Dataset) -> Iterator[Any]:
    for table in dataset.select_columns(["labels"]).with_format("arrow").iter(batch_size=1000):
        yield from table.column("labels").chunks


def _log_reached(reached: Mapping[str, Any], path: Path) -> None:
    if reached["mixed_with_other_datasets"]:
        LOG.info(
            f"cft: {reached['rows']:,} rows reached the trainer, other datasets' among them, so "
            f"losses cannot be told apart ({path})"
        )
    elif lost := reached["trained_tokens_lost"]:
        total = lost + reached["trained_tokens"]
        LOG.warning(
            f"cft: {lost:,} of {total:,} trained tokens ({lost / total:.2%}, "
            f"{reached['rows_lost']:,} rows) did not reach the trainer: the host dropped them "
            f"(min_sample_len, exact deduplication, sharding); see {path}"
        )
    else:
        LOG.info(f"cft: every trained token reached the trainer ({path})")
