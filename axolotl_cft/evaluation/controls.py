"""Controls: questions whose answers no model can know, on which it must score what chance does.

Every run is held against chance by itself. The question is whether the items give something away,
and chance is the same for all trainings: nothing is gained by a mean over seeds.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import t as student_t

from axolotl_cft.evaluation import statistics
from axolotl_cft.evaluation.ranges import between
from axolotl_cft.evaluation.results import Evaluation, Items
from axolotl_cft.evaluation.statistics import Outcomes


@dataclass(frozen=True)
class Control:
    """One run's score on a control, held against chance.

    Attributes:
        task: the control.
        row, run: whose score it is; `run` is the run's label.
        chance: what chance scores.
        score: what the run scores.
        interval: 95 % interval of the score; None without a sample log.
        p: of chance, with Holm's correction over all runs and controls of a report; None as above.
    """

    task: str
    row: str
    run: str
    chance: float
    score: float
    interval: tuple[float, float] | None
    p: float | None

    @property
    def off_chance(self) -> bool:
        """Whether the score is surely not that of chance, above or below."""
        return self.p is not None and self.p < 1 - statistics.LEVEL

    def shown(self) -> str:
        """`cft, seed 1 scores 31.25 % (95 % interval 24.60 to 37.90)`"""
        assert self.interval is not None
        low, high = (100 * end for end in self.interval)
        score = f"{self.run} scores {100 * self.score:.2f} %"
        return f"{score} (95 % interval {between(f'{low:.2f}', f'{high:.2f}')})"


def check_controls(runs: Iterable[Evaluation]) -> tuple[Control, ...]:
    """Every run on every control that it has."""
    found = []
    for run in runs:
        for task, result in run.tasks.items():
            if result.control_chance is not None:
                facts = (task, run.name, run.label, result.control_chance, result.score)
                found.append(Control(*facts, *_test(result.items, facts[-2])))
    known = [place for place, control in enumerate(found) if control.p is not None]
    corrected = statistics.holm([found[place].p or 0.0 for place in known])
    for place, p in zip(known, corrected, strict=True):
        found[place] = replace(found[place], p=p)
    return tuple(found)


def _test(
    items: Items | None, chance: float
) -> tuple[tuple[float, float], float] | tuple[None, None]:
    """Interval and p of one run's score, by t over the units; Nones where nothing can be said.

    The variance is at least that of so many guesses: a run that happens to be right seldom varies
    little, and would be surely below chance if its own spread were believed.
    """
    if items is None or items.values is None:
        return None, None
    outcomes = Outcomes(items.values[None, :], weights=items.weights, units=items.units)
    scores = outcomes.measure("")
    variance = float(scores.covariance[0, 0])
    if np.isnan(variance):
        return None, None
    error = np.sqrt(max(variance, chance * (1 - chance) / items.values.size))
    score, freedom = float(scores.values[0]), scores.units - 1
    half = float(error * student_t.ppf((1 + statistics.LEVEL) / 2, freedom))
    p = float(2 * student_t.sf(abs(score - chance) / error, freedom))
    return (max(0.0, score - half), min(1.0, score + half)), p
