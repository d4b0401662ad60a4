"""What the plugin refuses and warns about before anything is loaded."""

import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from axolotl.utils.data.shared import get_dataset_type
from axolotl.utils.dict import DictDefault
from axolotl.utils.logging import get_logger
from packaging.version import Version

from axolotl_cft.core.options import CFTConfig, Plan
from axolotl_cft.errors import CFTError

# Imported here and not on first use: inside the strategy a ModuleNotFoundError would reach the
# user as "unhandled prompt tokenization strategy".
from axolotl_cft.host.flags import read_flag
from axolotl_cft.host.holdout import warn_about_holdout
from axolotl_cft.host.local_files import visible_files
from axolotl_cft.host.packing import ORDER_LINE, missing_lines
from axolotl_cft.host.plan import (
    DEFAULT_SEED,
    STAMP_PREFIX,
    all_datasets,
    cft_datasets,
    is_cft_type,
    is_chat_type,
)
from axolotl_cft.host.streaming import check_streaming, streaming_warnings

LOG = get_logger(__name__)


MIN_AXOLOTL = "0.18"


DATA_SUFFIXES = frozenset({".arrow", ".csv", ".json", ".jsonl", ".ndjson", ".parquet", ".tsv"})
"""Of files that `datasets` reads record by record."""


def check_host_version() -> None:
    """Refuse a host without the seams that this package needs."""
    found = version("axolotl")
    if Version(found) < Version(MIN_AXOLOTL):
        raise CFTError(
            f"axolotl {found} is too old for axolotl-cft; "
            f"run `pip install 'axolotl>={MIN_AXOLOTL}'`"
        )


def check_config(cfg: Mapping[str, Any]) -> None:
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
    if cfg.get("val_set_size") and cfg.get("test_datasets"):
        raise CFTError(
            "val_set_size: the host takes no second validation part beside test_datasets; remove "
            "this line, and say by cft.holdout which share of the documents test_datasets evaluate"
        )
    if read_flag(cfg, "skip_prepare_dataset"):
        raise CFTError("skip_prepare_dataset: the host would skip `type: cft`; remove the option")
    if cfg.get("rl"):
        raise CFTError(
            f"rl: {cfg.get('rl')} trains on preferences, not on texts; remove it for cft"
        )
    for option in ("reward_model", "process_reward_model"):
        if read_flag(cfg, option):
            raise CFTError(f"{option}: trains a classifier, not on texts; remove it for cft")
    diffusion = any("diffusion" in str(name).lower() for name in cfg.get("plugins") or [])
    if diffusion or cfg.get("diffusion"):
        raise CFTError(
            "diffusion: masks the labels anew, so the prompt would be trained; remove the plugin "
            "and its options for cft"
        )
    check_streaming(cfg, _ranks())


def check_budget(cfg: Mapping[str, Any], options: CFTConfig) -> None:
    """Refuse a number of trained tokens that would not be what is trained.

    Raises:
        CFTError: something else trains beside it, or drops what it counted.
    """
    train = [(place, dataset) for place, part, dataset in all_datasets(cfg) if part == "train"]
    blocks = [dataset.get("cft") for _, dataset in train]  # another check names what is no block
    own = [block.get("trained_tokens") for block in blocks if isinstance(block, Mapping)]
    if options.trained_tokens is None and not any(own):
        return
    for place, dataset in train:
        if not is_cft_type(dataset.get("type")) or is_chat_type(dataset.get("type")):
            raise CFTError(
                f"{place}: `type: {dataset.get('type')}` beside cft.trained_tokens would train "
                "tokens that the budget does not count; remove one of the two"
            )
        if isinstance(dataset.get("name"), list):
            raise CFTError(
                f"{place}.name: each of the names would train cft.trained_tokens; list a dataset "
                "for each"
            )
        if dataset.get("preprocess_shards"):
            raise CFTError(
                f"{place}.preprocess_shards: the host would hand over a piece at a time, and "
                "cft.trained_tokens counts all documents first; remove one of the two"
            )
    if len(train) > 1 and not (all(own) and len(own) == len(train)):
        raise CFTError(
            f"cft.trained_tokens: each of the {len(train)} datasets would train as many; write it "
            "into the `cft` mapping of each"
        )
    for option in ("streaming", "dataset_exact_deduplication"):
        if read_flag(cfg, option):
            raise CFTError(
                f"{option}: with it cft.trained_tokens would not be what is trained; remove one of "
                "the two"
            )


