"""How often the report claims an effect that is not there, and how often it finds one that is.

    python benchmarks/false_verdicts.py [--comparisons 2000]

Two arms answer seven tests of the sizes of `cft_medical`. An item has a difficulty that all runs
share and a luck of its own in every run, so that two trainings of one arm differ on about 15 % of
the items; a training's seed shifts all of a run's answers by a normal number with the standard
deviation given, in points. Compared are the averages, by the rule of the report and by a rule
that looks at items alone and asks beside that whether the seeds agree: by the t interval of the
paired differences from five seeds on, below that by their range, with unequal numbers of seeds
not at all.

Printed are the shares of comparisons, in percent, in which an effect was claimed: without an effect
these are false verdicts (5 is what was ordered), with one of two points they are the power. `cover`
is how often the report's 95 % interval holds the true difference.
"""

import argparse
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student_t

from axolotl_cft.evaluation import statistics

SIZES = (135, 265, 144, 173, 100, 272, 1273)
SPREADS = (0.0, 0.5, 1.0, 1.5)
SEEDS = ((2, 2), (3, 3), (5, 5), (5, 4), (3, 2))
ACCURACY = 0.45
LUCK = 0.35  # standard deviation of an item's luck in a run, against 1 of the items' difficulty


@dataclass(frozen=True)
class Shares:
    """Shares of comparisons: with a verdict of ours, of the other rule, and covered."""

    ours: float
    other: float
    covered: float


def simulate(
    runs: tuple[int, int],
    spread: float,
    effect: float,
    comparisons: int,
    rng: np.random.Generator,
    paired: bool = False,
) -> Shares:
    """Compare two simulated arms again and again.

    Args:
        runs: trainings of the arm and of the baseline.
        spread: standard deviation between seeds, in points.
        effect: true difference, in points.
        comparisons: how many.
        rng: of all draws.
        paired: whether the rows have the same seed numbers (their shifts are independent still).
    """
    width = np.sqrt(1 + LUCK**2)
    point = 0.01 * width / norm.pdf(norm.ppf(ACCURACY))  # shifts the accuracy by one point
    splits = np.cumsum(SIZES)[:-1]
    found = np.zeros((comparisons, 3), bool)
    for number in range(comparisons):
        difficulty = rng.standard_normal(sum(SIZES), dtype=np.float32)
        luck = rng.standard_normal((sum(runs), sum(SIZES)), dtype=np.float32)
        shift = point * spread * rng.standard_normal(sum(runs))
        shift[: runs[0]] += point * effect
        right = difficulty + LUCK * luck < norm.ppf(ACCURACY) * width + shift[:, None]
        parts = [
            statistics.Outcomes(part).measure("task")
            for part in np.split(right.astype(float), splits, axis=1)
        ]
        scores = statistics.average(parts, [1] * len(SIZES))
        difference = statistics.difference(scores, runs[0], paired)
        low, high = difference.interval()
        covered = low <= effect / 100 <= high
        found[number] = low > 0 or high < 0, _items_and_agreement(scores, runs), covered
    return Shares(*(float(share) for share in found.mean(axis=0)))


def _items_and_agreement(scores: statistics.Scores, runs: tuple[int, int]) -> bool:
    """The rule to compare with: an interval over items alone, and seeds that agree."""
    arm, baseline = np.split(scores.values, [runs[0]])
    weights = np.concatenate([np.full(runs[0], 1 / runs[0]), np.full(runs[1], -1 / runs[1])])
    error = np.sqrt(weights @ scores.covariance @ weights)
    value = arm.mean() - baseline.mean()
    if abs(value) <= student_t.ppf(0.975, scores.units - 1) * error:
        return False
    if runs[0] != runs[1]:
        return True
    seeds = arm - baseline
    if len(seeds) < 5:
        return bool(seeds.min() > 0 or seeds.max() < 0)
    half = student_t.ppf(0.975, len(seeds) - 1) * seeds.std(ddof=1) / np.sqrt(len(seeds))
    return bool(abs(seeds.mean()) > half)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--comparisons", type=int, default=2000, help="in every cell")
    count = parser.parse_args().comparisons
    cells = [(runs, False) for runs in SEEDS] + [((5, 5), True)]
    for effect in (0, 2):
        title = f"true difference {effect} points" if effect else "no effect"
        print(f"\n{title}: claimed, by the other rule, cover (%)")
        heads = [f"{a}v{b}{' paired' * paired}" for (a, b), paired in cells]
        print("| seed SD | " + " | ".join(heads) + " |")
        print("|---" * (1 + len(cells)) + "|")
        for spread in SPREADS:
            rng = np.random.default_rng([int(10 * spread), effect])
            row = [simulate(runs, spread, effect, count, rng, paired) for runs, paired in cells]
            shown = [f"{100 * s.ours:.1f}, {100 * s.other:.1f}, {100 * s.covered:.1f}" for s in row]
            print(f"| {spread} | " + " | ".join(shown) + " |", flush=True)


if __name__ == "__main__":
    main()
