"""From a study file to a finished study, whoever asks for it."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from axolotl_cft.study.plan import Run, Step, StudyPlan, expand
from axolotl_cft.study.preflight import check_environment, check_plan
from axolotl_cft.study.processes import child_environment, sole_writer, stop_signals
from axolotl_cft.study.runner import Progress, Runner
from axolotl_cft.study.spec import Study


@dataclass(frozen=True)
class CheckedStudy:
    """A study that can be carried out, as far as that is known without starting a process.

    Attributes:
        spec: the study file's content.
        plan: all of its runs and steps.
        steps: those of the arms that were chosen.
    """

    spec: Study
    plan: StudyPlan
    steps: tuple[Step, ...]

    def run(self, progress: Progress) -> dict[Run, str]:
        """Carry out what is not done yet, as the only writer of the study's folder.

        Args:
            progress: where to tell what happens.

        Returns:
            Run -> sentence, for the runs that failed.

        Raises:
            CFTError: another call is at work, arms train on different targets, or a finished step
                does not fit the study any more.
            Stopped: by SIGINT or SIGTERM; the running child has ended, and another call goes on.
        """
        allow_targets = "targets" in self.spec.allow_different
        runner = Runner(self.plan, self.steps, self.spec.tasks, allow_targets, progress)
        with sole_writer(self.plan.root), stop_signals():
            runner.run()
        return runner.failures


def check_study(
    spec: Study, study_file: Path, root: Path, arms: Collection[str] | None = None
) -> CheckedStudy:
    """Expand a study and check all that can be known beforehand.

    Args:
        spec: the parsed study.
        study_file: where it stood.
        root: the study's folder, which need not exist.
        arms: the arms to carry out; None for all.

    Raises:
        CFTError: the study cannot be carried out, or its comparison would not be fair.
    """
    check_environment(os.environ)
    plan = expand(spec, study_file, root)
    steps = plan.only(set(spec.arms if arms is None else arms))
    check_plan(spec, plan, steps, child_environment(plan.root)["PATH"])
    return CheckedStudy(spec, plan, steps)
