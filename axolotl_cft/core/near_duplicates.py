"""How many held-out documents stand in the training part all the same, slightly changed.

A text is taken as its runs of `RUN` letters (bytes of `sampling.letters_of`; six words or so),
one beginning at every letter, each hashed to 64 bits. A share of all hashes, those below a bound,
stands for the text (Broder 1997, section 4: the sketch modulo m); equal runs are sampled or left
out together wherever they occur, so that the share of a held-out document's runs that the training
part holds too can be estimated from the samples alone:

    held out   ... the mitral valve keeps blood from flowing back into the left atrium ...
    training   ... The mitral valve keeps blood from flowing back to the atrium ...
                   └──────────── runs in common ───────────┘

One pass, in any order; memory is bounded, since the bound is lowered when the samples are many.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

RUN = 32
"""Letters in a run, a power of two."""

NEAR = 0.2
"""Share of a document's runs in training from which on it counts as a near duplicate."""

FEWEST = 4
"""Sampled runs without which a document is too short to be compared."""

MOST = 1 << 21
"""Most hashes kept of either part: 16 MiB of training, 32 MiB of held-out documents."""

_BLOCK = 1 << 20  # letters hashed at once, for 8 times as many bytes
_FIRST_BOUND = 1 << 61  # one run in 8

_random = np.random.default_rng(0)
_OF_BYTE = _random.integers(1 << 64, size=256, dtype=np.uint64)
_FACTORS = _random.integers(1 << 63, size=RUN.bit_length() - 1, dtype=np.uint64) * 2 + 1


class NearDuplicates:
    """Collects samples of all documents, and counts held-out ones that training holds too."""

    def __init__(self) -> None:
        self._bound = _FIRST_BOUND
        self._training = np.empty(0, dtype=np.uint64)  # sorted, distinct
        self._added: list[Hashes] = []  # of training, not yet among them
        self._held: list[Hashes] = []
        self._owners: list[npt.NDArray[np.int64]] = []  # document of each hash in _held
        self._documents = 0  # held out

    def add(self, documents: Iterable[tuple[bytes, bool]]) -> None:
        """Enter documents.

        Args:
            documents: the letters of each (`sampling.letters_of`), and whether it is held out.
        """
        sides: tuple[list[bytes], list[bytes]] = ([], [])
        for letters, held_out in documents:
            sides[held_out].append(letters)
        training, held = sides
        self._added += [hashes for hashes, _ in _sampled(training, self._bound)]
        for hashes, owners in _sampled(held, self._bound):
            self._held.append(hashes)
            self._owners.append(owners + self._documents)
        self._documents += len(held)
        if max(_total(self._added), _total(self._held)) > MOST:
            self._tidy()

    def add_all(self, other: "NearDuplicates") -> None:
        """Enter what another saw, as if it had been entered here."""
        self._added += [other._training, *other._added]
        self._held += other._held
        self._owners += [owners + self._documents for owners in other._owners]
        self._documents += other._documents
        self._bound = min(self._bound, other._bound)
        self._tidy()

    def save(self, path: Path) -> None:
        """Write what was seen to an `.npz` file; `load` reads it."""
        self._tidy()
        facts = np.array([self._bound, self._documents], dtype=np.uint64)
        held, owners = _joined(self._held), _joined(self._owners)
        np.savez(path, facts=facts, training=self._training, held=held, owners=owners)

    @classmethod
    def load(cls, path: Path) -> "NearDuplicates":
        """What `save` wrote.

        Raises:
            OSError, KeyError, ValueError: it is no such file.
        """
        found = cls()
        with np.load(path) as arrays:
            found._bound, found._documents = map(int, arrays["facts"])
            found._training = arrays["training"]
            found._held, found._owners = [arrays["held"]], [arrays["owners"]]
        return found

    def count(self) -> tuple[int, int]:
        """(held-out documents with a near duplicate in training, those that were compared)."""
        self._tidy()
        hashes, owners = _joined(self._held), _joined(self._owners)
        known = _among(hashes, self._training)
        runs = np.bincount(owners.astype(np.int64), minlength=self._documents)
        shared = np.bincount(owners[known].astype(np.int64), minlength=self._documents)
        compared = runs >= FEWEST
        near = compared & (shared >= NEAR * runs)
        return int(near.sum()), int(compared.sum())

    def _tidy(self) -> None:
        """Merge what was added below the bound, and lower that until both parts keep to MOST.

        The bound in the end is the same in whatever order documents came: it falls only for
        hashes that would be there in the end too.
        """
        self._training = _distinct(np.concatenate([self._training, *self._added]))
        self._added = []
        held, owners = _joined(self._held), _joined(self._owners)
        self._training, held, owners = _below(self._bound, self._training, held, owners)
        while max(self._training.size, held.size) > MOST:
            self._bound //= 2
            self._training, held, owners = _below(self._bound, self._training, held, owners)
        self._held, self._owners = [held], [owners]


def _sampled(texts: list[bytes], bound: int) -> Iterable[tuple[Hashes, npt.NDArray[np.int64]]]:
    """(hashes below `bound`, index of the text of each), block by block."""
    ends = np.cumsum([len(text) for text in texts])
    letters = np.frombuffer(b"".join(texts), dtype=np.uint8)
    for begin in range(0, letters.size - RUN + 1, _BLOCK):
        hashes = _hashes(letters[begin : begin + _BLOCK + RUN - 1])
        places = np.flatnonzero(hashes < bound)
        owners = np.searchsorted(ends, places + begin, side="right")
        whole = places + begin + RUN <= ends[owners]  # a run may not reach into the next text
        yield hashes[places[whole]], owners[whole]


def _hashes(letters: npt.NDArray[np.uint8]) -> Hashes:
    """Of the run that begins at each letter; (n,) → (n - RUN + 1,). Arithmetic is modulo 2**64."""
    hashes = _OF_BYTE[letters]
    width = 1
    for factor in _FACTORS:  # runs of 2, 4, 8, … letters
        hashes = hashes[:-width] * factor + hashes[width:]
        width *= 2
    return hashes


def _below(
    bound: int, training: Hashes, held: Hashes, owners: npt.NDArray[np.int64]
) -> tuple[Hashes, Hashes, npt.NDArray[np.int64]]:
    kept = held < bound
    return training[training < bound], held[kept], owners[kept]


def _distinct(hashes: Hashes) -> Hashes:
    """Sorted and without repeats; `np.unique` takes forty times as long since numpy 2.3."""
    hashes = np.sort(hashes)
    first = np.ones(hashes.size, dtype=np.bool_)
    first[1:] = hashes[1:] != hashes[:-1]
    return hashes[first]


def _among(hashes: Hashes, known: Hashes) -> npt.NDArray[np.bool_]:
    """Whether each is one of `known`, which is sorted."""
    if not known.size:
        return np.zeros(hashes.size, dtype=np.bool_)
    places = np.searchsorted(known, hashes)
    return known[np.minimum(places, known.size - 1)] == hashes


def _total(arrays: list[npt.NDArray]) -> int:
    return sum(array.size for array in arrays)


def _joined(arrays: list[npt.NDArray]) -> npt.NDArray:
    return np.concatenate(arrays) if arrays else np.empty(0, dtype=np.uint64)
