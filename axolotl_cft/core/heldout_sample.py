"""Some of the held-out documents, the same ones in whatever order they come."""

import heapq
from collections.abc import Set
from dataclasses import dataclass

from axolotl_cft.core.sampling import holdout_key, text_key, uniform


@dataclass(frozen=True)
class HeldOutDocument:
    """A document that nothing is trained on.

    Attributes:
        text: as it stands in the corpus.
        group: the value of `holdout_by` that it shares with others; None for none.
    """

    text: str
    group: str | None = None

    @property
    def key(self) -> str:
        """32 hex digits that stand for the text."""
        return text_key(self.text).hex()

    @property
    def bytes(self) -> int:
        """Bytes of the text in UTF-8."""
        return len(self.text.encode("utf-8"))

    @property
    def words(self) -> int:
        """Stretches of the text between white space."""
        return len(self.text.split())


class HeldOutSample:
    """Keeps the documents whose keys draw the smallest numbers.

    Documents with the same letters and digits are one, of which the text with the smallest key is
    kept; those of white space alone say nothing and are left out.

    Args:
        limit: most documents to keep.
        trained: keys (`sampling.holdout_key` of the text) of documents that are trained on under
            another value of `holdout_by`.

    Attributes:
        blank: documents of nothing but white space that were added.
        repeated: copies that were added.
        trained_too: documents that were added and are among `trained`.
    """

    def __init__(self, limit: int, trained: Set[bytes] = frozenset()):
        self.limit = limit
        self.trained = trained
        self.blank = self.repeated = self.trained_too = 0
        self._seen: set[bytes] = set()
        self._kept: dict[bytes, HeldOutDocument] = {}
        self._largest: list[tuple[float, bytes]] = []  # a heap of what is kept: -number, key

    @property
    def found(self) -> int:
        """Distinct documents that were added."""
        return len(self._seen)

    def add(self, document: HeldOutDocument, letters: bytes) -> None:
        """Take a held-out document; `letters` are those of its text (`sampling.letters_of`)."""
        if not document.text.strip():
            self.blank += 1
            return
        key = holdout_key(document.text, letters)
        if key in self.trained:
            self.trained_too += 1
            return
        if key in self._seen:
            self.repeated += 1
            if key in self._kept and document.key < self._kept[key].key:
                self._kept[key] = document
            return
        self._seen.add(key)
        self._kept[key] = document
        heapq.heappush(self._largest, (-uniform("cft-heldout", key), key))
        if len(self._largest) > self.limit:
            _, dropped = heapq.heappop(self._largest)
            del self._kept[dropped]

    def documents(self) -> list[HeldOutDocument]:
        """What is kept, in the order of the numbers: any first few are a sample, too."""
        return [self._kept[key] for _, key in sorted(self._largest, reverse=True)]
