"""What was trained: the host's own count, kept exact and through a resume, written at the end.

Where `include_tkps` is on, as it is by default, the host adds up the labels of every training step
over all ranks (axolotl/core/trainers/base.py::compute_loss, `state.tokens`). Evaluation does not
count. Its checkpoints keep the sum in `tokens_state.json`.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from axolotl.core.trainers.constants import TOKENS_STATE_FILE
from axolotl.utils.logging import get_logger
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from axolotl_cft.errors import CFTError
from axolotl_cft.host.output_dir import LEDGER_FILE
from axolotl_cft.host.packing import lines_against_loss
from axolotl_cft.records import Software, Trained, TrainingLedger

LOG = get_logger(__name__)

NOT_ENDED = "training has not ended"


def reason_not_to_count(cfg: Any) -> str | None:
    """Why the host's count of a run is missing, or not one of tokens; None where it is good."""
    if not cfg.include_tkps:
        return "include_tkps is off"
    shared = ("context_parallel_size", "tensor_parallel_size")
    if name := next((name for name in shared if (cfg.get(name) or 1) > 1), None):
        return f"with {name} the host counts a batch once for every rank that shares it"
    return None


def not_yet(tokens_an_epoch: int) -> Trained:
    """The ledger's `trained` before training ends.

    Args:
        tokens_an_epoch: tokens with loss in the rows that the trainer has.
    """
    return Trained(tokens=None, not_counted=NOT_ENDED, tokens_an_epoch=tokens_an_epoch)


def trained_entry(
    tokens: int, ends: list[int] | None, tokens_an_epoch: int, epochs: float, steps: int
) -> Trained:
    """The ledger's `trained` of a run whose tokens were counted.

    Losses are told of whole epochs; where training was cut short, the rest was not asked for.

    Args:
        tokens: tokens with loss that were trained, over all epochs and ranks.
        ends: the same at the end of every whole epoch; None where that is not known.
        tokens_an_epoch: what an epoch would train if nothing were left out.
        epochs: epochs, or the part of one, that were trained.
        steps: optimizer steps.
    """
    if ends is not None:
        by_epoch = [after - before for before, after in pairwise([0, *ends])]
        by_epoch += [tokens - sum(by_epoch)] if tokens > sum(by_epoch) else []
        whole, counted = len(ends), (ends or [0])[-1]
    else:
        by_epoch, counted = None, tokens
        whole = int(epochs) if epochs == int(epochs) else 0
    expected = whole * tokens_an_epoch
    return Trained(
        tokens=tokens,
        not_counted=None,
        tokens_an_epoch=tokens_an_epoch,
        epochs=epochs,
        steps=steps,
        by_epoch=by_epoch,
        tokens_lost=expected - counted if expected else None,
        share_lost=round(1 - counted / expected, 6) if expected else None,
    )


