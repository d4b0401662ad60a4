"""How far a study is, by the marks of its steps."""

from collections.abc import Mapping
from dataclasses import dataclass

from axolotl_cft.records import StepMark
from axolotl_cft.study.plan import Step, StudyPlan


def fits(mark: StepMark | None, step: Step, status: str) -> bool:
    """Whether a mark says so of exactly this step, with the config that it has now."""
    return mark is not None and mark.status == status and mark.identity == step.identity


@dataclass(frozen=True)
class Standing:
    """The marks of all steps at one moment.

    Attributes:
        plan: the study's.
        marks: path of a step -> its mark; steps that were never begun are missing.
    """

    plan: StudyPlan
    marks: Mapping[str, StepMark]

    def mark(self, step: Step) -> StepMark | None:
        """The mark of a step, None if it was never begun."""
        return self.marks.get(step.path)

    def is_done(self, step: Step) -> bool:
        """Whether exactly this step was finished, its output checked."""
        return fits(self.mark(step), step, "done")

    def has_output(self, step: Step) -> bool:
        """Whether a step was finished, and had something to do."""
        mark = self.mark(step)
        return self.is_done(step) and mark is not None and mark.remark is None

    def blocker(self, step: Step) -> Step | None:
        """The first step that has to be done before this one can begin, None if all are."""
        for need in self.plan.needs(step):
            if not self.is_done(need):
                return self.blocker(need) or need
        return None

    def failure(self, step: Step) -> str | None:
        """Why a step failed, or cannot begin for the failure of another; None if neither."""
        if fits(mark := self.mark(step), step, "failed"):
            error = mark.error if mark else None
            return f"{step.kind}: {error or f'failed; see {step.kind}.log'}"
        cause = self.blocker(step)
        if cause is not None and fits(self.mark(cause), cause, "failed"):
            return f"not run, because {cause.name} failed"
        return None
