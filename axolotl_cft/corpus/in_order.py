"""Work on a stream in several processes; what comes out is in the order of what went in.

One process reads, since that is quick; others work. The outcome is the same whatever the number of
processes, and only a few pieces are under way at once.
"""

import multiprocessing
import os
import pickle
import signal
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

from axolotl_cft.errors import CFTError

_Kept = TypeVar("_Kept")
_Sent = TypeVar("_Sent")
_Made = TypeVar("_Made")

_AHEAD = 3  # pieces under way for each process


def in_order(
    work: Callable[[_Sent], _Made], pieces: Iterable[tuple[_Kept, _Sent]], processes: int = 1
) -> Iterator[tuple[_Kept, _Made]]:
    """Work on pieces of something.

    Args:
        work: what is done with each; pickled where there are several processes.
        pieces: what stays here, and what is worked on.
        processes: how many work; with 1 this one does.

    Yields:
        What stayed here and what became of the other, in order.

    Raises:
        CFTError: a process was killed.
    """
    if processes == 1:
        yield from ((kept, work(sent)) for kept, sent in pieces)
        return
    # A fresh interpreter each: threads (that of the progress display) do not survive a fork. The
    # work goes through a file: a process that dies before it has read a full pipe blocks it.
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "work"
        path.write_bytes(pickle.dumps(work))
        pool = ProcessPoolExecutor(processes, context, _start, (path,))
        try:
            yield from _through(pool, pieces, _AHEAD * processes)
        except BrokenProcessPool as exc:
            raise CFTError(
                "a process that worked on the corpus was killed, perhaps for want of memory: use "
                "fewer with --num-proc"
            ) from exc
        finally:
            pool.shutdown(cancel_futures=True)


def _through(
    pool: ProcessPoolExecutor, pieces: Iterable[tuple[_Kept, Any]], ahead: int
) -> Iterator[tuple[_Kept, Any]]:
    under_way: deque[tuple[_Kept, Future[Any]]] = deque()
    for kept, sent in pieces:
        under_way.append((kept, pool.submit(_do, sent)))
        if len(under_way) > ahead:
            yield _next(under_way)
    while under_way:
        yield _next(under_way)


def _next(under_way: "deque[tuple[_Kept, Future[Any]]]") -> tuple[_Kept, Any]:
    kept, future = under_way.popleft()
    return kept, future.result()


_work: Callable[[Any], Any]


def _start(path: Path) -> None:
    """Set a process up; it ends with its parent, however that ends."""
    global _work
    _work = pickle.loads(path.read_bytes())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, and ends the pool
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do(sent: Any) -> Any:
    return _work(sent)
