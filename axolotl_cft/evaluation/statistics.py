"""Statistics of runs that answered the same items: intervals over items and seeds, McNemar, Holm.

Two things make a score a matter of luck: which items the test happens to hold, and which seed the
training had. Items are the same for all runs, so whatever makes one hard for every run cancels in
a difference; how the runs' scores vary *together* with the items is a covariance matrix. Seeds
are not the same test: what a score varies over them, beyond what items explain, is added.

    Outcomes (answers of runs) ─► measure ─► Scores (values, covariance) ─► difference ─► Difference
                                                │ average over tasks ▲
                                                └────────────────────┘
"""

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from scipy.stats import t as student_t

Floats = NDArray[np.float64]

DRAWS = 10_000
LEVEL = 0.95
POWER = 0.8
SEEDS_FOR_PAIRING = 5
_SEED = 2503_09032
_BLOCK = 4_000_000  # counts held at once: 32 MB
_ROUNDING = 1e-12  # scores lie in [0, 1] or so; smaller differences are floating-point noise


@dataclass(frozen=True)
class Outcomes:
    """What several runs answered on the same items of one task.

    Attributes:
        answers: `(runs, items)`; per-item scores where `gold` is None, predicted labels otherwise.
        gold: `(items,)` gold labels, for weighted F1; None for a mean over items.
        weights: `(items,)` positive weights of that mean; None for a plain one.
        units: `(items,)` a number for what items share (a document, say); None if every item
            stands for itself.
    """

    answers: NDArray
    gold: NDArray | None = None
    weights: Floats | None = None
    units: NDArray[np.int64] | None = None

    def scores(self) -> Floats:
        """The score of each run on the items as they are, `(runs,)`."""
        if self.gold is None:
            return np.average(np.asarray(self.answers, float), axis=1, weights=self.weights)
        _, patterns, counts = self._table()
        return _weighted_f1(patterns, counts.sum(axis=0)[None, :])[0]

    def measure(self, key: str, draws: int = DRAWS) -> "Scores":
        """The runs' scores and how they vary together with the items.

        For means the covariance is that of the sample (of a ratio's residuals, where items weigh
        differently), which is what a bootstrap converges to; for weighted F1 a bootstrap. Both
        have the n/(n-1) correction, n being the number of units.

        Args:
            key: the task's name; it selects the stream of random numbers.
            draws: resamples, for weighted F1.
        """
        if self.gold is None:
            return self._mean()
        resampled = self.resampled_scores(key, draws)
        units = len(self._table()[0])
        spread = np.atleast_2d(np.cov(resampled.T, ddof=0))
        covariance = spread * units / (units - 1) if units > 1 else np.full_like(spread, np.nan)
        return Scores(self.scores(), covariance, units)

    def _mean(self) -> "Scores":
        values = self.scores()
        residuals = np.asarray(self.answers, float) - values[:, None]
        if self.weights is not None:
            residuals = residuals * (self.weights / np.mean(self.weights))
        items = residuals.shape[1]
        if self.units is not None:
            codes = np.unique(self.units, return_inverse=True)[1]
            residuals = np.stack([np.bincount(codes, weights=row) for row in residuals])
        units = residuals.shape[1]
        with np.errstate(divide="ignore", invalid="ignore"):
            covariance = residuals @ residuals.T / items**2 * np.float64(units) / (units - 1)
        return Scores(values, covariance, units)

    def resampled_scores(self, key: str, draws: int = DRAWS) -> Floats:
        """Weighted F1 of each run on `draws` paired resamples of the units, `(draws, runs)`.

        A resample is fully described by how often each *pattern* of answers occurs in it. Where
        every item is a unit of its own, drawing those counts from a multinomial is the bootstrap,
        and its cost depends on the number of distinct patterns (18 for a two-label task and two
        runs), not on the number of items. Two tasks (two keys) draw independently of each other.
        """
        rng = np.random.default_rng([_SEED, crc32(key.encode())])
        table, patterns, counts = self._table()
        drawn_from = counts.sum(axis=0) if self.units is None else np.ones(len(table))
        total = int(drawn_from.sum())
        block = max(1, _BLOCK // max(counts.shape[1], len(drawn_from)))
        parts = []
        for start in range(0, draws, block):
            size = min(block, draws - start)
            drawn = rng.multinomial(total, drawn_from / total, size=size).astype(float)
            parts.append(_weighted_f1(patterns, drawn if self.units is None else drawn @ counts))
        return np.concatenate(parts)

    def _table(self) -> tuple[NDArray, NDArray, Floats]:
        """The units, the distinct columns of (gold, answers), and how often a unit holds each.

        Labels become integer codes, the same in every row. Shapes: `(units,)`,
        `(1 + runs, patterns)`, `(units, patterns)`; where every item is a unit of its own, one row
        of counts stands for them all.
        """
        rows: NDArray = np.asarray(self.answers)
        labels = np.concatenate([np.asarray(self.gold)[None, :], rows])
        codes = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
        patterns, which = np.unique(codes, axis=1, return_inverse=True)
        which = which.reshape(-1)
        if self.units is None:
            units = np.arange(rows.shape[1])
            unit, tables = np.zeros_like(which), 1
        else:
            units, unit = np.unique(self.units, return_inverse=True)
            tables = len(units)
        counts = np.zeros((tables, patterns.shape[1]))
        np.add.at(counts, (unit, which), 1)
        return units, patterns, counts


def _weighted_f1(patterns: NDArray, counts: Floats) -> Floats:
    """Weighted F1 of every run under every vector of pattern counts: `(draws, runs)`.

    It is sum_k n_k/n * 2 tp_k / (n_k + predicted_k) over the gold labels k, as scikit-learn's
    `f1_score(average="weighted")`; a prediction that is not a gold label (`missing`) only costs
    recall.
    """
    gold, runs = patterns[0], patterns[1:]
    classes = np.unique(gold)
    is_gold = (gold == classes[:, None]).astype(float)  # (classes, patterns)
    claims = (runs[:, None, :] == classes[:, None]).astype(float)  # (runs, classes, patterns)
    support = counts @ is_gold.T  # (draws, classes)
    claimed = np.tensordot(counts, claims, (1, 2))  # (draws, runs, classes)
    hits = np.tensordot(counts, claims * is_gold, (1, 2))
    f1 = 2 * hits / np.maximum(support[:, None, :] + claimed, 1)
    return np.einsum("drc,dc->dr", f1, support) / counts.sum(axis=1)[:, None]


@dataclass(frozen=True)
class Scores:
    """The scores of several runs, and how they vary together with the items.

    Attributes:
        values: `(runs,)` the scores on the items as they are.
        covariance: `(runs, runs)` of those scores, over items.
        units: the number of independent units behind them (the smallest task's, for an average).
    """

    values: Floats
    covariance: Floats
    units: int


def average(scores: Sequence[Scores], weights: Sequence[float]) -> Scores:
    """The weighted mean of scores on tasks whose items have nothing to do with one another."""
    share = np.asarray(weights, float) / np.sum(weights)
    values = sum(w * s.values for w, s in zip(share, scores, strict=True))
    covariance = sum(w * w * s.covariance for w, s in zip(share, scores, strict=True))
    return Scores(np.asarray(values), np.asarray(covariance), min(s.units for s in scores))


@dataclass(frozen=True)
class Part:
    """One source of variance of a difference.

    Attributes:
        variance: what it adds.
        square: the mean square it was estimated from, in the same unit; it says how well.
        freedom: degrees of freedom of that mean square.
    """

    variance: float
    square: float
    freedom: float


@dataclass(frozen=True)
class Difference:
    """A difference of two rows' mean scores, and how sure it is.

    Attributes:
        value: the difference on the items as they are.
        items: the part of its variance that the choice of items explains.
        seeds: the parts that the seeds add; empty where no side has two runs.
        paired: whether seeds were compared number by number.
    """

    value: float
    items: Part
    seeds: tuple[Part, ...] = ()
    paired: bool = False

    @property
    def variance(self) -> float:
        """Of items and seeds together."""
        return self.items.variance + sum(part.variance for part in self.seeds)

    @property
    def standard_error(self) -> float:
        """The root of `variance`; NaN where one item alone is known."""
        return float(np.sqrt(self.variance))

    @property
    def freedom(self) -> float:
        """Degrees of freedom after Welch and Satterthwaite.

        Each part counts with the mean square behind it, not with what is left of it once the noise
        of items is taken off: a difference of two mean squares is known no better than they are.
        """
        parts = [self.items, *self.seeds]
        spread = sum(part.square**2 / part.freedom for part in parts if part.freedom > 0)
        return max(1.0, self.variance**2 / spread) if spread > 0 else 1.0

    @property
    def never_varies(self) -> bool:
        """Whether nothing varies, as for two identical models."""
        return self.standard_error <= _ROUNDING

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """value ± t · standard error, over items and (where there are several) seeds."""
        half = self.standard_error * float(student_t.ppf((1 + level) / 2, self.freedom))
        return self.value - half, self.value + half

    def p_value(self) -> float:
        """Two-sided p of no difference, by inverting `interval`; 1 where nothing ever differs."""
        if np.isnan(self.standard_error) or self.never_varies:
            return 1.0
        return float(2 * student_t.sf(abs(self.value) / self.standard_error, self.freedom))

    def within(self, margin: float) -> bool:
        """Whether the difference is surely smaller than `margin`: two one-sided tests at 5 %."""
        low, high = self.interval(2 * LEVEL - 1)
        return -margin < low and high < margin

    @property
    def smallest_detectable(self) -> float:
        """The true difference that a comparison like this one finds in 80 % of cases."""
        return detectable(self.standard_error, self.freedom)


def detectable(standard_error: float, freedom: float) -> float:
    """The true difference at which a two-sided t test at 5 % has 80 % power, nearly."""
    quantiles = student_t.ppf([(1 + LEVEL) / 2, POWER], freedom)
    return float(standard_error * quantiles.sum())


def difference(scores: Scores, arm_runs: int, paired: bool = False) -> Difference:
    """The first `arm_runs` runs of `scores` against the others, each side averaged over its runs.

    Args:
        scores: of both sides' runs.
        arm_runs: how many of them belong to the first side.
        paired: whether run k of one side has the seed of run k of the other. Used from
            `SEEDS_FOR_PAIRING` seeds on: with fewer, what is gained by pairing is lost again to
            the few degrees of freedom that are left.
    """
    runs = len(scores.values)
    sides = np.arange(runs) < arm_runs
    weights = np.where(sides, 1 / arm_runs, -1 / (runs - arm_runs))
    value = float(weights @ scores.values)
    noise = max(0.0, float(weights @ scores.covariance @ weights))
    if np.isnan(scores.covariance).any():
        noise = float("nan")
    items = Part(noise, noise, scores.units - 1)
    paired = paired and 2 * arm_runs == runs and arm_runs >= SEEDS_FOR_PAIRING
    if paired:
        contrast = np.hstack([np.eye(arm_runs), -np.eye(arm_runs)])
        seeds = [_between(contrast @ scores.values, contrast @ scores.covariance @ contrast.T)]
    else:
        seeds = [
            _between(scores.values[side], scores.covariance[np.ix_(side, side)])
            for side in (sides, ~sides)
            if side.sum() > 1
        ]
    return Difference(0.0 if abs(value) < _ROUNDING else value, items, tuple(seeds), paired)


def _between(values: Floats, covariance: Floats) -> Part:
    """What the seed adds to the variance of the mean of `values`, one for each seed.

    The mean square between seeds also holds the luck of each seed with single items, which the
    variance over items holds already: it is taken off. The degrees of freedom are those of the
    mean square; from five seeds on two more, because the square of a mean square with f of them is
    too large by (f + 2) / f on average. With fewer seeds that correction is not safe: simulated
    false verdicts rise above 8 % (docs/report.md has the table).
    """
    count = len(values)
    square = float(np.var(values, ddof=1))
    noise = float(np.trace(covariance) - covariance.sum() / count) / (count - 1)
    freedom = count - 1 + (2 if count >= SEEDS_FOR_PAIRING else 0)
    return Part(max(0.0, square - noise) / count, square / count, freedom)


def discordant(arm: NDArray[np.bool_], baseline: NDArray[np.bool_]) -> tuple[int, int]:
    """Items that only the arm has right, and items that only the baseline has right."""
    return int(np.sum(arm & ~baseline)), int(np.sum(baseline & ~arm))


def mcnemar(only_arm: int, only_baseline: int) -> float:
    """Exact two-sided McNemar test: a fair coin over the discordant items (p = 1 with none)."""
    total = only_arm + only_baseline
    return float(binomtest(only_arm, total, 0.5).pvalue) if total else 1.0


def holm(p_values: list[float]) -> list[float]:
    """Holm's step-down adjustment (1979), in the order given; controls the family-wise error."""
    adjusted = [1.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        running = max(running, (len(p_values) - rank) * p_values[index])
        adjusted[index] = min(1.0, running)
    return adjusted