def check_dataset(place: str, dataset: Mapping[str, Any], seed: int | None) -> None:
    """Refuse what the host would do to one CFT dataset behind our back."""
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
                f"{place}.{key}: without a `seed` in the config the host shuffles again before it "
                "takes each shard, which repeats documents and leaves others out; set seed"
            )
    if file := _file_split_by_line(dataset):
        raise CFTError(
            f"{place}: {file} would be split by the host into one document per line; make a corpus "
            "of it with `axolotl-cft corpus pack` (docs/data.md)"
        )


def _file_split_by_line(dataset: Mapping[str, Any]) -> str | None:
    """The file or folder of a dataset that the host would read line by line, if there is one."""
    path, data_files = str(dataset.get("path")), dataset.get("data_files") or []
    names = [data_files] if isinstance(data_files, str) else list(data_files)
    if not Path(path).is_dir():
        names.append(path)
    elif not names:
        # `datasets` takes a folder for what most of its files are, whatever `ds_type` says.
        suffixes = [found.suffixes for found in visible_files(Path(path))]
        texts = sum(".txt" in found for found in suffixes)
        others = sum(not DATA_SUFFIXES.isdisjoint(found) for found in suffixes)
        return path if texts > 0 and texts >= others else None
    ds_type = dataset.get("ds_type")
    kinds = {name: get_dataset_type(DictDefault(path=name, ds_type=ds_type)) for name in names}
    return next((name for name, kind in kinds.items() if kind == "text"), None)


def warn(cfg: Mapping[str, Any], options: CFTConfig) -> None:
    """Warn about what works, but not as most people expect."""
    if not any(cft_datasets(cfg)):
        return
    _warn_about_evaluation(cfg, options)
    for remark in streaming_warnings(cfg, _ranks()):
        LOG.warning(f"cft: {remark}")
    if cfg.get("seed") is None:
        unset = options.seed is None
        detail = f"prompts are drawn with seed {DEFAULT_SEED}, but " if unset else ""
        LOG.warning(
            f"cft: no `seed` in the config: {detail}the order of rows will differ from run to run"
        )
    if lines := missing_lines(cfg):
        LOG.warning(
            "cft: packed in this way, the host leaves rows of every epoch untrained, more in one "
            f"arm than in another; set {' and '.join(lines)}"
        )
        if ORDER_LINE in lines:
            LOG.warning(
                f"cft: {ORDER_LINE} also lets a packed run resume exactly (without, it repeats and "
                "skips rows); a single dataset then keeps its order, so let the host shuffle its "
                "documents by `shards: 1` beside its path"
            )


def warn_about_rows(place: str, plan: Plan, cfg: Mapping[str, Any]) -> None:
    """Warn of rows that are nearly all prompt, or the same more than once."""
    options = plan.options
    of_test = plan.part == "test" and cfg.get("eval_sequence_len")
    name = "eval_sequence_len" if of_test else "sequence_len"
    length, budget = cfg.get(name), options.prompt_budget
    # Less room than 2 tokens is refused, once the tokenizer is there.
    if isinstance(length, int) and 2 <= length - budget < budget:
        LOG.warning(
            f"cft: {place}: prompt_budget: {budget} leaves {length - budget} of {name}: {length} "
            "tokens for the text of each row; lower the one or raise the other"
        )
    repeats = _share_of_repeats(options.views, options.dropout)
    if plan.source.gives_prompts and repeats:
        LOG.warning(
            f"cft: {place}: with views: {options.views} and dropout: {options.dropout}, "
            f"{repeats:.1%} of the chunks have two or more rows without a prompt, which are the "
            "same row; lower one of the two, or take it as meant"
        )


def _share_of_repeats(views: int, dropout: float) -> float:
    """Probability that at least two views of a chunk are dropped, each by itself."""
    none, one = (1 - dropout) ** views, views * dropout * (1 - dropout) ** (views - 1)
    return 1 - none - one if views > 1 and dropout else 0.0


def _warn_about_evaluation(cfg: Mapping[str, Any], options: CFTConfig) -> None:
    if cfg.get("val_set_size"):
        LOG.warning(
            "cft: val_set_size splits after chunking, so chunks of one document land on both "
            "sides; use cft.holdout with test_datasets instead"
        )
    warn_about_holdout(cfg, options)
    evaluates = any("lm_eval" in str(name) for name in cfg.get("plugins") or [])
    if evaluates and _ranks() > 1:
        LOG.warning(
            "cft: LMEvalPlugin evaluates once on every rank; run lm_eval after training instead"
        )


def _ranks() -> int:
    """Processes that train, as their launcher says."""
    return int(os.environ.get("WORLD_SIZE", "1"))
