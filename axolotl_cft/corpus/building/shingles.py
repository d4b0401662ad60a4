"""A text as the set of all its runs of five words: what near duplicates are compared by.

Words are normalized (`corpus.words`): case, punctuation and white space do not matter. In writing
that puts no spaces between words, each sign is taken for a word, so that a run is of five signs.
"""

from collections.abc import Iterator

import numpy as np

from axolotl_cft.corpus.building.unspaced import SIGN
from axolotl_cft.corpus.words import Hashes, hashes_of, run_hashes

LENGTH = 5
"""Words in a run."""

_PIECE = 1 << 18
"""Characters taken at once; of a long text, memory holds eight bytes a word, three times."""


def shingles_of(text: str) -> Hashes:
    """64-bit hashes of the different runs of a text, in ascending order.

    Two runs of two texts of a million words share a hash by chance once in ten million such pairs.
    They are the same in every process and on every machine.
    """
    runs, before = [], np.empty(0, np.uint64)
    for piece in _pieces(text):
        if not piece.isascii():
            piece = SIGN.sub(r" \g<0> ", piece)
        words = np.concatenate([before, hashes_of([piece])[0][:-1]])
        runs.append(run_hashes(words, LENGTH))
        before = words[max(0, len(words) - LENGTH + 1) :]
    return distinct(np.concatenate(runs)) if runs else before


def distinct(hashes: Hashes) -> Hashes:
    """In ascending order and without repeats; what is given is put in that order, too.

    `np.unique` takes far longer since numpy 2.3.
    """
    hashes.sort()
    return hashes[np.append(True, hashes[1:] != hashes[:-1])[: hashes.size]]


def jaccard(first: Hashes, second: Hashes) -> float:
    """What two sets have in common, as a share of what either has; 0 to 1, of two empty ones 0."""
    both = np.sort(np.concatenate([first, second]))
    shared = int(np.count_nonzero(both[1:] == both[:-1]))
    return shared / max(1, both.size - shared)


def _pieces(text: str) -> Iterator[str]:
    """A text in pieces, cut at spaces wherever there are some."""
    begin = 0
    while begin < len(text):
        end = begin + _PIECE
        if end < len(text):
            end = max(text.rfind(space, begin, end) for space in " \n") + 1 or end
        yield text[begin:end]
        begin = end
