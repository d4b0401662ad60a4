"""The processes that load data outlive a signal that was sent to all processes.

A cluster, or a study, sends SIGTERM to the trainer and all that it has started. A worker that died
of it would end the training at once, in the middle of a step or of a checkpoint
(torch/utils/data/_utils/signal_handling.py::_set_SIGCHLD_handler).
"""

import os
import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from torch.utils.data import DataLoader


def outlive_signals(loader: Any) -> None:
    """Let SIGTERM pass by a data loader's workers, unless the trainer itself ends them.

    Args:
        loader: PyTorch's, or accelerate's around one, whose next workers are meant; any other is
            left alone.
    """
    loader = getattr(loader, "base_dataloader", loader)
    if isinstance(loader, DataLoader):
        loader.worker_init_fn = partial(_begin, before=loader.worker_init_fn)


def _begin(worker: int, before: Callable[[int], None] | None) -> None:
    if before is not None:
        before(worker)
    if hasattr(signal, "sigwaitinfo"):  # macOS has none
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_heed_alone, args=(os.getppid(),), daemon=True).start()


def _heed_alone(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
