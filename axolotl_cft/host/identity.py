"""What a run adds to the identity of its datasets: its tokenizer, and the host's own row options.

A stamp grows in two steps. At registration it stands for options, prompts and documents
(host/plan); once the host has validated its config, the loaded tokenizer is added, with everything
else that decides which rows are saved, and in what order, and that the host itself does not hash
(axolotl/utils/data/shared.py::generate_dataset_hash_from_config):

    axolotl-cft:5d1c…            the plan: known without a tokenizer, and what a study compares
    axolotl-cft:5d1c…+90ab…      the rows as they are saved
"""

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from axolotl.common.const import DEFAULT_DATASET_PREPARED_PATH
from axolotl.utils.chat_templates import get_chat_template_from_config

from axolotl_cft.core.options import Part, Plan
from axolotl_cft.files import digest_file
from axolotl_cft.host.plan import STAMP_JOINT, is_cft_type, is_chat_type, plan_stamp
from axolotl_cft.host.sources import find_source, source_identity


def prepared_folder(cfg: Mapping[str, Any]) -> Path:
    """Where the host keeps prepared datasets."""
    return Path(cfg.get("dataset_prepared_path") or DEFAULT_DATASET_PREPARED_PATH)


class RunIdentity:
    """The second half of stamps.

    Args:
        cfg: the validated config.
        tokenizer: as the host loads it.
    """

    def __init__(self, cfg: Any, tokenizer: Any):
        self.cfg = cfg
        self.tokenizer = tokenizer
        self._tokenizer = _tokenizer_identity(tokenizer)

    def complete(self, plan: Plan, dataset: Mapping[str, Any]) -> str:
        """The whole stamp of a dataset's rows, as this run saves them.

        Args:
            plan: of the dataset.
            dataset: its entry in the validated config.

        Raises:
            CFTError: a file of another dataset, which shares the folder, cannot be read.
        """
        decides = {
            "tokenizer": self._tokenizer,
            "template": _template_identity(plan, self.cfg, dataset, self.tokenizer),
            "rows": _row_options(plan.part, self.cfg),
        }
        content = json.dumps(decides, sort_keys=True, default=str).encode()
        digest = hashlib.blake2b(content, digest_size=12).hexdigest()
        return plan_stamp(dataset["conversation"]) + STAMP_JOINT + digest


def _tokenizer_identity(tokenizer: Any) -> dict[str, Any]:
    """What of a tokenizer decides the ids of a text; its name, the host hashes."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return {
        "eos": tokenizer.eos_token_id,
        "split_special_tokens": getattr(tokenizer, "split_special_tokens", False),
        "files": _saved_files(tokenizer) if backend is None else _backend(backend),
    }


def _backend(backend: Any) -> str:
    """Digest of a Rust tokenizer: vocabulary, merges, added tokens, normalizer, what sets BOS."""
    content = json.loads(backend.to_str())
    # Left over from the last call, and set anew by each.
    content.pop("truncation", None)
    content.pop("padding", None)
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()


def _saved_files(tokenizer: Any) -> list[tuple[str, str]]:
    """Name and digest of the files of a tokenizer without a Rust core."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        return [(path.name, digest_file(path)) for path in files]


def _template_identity(
    plan: Plan, cfg: Any, dataset: Mapping[str, Any], tokenizer: Any
) -> list[Any] | None:
    """The chat template's text, arguments and tokens to name; None where none is rendered."""
    prompted = plan.options.format == "chat" and plan.source.gives_prompts
    if not prompted and not is_chat_type(dataset.get("type")):
        return None
    own = getattr(tokenizer, "chat_template", None)
    named = dataset.get("chat_template") or cfg.chat_template
    resolved = get_chat_template_from_config(cfg, dataset, tokenizer) if named else own
    named_tokens = getattr(tokenizer, "special_tokens_map", None)
    return [own, resolved, named_tokens, dict(cfg.chat_template_kwargs or {})]


def _row_options(part: Part, cfg: Any) -> dict[str, Any]:
    """What the host does to encoded rows before it saves them, as far as it does not hash it.

    axolotl/utils/data/sft.py::_load_raw_datasets, in this order: shards, merging and shuffling,
    rows too long or too short, the columns of packing. (Exact deduplication, `group_by_length` and
    `sequence_len` it hashes; `val_set_size` and `dataset_shard_num` cut what was saved.)
    """
    datasets = list(cfg.get("datasets" if part == "train" else "test_datasets") or [])
    plain = all(is_cft_type(d.type) and not is_chat_type(d.type) for d in datasets)
    packed = cfg.sample_packing if part == "train" else cfg.eval_sample_packing
    return {
        "order": _order(cfg, datasets),
        "others": _others(cfg, datasets),
        "sequence_len": (cfg.eval_sequence_len if part == "test" else None) or cfg.sequence_len,
        "min_sample_len": cfg.min_sample_len or 2,  # utils/data/utils.py::keep_min_len
        # Rows of documents are never too long.
        "excess": None if plain else (cfg.excess_length_strategy or "drop"),
        # utils/trainer.py::process_datasets_for_packing
        "packing": [cfg.model_config_type, *_pose(cfg)] if packed else None,
    }


def _pose(cfg: Any) -> list[Any]:
    """Of positions that skip (`use_pose`)."""
    options = ("pose_max_context_len", "pose_split_on_token_ids", "pose_num_chunks")
    return [cfg.get(name) for name in options] if cfg.use_pose else []


def _order(cfg: Any, datasets: Sequence[Any]) -> dict[str, Any]:
    """How rows are shuffled (utils/data/shared.py::merge_datasets), and by which seed if at all."""
    pieces = sum(
        d.preprocess_shards if d.preprocess_shards and not d.shards else 1 for d in datasets
    )
    one = pieces == 1
    each = not one and bool(cfg.shuffle_before_merging_datasets)
    merged = bool(cfg.shuffle_merged_datasets) and not (one and cfg.curriculum_sampling)
    sharded = any(d.shards or d.preprocess_shards for d in datasets)
    seed = cfg.seed if each or merged or sharded else None
    return {"each": each, "merged": merged, "seed": seed}


def _others(cfg: Any, datasets: Sequence[Any]) -> list[Any] | None:
    """What stands in the same folder, in the order of the config, which the host does not hash."""
    if len(datasets) < 2:
        return None
    prepared = prepared_folder(cfg)
    return [
        plan_stamp(d.conversation)
        if is_cft_type(d.type)
        else [d.path, d.split, d.name, source_identity(find_source(d, prepared))]
        for d in datasets
    ]
