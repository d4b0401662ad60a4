"""Where a prompt stands in a conversation, and how the labels move with it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from axolotl_cft.core.encoding import IGNORE_INDEX

Labels = npt.NDArray[np.int64]


Turns = Sequence[Mapping[str, Any]]


def put_prompt(turns: Turns, prompt: str, place: str, separator: str) -> list[dict] | None:
    """A copy of a conversation with the prompt in it; None where it has no such place.

    Args:
        turns: mappings with `role` and `content`.
        prompt: the contextual prompt.
        place: `user`: before the first user message. `system`: before the first message if that
            is a system message, otherwise as a separate one.
        separator: between prompt and message.
    """
    roles = [turn.get("role") for turn in turns]
    if place == "system" and roles[:1] != ["system"]:
        return [{"role": "system", "content": prompt}, *map(dict, turns)]
    if place not in roles:
        return None
    index = roles.index(place)
    prompted = [dict(turn) for turn in turns]
    prompted[index]["content"] = prompt + separator + (turns[index].get("content") or "")
    return prompted


def carry_labels(ids: Sequence[int], labels: npt.ArrayLike, longer: Sequence[int]) -> Labels | None:
    """Labels of a conversation for the same conversation with a prompt in it.

    What both begin and end with keeps its labels; what lies between, the prompt, gets none.

    Args:
        ids: token ids without the prompt, shape (n,).
        labels: the host's labels for them, shape (n,).
        longer: token ids with the prompt, shape (m,).

    Returns:
        int64, shape (m,), whose trained ids are those of `labels` in the same order; None if the
        prompt has changed a token that is trained.
    """
    short, long = np.asarray(ids), np.asarray(longer)
    most = min(short.size, long.size)
    # The end first: the prompt precedes the message, so where the two begin alike the prompt
    # must not be taken for the message.
    suffix = _first_difference(short[::-1], long[::-1], most)
    prefix = _first_difference(short, long, most - suffix)
    kept = np.asarray(labels, dtype=np.int64)
    head, changed, tail = np.split(kept, [prefix, short.size - suffix])
    if np.any(changed != IGNORE_INDEX):
        return None
    added = np.full(long.size - prefix - suffix, IGNORE_INDEX, dtype=np.int64)
    return np.concatenate([head, added, tail])


def _first_difference(a: npt.NDArray, b: npt.NDArray, limit: int) -> int:
    differ = np.flatnonzero(a[:limit] != b[:limit])
    return int(differ[0]) if differ.size else limit
