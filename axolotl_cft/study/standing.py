"""How far a study is, by the marks of its steps."""

from collections.abc import Mapping
from dataclasses import dataclass

from axolotl_cft.records import StepMark
from axolotl_cft.study.plan import Step, StudyPlan


def fits(mark: StepMark | None, step: Step, status: str) -> bool:
    """Whether a mark says so of exactly this step, with the config that it has now."""
    return mark is not None and mark.status == status and mark.identity == step.identity


def results(mark: StepMark | None, step: Step) -> dict[str, str]:
    """What an evaluation has results of, with the digests of all that decided them."""
    if mark is not None and mark.tasks is not None:
        return mark.tasks
    # Version 0.1 evaluated all tasks or none.
    return dict(step.tasks) if fits(mark, step, "done") else {}


def missing(mark: StepMark | None, step: Step) -> list[str]:
    """What of an evaluation has no result, or none that would come out so today."""
    there = results(mark, step)
    return [task for task, digest in step.tasks.items() if there.get(task) != digest]


def is_done(mark: StepMark | None, step: Step) -> bool:
    """Whether a mark says that exactly this step was finished, its output checked."""
    return not missing(mark, step) if step.tasks else fits(mark, step, "done")


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
        return is_done(self.mark(step), step)

    def seconds(self) -> dict[str, float]:
        """Name of every finished step -> the seconds that it took, all sessions together."""
        done = ((step.name, self.mark(step)) for step in self.plan.steps if self.is_done(step))
        return {name: sum(mark.sessions) for name, mark in done if mark}

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
        if self._failed(step):
            mark = self.mark(step)
            error = mark.error if mark else None
            return f"{step.kind}: {error or f'failed; see {step.kind}.log'}"
        cause = self.blocker(step)
        if cause is not None and self._failed(cause):
            return f"not run, because {cause.name} failed"
        return None

    def _failed(self, step: Step) -> bool:
        return fits(self.mark(step), step, "failed") and not self.is_done(step)
