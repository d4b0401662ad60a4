"""What libraries say of an installation, kept back in our processes by the standard filters."""

import logging
import os
import warnings

REMARKS = ("torchao", "torch.utils._pytree", "bitsandbytes")
"""Loggers whose warnings speak of kernels for other machines and of old names of the libraries."""

WARNINGS = (
    "Skipping publisher trust check for",  # of a kernel that bitsandbytes asks the hub for
    "You are importing from 'trl.experimental'",  # which the host does
)
"""How warnings begin that speak of what one library does with another."""


def quiet_libraries() -> None:
    """Let these loggers tell errors alone; before torch is imported, which makes them speak.

    Where `LOG_LEVEL` is set, as the host reads it (axolotl/logging_config.py), all is shown that
    was asked for.
    """
    if "LOG_LEVEL" in os.environ:
        return
    for name in REMARKS:
        logging.getLogger(name).setLevel(logging.ERROR)
    for beginning in WARNINGS:
        warnings.filterwarnings("ignore", message=beginning)
