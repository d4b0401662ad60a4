"""Texts to token ids, exactly as the tokenizer gives them, on as many threads as it may use."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

from axolotl_cft.core.encoding import Ids
from axolotl_cft.core.pieces import Cutter, find_cutter

WINDOW = 1 << 20
"""Characters tokenized at a time."""

Tell = Callable[[int, int], None]
"""Is told how many characters of the texts at hand are tokenized, of how many."""


def silent(done: int, of: int) -> None:
    """A `Tell` that says nothing."""


class TextEncoder:
    """`tokenizer(texts, add_special_tokens=False)`, straight from the Rust core where it agrees.

    Long texts are cut where the tokenizer allows it (pieces.py), and their pieces shared among its
    threads. Several Python threads may use one encoder, and it can be pickled.

    Args:
        tokenizer: a Hugging Face tokenizer.
        tell: is told of long texts.
    """

    def __init__(self, tokenizer: Any, tell: Tell = silent):
        self.tokenizer = tokenizer
        self.tell = tell
        self.cutter = Cutter.nowhere()
        backend = getattr(tokenizer, "backend_tokenizer", None)
        self._core: Any = backend if hasattr(backend, "encode_batch_fast") else None
        if self._core is None:
            return
        specials = " ".join(map(str, tokenizer.all_special_tokens))
        probe = [f"Probe: héllo  wörld\n\n\t1,234 {specials} end", " leading", ""]
        if [ids.tolist() for ids in self._fast(probe)] != self._slow(probe):
            self._core = None
            return
        found = find_cutter(tokenizer, lambda texts: [ids.tolist() for ids in self._fast(texts)])
        self.cutter = found or self.cutter

    def __call__(self, texts: Sequence[Any]) -> list[Ids]:
        """The ids of every text, whose pieces are tokenized some WINDOW of characters at a time.

        A tokenizer takes a hundred bytes and more for each token until its ids are read.
        """
        if self._core is None:
            return [np.asarray(ids, dtype=np.int32) for ids in self._slow(texts)]
        found: list[list[Ids]] = [[] for _ in texts]
        waiting: list[tuple[int, str]] = []
        size = done = 0
        total = sum(map(len, texts))

        def flush() -> None:
            ids_of_all = self._fast([piece for _, piece in waiting])
            for (index, _), ids in zip(waiting, ids_of_all, strict=True):
                found[index].append(ids)
            waiting.clear()

        for index, text in enumerate(texts):
            for piece in self.cutter.cut(text):
                waiting.append((index, piece))
                size += len(piece)
                if size >= WINDOW:
                    flush()
                    done += size
                    size = 0
                    self.tell(done, total)
        flush()
        return [self.cutter.join(pieces) for pieces in found]

    def _slow(self, texts: Sequence[str]) -> list[list[int]]:
        return self.tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []

    def _fast(self, texts: Sequence[str]) -> list[Ids]:
        """The ids without offsets, which nothing here needs."""
        core = self._core
        # A call elsewhere may have left truncation or padding switched on in the shared core. To
        # switch them off is to change it, which older versions refuse while a thread encodes.
        if core.truncation is not None:
            core.no_truncation()
        if core.padding is not None:
            core.no_padding()
        found = core.encode_batch_fast(texts, add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.int32) for encoding in found]


class _Switch:
    """TOKENIZERS_PARALLELISM, while somebody needs it; as it was when the last one is done."""

    def __init__(self) -> None:
        self.start_anew()

    def start_anew(self) -> None:
        """Forget who holds it: a forked process has none of its parent's threads."""
        self._lock = threading.Lock()
        self._holders = 0
        self._before: str | None = None

    @contextmanager
    def set_to(self, wanted: bool) -> Iterator[None]:
        """Hold it; of several at a time, the last to come says how it stands."""
        with self._lock:
            if not self._holders:
                self._before = os.environ.get(_VARIABLE)
            self._holders += 1
            os.environ[_VARIABLE] = "true" if wanted else "false"
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if not self._holders and self._before is None:
                    del os.environ[_VARIABLE]
                elif not self._holders:
                    os.environ[_VARIABLE] = str(self._before)


_VARIABLE = "TOKENIZERS_PARALLELISM"
_SWITCH = _Switch()
os.register_at_fork(after_in_child=_SWITCH.start_anew)


def tokenizer_threads(wanted: bool) -> AbstractContextManager[None]:
    """Let the tokenizer use its threads; the host switches them off for the sake of its forks.

    `tokenizers` reads the variable at each call, so restoring it keeps those forks safe.
    """
    return _SWITCH.set_to(wanted)
