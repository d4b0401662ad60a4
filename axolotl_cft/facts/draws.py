"""Random choices that depend on names alone: the same in any process, and in any order."""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draws:
    """A stream of choices, determined by the words it is made from.

    Example:
        >>> Draws(1, "names").pick("abc") == Draws(1, "names").pick("abc")
        True
    """

    def __init__(self, *words: object) -> None:
        # `random()` alone: what the other methods make of it may change with Python's version.
        self._random = random.Random("\n".join(map(str, words)))

    def uniform(self) -> float:
        """A number in [0, 1)."""
        return self._random.random()

    def below(self, bound: int) -> int:
        """A whole number from 0 to `bound` - 1."""
        return int(self.uniform() * bound)

    def pick(self, choices: Sequence[T]) -> T:
        """One of `choices`."""
        return choices[self.below(len(choices))]

    def shuffled(self, things: Sequence[T]) -> list[T]:
        """All of `things`, in some order."""
        # Ties have no chance worth the name; sorting is stable all the same.
        keys = [self.uniform() for _ in things]
        return [things[place] for place in sorted(range(len(things)), key=keys.__getitem__)]
