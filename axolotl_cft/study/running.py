"""From a study file to a finished study, whoever asks for it."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from axolotl_cft.errors import CFTError
from axolotl_cft.study import preflight
from axolotl_cft.study.leases import sole_writer
from axolotl_cft.study.parallel import Slot, run_side_by_side, visible_devices
from axolotl_cft.study.plan import Run, Step, StudyPlan, expand
from axolotl_cft.study.processes import child_environment, stop_signals
from axolotl_cft.study.records import Records
from axolotl_cft.study.runner import Progress, Runner
from axolotl_cft.study.schedule import schedules
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

    def check(self, here: bool = True) -> list[str]:
        """Check all that can be known beforehand.

        Args:
            here: whether the work is done on this machine.

        Returns:
            What could not be looked at yet.

        Raises:
            CFTError: all that is wrong.
        """
        path = child_environment(self.plan.root)["PATH"]
        gpus = len(visible_devices(os.environ)) if here else None
        told = preflight.check_plan(self.spec, self.plan, self.steps, path, self.file, gpus)
        return told or []

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
            runner.run(len(visible_devices(os.environ)))
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

    def schedules(self) -> str | None:
        """How many steps the arms that are prepared take, and at which learning rate, as a table.

        None where none is prepared. One training at a time has all GPUs of this machine.
        """
        gpus = len(visible_devices(os.environ))
        return schedules(self.plan, Records(self.plan), gpus)

    def _runner(self, progress: Progress) -> Runner:
        allow_targets = "targets" in self.spec.allow_different
        return Runner(self.plan, self.steps, allow_targets, progress)


def check_study(
    spec: Study,
    study_file: Path,
    root: Path,
    arms: Collection[str] | None = None,
    check: bool = True,
) -> CheckedStudy:
    """Expand a study and check all that can be known beforehand.

    Args:
        spec: the parsed study.
        study_file: where it stood.
        root: the study's folder, which need not exist.
        arms: the arms to carry out; None for all.
        check: whether to; a step is one of a study whose call has checked it, which saves most of
            a minute, and a dry run shows the commands first.

    Raises:
        CFTError: the study cannot be carried out, or its comparison would not be fair.
    """
    preflight.check_environment(os.environ)
    plan = expand(spec, study_file, root)
    steps = plan.only(set(spec.arms if arms is None else arms))
    checked = CheckedStudy(spec, study_file, plan, steps)
    if check:
        checked.check()
    return checked


def check_before_making(spec: Study, study_file: Path, root: Path) -> None:
    """Look at what a study reads before its `make` costs anything.

    Where the plan itself waits for what is made, all is looked at afterwards.

    Raises:
        CFTError: data or a model cannot be read, and nothing will bring them.
    """
    try:
        plan = expand(spec, study_file, root)
    except CFTError:
        return
    preflight.check_before_making(spec, plan, study_file)
