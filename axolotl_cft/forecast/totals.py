"""From the counts of some documents to those of all, and how far off they may be."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

Floats = npt.NDArray[np.float64]


class Totals(NamedTuple):
    """Counts over all documents.

    Attributes:
        values: shape (counts,).
        errors: their standard errors; 0 where every document was counted.
    """

    values: Floats
    errors: Floats


def estimate_totals(
    sums: Floats,
    share: float,
    sizes: Floats | None = None,
    size: float | None = None,
) -> Totals:
    """The totals of a population, from groups of documents drawn at random.

    With sizes by regression on them (Cochran, Sampling Techniques, 3rd ed., section 7.1): a few
    books among many abstracts hold most of the tokens, and how long all texts are is known. The
    errors are those of the delete-one-group jackknife (section 6.17), which sees what a single
    group of long documents does to the slope.

    Args:
        sums: shape (groups, counts), the sums over each group; the groups are of one size.
        share: of all documents that were drawn.
        sizes: shape (groups,), the bytes of each group's texts; None where they are not known.
        size: the bytes of all texts.
    """
    groups = len(sums)
    if groups < 3:  # everything was counted, or too little to tell
        return Totals(sums.sum(0) / share, np.zeros(sums.shape[1]))

    def total(kept: npt.NDArray[np.bool_]) -> Floats:
        chosen = sums[kept]
        scale = groups / len(chosen) / share
        plain = scale * chosen.sum(0)
        if sizes is None or size is None:
            return plain
        off = sizes[kept] - sizes[kept].mean()
        spread = float(off @ off)
        slope = off @ chosen / spread if spread else np.zeros(sums.shape[1])
        return np.maximum(plain + slope * (size - scale * sizes[kept].sum()), 0.0)

    without = np.stack([total(np.arange(groups) != group) for group in range(groups)])
    variance = (groups - 1) / groups * ((without - without.mean(0)) ** 2).sum(0)
    return Totals(total(np.ones(groups, bool)), np.sqrt(variance * max(0.0, 1 - share)))


def half_width(error: float, groups: int) -> float:
    """Half of the 95 % interval around a total, by Student's t with two fewer than the groups."""
    return float(student.ppf(0.975, groups - 2)) * error if error else 0.0
