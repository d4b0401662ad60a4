"""A worker process of a run: how it starts, before torch is imported, and whom it tells."""

import multiprocessing
import os
import signal
import threading
from typing import Any

from axolotl_cft.host.quiet import quiet_libraries


class Stop(Exception):
    """Raised inside a worker when the run has been given up."""


# Set once in each worker process; queues and events cannot travel with a trial.
_progress: Any = None
_stop: Any = None


def start(progress: Any, stop: Any) -> None:
    """Make the process a worker.

    Args:
        progress: a queue that takes what `report` is told.
        stop: an event that is set when the run is given up.
    """
    global _progress, _stop
    _progress, _stop = progress, stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which sets `stop`
    threading.Thread(target=_end_with_parent, daemon=True).start()
    quiet_libraries()
    import torch

    torch.set_num_threads(1)


def report(trial: Any, step: int, loss: float) -> None:
    """Tell the parent how far a trial is.

    Raises:
        Stop: the run was given up.
    """
    _progress.put((trial, step, loss))
    if _stop.is_set():
        raise Stop


def _end_with_parent() -> None:
    """A worker that outlived a killed parent would race the run that resumes it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
