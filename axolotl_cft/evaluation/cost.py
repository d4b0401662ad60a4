"""What a training run cost, from the files that the plugin and the host leave in its folder."""

from dataclasses import dataclass
from pathlib import Path

from axolotl_cft.files import read_json
from axolotl_cft.host.output_dir import LEDGER_FILE, latest_state, number, printed_runtime


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
    path = folder / LEDGER_FILE
    ledger = read_json(path, "train again") if path.is_file() else {}
    counts = ledger.get("train", {})
    state = latest_state(folder)
    scale = state.epoch if state.epoch is not None else 1.0
    reached = ledger.get("reached_trainer") or {}  # what packing or length limits left of `counts`
    fed = number(reached, "tokens") or number(counts, "total_tokens")
    trained = number(reached, "trained_tokens") or number(counts, "trained_tokens")
    if fed is None or trained is None:  # the host counts padding as well
        fed, trained = state.last("tokens/total"), state.last("tokens/trainable")
    else:
        fed, trained = scale * fed, scale * trained
    documents = number(counts, "used")
    return TrainingCost(
        documents=None if documents is None else int(documents),
        tokens=fed,
        trained_tokens=trained,
        prompt_share=number(counts, "prompt_share"),
        targets_digest=counts.get("targets_digest"),
        epochs=state.epoch,
        seconds=seconds or printed_runtime(folder) or state.last("train_runtime"),
        processes=processes,
        nan_step=state.nan_step,
    )
