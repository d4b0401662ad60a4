"""How far a training is, by what the host leaves while it works."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

from axolotl_cft.host.output_dir import checkpoints, read_state

_BAR = re.compile(r"^ *\d+%\|[^|]*\| *(\d+)/(\d+) \[[^,\]]*(?:, *([\d.]+)(it/s|s/it))?", re.M)
"""The training's bar, which has no label (transformers/trainer_callback.py::ProgressCallback)."""

_LOSS = re.compile(r"'loss': '?([-+]?\d[\d.e+-]*|nan|inf)\b")
"""What the host logs at a step (transformers/trainer_callback.py::ProgressCallback.on_log)."""

_ENDS = 1 << 16
"""Bytes that are read of a log's begin and end; between them a day of bars takes megabytes."""


@dataclass(frozen=True)
class TrainingProgress:
    """Where a training is.

    Attributes:
        step: optimizer steps done.
        steps: of the whole training; None where nothing tells yet.
        per_second: steps in a second, lately; None where nothing tells.
        loss: the newest that the host logged (`logging_steps` says how often); None without one.
    """

    step: int
    steps: int | None
    per_second: float | None
    loss: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """Until the last step, at this rate."""
        if self.steps is None or not self.per_second:
            return None
        return (self.steps - self.step) / self.per_second


def training_progress(train: Path, log: Path) -> TrainingProgress | None:
    """The newest that checkpoints and the printed bar tell; None before the first step.

    Args:
        train: the host's `output_dir`.
        log: what the training printed so far.
    """
    saved = [(path, state) for path in checkpoints(train) if (state := read_state(path))]
    step = saved[-1][1].step if saved else 0
    known = saved[-1][1].max_steps if saved else math.inf
    text = _ends_of(log)
    bars = _bars(text)
    # An evaluation in between has a bar of its own, but the training's is the first.
    steps = int(known) if math.isfinite(known) else bars[0][1] if bars else None
    printed = [bar for bar in bars if bar[1] == steps]
    if not saved and not printed:
        return None
    rate = printed[-1][2] if printed else None
    step = max(step, printed[-1][0]) if printed else step
    losses = [float(loss) for loss in _LOSS.findall(text)]
    loss = losses[-1] if losses else saved[-1][1].last("loss") if saved else None
    return TrainingProgress(step, steps, rate or _rate_of([path for path, _ in saved]), loss)


def _ends_of(log: Path) -> str:
    """The log's begin and end; "" where there is none yet."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        text = file.read(_ENDS)
        size = file.seek(0, 2)
        if size > _ENDS:
            file.seek(max(_ENDS, size - _ENDS))
            text += b"\n" + file.read()
    return text.decode("utf-8", errors="replace").replace("\r", "\n")


def _bars(text: str) -> list[tuple[int, int, float | None]]:
    """(step, steps, steps per second) of every bar."""
    found = _BAR.findall(text)
    return [(int(step), int(steps), _per_second(rate, unit)) for step, steps, rate, unit in found]


def _per_second(rate: str, unit: str) -> float | None:
    number = float(rate or 0)
    return None if number == 0 else number if unit == "it/s" else 1 / number


def _rate_of(saved: list[Path]) -> float | None:
    """Steps per second between the last two checkpoints, by the times at which they were whole."""
    if len(saved) < 2:
        return None
    steps = [int(path.name.split("-")[-1]) for path in saved[-2:]]
    times = [(path / "trainer_state.json").stat().st_mtime for path in saved[-2:]]
    return (steps[1] - steps[0]) / (times[1] - times[0]) if times[1] > times[0] else None
