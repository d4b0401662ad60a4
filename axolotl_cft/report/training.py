"""What a training run cost, from the files that the plugin and the host leave in its folder.

* `cft_ledger.json`: the plugin's count of documents and tokens.
* `checkpoint-*/trainer_state.json`: the host's log history (epochs, losses, token counters).
* `debug.log`: the host's console. The summary with the run's `train_runtime` is printed after the
  last checkpoint is saved, so it stands here and not in the checkpoint's log history (whose
  `train_runtime`, written with `include_tokens_per_second`, ends at the last logged step).
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axolotl_cft.report.results import read_json

_SUMMARY = re.compile(r"'train_runtime': '?([0-9.]+)'?, 'train_samples_per_second'")


@dataclass(frozen=True)
class TrainingCost:
    """Tokens and time of one training run; None where no file tells.

    Attributes:
        documents: documents trained on, per epoch.
        tokens: tokens fed to the model over the whole run, prompts included.
        trained_tokens: those of them that carried loss.
        prompt_share: share of prompt tokens among `tokens`.
        targets_digest: the plugin's digest of the trained tokens; equal digests, equal targets.
        epochs: epochs (or the part of one) that were trained.
        seconds: wall time of the training loop, model loading excluded.
        processes: number of training processes (one a GPU).
        nan_step: first step at which the logged loss was not finite, or its gradient no number.
    """

    documents: int | None = None
    tokens: float | None = None
    trained_tokens: float | None = None
    prompt_share: float | None = None
    targets_digest: str | None = None
    epochs: float | None = None
    seconds: float | None = None
    processes: int | None = None
    nan_step: int | None = None

    @property
    def tokens_per_second(self) -> float | None:
        """Measured rate over the whole run, all processes together."""
        return self.tokens / self.seconds if self.tokens and self.seconds else None

    @property
    def gpu_hours(self) -> float | None:
        """Wall time times processes, in hours."""
        return self.seconds * self.processes / 3600 if self.seconds and self.processes else None


def read_cost(
    folder: Path, processes: int | None = None, seconds: float | None = None
) -> TrainingCost:
    """Collect the cost of the run whose host `output_dir` is `folder`.

    `processes` and `seconds` are what the launcher recorded; they win over the host's files, since
    a resumed run prints the time of its last session only.
    """
    path = folder / "cft_ledger.json"
    ledger = read_json(path, "train again") if path.is_file() else {}
    counts = ledger.get("train", {})
    history, epochs = _history(folder)
    scale = epochs if epochs is not None else 1.0
    reached = ledger.get("reached_trainer") or {}  # what packing or length limits left of `counts`
    fed = _number(reached, "tokens") or _number(counts, "total_tokens")
    trained = _number(reached, "trained_tokens") or _number(counts, "trained_tokens")
    if fed is None or trained is None:  # the host counts padding as well
        fed, trained = _last(history, "tokens/total"), _last(history, "tokens/trainable")
    else:
        fed, trained = scale * fed, scale * trained
    documents = _number(counts, "used")
    return TrainingCost(
        documents=None if documents is None else int(documents),
        tokens=fed,
        trained_tokens=trained,
        prompt_share=_number(counts, "prompt_share"),
        targets_digest=counts.get("targets_digest"),
        epochs=epochs,
        seconds=seconds or _printed_runtime(folder) or _last(history, "train_runtime"),
        processes=processes,
        nan_step=_first_nan(history),
    )


def _history(folder: Path) -> tuple[list[dict[str, Any]], float | None]:
    """Log history and epoch of the trainer state of the latest step."""
    states = [folder / "trainer_state.json", *folder.glob("checkpoint-*/trainer_state.json")]
    loaded = [read_json(path, "train again") for path in states if path.is_file()]
    if not loaded:
        return [], None
    state = max(loaded, key=lambda s: (s.get("global_step", 0), len(s.get("log_history", []))))
    return state.get("log_history", []), _number(state, "epoch")


def _printed_runtime(folder: Path) -> float | None:
    """`train_runtime` of the last summary that the host printed to `debug.log`."""
    path = folder / "debug.log"
    if not path.is_file():
        return None
    found = _SUMMARY.findall(path.read_text(encoding="utf-8", errors="replace"))
    return float(found[-1]) if found else None


def _number(mapping: dict[str, Any], key: str) -> float | None:
    value = mapping.get(key)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _last(history: list[dict[str, Any]], key: str) -> float | None:
    values = [_number(entry, key) for entry in history if key in entry]
    return values[-1] if values else None


def _first_nan(history: list[dict[str, Any]]) -> int | None:
    # By default the host leaves a NaN loss out of what it logs (transformers'
    # `logging_nan_inf_filter`); the norm of the gradient tells. An infinite norm is no such sign:
    # the loss scaling of fp16 skips those steps.
    for entry in history:
        loss, norm = entry.get("loss"), entry.get("grad_norm")
        if (isinstance(loss, float) and not math.isfinite(loss)) or norm != norm:
            return int(entry.get("step", 0))
    return None
