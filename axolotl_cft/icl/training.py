"""One trial: stage 1 of a seed, or one arm of stage 2, from its checkpoint to its last step."""

from __future__ import annotations

import io
import math
import pickle
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from axolotl_cft.errors import CFTError
from axolotl_cft.files import write_atomic
from axolotl_cft.icl.model import InContextRegressor, excess_loss, measure, sequence_loss
from axolotl_cft.icl.presets import Settings
from axolotl_cft.icl.tasks import Batch, generator, lay_out, sample

OnProgress = Callable[["Trial", int, float], None]


@dataclass(frozen=True)
class Trial:
    """Stage 1 of a seed (the default: plain sequences of a linear f), or an arm of stage 2."""

    seed: int
    task: str = "linear"
    method: str = "cpt"

    @property
    def is_stage1(self) -> bool:
        """Whether this is the pre-training that all arms of a seed start from."""
        return self.task == "linear"

    @property
    def name(self) -> str:
        """Readable and unique within a run."""
        what = "stage 1" if self.is_stage1 else f"{self.task} {self.method}"
        return f"seed {self.seed}, {what}"

    def checkpoint(self, folder: Path) -> Path:
        """Where this trial's state lives below the run's folder."""
        stem = "stage1" if self.is_stage1 else f"{self.task}-{self.method}"
        return folder / "checkpoints" / f"seed{self.seed}-{stem}.pt"

    def steps(self, settings: Settings) -> int:
        """Optimizer steps of this trial."""
        return settings.pretrain_steps if self.is_stage1 else settings.finetune_steps


def evaluation_batch(trial: Trial, settings: Settings, device: torch.device) -> Batch:
    """The sequences a trial is measured on: the same at every step and for every method."""
    rng = generator(device, trial.seed, trial.task, "evaluation")
    return sample(trial.task, settings.eval_sequences, settings.points, settings.dims, rng)


def learning_rate(step: int, trial: Trial, settings: Settings) -> float:
    """The rate of update number `step` (from 0): linear warm-up, then flat or cosine to 0."""
    peak = settings.pretrain_learning_rate if trial.is_stage1 else settings.finetune_learning_rate
    if step < settings.warmup_steps:
        return peak * (step + 1) / settings.warmup_steps
    if not settings.cosine:
        return peak
    done = (step - settings.warmup_steps) / max(1, trial.steps(settings) - settings.warmup_steps)
    return peak * 0.5 * (1 + math.cos(math.pi * done))


