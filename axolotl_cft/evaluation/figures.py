"""The report's figures as PNG bytes: the same report gives the same bytes.

Every row keeps its color and its marker in all figures.
"""

import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from axolotl_cft.evaluation.comparison import Report
from axolotl_cft.evaluation.groups import Group
from axolotl_cft.evaluation.palette import color, marker
from axolotl_cft.evaluation.results import is_percent
from axolotl_cft.evaluation.wording import metric_in_words

_MOST_TASKS = 20  # more would not be read in a figure; the group's average alone is drawn
_SPREAD, _STEP = 0.6, 0.26  # of the space between two lines: all its markers, and two neighbors

Point = tuple[float, float, float, float]  # height, value, lower end, upper end


def draw_figures(report: Report) -> dict[str, dict[str, bytes]]:
    """Every figure of a report: group name -> file name -> PNG bytes.

    Drawn in matplotlib's default style, so that a user's own settings change nothing.
    """
    from matplotlib import style

    found: dict[str, dict[str, bytes]] = {}
    with style.context("default"):
        for group in report.groups:
            stem = re.sub(r"[^\w.-]", "_", group.name)
            drawn = {
                f"differences_{stem}.png": differences_figure(report, group),
                f"scores_{stem}.png": scores_figure(report, group),
            }
            found[group.name] = {name: image for name, image in drawn.items() if image}
    return found


def differences_figure(report: Report, group: Group) -> bytes | None:
    """A forest plot: each row's difference from the baseline by task, with its 95 % interval.

    None where no difference has an interval.
    """
    chosen = [
        c
        for c in report.comparisons
        if c.group == group.name
        and c.difference
        and is_percent(c.metric)
        and not np.isnan(c.difference.standard_error)
    ]
    lines = _lines(group, [c.task for c in chosen])
    rows = [row for row in report.rows if any(c.row == row for c in chosen)]
    if not lines or not rows:
        return None
    figure, axes = _canvas(lines, group, len(rows))
    axes.axvline(0, color="0.35", linewidth=1, zorder=1)
    for row, shift in zip(rows, _shifts(len(rows)), strict=True):
        points = [
            (lines[c.task] + shift, c.value, *c.difference.interval())
            for c in chosen
            if c.row == row and c.difference and c.task in lines
        ]
        _draw(axes, report, row, points)
    against = ", ".join(sorted({c.against for c in chosen}))
    axes.set_xlabel(f"{group.name}: difference from {against} in points, 95 % interval")
    return _finish(figure, axes, len(rows))


def scores_figure(report: Report, group: Group) -> bytes | None:
    """A dot plot of every row's score by task; a bar spans the seeds, a tick marks a constant.

    None where no score is a percentage.
    """
    runs = [run for runs in report.rows.values() for run in runs]
    metrics = {task: result.metric for run in runs for task, result in run.tasks.items()}
    tasks = [task for task in group.tasks if is_percent(metrics[task])]
    averaged = is_percent(str(group.metric)) and any(report.averages(r, group) for r in report.rows)
    lines = _lines(group, [*tasks, *([""] if averaged else [])])
    if not lines:
        return None
    figure, axes = _canvas(lines, group, len(report.rows))
    for row, shift in zip(report.rows, _shifts(len(report.rows)), strict=True):
        points: list[Point] = []
        for task, line in lines.items():
            scores = report.scores(row, task) if task else report.averages(row, group)
            if scores:
                points.append((line + shift, float(np.mean(scores)), min(scores), max(scores)))
        _draw(axes, report, row, points)
    constants = {c.task: 100 * c.score for c in report.constants if c.task in lines}
    if constants:
        at = np.array([lines[task] for task in constants])
        style: dict[str, Any] = {"color": "0.55", "linewidth": 2.2, "zorder": 1}
        style["label"] = "best constant answer"
        axes.vlines(list(constants.values()), at - 0.4, at + 0.4, **style)
    metric = metric_in_words(group.metric, group) if group.metric else "score"
    axes.set_xlabel(f"{group.name}: {metric}, %")
    return _finish(figure, axes, len(report.rows) + bool(constants))


def _lines(group: Group, present: Sequence[str]) -> dict[str, float]:
    """Task -> height of its line, first on top; the average ("") below them all."""
    tasks = [task for task in group.tasks if task in present]
    if len(tasks) > _MOST_TASKS:
        tasks = []
    ordered = [*tasks, *([""] if "" in present else [])]
    return {task: -float(index) for index, task in enumerate(ordered)}


def _shifts(count: int) -> list[float]:
    """Offsets of the rows' markers within a line, first row on top."""
    reach = min(_SPREAD, _STEP * (count - 1)) / 2
    return [float(x) for x in np.linspace(reach, -reach, count)]


def _canvas(lines: dict[str, float], group: Group, rows: int) -> tuple[Any, Any]:
    """A figure with one named line per task, every other one shaded."""
    from matplotlib.figure import Figure

    height = 1.2 + len(lines) * max(0.34, 0.13 * rows + 0.14)
    figure = Figure(figsize=(7.4, height), dpi=160, layout="constrained")
    axes = figure.add_subplot()
    axes.grid(axis="x", color="0.88", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    for line in list(lines.values())[::2]:
        axes.axhspan(line - 0.5, line + 0.5, color="0.965", zorder=0, linewidth=0)
    names = [group.tasks[task] if task else "Average" for task in lines]
    axes.set_yticks(list(lines.values()), names)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(min(lines.values()) - 0.5, 0.5)
    if "" in lines:
        axes.get_yticklabels()[-1].set_fontweight("bold")
    return figure, axes


def _draw(axes: Any, report: Report, row: str, points: Sequence[Point]) -> None:
    """A row's markers with their bars, in percent."""
    index = list(report.rows).index(row)
    at, value, low, high = 100 * np.array(points).reshape(-1, 4).T
    axes.errorbar(
        value,
        at / 100,
        xerr=np.stack([value - low, high - value]),
        color=color(index),
        marker=marker(index),
        markersize=6,
        linestyle="none",
        elinewidth=1.5,
        label=row,
        zorder=3,
    )


def _finish(figure: Any, axes: Any, entries: int) -> bytes:
    handles, labels = axes.get_legend_handles_labels()
    columns = min(entries, 4)
    figure.legend(
        handles, labels, loc="outside upper left", ncols=columns, frameon=False, fontsize=9
    )
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()
