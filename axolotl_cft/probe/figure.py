"""The probe's figure: a forest plot of the change by prompt."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from axolotl_cft.evaluation.palette import color, marker
from axolotl_cft.probe.summary import orders_by_id, with_shuffled

_SHUFFLED = "0.5"
_MEAN = ", mean"
_SHUFFLED_LABEL = "words shuffled"
_OFFSET = 0.2  # between a prompt and its shuffles, on the line they share


def draw(result: Mapping[str, Any]) -> bytes:
    """PNG of every prompt's change with its 95 % interval, a block of lines for each pool.

    A prompt's shuffles share its line, without intervals: how far they lie apart is what the
    prompt's distance from them is to be measured by. An interval that is far wider than those of
    the prompts, as that of a mean over two, runs out of the figure.

    Args:
        result: the content of `probe.json`.
    """
    from matplotlib.figure import Figure

    blocks = with_shuffled(result)
    count = sum(len(pool["prompts"]) + (len(pool["prompts"]) > 1) for pool, _ in blocks)
    height = 1.6 + 0.3 * count + 0.25 * len(blocks)
    figure = Figure(figsize=(8, height), dpi=160, layout="constrained")
    axes = figure.add_subplot()
    names: dict[float, str] = {}
    for index, (pool, shuffled) in enumerate(blocks):
        _draw_block(axes, pool, shuffled, index, names)
    axes.axvline(0, color="0.35", linewidth=1)
    axes.set_yticks(list(names), list(names.values()))
    for label in axes.get_yticklabels():
        label.set_fontweight("bold" if label.get_text().endswith(_MEAN) else "normal")
    axes.set_xlim(*_limits(result))
    axes.set_ylim(min(names) - 0.7, 0.7)
    axes.set_title(
        f"{Path(result['model']).name}, {len(result['documents'])} documents", fontsize=10
    )
    axes.set_xlabel(
        "Change in NLL, nats per token, with 95 % interval\n(below 0 the text is more likely)"
    )
    axes.grid(axis="x", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    legend = dict(zip(labels, handles, strict=True))  # each label once
    if _SHUFFLED_LABEL in legend:
        legend[_SHUFFLED_LABEL] = legend.pop(_SHUFFLED_LABEL)  # to the end
    figure.legend(
        legend.values(), legend.keys(), loc="outside upper left", ncols=4, frameon=False, fontsize=9
    )
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()


def _draw_block(
    axes: Any,
    pool: Mapping[str, Any],
    shuffled: Mapping[str, Any] | None,
    index: int,
    names: dict[float, str],
) -> None:
    """Lines below those drawn so far: the pool's mean, then its prompts, most helpful first.

    `index` is the pool's number, and `names` holds the height of every line drawn, and its label.
    """
    orders = orders_by_id(shuffled)
    at = min(names, default=1.25) - 0.25
    if len(pool["prompts"]) > 1:
        at -= 1
        names[at] = f"{pool['name']}{_MEAN}"
        shift = _OFFSET if shuffled else 0.0
        _mark(axes, pool, at + shift, index, 7.0, pool["name"])
        if shuffled:
            _mark_shuffles(axes, [shuffled["change"]], at - shift, 5.5)
    for prompt in sorted(pool["prompts"], key=lambda prompt: prompt["change"]):
        at -= 1
        names[at] = prompt["id"]
        changes = orders.get(prompt["id"], [])
        shift = _OFFSET if changes else 0.0
        _mark(axes, prompt, at + shift, index, 5.0, pool["name"])
        _mark_shuffles(axes, changes, at - shift, 3.5)


def _mark_shuffles(axes: Any, changes: Sequence[float], at: float, size: float) -> None:
    style = {"color": _SHUFFLED, "marker": "|", "markersize": size + 3, "alpha": 0.8}
    axes.plot(changes, [at] * len(changes), linestyle="", label=_SHUFFLED_LABEL, **style)


def _limits(result: Mapping[str, Any]) -> tuple[float, float]:
    """Zero, all shuffles and the intervals of all other prompts, with a margin."""
    ends = [
        prompt[end]
        for pool in result["pools"]
        for prompt in pool["prompts"]
        for end in (("change",) if pool["role"] == "shuffled" else ("low", "high"))
    ]
    low, high = min(0.0, *ends), max(0.0, *ends)
    margin = 0.25 * (high - low)
    return low - margin, high + margin


def _mark(
    axes: Any, measured: Mapping[str, Any], at: float, index: int, size: float, label: str
) -> None:
    value = measured["change"]
    reach = [[value - measured["low"]], [measured["high"] - value]]
    style = {"fmt": marker(index), "color": color(index), "markersize": size, "elinewidth": 1.3}
    axes.errorbar([value], [at], xerr=reach, label=label, **style)
