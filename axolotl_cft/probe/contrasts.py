"""What can be said of a pool's mean, and of one pool against another, and about what it holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from axolotl_cft.probe.rows import Arm
from axolotl_cft.probe.statistics import Estimate, Floats, Units, estimate

Claim = Literal["this", "kind", "alike", "orders"]

CLAIMS: Mapping[Claim, str] = {
    "this": "these very prompts",
    "kind": "prompts like these",
    "alike": "prompts like these, if all vary alike",
    "orders": "orders of this prompt's words",
}
"""What an interval holds for, always on other documents of the same corpus."""


@dataclass(frozen=True)
class Finding:
    """An estimate and what it holds for."""

    estimate: Estimate
    claim: Claim


@dataclass(frozen=True)
class MeasuredArm:
    """An arm with its changes.

    Attributes:
        arm: the prompts.
        changes: nats against no prompt, shape (prompts, documents).
        tokens: scored tokens of each document, shape (documents,).
    """

    arm: Arm
    changes: Floats
    tokens: NDArray

    @property
    def by_prompt(self) -> dict[str, Units]:
        """For the id of each prompt: the prompt, or its shuffles in a shuffled arm."""
        ids = np.array([prompt.id for prompt in self.arm.pool.prompts])
        return {str(id_): self._units(ids == id_) for id_ in dict.fromkeys(ids)}

    def units(self, ids: Sequence[str] = ()) -> Units:
        """A unit for each prompt, which is the mean of its shuffles in a shuffled arm.

        Args:
            ids: of the prompts wanted, and their order; all if empty.
        """
        means = {id_: units.mean for id_, units in self.by_prompt.items()}
        weights = dict.fromkeys(means, 0.0)
        for prompt in self.arm.pool.prompts:
            weights[prompt.id] += prompt.weight
        ids = ids or list(means)
        shares = np.array([weights[id_] for id_ in ids])
        return Units(np.stack([means[id_] for id_ in ids]), shares / shares.sum())

    def _units(self, chosen: NDArray[np.bool_]) -> Units:
        return Units(self.changes[chosen], np.full(chosen.sum(), 1 / chosen.sum()))


def prompt_findings(measured: MeasuredArm) -> list[Finding]:
    """The change of each prompt of an arm, over documents."""
    everyone = np.eye(len(measured.changes), dtype=bool)
    return [
        Finding(estimate(Units(measured.changes[one], np.ones(1)), measured.tokens), "this")
        for one in everyone
    ]


def mean_finding(measured: MeasuredArm) -> Finding:
    """The change of an arm's mean."""
    units, claim = _units_and_claim(measured)
    return Finding(estimate(units, measured.tokens), claim)


def _units_and_claim(measured: MeasuredArm) -> tuple[Units, Claim]:
    by_prompt = measured.by_prompt
    if len(by_prompt) > 1:
        return measured.units(), "kind"
    (units,) = by_prompt.values()
    return units, "orders" if len(units.weights) > 1 else "this"


def difference(one: MeasuredArm, other: MeasuredArm) -> Finding:
    """The mean of one pool minus the mean of another."""
    sides = one.units(), other.units()
    several = [len(side.weights) > 1 for side in sides]
    claim: Claim = "kind" if all(several) else "alike" if any(several) else "this"
    return Finding(estimate(sides[0], one.tokens, sides[1]), claim)


def order_difference(pool: MeasuredArm, shuffled: MeasuredArm) -> Finding | None:
    """Prompts minus the same prompts with their words in other orders.

    Each prompt against the mean of its shuffles is one unit, so that what the finitely many
    shuffles leave open is part of how far units lie apart. A single prompt is compared with its
    shuffles as one more of them. So in both cases the order as written may differ from others as
    much as these do among themselves before a difference of the two means is believed.

    Returns:
        None for a single prompt with a single shuffle, which vary in nothing.
    """
    orders = shuffled.by_prompt
    own = pool.units(list(orders))
    if len(orders) > 1:
        units = Units(own.changes - shuffled.units(list(orders)).changes, own.weights)
        return Finding(estimate(units, pool.tokens), "kind")
    (others,) = orders.values()
    if len(others.weights) == 1:
        return None
    return Finding(estimate(own, pool.tokens, others), "orders")
