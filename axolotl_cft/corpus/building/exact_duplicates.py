"""Documents that say the same letter for letter, and which of them is kept."""

from axolotl_cft.core.sampling import holdout_key


class ExactDuplicates:
    """Documents with the same letters and digits, whatever their case, spaces and punctuation.

    The key is that of the hold-out (`sampling.holdout_key`), so that what is one document there is
    one here. Accents do not tell texts apart either, nor does a decimal point (1.5 and 15); a text
    without a letter stands for itself. Memory: some 200 bytes a document.
    """

    def __init__(self) -> None:
        self._first: dict[bytes, str] = {}  # key -> smallest doc_id
        self._others: list[tuple[str, bytes]] = []

    def add(self, doc_id: str, text: str) -> None:
        """Enter a document; any order gives the same result."""
        self._enter(holdout_key(text), doc_id)

    def add_all(self, other: "ExactDuplicates") -> None:
        """Enter what another saw, as if it had been entered here."""
        for key, doc_id in other._first.items():
            self._enter(key, doc_id)
        self._others += other._others

    def removed(self) -> dict[str, str]:
        """doc_id -> the equal document that is kept, which is the first by doc_id."""
        return {doc_id: self._first[key] for doc_id, key in sorted(self._others)}

    def _enter(self, key: bytes, doc_id: str) -> None:
        first = self._first.setdefault(key, doc_id)
        if first is not doc_id:
            self._first[key] = min(first, doc_id)
            self._others.append((max(first, doc_id), key))
