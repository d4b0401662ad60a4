"""Tasks, layouts, measures and training of the synthetic experiments, against hand computations."""

import dataclasses
import math

import pytest
import torch
from torch import Tensor, nn

from axolotl_cft.errors import CFTError
from axolotl_cft.icl.model import InContextRegressor, excess_loss, measure, sequence_loss
from axolotl_cft.icl.plots import _published
from axolotl_cft.icl.presets import PRESETS, Settings
from axolotl_cft.icl.tasks import (
    Batch,
    excess_denominator,
    generator,
    lay_out,
    least_squares,
    sample,
)
from axolotl_cft.icl.training import Trial, TrialState, learning_rate, load, point_weights, train

CPU = torch.device("cpu")
TINY = Settings(
    dims=3,
    points=4,
    layers=2,
    width=16,
    heads=2,
    positions=16,
    batch_size=8,
    pretrain_steps=6,
    pretrain_learning_rate=1e-3,
    pretrain_halves="both",
    curriculum_start=2,
    curriculum_every=2,
    finetune_steps=12,
    finetune_learning_rate=1e-3,
    warmup_steps=2,
    cosine=True,
    clip_norm=1.0,
    eval_every=2,
    eval_sequences=16,
    checkpoint_every=4,
)


def draw(task: str, size: int = 5, points: int = 4, dims: int = 3) -> Batch:
    return sample(task, size, points, dims, generator(CPU, "test", task))


def by_hand(task: str) -> Batch:
    """One function of R²: w = (1, 2), w₂ = (0, 1), w' = (3, 0), at x₁ = (1, 0), x₂ = (1, 1)."""
    xs = torch.tensor([[[1.0, 0.0], [1.0, 1.0]]])
    weights = torch.tensor([[[1.0, 2.0]], [[0.0, 1.0]], [[3.0, 0.0]]])
    return Batch(task, xs, weights, noise=torch.tensor([[0.5, -0.5]]))


class LinearModel(nn.Module):
    """Predicts a·x at every x, whatever stands before it: its gradient is a."""

    def __init__(self, a: Tensor) -> None:
        super().__init__()
        self.a = nn.Parameter(a)

    def forward(self, tokens: Tensor, first_position: int = 0, bf16: bool = False) -> Tensor:
        return tokens[:, ::2] @ self.a


