"""What libraries say of an installation, kept back in our processes by their loggers' levels."""

import logging
import os

REMARKS = ("torchao", "torch.utils._pytree")
"""Loggers whose warnings speak of kernels for other GPUs and of the libraries' own old names."""


def quiet_libraries() -> None:
    """Let these loggers tell errors alone; before torch is imported, which makes them speak.

    Where `LOG_LEVEL` is set, as the host reads it (axolotl/logging_config.py), all is shown that
    was asked for.
    """
    if "LOG_LEVEL" in os.environ:
        return
    for name in REMARKS:
        logging.getLogger(name).setLevel(logging.ERROR)
