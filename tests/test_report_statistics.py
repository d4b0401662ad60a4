"""The report's statistics against independent computations and by simulation."""

import importlib.util
import itertools
import json
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from scipy.stats import t as student_t
from sklearn.metrics import f1_score

from axolotl_cft.evaluation.foresight import foresee, task_sizes
from axolotl_cft.evaluation.statistics import (
    Difference,
    Outcomes,
    Part,
    Scores,
    average,
    difference,
    discordant,
    holm,
    mcnemar,
)

MEDICAL = {
    "cft_mmlu_anatomy": 135,
    "cft_mmlu_clinical_knowledge": 265,
    "cft_mmlu_college_biology": 144,
    "cft_mmlu_college_medicine": 173,
    "cft_mmlu_medical_genetics": 100,
    "cft_mmlu_professional_medicine": 272,
    "cft_medqa": 1273,
}
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
    rng = np.random.default_rng(0)
    gold, predicted = rng.integers(0, 3, 50), rng.integers(0, 3, (2, 50))
    monkeypatch.setattr("axolotl_cft.evaluation.statistics._BLOCK", 1_000)
    outcomes = Outcomes(predicted, gold)
    draws = outcomes.resampled_scores("task", 2_050)
    assert draws.shape == (2_050, 2)
    assert draws.mean(axis=0) == pytest.approx(outcomes.scores(), abs=0.01)


@given(st.integers(0, 1_000), st.booleans())
def test_the_covariance_of_means_is_the_bootstraps(seed: int, clustered: bool) -> None:
    rng = np.random.default_rng(seed)
    values, weights = rng.random((3, 60)), rng.random(60) + 0.1
    units = rng.permutation(np.arange(60) % 12) if clustered else np.arange(60)
    measured = Outcomes(values, weights=weights, units=units if clustered else None).measure("task")
    number = units.max() + 1
    drawn = rng.multinomial(number, np.full(number, 1 / number), 4_000)[:, units]
    plain = (drawn * weights) @ values.T / (drawn @ weights)[:, None]
    expected = np.cov(plain.T) * number / (number - 1)
    assert measured.units == number
    assert measured.values == pytest.approx(np.average(values, axis=1, weights=weights))
    # A ratio's bootstrap is skewed; with 12 units the linear covariance is right to a third.
    assert np.diag(measured.covariance) == pytest.approx(np.diag(expected), rel=0.35)


def scores_of(values: np.ndarray, covariance: np.ndarray, units: int) -> Scores:
    """Of one task with equal units."""
    return Scores(values, ((covariance, units - 1),), units)


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


@pytest.mark.slow
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
        low, high = difference(outcomes(ITEMS).measure("task", DRAWS), 1).interval()
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
            parts.append(Outcomes(values).measure(task))
        low, high = difference(average(parts, [1, 1, 1]), 1).interval()
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
        found = difference(outcomes.measure("task"), 1)
        assert found.value == 0
        assert found.never_varies
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
    found = difference(Outcomes(np.array([[1.0], [0.0]])).measure("task"), 1)
    assert found.value == 1
    assert found.p_value() is None
    assert all(np.isnan(found.interval()))


@pytest.mark.parametrize("labelled", [False, True])
def test_one_unit_tells_nothing_however_many_items(labelled: bool) -> None:
    rng = np.random.default_rng(0)
    gold, answers = rng.integers(0, 2, 30), rng.integers(0, 2, (2, 30))
    units = np.zeros(30, np.int64)
    outcomes = Outcomes(answers, gold if labelled else None, units=units)
    found = difference(outcomes.measure("task", 100), 1)
    assert np.isnan(found.standard_error) and found.p_value() is None


def test_a_difference_that_never_varies_is_tested_by_its_sign() -> None:
    for items, p in ((2, 0.5), (6, 2 / 64), (60, 0.0)):
        found = difference(Outcomes(np.outer([1.0, 0.0], np.ones(items))).measure("task"), 1)
        assert found.interval() == (1, 1)
        assert found.p_value() == pytest.approx(p, abs=1e-12)


