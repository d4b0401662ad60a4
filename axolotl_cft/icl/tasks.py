"""Functions, sequences and what is known about them without any model.

The sequences are those of the paper's section on understanding CFT (arXiv 2503.09032); the
linear-regression setting is Garg et al. 2022 (arXiv 2208.01066).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from axolotl_cft.errors import CFTError
from axolotl_cft.icl.presets import TASKS


@dataclass(frozen=True)
class Batch:
    """B fresh functions, each at k points of R^d; f is linear, g is what has to be learned."""

    task: str
    xs: Tensor  # (B, k, d), standard normal
    weights: Tensor  # (3, B, d), standard normal: w, w₂, and w' of the wrong context
    noise: Tensor  # (B, k), standard normal: NEG-CFT's context

    @property
    def f(self) -> Tensor:
        """(B, k) wᵀx, the function known from stage 1."""
        return self._linear(0)

    @property
    def wrong(self) -> Tensor:
        """(B, k) w'ᵀx of an independent w': as smooth as f, and says nothing about g."""
        return self._linear(2)

    @property
    def g(self) -> Tensor:
        """(B, k) targets: f (`linear`), f + f² (`polynomial`), f + w₂ᵀx (`multiple_linear`)."""
        if self.task == "polynomial":
            return self.f + self.f**2
        return self.f + self._linear(1) if self.task == "multiple_linear" else self.f

    @property
    def direction(self) -> Tensor:
        """(B, d) gradient of g at the last point: w, (1 + 2f)w or w + w₂."""
        first, second, _ = self.weights
        if self.task == "polynomial":
            return (1 + 2 * self.f[:, -1:]) * first
        return first + second if self.task == "multiple_linear" else first

    def _linear(self, which: int) -> Tensor:
        return torch.einsum("bkd,bd->bk", self.xs, self.weights[which])


class Sequence(NamedTuple):
    """Tokens for the model; the loss is taken on the last k predictions only."""

    tokens: Tensor  # (B, T, d): x, value, x, value, …; a value is padded with zeros to d
    first_position: int  # row of the position table that the first token takes
    targets: Tensor  # (B, k)


def generator(device: torch.device, *names: object) -> torch.Generator:
    """A random generator that depends on `names` alone, the same in every process."""
    digest = hashlib.sha256("/".join(map(str, names)).encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:7], "big"))


def sample(task: str, size: int, points: int, dims: int, rng: torch.Generator) -> Batch:
    """Draw `size` functions of a task and their points, all at once.

    Every task draws the same random numbers in the same order, whatever method will read them:
    arms that share a seed see the same functions at the same step.

    Raises:
        CFTError: unknown task.
    """
    if task not in ("linear", *TASKS):
        raise CFTError(f"unknown task {task!r}; use linear, {', '.join(TASKS)}")
    return Batch(
        task,
        torch.randn(size, points, dims, generator=rng, device=rng.device),
        torch.randn(3, size, dims, generator=rng, device=rng.device),
        torch.randn(size, points, generator=rng, device=rng.device),
    )


def interleave(xs: Tensor, values: Tensor) -> Tensor:
    """(B, k, d) points and (B, k) values as (B, 2k, d) tokens x₁, v₁, x₂, v₂, …"""
    padded = torch.nn.functional.pad(values.unsqueeze(-1), (0, xs.shape[-1] - 1))
    return torch.stack((xs, padded), dim=2).flatten(1, 2)


def lay_out(method: str, batch: Batch, first_position: int | None = None) -> Sequence:
    """The sequence a method trains on; the g part takes positions 2k … 4k-1 under every method.

    | method | first half | second half |
    |---|---|---|
    | `cpt` | none | x₁, g(x₁), … |
    | `cft` | x₁, f(x₁), … | x₁, g(x₁), … |
    | `neg_cft` | x₁, r₁, …, r ~ N(0, 1) | x₁, g(x₁), … |
    | `wrong_cft` | x₁, f'(x₁), …, another linear function | x₁, g(x₁), … |

    A first half of zeros that no token may attend to is the same computation as no first half
    and shifted positions, at twice the cost; so CPT's sequence holds the g part only. Stage 1
    is CPT with g = f.

    Args:
        first_position: places `cpt` elsewhere than in the second half.

    Raises:
        CFTError: unknown method.
    """
    target = interleave(batch.xs, batch.g)
    if method == "cpt":
        shift = target.shape[1] if first_position is None else first_position
        return Sequence(target, shift, batch.g)
    contexts = {"cft": batch.f, "neg_cft": batch.noise, "wrong_cft": batch.wrong}
    if method not in contexts:
        raise CFTError(f"unknown method {method!r}; use cpt, {', '.join(contexts)}")
    context = interleave(batch.xs, contexts[method])
    return Sequence(torch.cat((context, target), dim=1), 0, batch.g)


def excess_denominator(points: int, dims: int) -> float:
    """Mean error of least squares on wᵀx over contexts of 0 … k-1 points: 5.12 at d = 20, k = 41.

    After i points the d - i unseen directions of w are unknown; each costs a variance of 1.
    """
    return sum(max(dims - i, 0) for i in range(points)) / points


def least_squares(xs: Tensor, values: Tensor) -> Tensor:
    """(B, k) float64 predictions of each value from the pairs before it, of minimum norm."""
    xs, values = xs.double(), values.double()
    predictions = torch.zeros_like(values)
    for i in range(1, xs.shape[1]):
        weights = torch.linalg.pinv(xs[:, :i]) @ values[:, :i, None]
        predictions[:, i] = (xs[:, i, None] @ weights).flatten()
    return predictions
