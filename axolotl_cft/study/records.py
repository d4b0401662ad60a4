"""What a study remembers: a mark for every step, a journal of processes, and `study.json`."""

import json
import os
import shlex
import socket
import time
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock

from axolotl_cft.records import STUDY_FILE, StepMark, StudyHeldOut, StudyRecord, StudyRun
from axolotl_cft.study.leases import JOB_VARIABLE
from axolotl_cft.study.plan import HELDOUT, Run, Step, StudyPlan
from axolotl_cft.study.standing import Standing, is_done, missing, results

JOURNAL = "executions.jsonl"
"""One line when a process starts and one when it ends: what ran, with which versions, how long."""

_VERSIONS_OF = ("axolotl-cft", "axolotl", "lm_eval", "transformers", "torch", "datasets")
_MATTER = ("axolotl-cft", "axolotl", "transformers", "torch")


def installed() -> dict[str, str]:
    """The versions, on this machine, of what can make two trainings differ."""
    return {name: version(name) for name in _MATTER}


class Records:
    """Reads and writes the records of one study; every file is whole or absent.

    The marks are the truth, each written by whoever holds its chain. `study.json` is made from them
    alone, under a lock, so of several writers the last has seen all that the others did.
    """

    def __init__(self, plan: StudyPlan):
        self.plan = plan
        self.heldout = plan.heldout.record()
        self._lock = FileLock(plan.root / ".records.lock")

    def state(self, step: Step) -> StepMark | None:
        """The mark of a step, None if it was never started."""
        path = self._mark_file(step)
        return StepMark.read(path) if path.is_file() else None

    def mark(self, step: Step, **state: Any) -> None:
        """Replace the mark of a step; `state` as in `StepMark`."""
        own: dict[str, Any] = {"identity": step.identity, "command": list(step.command)}
        own |= {"host": _machine(), "job": os.environ.get(JOB_VARIABLE)}
        StepMark(**{**state, **own}).write(self._mark_file(step))

    def mark_ended(self, step: Step, status: str, error: str | None = None) -> None:
        """Mark a step as failed or interrupted just now; what its mark said otherwise is kept."""
        if self.is_done(step):  # the signal came when all was over
            return
        before = self.state(step)
        state = {"started": time.time(), **(before.content() if before else {})}
        self.mark(step, **{**state, "status": status, "error": error, "ended": time.time()})

    def _mark_file(self, step: Step) -> Path:
        return self.plan.folder(step.run) / f"{step.kind}.json"

    def is_done(self, step: Step) -> bool:
        """Whether exactly this step was finished, its output checked."""
        return is_done(self.state(step), step)

    def missing(self, step: Step) -> list[str]:
        """What is left to evaluate.

        The tasks of one run are the work of one version of the harness: what is added to the
        results of another, or to results that somebody deleted, takes all tasks along.
        """
        mark = self.state(step)
        left = missing(mark, step)
        harness = mark.software.get("lm_eval") if mark else None
        names = (path.stem for path in self.output(step).rglob("results_*.json"))
        # Of several results of a task the one with the latest name counts, and harness and clock
        # of another machine name them otherwise.
        now = f"results_{datetime.now().isoformat().replace(':', '-')}"
        fit = harness in (None, version("lm_eval")) and self.output(step).is_dir()
        fit = fit and max(names, default="") < now
        return left if fit else left and [*step.tasks]

    def output(self, step: Step) -> Path:
        """The folder of an evaluation's results."""
        return self.plan.folder(step.run) / (HELDOUT if step.kind == "heldout" else "eval")

    def partial(self, step: Step) -> Path:
        """Where the harness puts them before they are checked."""
        folder = self.output(step)
        return folder.with_name(f"{folder.name}.partial")

    def held(self, step: Step) -> dict[str, Any]:
        """What an evaluation's mark says of its results, which a new attempt leaves as they are."""
        mark = self.state(step)
        software = mark.software if mark else {}
        return {"tasks": results(mark, step), "software": software} if step.tasks else {}

    def keep(self, step: Step, tasks: Mapping[str, str]) -> None:
        """Say that only these of an evaluation's results hold; else its mark stays as it is."""
        mark = StepMark.read(self._mark_file(step))
        StepMark(**{**mark.content(), "tasks": dict(tasks)}).write(self._mark_file(step))

    def adopt(self, step: Step) -> None:
        """Say task by task what version 0.1 evaluated: tasks may be added later."""
        mark = self.state(step)
        if mark and mark.tasks is None and (found := results(mark, step)):
            self.keep(step, found)

    def standing(self) -> Standing:
        """The marks of all steps, as they are now."""
        marks = ((step.path, self.state(step)) for step in self.plan.steps)
        return Standing(self.plan, {path: mark for path, mark in marks if mark})

    def log(self, step: Step) -> Path:
        """The file with what the step's processes printed."""
        return self.plan.folder(step.run) / f"{step.kind}.log"

    def earlier_sessions(self, step: Step) -> list[float]:
        """Seconds of a step's earlier sessions; one that was cut short ends with its log."""
        state, log = self.state(step), self.log(step)
        if state is None or state.started is None or state.status == "done" or not log.exists():
            return state.sessions if state else []
        ended = log.stat().st_mtime if state.ended is None else state.ended
        return [*state.sessions, round(max(0.0, ended - state.started), 3)]

    def note(self, step: Step, event: str, **more: Any) -> None:
        """Append a line to the journal."""
        line = {
            "event": event,
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "step": step.name,
            "command": shlex.join(step.command),
            "directory": str(Path.cwd()),
            "host": _machine(),
            **more,
        }
        if event == "started":
            line["versions"] = {name: version(name) for name in _VERSIONS_OF}
        # Several machines may write, and appending is not atomic on every network file system.
        with self._lock, (self.plan.root / JOURNAL).open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(line) + "\n")
            journal.flush()
            os.fsync(journal.fileno())

    def write_study(self) -> None:
        """Write `study.json`, which `axolotl-cft report` reads."""
        with self._lock:
            standing = self.standing()
            self.heldout = self.plan.heldout.record() or self.heldout  # others may have made it
            path = self.plan.root / STUDY_FILE
            record = StudyRecord(
                name=self.plan.name,
                baseline=self.plan.baseline,
                heldout=self._heldout(),
                tasks=list(self.plan.tasks),
                general=list(self.plan.general),
                untouched=self.plan.untouched,
                runs=[self._run(run, standing) for run in self.plan.runs],
            )
            if not path.is_file() or StudyRecord.read(path).content() != record.content():
                record.write(path)

    def _heldout(self) -> StudyHeldOut:
        record = self.heldout
        if record is None:
            return StudyHeldOut(absent=self.plan.heldout.absent)
        none = None if record.documents else "no document fell into the held-out part"
        return StudyHeldOut(documents=record.documents, found=record.found, absent=none)

    def _run(self, run: Run, standing: Standing) -> StudyRun:
        steps = {step.kind: step for step in self.plan.steps if step.run == run}
        failures = (standing.failure(step) for step in steps.values())
        error = next((failure for failure in failures if failure), None)
        steps.pop("prepare", None)
        heldout = steps.pop("heldout", None)  # a run is done without it
        done = all(standing.is_done(step) for step in steps.values())
        training = standing.mark(steps["train"]) if "train" in steps else None
        sessions = training.sessions if training else []
        evaluated = "evaluate" in steps and standing.is_done(steps["evaluate"])
        measured = heldout is not None and standing.has_output(heldout)
        return StudyRun(
            arm=run.arm,
            seed=run.seed,
            stage=run.stage,
            status="done" if done else "failed" if error else "pending",
            eval_dir=f"{run.folder}/eval" if evaluated else None,
            heldout_dir=f"{run.folder}/{HELDOUT}" if measured else None,
            train_dir=f"{run.folder}/train" if "train" in steps else None,
            error=None if done and (heldout is None or standing.is_done(heldout)) else error,
            world_size=training.world_size if training else None,
            # The host's own figure is better, but covers the last session alone.
            train_seconds=round(sum(sessions), 3) if done and len(sessions) > 1 else None,
            software=training.software if training else {},
            llm=training.llm if training else None,
        )


def _machine() -> str:
    """This machine, by the name that Slurm has for it if a job runs here."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()