@pytest.mark.parametrize(
    ("count", "heavy", "spread"), [(50, 0.5, 0.0), (200, 0.5, 0.0), (50, 0.0, 1.5), (200, 0.0, 1.5)]
)
def test_documents_of_unequal_length_are_not_taken_for_more_than_they_are(
    count: int, heavy: float, spread: float
) -> None:
    """One document with half of all bytes, or lengths over orders of magnitude."""
    rng = np.random.default_rng(count)
    covered = 0
    for _ in range(600):
        bytes_of = np.exp(spread * rng.standard_normal(count))
        if heavy:
            bytes_of[0] = heavy / (1 - heavy) * bytes_of[1:].sum()
        values = 1 + 0.2 * rng.standard_normal((2, count))
        low, high = difference(Outcomes(values, weights=bytes_of).measure("t"), 1).interval()
        covered += low <= 0 <= high
    assert covered / 600 >= 0.92


def test_a_tiny_task_does_not_rule_the_average_of_large_ones() -> None:
    rng = np.random.default_rng(1)
    large = [Outcomes(rng.integers(0, 2, (2, 400)).astype(float)).measure("t") for _ in range(3)]
    tiny = Outcomes(np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])).measure("t")
    alone, beside = (
        difference(average([*large, *more], [400, 400, 400, *[3] * len(more)]), 1)
        for more in ([], [tiny])
    )
    widths = [high - low for low, high in (alone.interval(), beside.interval())]
    assert widths[1] == pytest.approx(widths[0], rel=0.05)


def test_p_and_interval_agree() -> None:
    rng = np.random.default_rng(1)
    for shift in np.linspace(0, 0.3, 13):
        luck = rng.random(ITEMS)
        values = np.stack([luck < 0.5 + shift, rng.random(ITEMS) < 0.5]).astype(float)
        found = difference(Outcomes(values).measure("task"), 1)
        low, high = found.interval()
        assert ((found.p_value() or 0) < 0.05) == (low > 0 or high < 0)


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


def test_items_are_the_same_for_all_seeds() -> None:
    rng = np.random.default_rng(2)
    arm, baseline = rng.random((3, 80)) < 0.7, rng.random((2, 80)) < 0.5
    scores = Outcomes(np.concatenate([arm, baseline]).astype(float)).measure("task")
    found = difference(scores, 3)
    assert found.value == pytest.approx(arm.mean() - baseline.mean())
    # Averaging the seeds' items first is the same mean, so items vary it by the same.
    flat = Outcomes(np.stack([arm.mean(axis=0), baseline.mean(axis=0)])).measure("other")
    assert found.items[0].variance == pytest.approx(difference(flat, 1).variance)


def test_the_seeds_part_by_hand() -> None:
    # Seeds 0.6, 0.7, 0.8 against 0.5, 0.5, on items that never vary: s² = 0.01 and 0.
    scores = scores_of(np.array([0.6, 0.7, 0.8, 0.5, 0.5]), np.zeros((5, 5)), 100)
    found = difference(scores, 3)
    assert found.value == pytest.approx(0.2)
    assert found.variance == pytest.approx(0.01 / 3)
    assert found.freedom == pytest.approx(2)
    low, high = found.interval()
    assert (low, high) == pytest.approx(
        (0.2 - 4.3027 * 0.057735, 0.2 + 4.3027 * 0.057735), abs=1e-5
    )


def test_the_luck_of_seeds_with_single_items_counts_once() -> None:
    """With seeds that differ by luck on items alone, the seeds add little to the variance."""
    rng = np.random.default_rng(4)
    totals, items = [], []
    for _ in range(300):
        scores = Outcomes((rng.random((6, 400)) < 0.5).astype(float)).measure("task")
        found = difference(scores, 3)
        totals.append(found.variance)
        items.append(found.items[0].variance)
    assert np.mean(items) == pytest.approx(0.25 / 400 * 2 / 3, rel=0.05)
    assert np.mean(items) <= np.mean(totals) < 1.6 * np.mean(items)


