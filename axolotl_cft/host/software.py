"""What a training runs on: versions, CUDA and devices, for its ledger."""

from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import torch
from accelerate.utils import gather_object

from axolotl_cft.records import Software

if TYPE_CHECKING:
    from accelerate import Accelerator

PACKAGES = ("torch", "axolotl", "transformers", "accelerate", "axolotl-cft")


def running_software(accelerator: "Accelerator") -> Software:
    """The software of this session, and the device of every rank; all ranks have to ask.

    Args:
        accelerator: the trainer's.
    """
    device = accelerator.device
    model = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return Software(
        versions={name: version_of(name) for name in PACKAGES},
        cuda=torch.version.cuda,
        devices=dict(sorted(Counter(gather_object([model])).items())),
    )


def version_of(package: str) -> str:
    """The version of an installed package; `unknown` of one that runs from its sources."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
