"""What a training leaves in the plugin's ledger."""

from pydantic import Field

from axolotl_cft.records.base import Record, RecordPart
from axolotl_cft.records.preparation import LedgerRecord, PreparedDataset
from axolotl_cft.records.software import Software


class ReachedTrainer(RecordPart):
    """What of a training's data was left when the host was done with them.

    Attributes:
        rows: rows, or packed rows.
        tokens: their length in all.
        trained_tokens: those of them that bear loss.
        mixed_with_other_datasets: whether others' rows are among them, so that losses cannot be
            told.
        rows_lost: made, and not here; None where that cannot be told.
        trained_tokens_lost: the same in tokens.
    """

    rows: int = 0
    tokens: int = 0
    trained_tokens: int = 0
    mixed_with_other_datasets: bool = False
    rows_lost: int | None = None
    trained_tokens_lost: int | None = None


class Trained(RecordPart):
    """What of a training's rows the host's sampler gave to the model.

    Attributes:
        tokens: tokens with loss that were trained, over all epochs and ranks; None where that was
            not counted.
        not_counted: why not; None where it was.
        tokens_an_epoch: what an epoch would train if no row were left out.
        epochs: epochs, or the part of one, that were trained.
        steps: optimizer steps.
        by_epoch: `tokens` by epoch, the last one as far as it went; None where it is not known.
        tokens_lost: what whole epochs hold, less what they trained; below 0 where ranks fill up
            their last batches with rows of the first. None without a whole epoch.
        share_lost: the same as a share of what whole epochs hold.
    """

    tokens: int | None = None
    not_counted: str | None = None
    tokens_an_epoch: int = 0
    epochs: float | None = None
    steps: int | None = None
    by_epoch: list[int] | None = None
    tokens_lost: int | None = None
    share_lost: float | None = None


class TrainingLedger(Record):
    """`output_dir/cft_ledger.json`: what was made, what of it reached the trainer and was trained.

    Attributes:
        train: all that was made for training.
        test: the same for `test_datasets`; None without any of ours.
        reached_trainer: what was left of `train`.
        trained: what was trained of that; None in files of 0.1.
        datasets: the same dataset by dataset, both parts.
        software: what trained, a part for every change of it on the way through resumes; empty in
            files of 0.1.
    """

    kind = "the ledger of a training"
    advice = "train again"

    train: LedgerRecord
    test: LedgerRecord | None = None
    reached_trainer: ReachedTrainer = ReachedTrainer()
    trained: Trained | None = None
    datasets: list[PreparedDataset] = Field(default_factory=list)
    software: list[Software] = Field(default_factory=list)
