"""The probe finds effects that are there and none that are not: simulations and both controls."""

import numpy as np
import pytest
from conftest import make_documents
from scipy.stats import t as student_t

from axolotl_cft.core.options import DatasetOptions
from axolotl_cft.probe.contrasts import MeasuredArm, order_difference
from axolotl_cft.probe.rows import RowMaker, Rows, make_arms, make_rows, sample_documents
from axolotl_cft.probe.scoring import score
from axolotl_cft.probe.statistics import Estimate, Units, estimate
from axolotl_cft.probe.summary import summarise
from axolotl_cft.prompts.registry import load_pool

TRUTH = -0.1


def equal(changes) -> Units:
    return Units(changes, np.full(len(changes), 1 / len(changes)))


def half_width(found: Estimate) -> float:
    assert found.high - found.change == pytest.approx(found.change - found.low)
    return found.high - found.change


def test_a_single_prompt_has_the_jackknife_interval_of_a_ratio():
    rng = np.random.default_rng(0)
    tokens = rng.integers(20, 500, 30)
    changes = tokens * rng.normal(-0.1, 0.3, 30)
    found = estimate(equal(changes[None]), tokens)
    assert found.change == pytest.approx(changes.sum() / tokens.sum())
    without = (changes.sum() - changes) / (tokens.sum() - tokens)
    error = np.sqrt(29 / 30 * ((without - without.mean()) ** 2).sum())
    assert half_width(found) == pytest.approx(student_t.ppf(0.975, 29) * error)


def test_what_all_prompts_share_on_a_document_cancels():
    rng = np.random.default_rng(1)
    tokens = rng.integers(20, 500, 30)
    hard = tokens * rng.normal(0, 5, 30)
    one, other = tokens * rng.normal(-0.1, 0.1, (2, 1, 30))
    apart = estimate(equal(one), tokens, equal(other))
    together = estimate(equal(one + hard), tokens, equal(other + hard))
    assert together.low == pytest.approx(apart.low) and together.high == pytest.approx(apart.high)


def test_several_prompts_have_the_interval_of_a_crossed_analysis_of_variance():
    rng = np.random.default_rng(2)
    prompts, documents = 10, 20
    y = rng.normal(0, 1, (10, 1)) + rng.normal(0, 1, (1, 20)) + rng.normal(0, 1, (10, 20))
    of_prompts = documents * y.mean(axis=1).var(ddof=1)
    of_documents = prompts * y.mean(axis=0).var(ddof=1)
    residuals = y - y.mean(axis=1, keepdims=True) - y.mean(axis=0) + y.mean()
    of_both = (residuals**2).sum() / 9 / 19
    freedom = (of_prompts + of_documents - of_both) ** 2 / (
        of_prompts**2 / 9 + of_documents**2 / 19 + of_both**2 / 9 / 19
    )
    error = np.sqrt((of_prompts + of_documents - of_both) / prompts / documents)
    found = estimate(equal(50 * y), np.full(20, 50))
    assert found.change == pytest.approx(y.mean())
    assert half_width(found) == pytest.approx(student_t.ppf(0.975, freedom) * error)


def coverage(
    prompts: int, documents: int, spread: tuple[float, float, float], against: int = 0
) -> float:
    """How often the interval holds the true mean (or difference) in 2,000 simulated probes.

    `spread` has the standard deviations of prompts, documents and their interaction.
    """
    rng = np.random.default_rng([prompts, documents, against, *(int(s * 100) for s in spread)])
    held = 0
    for _ in range(2000):
        tokens = rng.integers(100, 513, documents)

        def sample(count: int, tokens=tokens) -> Units:
            own = rng.normal(0, spread[0], (count, 1))
            return equal(tokens * (own + rng.normal(0, spread[2], (count, documents))))

        units = sample(prompts)
        shift = tokens * (TRUTH + rng.normal(0, spread[1], documents))
        found = estimate(equal(units.changes + shift), tokens, sample(against) if against else None)
        held += found.low <= TRUTH <= found.high
    return held / 2000


@pytest.mark.parametrize("documents", [20, 50])
@pytest.mark.parametrize("spread", [(1, 1, 1), (1, 0.3, 3), (0.3, 0.3, 1), (0, 1, 1)])
def test_intervals_over_ten_prompts_hold_the_truth_as_often_as_they_say(documents, spread):
    assert 0.94 <= coverage(10, documents, spread) <= 0.97


@pytest.mark.parametrize("prompts", [2, 3, 4, 5])
def test_intervals_over_few_prompts_are_never_too_narrow(prompts):
    assert coverage(prompts, 20, (1, 1, 1)) >= 0.94
    assert coverage(prompts, 20, (1, 0, 1)) >= 0.94


def test_where_only_the_noise_of_single_scores_differs_intervals_are_somewhat_wide():
    assert 0.95 <= coverage(10, 20, (0, 0, 1)) <= 0.985


