"""Learning curves: which losses are read, and what is drawn of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from axolotl_cft.evaluation.curves import Curve, Point, draw_curves, read_curves, read_points
from axolotl_cft.evaluation.sources import plan_study

NEVER = {"stamp": "s", "part": "test", "prompts": "none", "ledger": {}}
TRAINED = {"stamp": "s", "part": "train", "prompts": "paper", "ledger": {}}


def training(folder: Path, history: list[dict[str, Any]], *datasets: dict[str, Any]) -> Path:
    (folder / "checkpoint-9").mkdir(parents=True)
    state = {"global_step": 9, "max_steps": 9, "log_history": history}
    (folder / "checkpoint-9" / "trainer_state.json").write_text(json.dumps(state))
    content = {"schema": 1, "train": {}, "datasets": [TRAINED, *datasets]}
    (folder / "cft_ledger.json").write_text(json.dumps(content))
    return folder


HISTORY = [
    {"step": 0, "eval_loss": 7.0},
    {"step": 5, "loss": 6.5, "tokens/trainable": 500},
    {"step": 5, "eval_loss": 6.0},
    {"step": 9, "eval_loss": 99.0},
    {"step": 9, "loss": 5.5, "tokens/trainable": 900},
    {"step": 9, "eval_loss": 5.0},  # the step once more, after a resume
]


def test_losses_without_prompts_are_read_with_step_and_tokens(tmp_path):
    points = read_points(training(tmp_path, HISTORY, NEVER))
    assert points == (Point(0, 7.0, 0.0), Point(5, 6.0, 500.0), Point(9, 5.0, 900.0))


@pytest.mark.parametrize("datasets", [(), (NEVER, {**NEVER, "prompts": "paper"})])
def test_losses_that_cannot_be_compared_are_not_read(tmp_path, datasets):
    assert read_points(training(tmp_path, HISTORY, *datasets)) == ()


def test_a_training_without_our_ledger_has_no_curve(tmp_path):
    (training(tmp_path, HISTORY, NEVER) / "cft_ledger.json").unlink()
    assert read_points(tmp_path) == ()


def test_the_runs_of_a_study_are_told_apart_by_row_and_stage(tmp_path):
    runs: list[dict[str, Any]] = []
    for arm in ("cpt", "cft"):
        for seed in (1, 2):
            for stage in ("pretrain", "more"):
                folder = f"{arm}/seed{seed}/{stage}"
                training(tmp_path / folder, HISTORY, *([NEVER] if stage == "pretrain" else []))
                run = {"arm": arm, "seed": seed, "stage": stage, "status": "done"}
                runs.append({**run, "eval_dir": f"{folder}/eval", "train_dir": folder})
    record = {"schema": 1, "name": "n", "baseline": "cpt", "runs": runs}
    (tmp_path / "study.json").write_text(json.dumps(record))
    curves = read_curves(plan_study(tmp_path, None))
    assert [(curve.row, curve.stage) for curve in curves] == [
        *[("cpt / pretrain", "pretrain")] * 2,
        *[("cft / pretrain", "pretrain")] * 2,
    ]


def curve(row: str, *losses: float, stage: str = "", begin: int = 0) -> Curve:
    points = (Point(step, loss) for step, loss in enumerate(losses, begin))
    return Curve(row, stage, tuple(points))


def drawn(curves: list[Curve], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The panels of the figure."""
    from matplotlib.figure import Figure

    panels: list[Any] = []
    save = Figure.savefig

    def keep(self: Figure, *arguments: Any, **options: Any) -> None:
        panels.extend(self.axes)
        save(self, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    image = draw_curves(curves, ["base", "cpt", "cft"])
    assert image is not None and image.startswith(b"\x89PNG")
    assert draw_curves(curves, ["base", "cpt", "cft"]) == image
    return panels[: len(panels) // 2]


def test_each_run_is_a_thin_line_and_their_mean_a_thick_one(monkeypatch):
    curves = [curve("cft", 3, 2, 1), curve("cft", 5, 4), curve("cpt", 4, 4, 4)]
    [axes] = drawn(curves, monkeypatch)
    lines = {(tuple(line.get_ydata()), line.get_linewidth()) for line in axes.lines}
    # The mean ends where one of the runs does.
    assert lines == {((3, 2, 1), 0.8), ((5, 4), 0.8), ((4.0, 3.0), 2.2), ((4, 4, 4), 2.2)}
    colors = {line.get_color() for line in axes.lines}
    assert colors == {"#0072B2", "#D55E00"}  # those of the rows cpt and cft in all figures
    assert axes.get_xlabel() == "optimizer step"
    assert "nats per token" in axes.get_ylabel()


def test_stages_have_panels_of_their_own(monkeypatch):
    curves = [curve("a", 3, 2, stage="one"), curve("a", 9, 8, stage="two")]
    assert [axes.get_title() for axes in drawn(curves, monkeypatch)] == ["one", "two"]


def test_nothing_is_drawn_where_there_is_no_line():
    assert draw_curves([]) is None
    assert draw_curves([curve("cft", 3)]) is None
    # Runs of one row that share no step have no mean, and are drawn all the same.
    assert draw_curves([curve("cft", 3, 2), curve("cft", 3, 2, begin=7)])
