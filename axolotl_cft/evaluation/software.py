"""With which software, and on which GPU, a model was evaluated, as the harness records it."""

import re
from collections.abc import Mapping
from typing import Any

_UNKNOWN = ("", "None", "N/A", "Could not collect", "No CUDA")


def evaluated_with(content: Mapping[str, Any]) -> dict[str, str]:
    """Versions of `lm_eval`, `transformers`, `torch` and `cuda`, and the `gpu`'s model.

    The last three stand in the text that `torch.utils.collect_env` makes of a machine.

    Args:
        content: of a results file. What it does not say is left out.
    """
    machine = str(content.get("pretty_env_info") or "")
    models = re.findall(r"^(?:GPU models and configuration: )?GPU \d+: (.+)$", machine, re.M)
    device = str((content.get("config") or {}).get("device") or "")
    found = {
        "lm_eval": content.get("lm_eval_version"),
        "transformers": content.get("transformers_version"),
        "torch": _line(machine, "PyTorch version"),
        "cuda": _line(machine, "CUDA used to build PyTorch"),
        # The machine's GPUs, which an evaluation on the CPU does not use.
        "gpu": None if device.startswith("cpu") else ", ".join(sorted({m.strip() for m in models})),
    }
    return {name: str(value) for name, value in found.items() if str(value) not in _UNKNOWN}


def _line(text: str, name: str) -> str:
    match = re.search(rf"^{name}: (.*)$", text, re.M)
    return match[1].strip() if match else ""
