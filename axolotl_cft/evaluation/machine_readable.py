"""The report's figures for programs: `report.json` (`records.report`)."""

import math

from axolotl_cft.evaluation.by_density import compare_by_density
from axolotl_cft.evaluation.comparison import Comparison, Report
from axolotl_cft.records import ComparedRows, ReportRecord


def to_record(report: Report, clean: Report | None = None) -> ReportRecord:
    """A report as plain data.

    Args:
        report: over all items.
        clean: the same runs without the contaminated items.
    """
    return ReportRecord(
        title=report.plan.title,
        baseline=report.plan.baseline,
        margin=report.margin,
        scores={
            row: {run.seed: {task: r.score for task, r in run.tasks.items()} for run in runs}
            for row, runs in report.rows.items()
        },
        comparisons=_compared(report),
        clean=_compared(clean) if clean else None,
        general=sorted(report.general),
        by_density=[_one(c, report.margin) for c in compare_by_density(report)[1]],
        against_untouched=[_one(c, report.margin) for c in report.against_untouched],
        warnings=list(report.warnings),
    )


def _compared(report: Report) -> list[ComparedRows]:
    return [_one(comparison, report.margin) for comparison in report.comparisons]


def _one(c: Comparison, margin: float) -> ComparedRows:
    known = c.difference if c.difference and math.isfinite(c.difference.standard_error) else None
    return ComparedRows(
        group=c.group,
        task=c.task or None,
        tasks=list(c.tasks),
        row=c.row,
        against=c.against,
        runs=c.runs,
        of_models=c.of_models,
        metric=c.metric,
        items=c.items,
        score=c.arm,
        baseline_score=c.baseline,
        difference=c.value,
        interval=known.interval() if known else None,
        degrees_of_freedom=known.freedom if known else None,
        smallest_detectable_difference=c.smallest_detectable,
        by_seed=list(c.by_seed),
        p=c.p,
        p_holm=c.holm,
        verdict=c.verdict(margin),
    )
