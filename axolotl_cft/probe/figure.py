"""The probe's figure: a forest plot of the change by prompt."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from axolotl_cft.probe.summary import with_shuffled

# Okabe and Ito's colors, which color-blind readers can tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_SHUFFLED = "0.5"
_MEAN = ", mean"
_OFFSET = 0.2  # between a prompt and its shuffled words, on the line they share


def draw(result: Mapping[str, Any]) -> bytes:
    """PNG of every prompt's change with its 95 % interval, a block of lines for each pool.

    A prompt with its words shuffled shares the line of the prompt.

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
        _draw_block(axes, pool, shuffled, _COLOURS[index % len(_COLOURS)], names)
    axes.axvline(0, color="0.35", linewidth=1)
    axes.set_yticks(list(names), list(names.values()))
    for label in axes.get_yticklabels():
        label.set_fontweight("bold" if label.get_text().endswith(_MEAN) else "normal")
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
    colour: str,
    names: dict[float, str],
) -> None:
    """Lines below those drawn so far: the pool's mean, then its prompts, most helpful first.

    `names` holds the height of every line drawn, and its label.
    """
    prompts = sorted(pool["prompts"], key=lambda prompt: prompt["change"])
    by_id = {prompt["id"]: prompt for prompt in shuffled["prompts"]} if shuffled else {}
    lines = [(prompt["id"], prompt, by_id.get(prompt["id"])) for prompt in prompts]
    if len(prompts) > 1:
        lines.insert(0, (f"{pool['name']}{_MEAN}", pool, shuffled))
    at = min(names, default=1.25) - 0.25
    for name, measured, control in lines:
        at -= 1
        names[at] = name
        shift = _OFFSET if control else 0.0
        size = 7.0 if name.endswith(_MEAN) else 5.0
        _mark(axes, measured, at + shift, colour, "o", size, pool["name"])
        if control:
            _mark(axes, control, at - shift, _SHUFFLED, "D", size - 1.5, "words shuffled")


def _mark(
    axes: Any,
    measured: Mapping[str, Any],
    at: float,
    colour: str,
    marker: str,
    size: float,
    label: str,
) -> None:
    value = measured["change"]
    reach = [[value - measured["low"]], [measured["high"] - value]]
    axes.errorbar(
        [value],
        [at],
        xerr=reach,
        fmt=marker,
        color=colour,
        markersize=size,
        elinewidth=1.3,
        label=label,
    )
