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

        For means the covariance is that of the sample, which is what a bootstrap converges to; for
        weighted F1 a bootstrap with the n/(n-1) correction, n being the number of units.

        Args:
            key: the task's name; it selects the stream of random numbers.
            draws: resamples, for weighted F1.
        """
        shares, codes = self._shares()
        units, freedom = len(shares), 1 / float((shares**2).sum()) - 1
        if units < 2:
            unknown = np.full((len(self.answers),) * 2, np.nan)
            return Scores(self.scores(), ((unknown, 1),), units)
        if self.gold is None:
            covariance = self._covariance(shares, codes)
        else:
            resampled = self.resampled_scores(key, draws)
            covariance = np.atleast_2d(np.cov(resampled.T, ddof=0)) * units / (units - 1)
        return Scores(self.scores(), ((covariance, freedom),), units)

    def _shares(self) -> tuple[Floats, NDArray[np.int64]]:
        """Each unit's share in the score, and the unit of each item."""
        items = np.asarray(self.answers).shape[1]
        weights = np.ones(items) if self.weights is None else self.weights
        codes = np.arange(items)
        if self.units is not None:
            codes = np.unique(self.units, return_inverse=True)[1].reshape(-1)
        return np.bincount(codes, weights=weights) / weights.sum(), codes

    def _covariance(self, shares: Floats, codes: NDArray[np.int64]) -> Floats:
        """Of weighted means over units.

        A unit's residual is small for the share it has in the mean itself; each is scaled up for
        that (the leverage correction of weighted means, MacKinnon and White 1985, HC2), which for
        equal shares is the n/(n-1) of a sample variance.
        """
        weights = np.ones(len(codes)) if self.weights is None else self.weights
        gaps = np.asarray(self.answers, float) - self.scores()[:, None]
        gaps = gaps * (weights / weights.sum())
        residuals = np.stack([np.bincount(codes, weights=row) for row in gaps])
        residuals = residuals / np.sqrt(1 - 2 * shares + (shares**2).sum())
        return residuals @ residuals.T

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
        strata: for each task behind them, its part of the covariance over items, `(runs, runs)`,
            and the degrees of freedom of that: the units less one, or fewer where some weigh more
            than others (Kish's effective number).
        units: the number of independent units behind them.
    """

    values: Floats
    strata: tuple[tuple[Floats, float], ...]
    units: int

    @property
    def covariance(self) -> Floats:
        """`(runs, runs)` of the scores, over items."""
        return np.sum([part for part, _ in self.strata], axis=0)


def average(scores: Sequence[Scores], weights: Sequence[float]) -> Scores:
    """The weighted mean of scores on tasks whose items have nothing to do with one another."""
    share = np.asarray(weights, float) / np.sum(weights)
    values = sum(w * s.values for w, s in zip(share, scores, strict=True))
    strata = tuple(
        (w * w * part, freedom)
        for w, s in zip(share, scores, strict=True)
        for part, freedom in s.strata
    )
    return Scores(np.asarray(values), strata, sum(s.units for s in scores))


def average_of_shared(outcomes: Sequence[Outcomes], weights: Sequence[float]) -> Scores:
    """The weighted mean of scores on tasks that ask about the same things, each a mean over items.

    What is asked about one thing is one unit across the tasks: where all of it is hard, the tasks'
    scores vary together, and their variances do not simply add.

    Args:
        outcomes: of the tasks, their units numbered alike in all.
        weights: of the tasks.
    """
    share = np.asarray(weights, float) / np.sum(weights)
    total = sum(w * each.scores() for w, each in zip(share, outcomes, strict=True))
    levels, within, units = [], [], []
    for w, each in zip(share, outcomes, strict=True):
        answers = np.asarray(each.answers, float)
        # Around the task's own score: that one task is easier than another is no luck of things.
        levels.append(answers - each.scores()[:, None] + total[:, None])
        weight = np.ones(answers.shape[1]) if each.weights is None else each.weights
        within.append(w * weight / weight.sum())
        assert each.units is not None
        units.append(each.units)
    answers, weight = np.concatenate(levels, axis=1), np.concatenate(within)
    return Outcomes(answers, weights=weight, units=np.concatenate(units)).measure("")


@dataclass(frozen=True)
class Part:
    """One source of variance of a difference.

    Attributes:
        variance: what it adds.
        square: the mean square it was estimated from, in the same unit; it says how well.
        freedom: degrees of freedom of that mean square.
        many: whether they are enough for Welch's correction.
    """

    variance: float
    square: float
    freedom: float
    many: bool = False


@dataclass(frozen=True)
class Difference:
    """A difference of two rows' mean scores, and how sure it is.

    Attributes:
        value: the difference on the items as they are.
        units: the number of independent units of items.
        items: the parts of its variance that the choice of items explains, one for each task.
        seeds: the parts that the seeds add; empty where no side has two runs.
        paired: whether seeds were compared number by number.
    """

    value: float
    units: int
    items: tuple[Part, ...]
    seeds: tuple[Part, ...] = ()
    paired: bool = False

    @property
    def variance(self) -> float:
        """Of items and seeds together."""
        return sum(part.variance for part in (*self.items, *self.seeds))

    @property
    def standard_error(self) -> float:
        """The root of `variance`; NaN where one unit alone is known."""
        return float(np.sqrt(self.variance))

    @property
    def freedom(self) -> float:
        """Degrees of freedom after Welch (1947) and Satterthwaite (1946).

        Each part counts with the mean square behind it, not with what is left of it once the noise
        of items is taken off: a difference of two mean squares is known no better than they are.
        The square of a mean square with f degrees of freedom is too large by (f + 2) / f on
        average, hence Welch's f + 2 and his 2 to subtract. With fewer than five seeds that is not
        safe: simulated false verdicts rise above 8 %.
        """
        parts = [part for part in (*self.items, *self.seeds) if part.square > 0]
        if not parts:
            return 1.0
        many = any(part.many for part in parts)
        spread = sum(p.square**2 / (p.freedom + 2 * p.many) for p in parts)
        least = min(part.freedom for part in parts)
        return max(1.0, least, self.variance**2 / spread - 2 * many)

    @property
    def never_varies(self) -> bool:
        """Whether nothing varies, as for two identical models."""
        return self.standard_error <= _ROUNDING

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """value ± t · standard error, over items and (where there are several) seeds."""
        half = self.standard_error * float(student_t.ppf((1 + level) / 2, self.freedom))
        return self.value - half, self.value + half

    def p_value(self) -> float | None:
        """Two-sided p of no difference, by inverting `interval`; None where nothing is known.

        Where every unit differs by the same, no t can be formed: the sign test then.
        """
        if np.isnan(self.standard_error):
            return None
        if self.never_varies:
            return min(1.0, 2 * 0.5**self.units) if self.value else 1.0
        return float(2 * student_t.sf(abs(self.value) / self.standard_error, self.freedom))

    def within(self, margin: float) -> bool:
        """Whether the difference is surely smaller than `margin`: two one-sided tests at 5 %."""
        low, high = self.interval(2 * LEVEL - 1)
        return -margin < low and high < margin

    def detectable(self, comparisons: int = 1) -> float:
        """About the true difference that a comparison like this finds in 80 % of cases.

        It is where a two-sided t test at 5 %, divided by the number of `comparisons` that are
        corrected for, has that power. With two or three seeds their spread is known so badly that
        60 and 70 % come nearer (docs/report.md).
        """
        quantiles = student_t.ppf([1 - (1 - LEVEL) / 2 / comparisons, POWER], self.freedom)
        return float(self.standard_error * quantiles.sum())


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
    items = tuple(_of_items(weights, part, freedom) for part, freedom in scores.strata)
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
    value = 0.0 if abs(value) < _ROUNDING else value
    return Difference(value, scores.units, items, tuple(seeds), paired)


def _of_items(weights: Floats, covariance: Floats, freedom: float) -> Part:
    """What one task's items add to the variance of a weighted sum of the runs' scores."""
    if not np.isfinite(covariance).all():
        return Part(float("nan"), float("nan"), 1)
    variance = max(0.0, float(weights @ covariance @ weights))
    return Part(variance, variance, max(1.0, freedom))


def _between(values: Floats, covariance: Floats) -> Part:
    """What the seed adds to the variance of the mean of `values`, one for each seed.

    The mean square between seeds also holds the luck of each seed with single items, which the
    variance over items holds already: it is taken off.
    """
    count = len(values)
    square = float(np.var(values, ddof=1))
    noise = float(np.trace(covariance) - covariance.sum() / count) / (count - 1)
    many = count >= SEEDS_FOR_PAIRING
    return Part(max(0.0, square - noise) / count, square / count, count - 1, many)


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
