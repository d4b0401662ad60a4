"""What a training run cost, from the files that the plugin and the host leave in its folder."""

from dataclasses import dataclass, replace
from pathlib import Path

from axolotl_cft.host.output_dir import LEDGER_FILE, latest_state, printed_runtime
from axolotl_cft.records import Trained, TrainingLedger


@dataclass(frozen=True)
class TrainingCost:
    """Tokens and time of one training run; None where no file says.

    Attributes:
        documents: documents trained on, per epoch.
        tokens: tokens fed to the model over the whole run, prompts included.
        trained_tokens: those of them that carried loss.
        prompt_share: share of prompt tokens among `tokens`.
        targets_digest: the plugin's digest of the trained tokens; equal digests, equal targets.
        epochs: epochs (or the part of one) that were trained.
        seconds: wall time of the training loop, model loading excluded.
        processes: number of training processes (one per GPU).
        share_trained: of the tokens that whole epochs hold, the share that was trained; above 1
            where ranks fill up their last batches. None where it was not counted.
        steps: optimizer steps.
        nan_step: first step at which the logged loss was not finite, or its gradient was not a
            number.
    """

    documents: int | None = None
    tokens: float | None = None
    trained_tokens: float | None = None
    prompt_share: float | None = None
    targets_digest: str | None = None
    epochs: float | None = None
    seconds: float | None = None
    processes: int | None = None
    share_trained: float | None = None
    steps: int | None = None
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
    state = latest_state(folder)
    cost = TrainingCost(
        tokens=state.last("tokens/total"),  # padding as well, as the host counts
        trained_tokens=state.last("tokens/trainable"),
        epochs=state.epoch,
        seconds=seconds or printed_runtime(folder) or state.last("train_runtime"),
        processes=processes,
        steps=state.step or None,
        nan_step=state.nan_step,
    )
    path = folder / LEDGER_FILE
    if not path.is_file():
        return cost
    ledger = TrainingLedger.read(path)
    made, left = ledger.train, ledger.reached_trainer  # length limits may have left less than made
    trained = ledger.trained or Trained()  # and the host's sampler less than that
    epochs = state.epoch if trained.epochs is None else trained.epochs
    scale = 1.0 if epochs is None else epochs
    tokens = scale * (left.tokens or made.total_tokens)
    with_loss = scale * (left.trained_tokens or made.trained_tokens)
    if trained.tokens:  # a row is trained whole or not at all, so that prompts go with their texts
        tokens, with_loss = tokens * trained.tokens / with_loss, trained.tokens
    return replace(
        cost,
        documents=made.used,
        tokens=tokens,
        trained_tokens=with_loss,
        prompt_share=made.prompt_share,
        targets_digest=made.targets_digest,
        epochs=epochs,
        share_trained=None if trained.share_lost is None else 1 - trained.share_lost,
        steps=trained.steps or cost.steps,
    )
