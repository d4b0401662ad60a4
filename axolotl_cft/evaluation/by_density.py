"""Whether arms differ on thin text or on dense: held-out documents by how well they compress."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from axolotl_cft.core.density import FEWEST_BYTES, MEASURED_BYTES
from axolotl_cft.evaluation.cleaning import without_items
from axolotl_cft.evaluation.comparison import Comparison, Report, compare
from axolotl_cft.evaluation.groups import HELD_OUT, Group
from axolotl_cft.evaluation.items import Items
from axolotl_cft.evaluation.layout import as_number, as_table, interval, p_shown, signed
from axolotl_cft.evaluation.ranges import between

FEWEST = 30
"""Documents of a part, or groups of documents that are not independent, at the least."""

_NAMES = {2: ("thin", "dense"), 3: ("thin", "middling", "dense")}


@dataclass(frozen=True)
class Part:
    """Held-out documents of like density.

    Attributes:
        name: "thin", "middling" or "dense".
        low, high: the least and the greatest density in it.
        documents: lm-eval's `doc_id` of them.
    """

    name: str
    low: float
    high: float
    documents: frozenset[int]

    @property
    def task(self) -> str:
        """What the documents are called, as a task."""
        return f"{HELD_OUT} {self.name}"

    @property
    def title(self) -> str:
        """For readers: `thin (0.21 to 0.43)`."""
        return f"{self.name} ({between(f'{self.low:.2f}', f'{self.high:.2f}')})"


def find_parts(items: Items) -> tuple[Part, ...]:
    """Documents in thirds by density, or in halves; none where they are too few.

    Args:
        items: of a run; those without a density are in no part.
    """
    if items.densities is None:
        return ()
    densities, numbers = items.densities, np.array([*items.keys])
    units = np.arange(len(numbers)) if items.units is None else items.units
    known = np.isfinite(densities)
    for count, names in sorted(_NAMES.items(), reverse=True):
        if len(np.unique(units[known])) < count * FEWEST:
            continue
        borders = np.quantile(densities[known], np.arange(1, count) / count)
        part_of = np.where(known, np.searchsorted(borders, densities), -1)
        chosen = [part_of == part for part in range(count)]
        if all(len(np.unique(units[each])) >= FEWEST for each in chosen):
            return tuple(
                Part(
                    name,
                    float(densities[each].min()),
                    float(densities[each].max()),
                    frozenset(numbers[each].tolist()),
                )
                for name, each in zip(names, chosen, strict=True)
            )
    return ()


def compare_by_density(report: Report) -> tuple[tuple[Part, ...], tuple[Comparison, ...]]:
    """Every row against its baseline on each part of the held-out documents.

    Returns:
        The parts and the comparisons, `task` being a part's; each p is corrected over all of them.
        Both empty where documents are too few, or not logged.
    """
    runs = [run for runs in report.rows.values() for run in runs]
    results = [run.tasks[HELD_OUT].items for run in runs if HELD_OUT in run.tasks]
    items = next((each for each in results if each is not None), None)
    parts = find_parts(items) if items else ()
    if not parts or items is None:
        return (), ()
    split = [replace(run, tasks={}, groups={}, general=frozenset()) for run in runs]
    for part in parts:
        kept, _ = without_items(runs, {HELD_OUT: items.keys.keys() - part.documents})
        for index, run in enumerate(kept):
            if HELD_OUT in run.tasks and run.tasks[HELD_OUT].items:
                tasks = {**split[index].tasks, part.task: run.tasks[HELD_OUT]}
                split[index] = replace(split[index], tasks=tasks)
    group = Group("held-out text by density", {part.task: part.title for part in parts}, None, None)
    return parts, compare(report.plan, split, (), report.margin, (group,)).comparisons


def density_section(report: Report) -> str:
    """A table of the differences by density, with what it says; empty without comparisons."""
    parts, compared = compare_by_density(report)
    if not compared:
        return ""
    body = [_cells(part, c) for part in parts for c in compared if c.task == part.task]
    header = ["Text (density)", "Comparison", "Documents", "Baseline", "Arm", "Difference"]
    header += ["95 % interval", "p (Holm)"]
    return (
        "### Bits per byte by density of the text\n\n"
        + as_table(header, body)
        + f"\n\nDensity is what zlib leaves of a document's first {MEASURED_BYTES:,} bytes: thin "
        f"text repeats itself. Documents of fewer than {FEWEST_BYTES} bytes are left out. That an "
        "arm helps on one part and is not seen to help on another does not say that it helps more "
        "on the first: hold their intervals against each other."
    )


def _cells(part: Part, c: Comparison) -> Sequence[str]:
    scores = [as_number(value, c.metric) for value in (c.baseline, c.arm)]
    named = [part.title, f"{c.row} against {c.against}", f"{c.items:,}"]
    return [*named, *scores, signed(c.value, c.metric), interval(c), p_shown(c.holm)]