class LookupModel(nn.Module):
    """Reads f(x_i) in the first half and answers f + f²; never looks at the query itself."""

    def forward(self, tokens: Tensor, first_position: int = 0, bf16: bool = False) -> Tensor:
        values = tokens[:, 1 : tokens.shape[1] // 2 : 2, 0]
        return torch.cat((torch.zeros_like(values), values + values**2), dim=1)


@pytest.mark.parametrize(
    ("task", "g", "direction"),
    [
        ("linear", [1.0, 3.0], [1.0, 2.0]),
        ("polynomial", [2.0, 12.0], [7.0, 14.0]),  # 1 + 2·3 = 7
        ("multiple_linear", [1.0, 4.0], [1.0, 3.0]),
    ],
)
def test_functions_and_their_gradients(task: str, g: list[float], direction: list[float]) -> None:
    batch = by_hand(task)
    assert batch.f.tolist() == [[1.0, 3.0]]
    assert batch.wrong.tolist() == [[3.0, 3.0]]
    assert batch.g.tolist() == [g]
    assert batch.direction.tolist() == [direction]


@pytest.mark.parametrize("task", ["linear", "polynomial", "multiple_linear"])
def test_direction_is_the_derivative_of_g(task: str) -> None:
    batch = draw(task)
    xs = batch.xs.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(dataclasses.replace(batch, xs=xs).g[:, -1].sum(), xs)
    torch.testing.assert_close(gradient[:, -1], batch.direction)


def test_layouts_by_hand() -> None:
    batch = by_hand("polynomial")
    target: list[list[float]] = [[1, 0], [2, 0], [1, 1], [12, 0]]
    contexts: dict[str, list[list[float]]] = {
        "cft": [[1, 0], [1, 0], [1, 1], [3, 0]],
        "neg_cft": [[1, 0], [0.5, 0], [1, 1], [-0.5, 0]],
        "wrong_cft": [[1, 0], [3, 0], [1, 1], [3, 0]],
    }
    for method, context in contexts.items():
        sequence = lay_out(method, batch)
        assert sequence.tokens.tolist() == [context + target]
        assert (sequence.first_position, sequence.targets.tolist()) == (0, [[2, 12]])
    cpt = lay_out("cpt", batch)
    assert (cpt.tokens.tolist(), cpt.first_position) == ([target], 4)
    with pytest.raises(CFTError, match="unknown method 'uft'"):
        lay_out("uft", batch)
    with pytest.raises(CFTError, match="unknown task 'cubic'"):
        draw("cubic")


def test_cpt_equals_zeros_that_nothing_attends_to() -> None:
    """The authors' form: a first half of zeros, masked out; the positions of the g part agree."""
    model, batch = InContextRegressor(TINY), draw("polynomial")
    cpt = lay_out("cpt", batch)
    half = cpt.tokens.shape[1]
    padded = torch.cat((torch.zeros_like(cpt.tokens), cpt.tokens), dim=1)
    mask = torch.ones(2 * half, 2 * half, dtype=torch.bool).tril()
    mask[half:, :half] = False
    states = model.backbone(
        inputs_embeds=model.read_in(padded), attention_mask=mask.expand(5, 1, -1, -1)
    ).last_hidden_state
    torch.testing.assert_close(
        model(cpt.tokens, cpt.first_position), model.read_out(states[:, half::2]).squeeze(-1)
    )


def test_a_prediction_sees_its_own_x_and_the_past_only() -> None:
    model, sequence = InContextRegressor(TINY), lay_out("cft", draw("polynomial"))
    before = model(sequence.tokens)
    changed = sequence.tokens.clone()
    changed[:, 6] += 1  # x₄ of the context, read by prediction 3 (from 0)
    differs = (model(changed) - before).abs().amax(0) > 0
    assert differs.tolist() == [False] * 3 + [True] * 5


def test_excess_denominator_and_loss() -> None:
    assert excess_denominator(41, 20) == pytest.approx(5.12, abs=0.003)  # 210 / 41
    assert excess_denominator(5, 2) == pytest.approx(3 / 5)
    assert excess_loss(torch.tensor([2.0, 1.0, 0.0, 0.0, 0.0]), dims=2) == pytest.approx(1.0)


def test_sequence_loss_by_hand() -> None:
    """Predictions x·(1, 1) are 1 and 2 for targets 2 and 12: errors 1 and 100."""
    sequence = lay_out("cft", by_hand("polynomial"))
    model = LinearModel(torch.ones(2))
    for weights, expected in (([0.5, 0.5], 50.5), ([1.0, 0.0], 1.0)):
        assert sequence_loss(model, *sequence, torch.tensor(weights)).item() == expected


def test_inner_product_of_a_linear_model_by_hand() -> None:
    """Gradient (1, 1) everywhere. Polynomial: cos with 7·(1, 2); multiple linear: with (1, 3)."""
    model = LinearModel(torch.ones(2))
    for method in ("cft", "cpt", "neg_cft", "wrong_cft"):
        errors, cosine = measure(model, method, by_hand("polynomial"))
        assert errors.tolist() == [1.0, 100.0]
        assert cosine == pytest.approx(3 / math.sqrt(2 * 5))
        _, cosine = measure(model, method, by_hand("multiple_linear"))
        assert cosine == pytest.approx(4 / math.sqrt(2 * 10))


def test_inner_product_follows_x_through_its_value_in_the_context() -> None:
    errors, cosine = measure(LookupModel(), "cft", draw("polynomial"))
    assert errors.tolist() == [0.0] * 4
    assert cosine == pytest.approx(1.0)
    _, cosine = measure(LookupModel(), "neg_cft", draw("polynomial"))
    assert cosine == 0.0


@pytest.mark.parametrize("method", ["cft", "cpt", "neg_cft", "wrong_cft"])
def test_batched_inner_product_equals_a_loop_over_samples(method: str) -> None:
    model, batch = InContextRegressor(TINY), draw("polynomial")
    cosines = []
    for i in range(len(batch.xs)):
        one = Batch(
            batch.task, batch.xs[i : i + 1], batch.weights[:, i : i + 1], batch.noise[i : i + 1]
        )

        def answer(x: Tensor, one: Batch = one) -> Tensor:
            moved = dataclasses.replace(one, xs=torch.cat((one.xs[:, :-1], x[None, None]), dim=1))
            sequence = lay_out(method, moved)
            return model(sequence.tokens, sequence.first_position)[0, -1]

        gradient = torch.autograd.functional.jacobian(answer, one.xs[0, -1])
        cosines.append(torch.cosine_similarity(gradient, one.direction[0], dim=0).item())
    assert measure(model, method, batch)[1] == pytest.approx(sum(cosines) / 5, abs=1e-5)


def test_least_squares() -> None:
    batch = draw("linear", size=50, points=6)
    errors = (least_squares(batch.xs, batch.f) - batch.f).square().mean(0)
    assert errors[:3].min() > 0.1
    assert errors[3:].max() < 1e-6  # three points settle three weights
    # One point (1, 0) -> 1: the minimum-norm weights are (1, 0), which give 1 at (1, 1).
    single = by_hand("linear")
    assert least_squares(single.xs, single.f).tolist() == [[0.0, pytest.approx(1.0)]]


def test_samples_depend_on_their_names_alone() -> None:
    same = [sample("linear", 2, 3, 4, generator(CPU, 0, "a", "training")) for _ in range(2)]
    other = sample("linear", 2, 3, 4, generator(CPU, 1, "a", "training"))
    assert torch.equal(same[0].xs, same[1].xs)
    assert not torch.equal(same[0].xs, other.xs)
    big = sample("linear", 20_000, 1, 2, generator(CPU, "moments"))
    for values in (big.xs, big.weights, big.noise):
        assert abs(values.mean()) < 0.03
        assert abs(values.std() - 1) < 0.03


def test_schedules() -> None:
    trial = Trial(0, "polynomial", "cft")
    rates = [learning_rate(step, trial, TINY) for step in range(12)]
    assert rates[:3] == pytest.approx([0.5e-3, 1e-3, 1e-3])
    assert rates[7] == pytest.approx(0.5e-3)  # half of the ten steps after the warm-up
    assert learning_rate(40_000, trial, PRESETS["paper"]) == 1e-4
    reached = [int((point_weights(s, Trial(0), TINY, CPU) > 0).sum()) for s in range(4)]
    assert reached == [2, 2, 4, 4]
    assert point_weights(0, trial, TINY, CPU).tolist() == [0.25] * 4
    late = point_weights(30_000, Trial(0), PRESETS["paper"], CPU)
    assert int((late > 0).sum()) == 41  # 11 + 2 · 15


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("points=42", "42 points make sequences of 168 tokens, beyond the 164 rows"),
        ("heads=7", "width 256 is not divisible by heads 7"),
        ("batch_size=0", "batch_size is 0: it must be at least 1"),
        ("curriculum_start=50", "curriculum_start 50 exceeds the 41 points"),
        ("checkpoint_every=150", "checkpoint_every must be a multiple of eval_every 100"),
        ("finetune_learning_rate=nan", "learning rates must be above 0"),
        ("pretrain_halves=third", "must be 'first' or 'both'"),
        ("methods=cft,uft", "unknown method 'uft'"),
        ("seeds=1,1", "seeds must name at least one, and none twice"),
        ("seeds=one", "seeds takes a value of type tuple"),
        ("cosine=maybe", "cosine takes a value of type bool"),
        ("depth=3", "write NAME=VALUE with NAME one of dims, points"),
    ],
)
def test_impossible_settings_are_one_sentence(change: str, message: str) -> None:
    with pytest.raises(CFTError, match=message) as caught:
        PRESETS["paper"].changed([change])
    assert "\n" not in str(caught.value)