@pytest.mark.parametrize("against", [10, 1])
def test_pools_against_pools_and_against_one_prompt_of_a_kind_that_varies_alike(against):
    assert 0.94 <= coverage(10, 20, (1, 1, 1), against) <= 0.97


def test_one_prompt_against_its_five_shuffles():
    assert 0.94 <= coverage(1, 20, (1, 0, 1), 5) <= 0.97


def rows_of(tokenizer, documents: int) -> tuple[Rows, list]:
    maker = RowMaker(tokenizer, DatasetOptions(), 16, "texts")
    arms = make_arms([load_pool("paper")], load_pool("fixed"), seed=1, shuffles=5)
    texts = [(document["text"], {}) for document in make_documents(documents)]
    return make_rows(maker, sample_documents(texts, documents, seed=1), arms), arms


@pytest.mark.slow
def test_random_models_are_not_found_to_heed_the_order_of_words(bytelevel_tokenizer):
    """Such a model is moved by every prompt and every order of it, but by none for its meaning."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    rows, arms = rows_of(bytelevel_tokenizer, documents=8)
    tokens = np.array([text.size for text in rows.texts])
    found, found_by_documents_alone = 0, 0
    for seed in range(40):
        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=len(bytelevel_tokenizer),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            initializer_range=0.1,
        )
        nll = score(LlamaForCausalLM(config).eval(), rows.flat, 64)
        nll = nll.reshape(len(rows.contexts), -1)
        contrast = summarise(rows, arms, nll)["contrasts"][0]
        assert (contrast["against"], contrast["claim"]) == ("paper (shuffled)", "kind")
        found += not contrast["low"] <= 0 <= contrast["high"]
        first_shuffles = nll[11:61:5]
        careless = estimate(equal((nll[1:11] - first_shuffles).mean(axis=0)[None]), tokens)
        found_by_documents_alone += not careless.low <= 0 <= careless.high
    assert found <= 5
    # One shuffle each and an interval over documents, on the same models: they do react to orders.
    assert found_by_documents_alone > 12


class ModelWithTaste:
    """Gives each row's text the NLL per token that was decided for the row.

    The prompts as written lower it by `effect`; every order of words, and every order on every
    document, moves it at random.
    """

    def __init__(self, rows: Rows, written: slice, effect: float, vocabulary: int, seed: int):
        import torch

        self.device = torch.device("cpu")
        self.vocabulary = vocabulary
        rng = np.random.default_rng(seed)
        shape = len(rows.contexts), len(rows.texts)
        wanted = 3 + rng.normal(0, 0.05, (shape[0], 1)) + rng.normal(0, 0.5, (1, shape[1]))
        wanted = wanted + rng.normal(0, 0.05, shape)
        wanted[written] += effect
        keys = (np.concatenate(row).tobytes() for row in rows.flat)
        self.wanted = dict(zip(keys, wanted.ravel(), strict=True))
        assert len(self.wanted) == wanted.size

    def __call__(self, input_ids, attention_mask, use_cache):
        import torch

        logits = torch.zeros(*input_ids.shape, self.vocabulary)
        for row, (ids, mask) in enumerate(zip(input_ids, attention_mask, strict=True)):
            seen = ids[: int(mask.sum())]
            chance = np.exp(-self.wanted[seen.numpy().astype(np.int32).tobytes()])
            logit = np.log((self.vocabulary - 1) * chance / (1 - chance))
            logits[row, range(len(seen) - 1), seen[1:]] = float(logit)
        return type("Output", (), {"logits": logits})


@pytest.mark.parametrize("seed", range(3))
def test_an_effect_of_the_order_of_words_is_found_and_its_size_held(sentencepiece_tokenizer, seed):
    rows, arms = rows_of(sentencepiece_tokenizer, documents=10)
    size = len(sentencepiece_tokenizer)
    model = ModelWithTaste(rows, slice(1, 11), -0.2, size, seed)
    nll = score(model, rows.flat, 64).reshape(len(rows.contexts), -1)
    contrast = summarise(rows, arms, nll)["contrasts"][0]
    assert contrast["against"] == "paper (shuffled)"
    assert contrast["low"] <= -0.2 <= contrast["high"] < 0


def test_orders_of_words_are_compared_prompt_by_prompt():
    rng = np.random.default_rng(3)
    tokens = rng.integers(20, 100, 12)
    arms = make_arms([load_pool("paper")], load_pool("fixed"), seed=1, shuffles=3)
    prompts = rng.normal(0, 10, (10, 1))  # prompts differ a hundred times as much as their orders
    own = tokens * (prompts - 0.3 + rng.normal(0, 0.1, (10, 12)))
    orders = tokens * (np.repeat(prompts, 3, axis=0) + rng.normal(0, 0.1, (30, 12)))
    measured = [
        MeasuredArm(arm, changes, tokens)
        for arm, changes in zip(arms[:2], (own, orders), strict=True)
    ]
    finding = order_difference(*measured)
    assert finding is not None and finding.claim == "kind"
    assert finding.estimate.change == pytest.approx(-0.3, abs=0.05)
    assert half_width(finding.estimate) < 0.1
