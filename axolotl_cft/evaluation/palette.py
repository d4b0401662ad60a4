"""What all figures share: colors, markers and dashes by number, clean bands, ticks that are counts.

The colors are Okabe and Ito's, which color-blind readers can tell apart. What differs in color also
differs in its marker or its dashes, for print without colors.
"""

from collections.abc import Sequence
from typing import Any

COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "osD^vPX<>*"
DASHES = ("-", (0, (6, 2)), (0, (5, 2, 1, 2)), (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
"""Line styles, each a name or (offset, points drawn and left out in turn)."""


def color(index: int) -> str:
    """Of the line or group with this number, from 0: the first is black."""
    return COLORS[index % len(COLORS)]


def marker(index: int) -> str:
    """Of the group with this number."""
    return MARKERS[index % len(MARKERS)]


def dashes(index: int) -> Any:
    """Of the line with this number; the first is solid."""
    return DASHES[index % len(DASHES)]


def mark_now_and_then(count: int, index: int, number: int = 6) -> tuple[int, int]:
    """Which of a line's points bear its marker: about so many, at other places in each line.

    Args:
        count: of the line's points.
        index: of the line.
        number: of markers, about.

    Returns:
        What matplotlib takes as `markevery`: the first, and every how many.
    """
    every = max(1, count // number)
    return every * (index % 4) // 4, every


def draw_band(axes: Any, x: Sequence[float], ends: Sequence[Sequence[float]], index: int) -> None:
    """Shade what lies between two curves behind the line with this number.

    Its edges are thin lines of the same color: where bands lie over one another, their shades are
    no longer told apart.

    Args:
        axes: matplotlib's.
        x: shape (n,).
        ends: lower and upper ends, shape (2, n).
        index: of the line.
    """
    low, high = ends
    if list(low) == list(high):  # of a single curve nothing but an edge would be left
        return
    axes.fill_between(x, low, high, color=color(index), alpha=0.1, linewidth=0, zorder=1)
    for end in ends:
        axes.plot(x, end, color=color(index), linewidth=0.7, alpha=0.7, zorder=1)


def tick_whole_numbers(axis: Any) -> None:
    """Set ticks at whole numbers alone: there is no step, epoch or exposure in between."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins="auto", steps=[1, 2, 5, 10], integer=True))


def write_plain_numbers(axis: Any) -> None:
    """Write 0.1, 2 and 100 at a logarithmic axis, and not powers of ten."""
    from matplotlib.ticker import LogFormatter

    class Plain(LogFormatter):
        def __call__(self, x: float, pos: int | None = None) -> str:
            return f"{x:g}" if super().__call__(x, pos) else ""

    axis.set_major_formatter(Plain())
    axis.set_minor_formatter(Plain())