def test_settings_are_parsed_by_type() -> None:
    changed = PRESETS["paper"].changed(["cosine=true", "seeds=3, 4", "clip_norm=1", "points=12"])
    assert (changed.cosine, changed.seeds, changed.clip_norm) == (True, (3, 4), 1.0)
    assert PRESETS["paper"].matches_paper
    assert not changed.matches_paper


def test_published_curves() -> None:
    """Spot checks against the numbers of the published figures (arXiv 2503.09032)."""
    curves = _published()
    assert curves["polynomial", "cft", "excess_loss"][24_000] == [0.04156]
    assert curves["polynomial", "cpt", "excess_loss"][0] == [249.0]
    assert curves["multiple_linear", "neg_cft", "excess_loss"][40_000] == [2.046]
    assert curves["polynomial", "cft", "inner_product"][40_000] == [0.9999]


class Interruption(Exception):
    pass


def interrupt_at(stop: int):  # type: ignore[no-untyped-def]
    def on_progress(trial: Trial, step: int, loss: float) -> None:
        if step == stop:
            raise Interruption

    return on_progress


def ignore(trial: Trial, step: int, loss: float) -> None:
    pass


@pytest.mark.parametrize(
    "trial", [Trial(1), Trial(1, "polynomial", "neg_cft")], ids=["stage1", "arm"]
)
def test_interrupted_anywhere_gives_the_same_curve_and_weights(tmp_path, trial: Trial) -> None:  # type: ignore[no-untyped-def]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        if not trial.is_stage1:
            train(Trial(1), TINY, folder, CPU, ignore)
    train(trial, TINY, whole, CPU, ignore)
    for stop in range(0, trial.steps(TINY) + 1, 2):  # before, at and after checkpoints
        with pytest.raises(Interruption):
            train(trial, TINY, parts, CPU, interrupt_at(stop))
    train(trial, TINY, parts, CPU, ignore)
    expected, found = (load(trial.checkpoint(folder)) for folder in (whole, parts))
    assert found["rows"] == expected["rows"]
    assert [row[0] for row in found["rows"]] == list(range(0, trial.steps(TINY) + 1, 2))
    for name, weights in expected["model"].items():
        assert torch.equal(found["model"][name], weights), name


