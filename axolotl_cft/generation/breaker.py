"""When a run should stop before more is paid for: nothing it gets can be used (pure)."""

import re
from collections import Counter, deque
from collections.abc import Iterable

from axolotl_cft.errors import CFTError

FIRST = 20
"""If so many different texts come to nothing at the beginning, the rest would too."""

IN_A_ROW = 50
"""If so many texts fail in a row for one reason, so will the next."""


class HopelessError(CFTError):
    """Too many answers failed to go on.

    Attributes:
        reasons: what was wrong with them.
    """

    def __init__(self, sentence: str, reasons: Iterable[str]) -> None:
        super().__init__(sentence)
        self.reasons = frozenset(reasons)


class Breaker:
    """Looks at how each text ends, and again once that is kept; tripped once, it stays so."""

    def __init__(self, proven: bool) -> None:
        """`proven`: whether an earlier session of the run got a usable answer."""
        self._proven = proven
        self._kinds: deque[str | None] = deque(maxlen=IN_A_ROW)
        self._rejected: Counter[str] = Counter()
        self._why: HopelessError | None = None

    @property
    def tripped(self) -> bool:
        """Whether no further answer should be asked for."""
        return self._why is not None

    def note(self, complaint: str | None, kind: str | None = None) -> None:
        """See a text's last answer: what is wrong with it, if anything, and what kind of fault."""
        self._kinds.append(complaint and (kind or re.sub(r"\d[\d,.]*", "#", complaint)))
        if complaint and self._kinds == deque([self._kinds[-1]] * IN_A_ROW):
            self._trip(
                f"the last {IN_A_ROW} texts all failed for one reason: {complaint}", [complaint]
            )

    def settle(self, reject: str | None) -> None:
        """See what became of a text: why it was given up (None: it was not).

        Raises:
            HopelessError: it is enough.
        """
        if reject is None:
            self._proven = True
        elif not self._proven:
            self._rejected[reject] += 1
            if self._rejected.total() >= FIRST:
                [(reason, _)] = self._rejected.most_common(1)
                self._trip(
                    f"the first {FIRST} texts all failed, most often so: {reason}", self._rejected
                )
        if self._why is not None:
            raise self._why

    def _trip(self, why: str, reasons: Iterable[str]) -> None:
        self._why = self._why or HopelessError(f"stopped, because {why}", reasons)
