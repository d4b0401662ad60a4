"""From a study file to a finished study, whoever asks for it."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from axolotl_cft.study import preflight
from axolotl_cft.study.leases import sole_writer
from axolotl_cft.study.parallel import Slot, run_side_by_side
from axolotl_cft.study.plan import Run, Step, StudyPlan, expand
from axolotl_cft.study.processes import child_environment, stop_signals
from axolotl_cft.study.runner import Progress, Runner
from axolotl_cft.study.spec import Study


@dataclass(frozen=True)
class CheckedStudy:
    """A study that can be carried out, as far as that is known without starting a process.

    Attributes:
        spec: the study file's content.
        file: where it stood.
        plan: all of its runs and steps.
        steps: those of the arms that were chosen.
    """

    spec: Study
    file: Path
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
        runner = self._runner(progress)
        with sole_writer(self.plan.root), stop_signals():
            runner.run()
        return runner.failures

    def run_step(self, path: str, progress: Progress) -> None:
        """Carry out one step, beside others of the study on this machine or elsewhere.

        Args:
            path: what the step is called.
            progress: where to tell what happens.

        Raises:
            CFTError: there is no such step, it cannot begin yet, somebody else is at it, or it
                fails.
            Stopped: by SIGINT or SIGTERM; the running child has ended.
        """
        step = self.plan.find(path)
        with stop_signals():
            self._runner(progress).run_one(step)

    def run_parallel(self, slots: Sequence[Slot], progress: Progress) -> dict[Run, str]:
        """Carry out what is not done yet, as many chains at a time as there are slots.

        Args:
            slots: what each of them may use of this machine.
            progress: where to tell what happens.

        Returns:
            Run -> sentence, for the runs that failed.

        Raises:
            CFTError: as `run`.
            Stopped: by SIGINT or SIGTERM; the running children have ended.
        """
        runner = self._runner(progress)
        with sole_writer(self.plan.root), stop_signals():
            runner.check()
            run_side_by_side(runner, self.file, slots)
            runner.records.write_study()
        return runner.failures

    def _runner(self, progress: Progress) -> Runner:
        allow_targets = "targets" in self.spec.allow_different
        return Runner(self.plan, self.steps, allow_targets, progress)


def check_study(
    spec: Study,
    study_file: Path,
    root: Path,
    arms: Collection[str] | None = None,
    checked_before: bool = False,
) -> CheckedStudy:
    """Expand a study and check all that can be known beforehand.

    Args:
        spec: the parsed study.
        study_file: where it stood.
        root: the study's folder, which need not exist.
        arms: the arms to carry out; None for all.
        checked_before: whether keys, tasks and programs were checked by the call that asks for
            this one; it saves most of a minute.

    Raises:
        CFTError: the study cannot be carried out, or its comparison would not be fair.
    """
    preflight.check_environment(os.environ)
    plan = expand(spec, study_file, root)
    steps = plan.only(set(spec.arms if arms is None else arms))
    if not checked_before:
        preflight.check_plan(spec, plan, steps, child_environment(plan.root)["PATH"])
    return CheckedStudy(spec, study_file, plan, steps)
