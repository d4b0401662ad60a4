"""What training leaves in its `output_dir`, read in one place.

* `checkpoint-*/trainer_state.json`: the host's log history (epochs, losses, token counters).
* `trainer_state.json`: the same of a training that came to its end, and only of one (host/ending).
* `debug.log`: the host's console. The summary with the run's `train_runtime` is printed after the
  last checkpoint is saved, so it stands here and not in the checkpoint's log history (whose
  `train_runtime`, written with `include_tokens_per_second`, ends at the last logged step).
* `cft_ledger.json`: the plugin's count of documents and tokens.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axolotl_cft.errors import CFTError

LEDGER_FILE = "cft_ledger.json"

STATE_FILE = "trainer_state.json"
_SENTINEL = "checkpoint-is-incomplete.txt"
_SUMMARY = re.compile(r"'train_runtime': '?([0-9.]+)'?, 'train_samples_per_second'")
_PRINTED = re.compile(r"'(loss|grad_norm)': '?([^',}]+)")


@dataclass(frozen=True)
class TrainerState:
    """What the host's trainer knew when it saved (transformers/trainer_callback.py::TrainerState).

    Attributes:
        step: optimizer steps done.
        max_steps: steps of the whole run; infinite where the file does not say.
        epoch: epochs done, with their fraction.
        history: what was logged, in order.
    """

    step: int = 0
    max_steps: float = math.inf
    epoch: float | None = None
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def reached_end(self) -> bool:
        """Whether the run came to its last step."""
        return self.step >= self.max_steps

    @property
    def nan_step(self) -> int | None:
        """First step at which the logged loss was not finite, or its gradient was not a number.

        By default the host leaves a NaN loss out of what it logs (transformers'
        `logging_nan_inf_filter`); the norm of the gradient tells. An infinite norm is no such
        sign: the loss scaling of fp16 skips those steps.
        """
        for entry in self.history:
            norm = entry.get("grad_norm")
            if not is_finite(entry.get("loss")) or norm != norm:
                return int(entry.get("step", 0))
        return None

    def last(self, key: str) -> float | None:
        """The last finite number that was logged under `key`."""
        values = [number(entry, key) for entry in self.history if key in entry]
        return values[-1] if values else None


def checkpoints(folder: Path) -> list[Path]:
    """The host's checkpoints in the order of their steps (axolotl/utils/train.py)."""
    found = [path for path in folder.glob("checkpoint-*") if path.name.split("-")[-1].isdigit()]
    return sorted(found, key=lambda path: int(path.name.split("-")[-1]))


def read_state(folder: Path) -> TrainerState | None:
    """The trainer's state in a folder; None where there is none, or only half of one."""
    try:
        content = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        return TrainerState(
            step=content.get("global_step", 0),
            max_steps=content.get("max_steps", math.inf),
            epoch=number(content, "epoch"),
            history=content.get("log_history", []),
        )
    except (OSError, ValueError, AttributeError):
        return None


def is_whole(checkpoint: Path) -> bool:
    """Whether a checkpoint can be resumed from.

    `trainer_state.json` is written last (transformers/trainer.py::_save_checkpoint); where another
    plugin has switched on transformers' `enable_jit_checkpoint`, a file says that it is not yet.
    """
    return read_state(checkpoint) is not None and not (checkpoint / _SENTINEL).exists()


def latest_state(folder: Path) -> TrainerState:
    """The state of the latest step that a run saved, itself or in a checkpoint; else empty."""
    found = [read_state(place) for place in (folder, *checkpoints(folder))]
    states = [state for state in found if state is not None]
    return max(states, key=lambda s: (s.step, len(s.history)), default=TrainerState())


def printed_runtime(folder: Path) -> float | None:
    """`train_runtime` of the last summary that the host printed to `debug.log`, in seconds."""
    path = folder / "debug.log"
    if not path.is_file():
        return None
    found = _SUMMARY.findall(path.read_text(encoding="utf-8", errors="replace"))
    return float(found[-1]) if found else None


def check_losses(state: TrainerState, output: str) -> None:
    """Refuse a training run whose loss or last gradient was not a number.

    The host filters NaN out of logged losses (`logging_nan_inf_filter`), not out of norms.

    Args:
        state: of the last checkpoint.
        output: what the process printed.

    Raises:
        CFTError: names the quantity and the step.
    """
    for entry in state.history:
        for key in ("loss", "eval_loss"):
            if not is_finite(entry.get(key)):
                raise CFTError(
                    f"{key} is {entry[key]} at step {entry.get('step')}; lower the learning rate, "
                    "or look at the data"
                )
    norms = [(e.get("step"), e["grad_norm"]) for e in state.history if "grad_norm" in e]
    if norms and not is_finite(norms[-1][1]):
        raise CFTError(
            f"the gradient norm is {norms[-1][1]} at the last logged step, {norms[-1][0]}, so the "
            "weights are lost; lower the learning rate, or look at the data"
        )
    for key, value in dict(_PRINTED.findall(output)).items():  # the last of each
        if not math.isfinite(float(value)):
            raise CFTError(f"the last printed {key} is {value}; lower the learning rate")


def world_size(folder: Path) -> int | None:
    """Number of training processes, by the random states in the last checkpoint, if it has any."""
    for checkpoint in reversed(checkpoints(folder)):
        if states := list(checkpoint.glob("rng_state*.pth")):
            return len(states)
    return None


def is_finite(value: Any) -> bool:
    """Whether a logged value is anything but NaN or infinite; what is not a float is fine."""
    return not isinstance(value, float) or math.isfinite(value)


def number(mapping: Mapping[str, Any], key: str) -> float | None:
    """A finite number of a mapping, None for anything else."""
    value = mapping.get(key)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
