"""What a report leaves for programs."""

from typing import Any, ClassVar

from pydantic import Field

from axolotl_cft.records.base import Record, RecordPart

REPORT_FILE = "report.json"


class ComparedRows(RecordPart):
    """One comparison of a report.

    Attributes:
        group: the table it stands in.
        task: lm-eval's name; None for the group's average.
        tasks: what an average is over.
        row, against: the two rows.
        runs: how many runs of each are behind it.
        of_models: whether it speaks of two models only, not of the methods that made them.
        metric: what is compared, as a share of one where it is one.
        items: paired test items.
        score, baseline_score: means over the rows' runs.
        difference: of the two.
        interval: 95 %, over items and (where there are several) seeds; None without item logs.
        degrees_of_freedom: of the interval's t.
        smallest_detectable_difference: the true difference found in 80 % of such comparisons.
        by_seed: the difference for each seed, where seeds are paired.
        p, p_holm: of no difference, before and after the correction.
        verdict: what may be said.
    """

    group: str
    task: str | None
    tasks: list[str]
    row: str
    against: str
    runs: tuple[int, int]
    of_models: bool
    metric: str
    items: int
    score: float
    baseline_score: float
    difference: float
    interval: tuple[float, float] | None
    degrees_of_freedom: float | None
    smallest_detectable_difference: float | None
    by_seed: list[float]
    p: float | None
    p_holm: float | None
    verdict: str


class ReportRecord(Record):
    """`report.json`: what a report says, for programs.

    Attributes:
        title: of the report.
        baseline: the row, or in a study the arm, that the others are compared with.
        margin: the difference that would not matter, as a share of one.
        scores: row -> run ("" if there is one) -> task -> score.
        comparisons: in the report's order.
        clean: the same without contaminated items; None if that was not asked for.
        general: tasks and groups that show general ability.
        against_untouched: on them, every trained row against the model it started from, where that
            is not in `comparisons`.
        by_density: the loss on held-out text, thin and dense text apart; empty where there is too
            little of it.
        warnings: what to know before believing a number.
    """

    kind = "a report's figures"
    advice = "run `axolotl-cft report` again"
    layout: ClassVar[dict[str, Any]] = {"indent": 1, "ensure_ascii": False}

    title: str
    baseline: str
    margin: float
    scores: dict[str, dict[str, dict[str, float]]]
    comparisons: list[ComparedRows]
    clean: list[ComparedRows] | None = None
    general: list[str] = Field(default_factory=list)
    against_untouched: list[ComparedRows] = Field(default_factory=list)
    by_density: list[ComparedRows] = Field(default_factory=list)
    warnings: list[str]