def test_arms_of_a_task_start_alike_and_see_the_same_functions(tmp_path) -> None:  # type: ignore[no-untyped-def]
    train(Trial(0), TINY, tmp_path, CPU, ignore)
    runs = [TrialState(Trial(0, "polynomial", m), TINY, tmp_path, CPU) for m in ("cft", "cpt")]
    first, second = (run.model.state_dict() for run in runs)
    assert all(torch.equal(first[name], second[name]) for name in first)
    for run in runs:
        run.update()
    assert torch.equal(runs[0].rng.get_state(), runs[1].rng.get_state())


def test_divergence_stops_and_keeps_the_last_good_checkpoint(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(Interruption):
        train(Trial(0), TINY, tmp_path, CPU, interrupt_at(4))
    kept = Trial(0).checkpoint(tmp_path).read_bytes()
    wild = dataclasses.replace(TINY, pretrain_learning_rate=1e38, clip_norm=0.0)
    with pytest.raises(CFTError, match=r"seed 0, stage 1 became .* lower pretrain_learning_rate"):
        train(Trial(0), wild, tmp_path, CPU, ignore)
    assert Trial(0).checkpoint(tmp_path).read_bytes() == kept


def test_a_damaged_checkpoint_is_named(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = Trial(0).checkpoint(tmp_path)
    path.parent.mkdir()
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(CFTError, match=r"cannot read .*seed0-stage1.pt: delete it and run again"):
        train(Trial(0), TINY, tmp_path, CPU, ignore)


@pytest.mark.slow
def test_the_paper_preset_trains_at_its_full_size(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """12 layers of width 256 over 41 points in 20 dimensions; only batch and steps are small."""
    short = dataclasses.replace(
        PRESETS["paper"],
        batch_size=2,
        pretrain_steps=2,
        finetune_steps=2,
        eval_sequences=2,
        eval_every=1,
        checkpoint_every=1,
    )
    train(Trial(0), short, tmp_path, CPU, ignore)
    for method in short.methods:
        trial = Trial(0, "polynomial", method)
        train(trial, short, tmp_path, CPU, ignore)
        state = load(trial.checkpoint(tmp_path))
        assert [row[0] for row in state["rows"]] == [0, 1, 2]
        parameters = sum(p.numel() for n, p in state["model"].items() if ".h." in n)
        assert parameters == pytest.approx(12 * 12 * 256**2, rel=0.01)  # 9.5 M


def test_the_gpu_path_computes_the_same_loss() -> None:
    """Captured whole by torch.compile, bf16 inside: the loss of eager fp32 to bf16's precision."""
    torch.manual_seed(0)
    model, batch = InContextRegressor(TINY), draw("polynomial", size=32)
    weights = torch.full((4,), 0.25)
    compiled = torch.compile(sequence_loss, backend="aot_eager", fullgraph=True, dynamic=False)
    for method in ("cft", "cpt"):
        sequence = lay_out(method, batch)
        exact = sequence_loss(model, *sequence, weights)
        loss = compiled(model, *sequence, weights, bf16=True)
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, exact, rtol=0.02, atol=0)
        (gradient,) = torch.autograd.grad(loss, [model.read_out.weight])
        (expected,) = torch.autograd.grad(exact, [model.read_out.weight])
        assert torch.cosine_similarity(gradient, expected).item() > 0.99
