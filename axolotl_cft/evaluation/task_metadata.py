"""What a task's own metadata tells the report: what its items share, and how it is to be read.

A results file repeats the `metadata` of every task's YAML (`configs` -> task -> `metadata`).
"""

from collections.abc import Mapping
from typing import Any

from axolotl_cft.errors import CFTError


class MetadataError(CFTError):
    """A task's metadata is wrong, or its log does not hold what the metadata names."""


def sharing_of(task: str, config: Mapping[str, Any]) -> str | int | None:
    """What a task says its items share: a column of its documents, a block's length, or None.

    Raises:
        MetadataError: the task's metadata says both, or something else.
    """
    metadata = config.get("metadata") or {}
    column, block = metadata.get("items_share"), metadata.get("items_in_blocks_of")
    if column is not None and block is not None:
        raise MetadataError(f"{task} has both items_share and items_in_blocks_of in its metadata")
    if column is not None and not (isinstance(column, str) and column):
        raise MetadataError(f"items_share of {task} is {column!r}, not the name of a column")
    if block is not None and (isinstance(block, bool) or not isinstance(block, int) or block < 1):
        raise MetadataError(f"items_in_blocks_of of {task} is {block!r}, not a number of items")
    return column if column is not None else block


def further_metrics_of(task: str, config: Mapping[str, Any]) -> tuple[str, ...]:
    """The metrics that a task wants compared beside its first: `also` in its metadata.

    Raises:
        MetadataError: `also` is no list of names.
    """
    also = (config.get("metadata") or {}).get("also")
    names = [] if also is None else also
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise MetadataError(f"also of {task} is {also!r}, not a list of metrics")
    return tuple(dict.fromkeys(names))


def control_chance_of(task: str, config: Mapping[str, Any]) -> float | None:
    """The score of mere chance on a control, which no model should exceed; None for other tasks.

    Raises:
        MetadataError: `control_chance` is no share between 0 and 1.
    """
    chance = (config.get("metadata") or {}).get("control_chance")
    if chance is None:
        return None
    if isinstance(chance, bool) or not isinstance(chance, int | float) or not 0 < chance < 1:
        raise MetadataError(f"control_chance of {task} is {chance!r}, not a share of one")
    return float(chance)
