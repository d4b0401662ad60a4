"""Where a prompt stands in a conversation, and how labels move when it does."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from axolotl_cft.core.conversations import carry_labels, put_prompt
from axolotl_cft.core.encoding import IGNORE_INDEX

SYSTEM = {"role": "system", "content": "You answer questions about the body."}
USER = {"role": "user", "content": "  What does the heart do?\n"}
ANSWER = {"role": "assistant", "content": "It pumps blood."}


@given(st.data())
def test_labels_are_carried_around_any_insertion(data):
    """Few distinct ids, so that what is inserted often resembles its surroundings."""
    ids = data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=12))
    flags = data.draw(st.lists(st.booleans(), min_size=len(ids), max_size=len(ids)))
    at = data.draw(st.integers(0, len(ids)))
    inserted = data.draw(st.lists(st.integers(0, 2), max_size=6))
    labels = [i if flag else IGNORE_INDEX for i, flag in zip(ids, flags, strict=True)]
    longer = ids[:at] + inserted + ids[at:]
    carried = carry_labels(ids, labels, longer)
    assert carried.size == len(longer) and carried.dtype == np.int64
    assert all(x in (IGNORE_INDEX, y) for x, y in zip(carried.tolist(), longer, strict=True))
    assert carried[carried != IGNORE_INDEX].tolist() == [x for x in labels if x != IGNORE_INDEX]


def test_labels_are_not_carried_over_a_changed_target():
    assert carry_labels([1, 2, 3], [IGNORE_INDEX, 2, 3], [1, 9, 4, 3]) is None
    assert carry_labels([1, 2, 3], [IGNORE_INDEX] * 2 + [3], [1, 9, 4, 3]).tolist()[-1] == 3


def test_put_prompt_copies():
    turns = [SYSTEM, USER, ANSWER]
    placed = put_prompt(turns, "P", "user", "\n")
    assert placed[1]["content"] == "P\n" + USER["content"]
    assert put_prompt(turns, "P", "system", "\n")[0]["content"].startswith("P\nYou")
    assert put_prompt(turns[1:], "P", "system", "\n")[0] == {"role": "system", "content": "P"}
    assert put_prompt([SYSTEM, ANSWER], "P", "user", "\n") is None
    assert turns[1] is USER and USER["content"].startswith("  What")
