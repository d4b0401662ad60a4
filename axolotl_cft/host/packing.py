"""What the host's packing leaves out of an epoch, and the lines of a config that end it.

The host packs rows into bins and hands out batches of bins (axolotl/utils/samplers/multipack.py).
With *real batches* a batch is `micro_batch_size` bins of `sequence_len`, and a last batch that is
not full is dropped; without, it is one bin of `micro_batch_size` times the length, so that none is
short. In a random order every epoch packs into another number of bins, and what exceeds the least
of a few tries is dropped; in the order of the rows the number is always the same. On several ranks
the last bins, fewer than there are ranks, are dropped in any case.

Nothing of the host is imported before a packed config asks for it: studies are planned without.
"""

from collections.abc import Mapping
from typing import Any

from axolotl_cft.host.flags import read_flag

REAL_BATCHES_LINE = "multipack_real_batches: false"
ORDER_LINE = "curriculum_sampling: true"


def lines_against_loss(real_batches: bool, micro_batch_size: int, in_order: bool) -> list[str]:
    """The lines that a packed config lacks to train every row on one rank.

    Args:
        real_batches: the host's `multipack_real_batches`, its default resolved.
        micro_batch_size: a batch of one bin is never short.
        in_order: the host's `curriculum_sampling`.
    """
    lines = [REAL_BATCHES_LINE] if real_batches and micro_batch_size > 1 else []
    return lines if in_order else [*lines, ORDER_LINE]


def missing_lines(cfg: Mapping[str, Any]) -> list[str]:
    """`lines_against_loss` of a raw config; none where nothing is packed, or rows are streamed."""
    if not _is_packed(cfg):
        return []
    real_batches = read_flag(cfg, "multipack_real_batches")
    if real_batches is None:  # axolotl/core/builders/causal.py
        real_batches = not _takes_lengths(_attention(cfg))
    in_order = bool(read_flag(cfg, "curriculum_sampling"))
    return lines_against_loss(real_batches, cfg.get("micro_batch_size") or 1, in_order)


def lossless_overrides(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """What a raw config has to set so that packing leaves nothing out, in dotted keys.

    Nothing that the config says itself is changed. The order of the rows is taken only where they
    are shuffled before: several datasets by the host when it merges them, one by its `shards: 1`,
    which shuffles the documents with the config's `seed`
    (axolotl/utils/data/sft.py::_load_and_process_single_dataset).

    Returns:
        Empty where nothing is packed, rows are streamed, or this attention would let packed
        documents see each other: the longer the bin, the more of them.
    """
    if not _is_packed(cfg):
        return {}
    attention = _attention(cfg)
    if not (attention in ("sdpa", "eager") or _takes_lengths(attention)):
        return {}
    overrides: dict[str, Any] = {}
    if cfg.get("multipack_real_batches") is None:
        overrides["multipack_real_batches"] = False
    datasets = cfg.get("datasets") or []
    if cfg.get("curriculum_sampling") is not None or not datasets:
        return overrides
    if len(datasets) > 1:
        shuffled = read_flag(cfg, "shuffle_merged_datasets") is not False
        return overrides | ({"curriculum_sampling": True} if shuffled else {})
    overrides["curriculum_sampling"] = True
    if not (datasets[0].get("shards") or datasets[0].get("preprocess_shards")):
        overrides["datasets.0.shards"] = 1
    return overrides


def _is_packed(cfg: Mapping[str, Any]) -> bool:
    return bool(read_flag(cfg, "sample_packing")) and not read_flag(cfg, "streaming")


def _attention(cfg: Mapping[str, Any]) -> str | None:
    """`attn_implementation`, or what the host makes of its older flags.

    It looks at those before it validates them, so that every text counts as true
    (axolotl/utils/schemas/config.py::normalize_attn_implementation).
    """
    from axolotl.utils.schemas.enums import LEGACY_ATTN_FLAG_TO_IMPL

    flags = (name for flag, name in LEGACY_ATTN_FLAG_TO_IMPL.items() if cfg.get(flag))
    return cfg.get("attn_implementation") or next(flags, None)


def _takes_lengths(attention: str | None) -> bool:
    """Whether a bin's documents are told to the attention by their lengths; then it has no mask."""
    from axolotl.utils.schemas.enums import ATTN_IMPLS_SUPPORTING_PACKING

    # A kernel of the hub may name its revision and function behind `@` and `:`.
    return (attention or "").split(":")[0].split("@")[0].strip() in ATTN_IMPLS_SUPPORTING_PACKING
