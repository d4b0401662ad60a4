"""Numbers, intervals and tables as the report writes them, in GitHub Markdown."""

from collections.abc import Sequence

import numpy as np

from axolotl_cft.evaluation.comparison import Comparison
from axolotl_cft.evaluation.ranges import between
from axolotl_cft.evaluation.results import is_percent


def as_table(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are numbers; cells may hold anything."""
    rule = [":---", *["---:"] * (len(header) - 1)]
    rows = [
        [cell.replace("|", "\\|").replace("\n", " ") for cell in cells] for cells in (header, *body)
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (rows[0], rule, *rows[1:]))


def folded(title: str, content: str) -> str:
    """What a reader unfolds by its title."""
    return f"<details><summary>{title}</summary>\n\n{content}\n\n</details>"


def percent(value: float) -> str:
    """A share of one in percent, without the sign."""
    return f"{100 * value:.2f}"


def as_number(value: float, metric: str) -> str:
    """A score: in percent where the metric is a share of one."""
    text = percent(value) if is_percent(metric) else format(value, _form(metric))
    return text.replace("-", "−")


def signed(value: float, metric: str) -> str:
    """A difference with its sign, and 0.00 without one."""
    text = f"{100 * value:+.2f}" if is_percent(metric) else format(value, f"+{_form(metric)}")
    return text[1:] if text in ("+0.00", "-0.00", "+0.000", "-0.000") else text.replace("-", "−")


def _form(metric: str) -> str:
    """How a number that is no share is written: of bits, thousandths are more than anyone asks."""
    return ".3f" if metric == "bits" else ".4g"


def pair(low: float, high: float, metric: str) -> str:
    """The two ends of an interval of differences, or one number where they are the same."""
    return between(signed(low, metric), signed(high, metric))


def interval(c: Comparison) -> str:
    """The 95 % interval of a comparison, or a dash."""
    if c.difference is None or np.isnan(c.difference.standard_error):
        return "–"
    return pair(*c.difference.interval(), c.metric)


def spread(values: Sequence[float], metric: str) -> str:
    """The lowest and the highest of some differences, or a dash."""
    return pair(min(values), max(values), metric) if values else "–"


def p_shown(value: float | None) -> str:
    """A p value to three digits, or a dash."""
    if value is None:
        return "–"
    return "<0.001" if value < 0.001 else f"{value:.3f}"
