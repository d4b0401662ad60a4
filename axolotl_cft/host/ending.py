"""How a training ends: at its end, with the trainer's state; or told to stop, with a checkpoint.

transformers has `enable_jit_checkpoint` for the second. It is not used: every rank acts at whatever
step it sees the signal, so that one stops while another waits for its gradients; it saves between a
backward pass and its update, where the batch is counted already and is trained once more after the
resume; and the host then saves a half-trained model and exits with 0
(transformers/trainer_jit_checkpoint.py, axolotl/train.py::train).
"""

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from axolotl.utils.distributed import cleanup_distributed
from axolotl.utils.logging import get_logger
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from axolotl_cft.host.data_workers import outlive_signals
from axolotl_cft.host.output_dir import STATE_FILE

if TYPE_CHECKING:
    from accelerate import Accelerator

LOG = get_logger(__name__)

STOPPED = 128 + signal.SIGTERM
"""Exit status of a training that saved a checkpoint because it was told to stop."""


def saves_what_it_needs(args: TrainingArguments) -> bool:
    """Whether the run's checkpoints are wanted, and enough to go on from."""
    return args.save_strategy != "no" and not args.save_only_model


class StopWhenTold(TrainerCallback):
    """After SIGTERM: finish the update, save a checkpoint as the host saves all, exit with 143.

    Nothing else is written: no model, and no state of a training that has ended. Every rank needs
    one. A launcher's signal reaches the ranks in different steps, or one machine's ranks alone, so
    they agree at each update's end; that costs the sum of one number over all ranks.

    At an epoch's end the checkpoint is saved after the evaluation and the counts that belong to it.
    A signal within the last update, or while the final model is saved, changes nothing and ends the
    process at once, in this order.

    Attributes:
        told: whether this process was.
        agreed: whether any rank was, which all know.
        stopping: whether the checkpoint that is being saved is the last.
    """

    def __init__(self, accelerator: "Accelerator"):
        self.accelerator = accelerator
        self.told = self.agreed = self.stopping = False
        self._before: Any = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """From now on there is something to save; before, the process ends as any other."""
        outlive_signals(kwargs["train_dataloader"])
        in_main = (
            threading.current_thread() is threading.main_thread()
        )  # where alone it can be done
        if in_main and self._before is None:
            self._before = signal.signal(signal.SIGTERM, self._note)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop within an epoch; its last update is followed by the epoch's end."""
        self._agree(args)
        if self.agreed and state.epoch != int(state.epoch or 0):
            self._stop(args, state, control)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop between two epochs."""
        if self.agreed:
            self._stop(args, state, control)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Exit, now that the checkpoint is whole; also if it would have been saved anyway."""
        self._agree(args)
        if self.stopping or (self.agreed and not control.should_training_stop):
            self._exit(state)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave the signal to whoever had it before."""
        if self.stopping:  # the host has not saved after all
            self._exit(state)
        self._release()

    def _note(self, signum: int, frame: Any) -> None:
        self.told = True

    def _agree(self, args: TrainingArguments) -> None:
        if args.world_size == 1:
            self.agreed = self.told
            return
        if self.told:
            self.accelerator.set_trigger()
        self.agreed = self.accelerator.check_trigger() or self.agreed

    def _stop(self, args: TrainingArguments, state: TrainerState, control: TrainerControl) -> None:
        if control.should_training_stop:
            return  # it ends by itself
        if control.should_evaluate and args.save_strategy == "best":
            return  # the host would save a better model alone; after the next update it saves any
        LOG.info(f"cft: told to stop: saving a checkpoint after step {state.global_step}")
        # The log keeps the losses since the last one, which no checkpoint holds.
        control.should_log = control.should_save = control.should_training_stop = True
        self.stopping = True

    def _exit(self, state: TrainerState) -> None:
        """End all ranks at once: a launcher kills the others when the first has ended."""
        self.accelerator.wait_for_everyone()
        LOG.warning(
            f"cft: stopped after step {state.global_step} of {state.max_steps}; train again with "
            "auto_resume_from_checkpoints: true to go on from there"
        )
        self._release()
        cleanup_distributed()
        raise SystemExit(STOPPED)

    def _release(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
            self._before = None


class EndState(TrainerCallback):
    """Saves the trainer's state in `output_dir` when training has come to its end, and only then.

    An epoch may hold fewer steps than the host expected (a packed one whose order is random), so
    the number of steps alone does not tell.

    Args:
        stops_early: whether the config lets the run stop before its last step.
    """

    def __init__(self, stops_early: bool):
        self.stops_early = stops_early

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Forget an earlier run in the same folder."""
        if state.is_world_process_zero:
            _place(args).unlink(missing_ok=True)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Save it whole. Nothing is raised: the model is saved only after this."""
        cut_short = control.should_training_stop and state.global_step < state.max_steps
        if not state.is_world_process_zero or (cut_short and not self.stops_early):
            return
        path = _place(args)
        unfinished = path.with_name(f".{path.name}.tmp")
        try:
            state.save_to_json(str(unfinished))
            unfinished.replace(path)
        except OSError as exc:
            LOG.warning(f"cft: cannot write {path}: {exc.strerror or exc}")


def _place(args: TrainingArguments) -> Path:
    return Path(args.output_dir or "") / STATE_FILE
