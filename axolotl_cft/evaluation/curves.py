"""Learning curves: the loss on held-out documents without prompts, while the arms were trained.

Only that loss can be compared: the training loss of rows with prompts is conditional on these, and
lower for that alone. A run whose test data have prompts, or that has none of ours, has no curve.
"""

import io
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from axolotl_cft.evaluation import palette
from axolotl_cft.evaluation.sources import ReportPlan
from axolotl_cft.host.output_dir import LEDGER_FILE, latest_state, number
from axolotl_cft.records import TrainingLedger

_NO_PROMPTS = "none"


class Point(NamedTuple):
    """One evaluation during training.

    Attributes:
        step: optimizer steps done.
        loss: mean loss in nats per token, without prompts.
        trained_tokens: tokens with loss that were trained until then, as the host logged them; None
            where it did not.
    """

    step: int
    loss: float
    trained_tokens: float | None = None


@dataclass(frozen=True)
class Curve:
    """One training run.

    Attributes:
        row: the report's row, whose seeds share a color.
        stage: curves of other stages have other data, and a panel of their own.
        points: by step.
    """

    row: str
    stage: str
    points: tuple[Point, ...]


def read_points(folder: Path) -> tuple[Point, ...]:
    """The prompt-free losses of the run whose host `output_dir` is `folder`; empty without any.

    Raises:
        CFTError: the ledger is damaged.
    """
    if not _is_prompt_free(folder / LEDGER_FILE):
        return ()
    points: dict[int, Point] = {}  # a resumed run may log a step again
    tokens = None
    for entry in latest_state(folder).history:
        tokens = number(entry, "tokens/trainable") or tokens
        loss = number(entry, "eval_loss")
        if loss is not None:
            step = int(entry.get("step", 0))
            points[step] = Point(step, loss, tokens if step else 0.0)
    return tuple(points[step] for step in sorted(points))


def read_curves(plan: ReportPlan) -> tuple[Curve, ...]:
    """The curves of all training runs of a plan that have one.

    Raises:
        CFTError: a ledger is damaged.
    """
    curves = [Curve(t.row, t.stage, read_points(t.folder)) for t in plan.trainings]
    return tuple(curve for curve in curves if curve.points)


def draw_curves(curves: Sequence[Curve], rows: Sequence[str] = ()) -> bytes | None:
    """Loss against step, a panel for each stage: a thin line per run, a thick one for their mean.

    The mean is taken at the steps that all runs of a row were evaluated at.

    Args:
        curves: of one report.
        rows: the report's rows, which have their colors by this order.

    Returns:
        PNG bytes, the same for the same curves; None where no run was evaluated twice.
    """
    lines = [curve for curve in curves if len(curve.points) > 1]
    if not lines:
        return None
    from matplotlib import style

    with style.context("default"):
        return _draw(lines, list(dict.fromkeys([*rows, *(curve.row for curve in curves)])))


def _is_prompt_free(ledger: Path) -> bool:
    if not ledger.is_file():
        return False
    tested = [entry for entry in TrainingLedger.read(ledger).datasets if entry.part == "test"]
    return bool(tested) and all(entry.prompts == _NO_PROMPTS for entry in tested)


def _draw(curves: Sequence[Curve], rows: list[str]) -> bytes:
    from matplotlib.figure import Figure

    stages = list(dict.fromkeys(curve.stage for curve in curves))
    figure = Figure(figsize=(max(7.4, 4.6 * len(stages)), 3.6), dpi=160, layout="constrained")
    panels = figure.subplots(1, len(stages), squeeze=False)[0]
    for axes, stage in zip(panels, stages, strict=True):
        _draw_stage(axes, [curve for curve in curves if curve.stage == stage], rows)
        axes.set_title(stage, fontsize=10)
    panels[0].set_ylabel("loss on held-out text,\nno prompt (nats per token)")
    found = {
        label: handle
        for axes in panels
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    style: dict[str, Any] = {"ncols": 4, "frameon": False, "fontsize": 9}
    style["handlelength"] = 3.5  # dashes repeat within it
    figure.legend(found.values(), found.keys(), loc="outside upper left", **style)
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()


def _draw_stage(axes: Any, curves: Sequence[Curve], rows: list[str]) -> None:
    axes.set_xlabel("optimizer step")
    palette.tick_whole_numbers(axes.xaxis)
    axes.grid(color="0.88", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for row in dict.fromkeys(curve.row for curve in curves):
        index = rows.index(row)
        color, dashes = palette.color(index), palette.dashes(index)
        runs = [curve.points for curve in curves if curve.row == row]
        for points in runs if len(runs) > 1 else ():
            axes.plot(*_axes_of(points), color=color, linestyle=dashes, linewidth=0.8, alpha=0.5)
        mean = _mean(runs)
        style = {"color": color, "linestyle": dashes, "marker": palette.marker(index)}
        axes.plot(*_axes_of(mean), **style, linewidth=2.2, markersize=5, label=row)


def _mean(runs: Sequence[Sequence[Point]]) -> list[Point]:
    """The mean loss at every step that all runs have."""
    losses = [{point.step: point.loss for point in points} for points in runs]
    shared = sorted(set.intersection(*(set(run) for run in losses)))
    return [Point(step, statistics.fmean(run[step] for run in losses)) for step in shared]


def _axes_of(points: Sequence[Point]) -> tuple[list[int], list[float]]:
    return [point.step for point in points], [point.loss for point in points]