class TrainedTokens(TrainerCallback, ExportableState):
    """Follows the host's count, and puts it into the ledger of `output_dir` when training ends.

    Every rank needs one: from the callback the host learns that an epoch's end is to be logged, at
    which newer versions of it add up the ranks' counts (0.21: `_sync_token_counts`).

    Attributes:
        software: what trained the steps so far, in this session and those before.
        not_counted: why there is no count, None where there is.
        ends: tokens trained at the end of each whole epoch; None where some are not known.
    """

    def __init__(self, software: Software, not_counted: str | None = None):
        self.software = [software]
        self.not_counted = not_counted
        self.ends: list[int] | None = []
        self._last_end: int | None = None

    def state(self) -> dict[str, Any]:
        """What a checkpoint's `trainer_state.json` keeps of this."""
        software = [part.model_dump() for part in self.software]
        kept = {"not_counted": self.not_counted, "ends": self.ends, "software": software}
        return {"args": {}, "attributes": kept}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take up the count where a checkpoint left it."""
        kept = state.stateful_callbacks.get(type(self).__name__, {}).get("attributes")
        if state.global_step and kept:
            self.not_counted = self.not_counted or kept["not_counted"]
            self.ends = kept["ends"]
            earlier = [Software.model_validate(part) for part in kept.get("software", [])]
            now = self.software[-1]
            self.software = earlier if now in earlier[-1:] else [*earlier, now]
        else:
            self.ends = None if state.global_step else []
        if not self.not_counted and not hasattr(state, "tokens"):
            self._start(args, state)
        epoch = state.epoch or 0
        if self.ends is not None and not self.not_counted and len(self.ends) == epoch - 1:
            # The checkpoint was saved just before the epoch's end.
            self.ends.append(_counted(state))
        # The host saves into the place of a callback; a checkpoint made without this one has none.
        state.stateful_callbacks.setdefault(type(self).__name__, self.state())

    def _start(self, args: TrainingArguments, state: TrainerState) -> None:
        """Set the count, which the host would begin at zero, in float32, exact up to 16.7 million.

        The host (0.19) takes it up only from a checkpoint that the config names, not from one that
        it finds by `auto_resume_from_checkpoints`, which is looked for after the trainer is made.
        """
        counts = {"trainable": 0, "total": 0}
        if state.global_step:
            folder = Path(args.output_dir or "") / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
            try:
                counts |= json.loads((folder / TOKENS_STATE_FILE).read_text(encoding="utf-8"))
            except (OSError, ValueError):
                self.not_counted = "the checkpoint that training resumed from holds no count"
        state.tokens = {k: torch.tensor(v, dtype=torch.int64) for k, v in counts.items()}

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Note the count, and let the host log once more if it has not just done so."""
        control.should_log = True
        cut_short = control.should_training_stop and state.epoch != int(state.epoch or 0)
        if self.ends is not None and not cut_short:
            self.ends.append(_counted(state))
            self._last_end = state.global_step

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Now the ranks' counts are added up, also where the host does that for logs alone."""
        if self.ends and state.global_step == self._last_end:
            self.ends[-1] = _counted(state)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Complete the ledger. Nothing is raised: the model is saved only after this."""
        if not state.is_world_process_zero:
            return
        path = Path(args.output_dir or "") / LEDGER_FILE
        try:
            ledger = TrainingLedger.read(path)
            before = ledger.trained or not_yet(ledger.reached_trainer.trained_tokens)
            trained = self._entry(state, before.tokens_an_epoch)
            found = {"trained": trained, "software": self.software}
            ledger.model_copy(update=found).write(path)
        except CFTError as exc:
            LOG.warning(f"cft: what was trained is not in the ledger: {exc}")
        else:
            log_trained(trained, args, path)

    def _entry(self, state: TrainerState, tokens_an_epoch: int) -> Trained:
        tokens, epochs = _counted(state), state.epoch or 0.0
        missing = "this trainer of the host's keeps no count" if not tokens else None
        if reason := self.not_counted or missing:
            known = {"not_counted": reason, "epochs": epochs, "steps": state.global_step}
            return not_yet(tokens_an_epoch).model_copy(update=known)
        return trained_entry(tokens, self.ends, tokens_an_epoch, epochs, state.global_step)


def _counted(state: TrainerState) -> int:
    return int(getattr(state, "tokens", {}).get("trainable", 0))


def log_trained(trained: Trained, args: Any, path: Path) -> None:
    """Say whether every token was trained, and what to set where not.

    Args:
        trained: the ledger's entry.
        args: the host's training arguments.
        path: of the ledger.
    """
    lost, steps = trained.tokens_lost, f"{trained.steps:,} steps"
    if trained.tokens is None:
        LOG.warning(f"cft: trained tokens were not counted: {trained.not_counted} ({path})")
    elif lost is None:
        LOG.info(f"cft: {trained.tokens:,} tokens trained in {steps}, less than an epoch ({path})")
    elif lost > 0:
        LOG.warning(
            f"cft: {lost:,} tokens ({trained.share_lost:.2%}) reached the trainer and were not "
            f"trained: {why_lost(args)}; see {path}"
        )
    elif lost < 0:
        LOG.info(
            f"cft: every token was trained, {-lost:,} of them twice, since the host fills up the "
            f"ranks' last batches with rows of the first ({path})"
        )
    else:
        LOG.info(f"cft: every token of every epoch was trained, in {steps} ({path})")


def why_lost(args: Any) -> str:
    """Where tokens that reached the trainer may have gone, and the line that keeps them."""
    if not args.sample_packing:
        return "the host drops an epoch's last rows; set dataloader_drop_last: false"
    lines = lines_against_loss(
        args.multipack_real_batches, args.per_device_train_batch_size, args.curriculum_sampling
    )
    if lines:
        return f"the host's packing drops rows that fill no batch; set {' and '.join(lines)}"
    return (
        f"an epoch's last packed rows, which do not go round all {args.world_size} ranks, are "
        "dropped"
    )
