"""The report's statistics against independent computations and by simulation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from axolotl_cft.evaluation.statistics import (
    Difference,
    Outcomes,
    average,
    difference,
    discordant,
    holm,
    mcnemar,
    t_interval,
)

SIMULATIONS = 1_000
ITEMS = 235
DRAWS = 500  # a resample more or less is no matter here: the standard error is known to 3 %


@given(st.integers(0, 10_000), st.integers(1, 80), st.integers(2, 6))
def test_weighted_f1_is_scikit_learns(seed: int, items: int, labels: int) -> None:
    rng = np.random.default_rng(seed)
    names = np.array([f"label {i}" for i in range(labels)] + ["missing"])
    gold = names[rng.integers(0, labels, items)]
    predicted = names[rng.integers(0, labels + 1, (3, items))]
    ours = Outcomes(predicted, gold).scores()
    for score, row in zip(ours, predicted, strict=True):
        present = np.unique(gold)
        theirs = f1_score(gold, row, labels=present, average="weighted", zero_division=0)
        assert score == pytest.approx(theirs, abs=1e-12)


def test_resampling_patterns_is_resampling_items() -> None:
    rng = np.random.default_rng(0)
    gold = rng.integers(0, 3, 60).astype(str)
    predicted = np.where(rng.random((2, 60)) < 0.6, gold, rng.integers(0, 3, (2, 60)).astype(str))
    draws = Outcomes(predicted, gold).resampled_scores("task", 20_000)
    plain = []
    for _ in range(1_000):
        chosen = rng.integers(0, 60, 60)
        plain.append(
            [
                f1_score(gold[chosen], p[chosen], average="weighted", zero_division=0)
                for p in predicted
            ]
        )
    for moment in (np.mean, np.std):
        assert moment(draws, axis=0) == pytest.approx(moment(plain, axis=0), rel=0.08)
    both = np.corrcoef(draws.T)[0, 1], np.corrcoef(np.array(plain).T)[0, 1]
    assert both[0] == pytest.approx(both[1], abs=0.06)


def test_large_draws_are_made_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random((2, 50))
    monkeypatch.setattr("axolotl_cft.evaluation.statistics._BLOCK", 1_000)
    draws = Outcomes(values).resampled_scores("task", 2_050)
    assert draws.shape == (2_050, 2)
    assert draws.mean(axis=0) == pytest.approx(values.mean(axis=1), abs=0.01)


# Joint distributions of (gold, baseline's answer, arm's answer), by how they are drawn.
SCENARIOS = {
    "accuracy, weakly related": ("accuracy", 2, (0.5, 0.5), 0.55, 0.62, 0.2),
    "accuracy, strongly related": ("accuracy", 2, (0.5, 0.5), 0.55, 0.62, 0.85),
    "accuracy, equal": ("accuracy", 4, (0.25,) * 4, 0.45, 0.45, 0.7),
    "F1, FiQA-like": ("f1", 3, (0.3, 0.56, 0.14), 0.56, 0.66, 0.7),
    "F1, equal": ("f1", 3, (0.3, 0.56, 0.14), 0.60, 0.60, 0.8),
    "F1, Causal20-like": ("f1", 2, (0.93, 0.07), 0.90, 0.93, 0.5),
    "F1, MultiFin-like": ("f1", 6, (0.35, 0.05, 0.15, 0.25, 0.1, 0.1), 0.38, 0.45, 0.7),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_interval_covers_the_truth(name: str) -> None:
    metric, labels, shares, baseline, arm, tie = SCENARIOS[name]
    rng = np.random.default_rng(20_250_309)

    def answers(count: int) -> tuple[np.ndarray, np.ndarray]:
        gold = rng.choice(labels, count, p=shares)
        own, shared = rng.random((2, count)), rng.random(count)
        luck = np.where(rng.random(count) < tie, shared, own)
        other = (gold + rng.integers(1, labels + 1, count)) % (labels + 1)  # labels = missing
        return np.where(luck < np.array([[arm], [baseline]]), gold, other), gold

    def outcomes(count: int) -> Outcomes:
        given_answers, gold = answers(count)
        if metric == "f1":
            return Outcomes(given_answers, gold)
        return Outcomes((given_answers == gold).astype(float))

    large = outcomes(1_000_000).scores()
    truth = large[0] - large[1]
    covered = 0
    for _ in range(SIMULATIONS):
        low, high = difference(outcomes(ITEMS), 1, "task", draws=DRAWS).interval()
        covered += bool(low <= truth <= high)
    assert 0.93 <= covered / SIMULATIONS <= 0.97


def test_the_interval_of_an_average_covers_the_truth() -> None:
    rng = np.random.default_rng(3)
    tasks = {"a": (135, 0.4, 0.5), "b": (100, 0.6, 0.6), "c": (235, 0.5, 0.53)}
    truth = np.mean([arm - baseline for _, baseline, arm in tasks.values()])
    covered = 0
    for _ in range(SIMULATIONS):
        parts = []
        for task, (items, baseline, arm) in tasks.items():
            shared = rng.random(items) < 0.6  # the luck of these items is the same for both
            luck = np.where(shared, rng.random(items), rng.random((2, items)))
            values = (luck < np.array([[arm], [baseline]])).astype(float)
            parts.append(difference(Outcomes(values), 1, task, draws=DRAWS))
        low, high = average(parts).interval()
        covered += bool(low <= truth <= high)
    assert 0.93 <= covered / SIMULATIONS <= 0.97


def test_identical_models_do_not_differ() -> None:
    rng = np.random.default_rng(0)
    gold = rng.integers(0, 3, ITEMS).astype(str)
    predicted = rng.integers(0, 3, ITEMS).astype(str)
    for outcomes in (
        Outcomes(np.stack([predicted, predicted]), gold),
        Outcomes(np.stack([gold == predicted] * 2).astype(float)),
        Outcomes(np.stack([rng.random(ITEMS)] * 2)),
    ):
        found = difference(outcomes, 1, "task")
        assert found.value == 0
        assert found.interval() == pytest.approx((0, 0), abs=1e-12)
        assert found.p_value() == 1
    right = gold == predicted
    assert mcnemar(*discordant(right, right)) == 1


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_scipys_binomial_test(only_arm: int, only_baseline: int) -> None:
    total = only_arm + only_baseline
    expected = binomtest(only_arm, total, 0.5).pvalue if total else 1.0
    assert mcnemar(only_arm, only_baseline) == expected
    fewer = sum(math.comb(total, k) for k in range(min(only_arm, only_baseline) + 1))
    assert expected == pytest.approx(min(1, 2 * fewer / 2**total), rel=1e-9)


def test_discordant_items_are_counted_by_side() -> None:
    arm = np.array([True, True, False, False, True])
    baseline = np.array([True, False, True, False, False])
    assert discordant(arm, baseline) == (2, 1)


def test_one_item_tells_nothing() -> None:
    found = difference(Outcomes(np.array([[1.0], [0.0]])), 1, "task", draws=100)
    assert found.value == 1
    assert found.p_value() == 1
    assert all(np.isnan(found.interval()))


def test_p_and_interval_agree() -> None:
    rng = np.random.default_rng(1)
    for shift in np.linspace(0, 0.3, 13):
        luck = rng.random(ITEMS)
        values = np.stack([luck < 0.5 + shift, rng.random(ITEMS) < 0.5]).astype(float)
        found = difference(Outcomes(values), 1, "task")
        low, high = found.interval()
        assert (found.p_value() < 0.05) == (low > 0 or high < 0)


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.03, 0.04 times 3, 2, 1; the third may not fall below the second.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_never_lowers_a_p_nor_their_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(p <= a <= 1 for p, a in zip(p_values, adjusted, strict=True))
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert all(adjusted[a] <= adjusted[b] for a, b in itertools.pairwise(order))


def test_seeds_are_averaged_on_the_same_items() -> None:
    rng = np.random.default_rng(2)
    arm, baseline = rng.random((3, 80)) < 0.7, rng.random((2, 80)) < 0.5
    found = difference(Outcomes(np.concatenate([arm, baseline]).astype(float)), 3, "task")
    assert found.value == pytest.approx(arm.mean() - baseline.mean())
    # Averaging the seeds' items first is the same mean, so the same bootstrap.
    flat = np.stack([arm.mean(axis=0), baseline.mean(axis=0)])
    assert found.standard_error == pytest.approx(
        difference(Outcomes(flat), 1, "other").standard_error, rel=0.05
    )


def test_an_average_weighs_its_tasks() -> None:
    one, two = (Difference(v, np.array([v, v + s]), 10) for v, s in ((0.1, 0.2), (0.3, 0.4)))
    assert average([one, two]).value == pytest.approx(0.2)
    assert average([one, two]).draws == pytest.approx([0.2, 0.5])
    assert average([one, two], [3, 1]).value == pytest.approx(0.15)


def test_the_same_key_gives_the_same_draws() -> None:
    values = np.random.default_rng(0).random((2, 40))
    first, again, other = (Outcomes(values).resampled_scores(k, 500) for k in ("a", "a", "b"))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_t_interval_by_hand() -> None:
    # Mean 3, standard deviation 1.5811, t(0.975, 4) = 2.7764.
    assert t_interval([1, 2, 3, 4, 5]) == pytest.approx((1.0368, 4.9632), abs=1e-4)