def point_weights(step: int, trial: Trial, settings: Settings, device: torch.device) -> Tensor:
    """(k,) weights of the points in the loss: uniform over those the curriculum has reached.

    The model is causal, so leaving later points out of the loss trains exactly what cutting
    them off would, while every step keeps one shape (one compilation on a GPU).
    """
    reached = settings.points
    if trial.is_stage1:
        grown = settings.curriculum_add * (step // settings.curriculum_every)
        reached = min(settings.points, settings.curriculum_start + grown)
    weights = torch.zeros(settings.points, device=device)
    weights[:reached] = 1 / reached
    return weights


class TrialState:
    """The state of a trial: model, optimizer, random numbers, step and the curve so far."""

    def __init__(
        self, trial: Trial, settings: Settings, folder: Path, device: torch.device
    ) -> None:
        self.trial, self.settings, self.folder, self.device = trial, settings, folder, device
        self.step = 0
        self.rows: list[tuple[int, float, float]] = []  # step, excess loss, inner product
        self.errors: list[float] = []  # squared error after 0 … k-1 points, latest evaluation
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(trial.seed)
            self.model = InContextRegressor(settings).to(device)
        self.optimizer = torch.optim.Adam(
            [p for p in self.model.parameters() if p.requires_grad], fused=True
        )
        # The same for every method: arms of one task see the same functions at the same step.
        self.rng = generator(device, trial.seed, trial.task, "training")
        self.on_gpu = device.type == "cuda"
        self.loss = _compiled_loss() if self.on_gpu else sequence_loss
        path = trial.checkpoint(folder)
        if path.exists():
            self._restore(load(path))
        elif not trial.is_stage1:
            self.model.load_state_dict(load(Trial(trial.seed).checkpoint(folder))["model"])

    def _restore(self, state: dict[str, Any]) -> None:
        self.step, self.rows, self.errors = state["step"], state["rows"], state["errors"]
        self.model.load_state_dict(state["model"])
        if not self.finished:
            self.optimizer.load_state_dict(state["optimizer"])
            self.rng.set_state(state["rng"])

    @property
    def finished(self) -> bool:
        """Whether the last step is behind us."""
        return self.step >= self.trial.steps(self.settings)

    def update(self) -> None:
        """One optimizer step on fresh functions."""
        s, trial = self.settings, self.trial
        batch = sample(trial.task, s.batch_size, s.points, s.dims, self.rng)
        sequence = lay_out(trial.method, batch, self._first_position())
        weights = point_weights(self.step, trial, s, self.device)
        self.optimizer.zero_grad()
        self.loss(self.model, *sequence, weights, bf16=self.on_gpu).backward()
        if s.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), s.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, trial, s)
        self.optimizer.step()
        self.step += 1

    def _first_position(self) -> int | None:
        """Where stage 1 places this step's sequences; None: where the method says."""
        if not self.trial.is_stage1:
            return None
        # A fair coin of its own: a draw from a CUDA generator would stall the device.
        coin = random.Random(f"{self.trial.seed}/{self.step}").random() < 0.5
        both = self.settings.pretrain_halves == "both"
        return 2 * self.settings.points if both and coin else 0

    def evaluate(self, batch: Batch) -> float:
        """Append a row to the curve and return its excess loss.

        Raises:
            CFTError: the loss is not finite, so the weights are lost (any NaN reaches them).
        """
        # Stage 1 is measured where every preset trains it: in the first half.
        first_position = 0 if self.trial.is_stage1 else None
        errors, inner_product = measure(self.model, self.trial.method, batch, first_position)
        excess = excess_loss(errors, self.settings.dims)
        if not math.isfinite(excess):
            stage = "pretrain" if self.trial.is_stage1 else "finetune"
            raise CFTError(
                f"the loss of {self.trial.name} became {excess} by step {self.step}: lower "
                f"{stage}_learning_rate (the last good checkpoint is kept)"
            )
        self.errors = errors.tolist()
        self.rows.append((self.step, excess, inner_product))
        return excess

    def save(self) -> None:
        """Write the checkpoint whole or not at all; a finished trial needs no optimizer."""
        state: dict[str, Any] = {"step": self.step, "rows": self.rows, "errors": self.errors}
        state["model"] = self.model.state_dict()
        if not self.finished:
            state |= {"optimizer": self.optimizer.state_dict(), "rng": self.rng.get_state()}
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_atomic(self.trial.checkpoint(self.folder), buffer.getvalue())


def train(
    trial: Trial, settings: Settings, folder: Path, device: torch.device, on_progress: OnProgress
) -> None:
    """Bring a trial to its last step, from its checkpoint where there is one.

    An arm starts from the stage-1 weights of its seed, which must be finished. Interrupted anywhere
    and called again, it passes through the same states: on one device the curve equals the
    uninterrupted one to the last bit.

    Args:
        on_progress: called with the trial, its step and its excess loss at the start and after
            every evaluation; what it raises ends the trial.

    Raises:
        CFTError: diverging loss, or a checkpoint that cannot be read or written.
    """
    run = TrialState(trial, settings, folder, device)
    batch = evaluation_batch(trial, settings, device)
    if not run.rows:
        run.evaluate(batch)
    on_progress(trial, run.step, run.rows[-1][1])
    while not run.finished:
        run.update()
        if run.step % settings.eval_every == 0 or run.finished:
            excess = run.evaluate(batch)
            if run.step % settings.checkpoint_every == 0 or run.finished:
                run.save()
            on_progress(trial, run.step, excess)


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    Raises:
        CFTError: it cannot be read; names it.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as exc:
        raise CFTError(f"cannot read {path}: delete it and run again ({exc})") from exc
    return state


def _compiled_loss() -> Callable[..., Tensor]:
    """The loss and its backward as CUDA graphs: at this width launches cost more than sums."""
    torch.set_float32_matmul_precision("high")
    compiled: Callable[..., Tensor] = torch.compile(
        sequence_loss, mode="reduce-overhead", fullgraph=True, dynamic=False
    )
    return compiled
