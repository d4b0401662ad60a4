"""A fixed number of trained tokens, of however many documents there are.

Arms whose texts differ (a document, its exercises, a rewriting of it) cannot train the same
targets. With a budget they train as many: documents are taken whole, in the order of a hash of
their texts, until the budget is spent; the last one is cut at a row; and where all documents
together are too few they are taken again, with other prompts.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from axolotl_cft.core.sampling import uniform

Numbers = npt.NDArray[np.int64]


class Allotment(NamedTuple):
    """How much of each document a budget takes.

    Attributes:
        views: rows of each chunk, shape (documents,); 0 for a document that is left out.
        last: index of the document of whose last `views_a_pass` views only some rows are taken; -1
            for none.
        tokens_of_last: trained tokens that are left for these rows.
        views_a_pass: `cft.views`.
    """

    views: Numbers
    last: int
    tokens_of_last: int
    views_a_pass: int


def place_in_line(key: bytes) -> float:
    """Where a document stands in the order that a budget takes: in (0, 1), by its text alone.

    No seed enters, so that all seeds of an arm train the same documents.

    Args:
        key: from `sampling.text_key`.
    """
    return uniform("cft-budget", key)


def allot(
    places: npt.NDArray[np.float64], tokens: npt.ArrayLike, views: int, budget: int
) -> Allotment:
    """Share a budget out among documents.

    Args:
        places: of each document, from `place_in_line`; those of equal texts follow one another in
            their own order. Shape (documents,).
        tokens: trained tokens of each in a single view, 0 for one that is not to be trained on.
            Shape (documents,).
        views: rows of each chunk in one pass over the documents (`cft.views`).
        budget: trained tokens, over all views.

    Returns:
        What is taken of each. All of it together is the budget, less a part of a row.

    Raises:
        ValueError: there is nothing to train on.
    """
    cost = np.asarray(tokens, dtype=np.int64) * views
    if cost.sum() == 0:
        raise ValueError("no document has a token to train on")
    passes, left = divmod(budget, int(cost.sum()))
    order = np.argsort(places, kind="stable")
    order = order[cost[order] > 0]
    spent = np.cumsum(cost[order])
    whole = int(np.searchsorted(spent, left, side="right"))
    taken = np.where(cost > 0, passes * views, 0)
    taken[order[: whole + 1]] += views  # one more than are whole, and of that one a part
    before = int(spent[whole - 1]) if whole else 0
    return Allotment(taken, int(order[whole]), left - before, views)
