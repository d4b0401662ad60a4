"""The paper's two figures from a finished run, and stage 1 beside least squares."""

from __future__ import annotations

import csv
import json
import statistics
from collections import defaultdict
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

from axolotl_cft.errors import CFTError
from axolotl_cft.evaluation import palette
from axolotl_cft.icl.presets import CONTROLS, METHODS, TASKS, Settings

LABELS = {
    "cft": "CFT",
    "cpt": "CPT",
    "neg_cft": "NEG-CFT",
    "wrong_cft": "CFT, another function's values (our control)",
}
NUMBERS = {method: number for number, method in enumerate((*METHODS, *CONTROLS), start=1)}
TITLES = {"polynomial": "Polynomial: f + f²", "multiple_linear": "Multiple linear: f + w₂ᵀx"}
AXES = {"excess_loss": "excess loss", "inner_product": "gradient inner product"}

_PUBLISHED: dict[str, Any] = {"color": "black", "linestyle": ":", "linewidth": 1, "alpha": 0.8}
_BASELINES: dict[str, Any] = {"zero": (0, (1, 4)), "least_squares": (0, (8, 3))}

# task, method, column -> step -> one value per seed
Curves = dict[tuple[str, str, str], dict[int, list[float]]]


def plot(run: Path, folder: Path) -> list[Path]:
    """Draw `excess_loss.png`, `inner_product.png` and `stage1.png` of a finished run.

    Lines are medians over seeds, bands their range. The published curves (arXiv 2503.09032) are
    laid over a run of the paper's sizes and no other.

    Raises:
        CFTError: `run` holds no finished run, or `folder` cannot be written.
    """
    try:
        curves = _read((run / "curves.csv").read_text().splitlines())
        summary = json.loads((run / "summary.json").read_text())
        config = json.loads((run / "config.json").read_text())["settings"]
        del config["device"]
        published = _published() if Settings(**config).matches_paper else {}
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise CFTError(f"{run} holds no finished run; give the output folder of `icl run`") from exc
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths = [_plot_curves(column, curves, published, summary, folder) for column in AXES]
        return [*paths, _plot_stage1(summary["stage1"], folder)]
    except OSError as exc:
        raise CFTError(f"cannot write figures to {folder}: {exc.strerror or exc}") from exc


def _read(lines: Iterable[str]) -> Curves:
    curves: Curves = defaultdict(lambda: defaultdict(list))
    for row in csv.DictReader(lines):
        for column in AXES:
            if row[column]:
                key = (row["task"], row["method"], column)
                curves[key][int(row["step"])].append(float(row[column]))
    return curves


def _published() -> Curves:
    """The paper's curves, thinned: every 100 steps to 1,000, then every 500, four digits."""
    return _read((files("axolotl_cft.icl") / "published_curves.csv").read_text().splitlines())


def _plot_curves(
    column: str, curves: Curves, published: Curves, summary: dict[str, Any], folder: Path
) -> Path:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    for axes, task in zip(figure.subplots(1, 2), TASKS, strict=True):
        for method in summary["tasks"][task]["methods"]:
            by_step = curves[task, method, column]
            middle = [statistics.median(values) for values in by_step.values()]
            number, steps = NUMBERS[method], list(by_step)
            style: dict[str, Any] = {"color": palette.color(number)}
            style |= {"linestyle": palette.dashes(number - 1), "marker": palette.marker(number)}
            where = palette.mark_now_and_then(len(steps), number)
            axes.plot(steps, middle, **style, markevery=where, label=LABELS[method])
            ends = [[end(values) for values in by_step.values()] for end in (min, max)]
            palette.draw_band(axes, steps, ends, number)
            if reference := published.get((task, method, column)):
                points = [(step, values[0]) for step, values in reference.items()]
                where = palette.mark_now_and_then(len(points), number)
                style |= _PUBLISHED | {"color": style["color"], "markersize": 3}
                axes.plot(*zip(*points, strict=True), **style, markevery=where)
        if column == "excess_loss":
            axes.set_yscale("log")
            palette.write_plain_numbers(axes.yaxis)
            for name, dashes in _BASELINES.items():
                level = summary["tasks"][task]["baselines"][name]["median"]
                label = f"{name.replace('_', ' ')} on g"
                axes.axhline(level, color="0.5", linestyle=dashes, linewidth=1, label=label)
        axes.set(title=TITLES[task], xlabel="fine-tuning step", ylabel=AXES[column])
        palette.tick_whole_numbers(axes.xaxis)
    handles, labels = axes.get_legend_handles_labels()
    if published:
        (dotted,) = axes.plot([], [], **_PUBLISHED)
        handles, labels = [*handles, dotted], [*labels, "published (arXiv 2503.09032)"]
    figure.legend(
        handles, labels, loc="outside lower center", ncols=3, fontsize="small", handlelength=4
    )
    return _save(figure, folder / f"{column}.png")


def _plot_stage1(stage1: dict[str, Any], folder: Path) -> Path:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.6), layout="constrained")
    axes = figure.subplots()
    for number, name in enumerate(("least_squares", "model", "zero")):
        style = {"color": palette.color(number), "linestyle": palette.dashes(number)}
        style["marker"] = "o" if name == "model" else ""
        errors = stage1["squared_error"][name]
        axes.plot(stage1["context_length"], errors, **style, label=name.replace("_", " "))
    palette.tick_whole_numbers(axes.xaxis)
    axes.set(title="Stage 1: wᵀx in context", xlabel="points seen", ylabel="squared error")
    axes.legend()
    return _save(figure, folder / "stage1.png")


def _save(figure: Any, path: Path) -> Path:
    temporary = path.with_suffix(".tmp.png")
    figure.savefig(temporary, dpi=130)
    temporary.replace(path)
    return path