def test_seeds_are_paired_from_five_on() -> None:
    shifts = np.array([0.0, 0.1, 0.2, 0.3, 0.4])
    values = np.concatenate([shifts + 0.05, shifts])
    few = scores_of(values[[0, 1, 2, 5, 6, 7]], np.zeros((6, 6)), 100)
    many = scores_of(values, np.zeros((10, 10)), 100)
    assert difference(many, 5, paired=True).standard_error == pytest.approx(0, abs=1e-9)
    assert difference(many, 5, paired=True).paired
    assert difference(many, 5).standard_error > 0.05
    assert not difference(few, 3, paired=True).paired


LONG = pytest.mark.long


def load_simulation() -> ModuleType:
    path = Path(__file__).parents[1] / "benchmarks" / "false_verdicts.py"
    spec = importlib.util.spec_from_file_location("false_verdicts", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize(
    "runs", [(3, 2), *(pytest.param(r, marks=LONG) for r in ((2, 2), (3, 3), (5, 5), (5, 4)))]
)
def test_seeds_seldom_make_a_false_verdict(runs: tuple[int, int]) -> None:
    simulate = load_simulation().simulate
    for spread, most in ((0.0, 0.06), (0.5, 0.06), (1.0, 0.06), (1.5, 0.09)):
        rng = np.random.default_rng([*runs, int(10 * spread)])
        assert simulate(runs, spread, 0, 2_000, rng).ours <= most, spread


@pytest.mark.slow
@pytest.mark.parametrize("paired", [False, pytest.param(True, marks=LONG)])
def test_true_differences_are_found_no_less_often_than_by_items_and_agreement(paired: bool) -> None:
    simulate = load_simulation().simulate
    for spread in (0.0, 0.5, 1.0, 1.5):
        shares = simulate((5, 5), spread, 2, 1_000, np.random.default_rng(9), paired)
        assert shares.ours >= shares.other, spread


@pytest.mark.slow
def test_what_a_study_is_told_beforehand_is_what_it_finds() -> None:
    simulation = load_simulation()
    for seeds in (3, 5):
        (found,), unknown = foresee(["cft_medical"], seeds, 1, lambda task: MEDICAL[task])
        assert not unknown and found.items == sum(simulation.SIZES)
        rng = np.random.default_rng(seeds)
        power = simulation.simulate((seeds, seeds), 1.0, found.points, 1_000, rng, True).ours
        assert 0.65 <= power <= 0.9, seeds


def test_one_seed_is_told_to_find_more_than_it_does() -> None:
    """Without the luck of the seed in it: the study says that it compares models then."""
    points = {n: foresee(["cft_medical"], n, 1, MEDICAL.get)[0][0].points for n in (1, 2, 3, 5, 10)}
    assert points[1] < points[2] > points[3] > points[5] > points[10] > 0
    found, unknown = foresee(["cft_medqa", "gsm8k"], 3, 1, {"cft_medqa": 1273}.get)
    assert [f.name for f in found] == ["cft_medqa"] and unknown == ["gsm8k"]


def test_sizes_are_the_files_or_the_published_ones(tmp_path: Path) -> None:
    (tmp_path / "fiqa").mkdir()
    row = {"query": "q", "answer": "a", "text": "t", "choices": ["a"], "gold": 0}
    (tmp_path / "fiqa/test.jsonl").write_text("".join(json.dumps(row) + "\n" for _ in range(7)))
    assert task_sizes(None, None)("cft_fiqa") == 235
    assert task_sizes(tmp_path, None)("cft_fiqa") == 7
    assert task_sizes(tmp_path, 5)("cft_fiqa") == 5
    assert task_sizes(None, 0.1)("cft_fiqa") == 24  # as the harness rounds
    assert task_sizes(None, None)("gsm8k") is None


def test_questions_about_facts_are_counted(tmp_path):
    (tmp_path / "facts").mkdir()
    for kind in ("reworded", "question"):
        (tmp_path / f"facts/{kind}.jsonl").write_text('{"thing": "T"}\n' * 100)
    assert task_sizes(tmp_path, None)("cft_facts_question") == 100
    assert task_sizes(tmp_path, 12)("cft_facts_question") == 12
    assert task_sizes(tmp_path, None)("cft_facts_verbatim") is None
    assert task_sizes(None, None)("cft_facts_question") is None
    (found,), unknown = foresee(["cft_facts"], 3, 1, task_sizes(tmp_path, None))
    assert (found.tasks, found.items, unknown) == (2, 200, [])  # those of its average


def test_seeds_of_weighted_f1_seldom_make_a_false_verdict() -> None:
    rng = np.random.default_rng(6)
    false = 0
    for _ in range(200):
        gold = rng.integers(0, 3, ITEMS)
        skill = 0.6 + 0.015 * rng.standard_normal(6)
        right = rng.random((6, ITEMS)) < skill[:, None]
        answers = np.where(right, gold, (gold + rng.integers(1, 4, (6, ITEMS))) % 4)
        found = difference(Outcomes(answers, gold).measure("task", 300), 3)
        low, high = found.interval()
        false += low > 0 or high < 0
    assert false / 200 <= 0.09


@pytest.mark.slow
@pytest.mark.parametrize("labelled", [False, True])
def test_items_that_share_a_document_tell_less(labelled: bool) -> None:
    """40 documents of 5 to 40 sentences; a document's luck is shared by its sentences."""
    rng = np.random.default_rng(8)
    covered = {"documents": 0, "blocks": 0, "items": 0}
    rounds = 200
    for _ in range(rounds):
        sizes = rng.integers(5, 41, 120)
        units = np.repeat(np.arange(len(sizes)), sizes)
        effect = rng.normal(0, 1, (2, len(sizes)))[:, units]
        right = effect + rng.normal(0, 1.2, (2, len(units))) < 0.3
        gold = (rng.random(len(units)) < 0.5).astype(int)
        answers = np.where(right, gold, 1 - gold) if labelled else right.astype(float)
        blocks = np.arange(len(units)) // 100
        for name, shared in (("documents", units), ("blocks", blocks), ("items", None)):
            outcomes = Outcomes(answers, gold if labelled else None, units=shared)
            low, high = difference(outcomes.measure("task", 300), 1).interval()
            covered[name] += low <= 0 <= high
    assert covered["documents"] / rounds >= 0.92
    assert covered["blocks"] / rounds >= 0.90
    assert covered["items"] / rounds < 0.85  # the negative control: items alone promise too much


def test_what_can_be_detected_is_found_four_times_in_five() -> None:
    rng = np.random.default_rng(5)
    for freedom, error in ((1_000, 1.0), (8, 0.5)):
        true = Difference(0.0, 99, (Part(error**2, error**2, freedom),)).detectable()
        spread = error * np.sqrt(rng.chisquare(freedom, 20_000) / freedom)
        values = true + error * rng.standard_normal(20_000)
        limit = student_t.ppf(0.975, freedom) * spread
        assert np.mean(values > limit) == pytest.approx(0.8, abs=0.02)


def test_a_small_difference_is_shown_to_be_small() -> None:
    scores = scores_of(np.array([0.502, 0.5]), np.diag([0.5, 0.5]) * 0.004**2, 2_000)
    found = difference(scores, 1)
    assert found.within(0.01)
    assert not found.within(0.005)


def test_an_average_weighs_its_tasks() -> None:
    one = scores_of(np.array([0.2, 0.1]), np.eye(2), 10)
    two = scores_of(np.array([0.6, 0.3]), 4 * np.eye(2), 8)
    even, skew = average([one, two], [1, 1]), average([one, two], [3, 1])
    assert even.values == pytest.approx([0.4, 0.2])
    assert even.covariance == pytest.approx(1.25 * np.eye(2))
    assert even.units == 18
    assert [freedom for _, freedom in even.strata] == [9, 7]
    assert skew.values == pytest.approx([0.3, 0.15])


def test_the_same_key_gives_the_same_draws() -> None:
    rng = np.random.default_rng(0)
    gold, answers = rng.integers(0, 2, 40), rng.integers(0, 2, (2, 40))
    draws = [Outcomes(answers, gold).resampled_scores(key, 500) for key in ("a", "a", "b")]
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])
