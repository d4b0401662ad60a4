"""What a training or a study will need, for programs."""

from axolotl_cft.records.base import Record, RecordPart


class TrainingForecast(RecordPart):
    """The needs of one training, or of the same with several seeds.

    Rows and tokens are those of an epoch; steps, epochs and operations those of one run.

    Attributes:
        name: arm and stage; the config's name where there is no study.
        runs: trainings like this one, one for each seed; 0 for an arm that is not trained.
        exact: whether every document was looked at.
        documents: that the datasets hold.
        drawn: of these, looked at.
        held_out: documents kept for evaluation.
        rows: that are trained on.
        tokens: in them.
        tokens_interval: half of the 95 % interval around `tokens`; 0 where they are exact.
        trained_tokens: of these, with loss.
        prompt_tokens: of these, what contextual prompts add.
        packed_rows: full rows that these are packed into; None without packing.
        padding: share of all positions in batches that is padding.
        steps_an_epoch: updates in one pass over the rows.
        steps: updates of the training.
        epochs: passes over the rows.
        prepared_bytes: on disk, of the prepared data of all runs that no training above has.
        flops: floating-point operations of a run.
        gpu_hours: of a run; None where no GPU was named.
    """

    name: str
    runs: int = 1
    exact: bool = True
    documents: int = 0
    drawn: int = 0
    held_out: int = 0
    rows: int = 0
    tokens: int = 0
    tokens_interval: float = 0.0
    trained_tokens: int = 0
    prompt_tokens: int = 0
    packed_rows: int | None = None
    padding: float = 0.0
    steps_an_epoch: int = 0
    steps: int = 0
    epochs: float = 0.0
    prepared_bytes: int = 0
    flops: float = 0.0
    gpu_hours: float | None = None


class ForecastRecord(Record):
    """What `axolotl-cft corpus plan --json` prints.

    Attributes:
        config: the file that was asked about.
        trainings: every training; of a study, every arm and stage.
        runs: trainings in all.
        steps: of all.
        prepared_bytes: of all prepared data.
        flops: of all.
        gpu_hours: of all; None where no GPU was named.
        assumptions: on what the figures rest, a sentence each.
    """

    kind = "a forecast"
    advice = "make it again with `axolotl-cft corpus plan`"

    config: str
    trainings: list[TrainingForecast]
    runs: int
    steps: int
    prepared_bytes: int
    flops: float
    gpu_hours: float | None
    assumptions: list[str]
