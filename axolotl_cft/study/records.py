"""What a study remembers: a mark for every step, a journal of processes, and `study.json`."""

import json
import os
import shlex
import socket
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from axolotl_cft.records import STUDY_FILE, StepMark, StudyHeldOut, StudyRecord, StudyRun
from axolotl_cft.study.plan import HELDOUT, Run, Step, StudyPlan

JOURNAL = "executions.jsonl"
"""One line when a process starts and one when it ends: what ran, with which versions, how long."""

_VERSIONS_OF = ("axolotl-cft", "axolotl", "lm_eval", "transformers", "torch", "datasets")


class Records:
    """Reads and writes the records of one study; every file is whole or absent."""

    def __init__(self, plan: StudyPlan):
        self.plan = plan
        self.heldout = plan.heldout.record()

    def state(self, step: Step) -> StepMark | None:
        """The mark of a step, None if it was never started."""
        path = self._mark_file(step)
        return StepMark.read(path) if path.is_file() else None

    def mark(self, step: Step, **state: Any) -> None:
        """Replace the mark of a step; `state` as in `StepMark`."""
        own = {"identity": step.identity, "command": list(step.command)}
        StepMark(**{**state, **own}).write(self._mark_file(step))

    def mark_failed(self, step: Step) -> None:
        """Mark a step as failed just now; what its mark said otherwise is kept."""
        before = self.state(step)
        state = {"started": time.time(), **(before.content() if before else {})}
        self.mark(step, **{**state, "status": "failed", "ended": time.time()})

    def _mark_file(self, step: Step) -> Path:
        return self.plan.folder(step.run) / f"{step.kind}.json"

    def is_done(self, step: Step) -> bool:
        """Whether exactly this step was finished, its output checked."""
        state = self.state(step)
        return state is not None and state.status == "done" and state.identity == step.identity

    def _has_output(self, step: Step | None) -> bool:
        """Whether a step was finished, and had something to do."""
        if step is None or not self.is_done(step):
            return False
        state = self.state(step)
        return state is not None and state.remark is None

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
            "host": socket.gethostname(),
            **more,
        }
        if event == "started":
            line["versions"] = {name: version(name) for name in _VERSIONS_OF}
        with (self.plan.root / JOURNAL).open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(line) + "\n")
            journal.flush()
            os.fsync(journal.fileno())

    def write_study(self, failures: Mapping[Run, str], chosen: set[str]) -> None:
        """Write `study.json`, which `axolotl-cft report` reads.

        Args:
            failures: sentences for the runs that failed in this call.
            chosen: arms of this call; earlier failures of others are kept.
        """
        path = self.plan.root / STUDY_FILE
        before = StudyRecord.read(path).runs if path.is_file() else []
        errors = {
            (run.arm, run.seed, run.stage): run.error
            for run in before
            if run.status == "failed" and run.arm not in chosen
        }
        errors |= {(run.arm, run.seed, run.stage): error for run, error in failures.items()}
        runs = [
            self._run(run, errors.get((run.arm, run.seed, run.stage))) for run in self.plan.runs
        ]
        StudyRecord(
            name=self.plan.name, baseline=self.plan.baseline, heldout=self._heldout(), runs=runs
        ).write(path)

    def _heldout(self) -> StudyHeldOut:
        record = self.heldout
        if record is None:
            return StudyHeldOut(absent=self.plan.heldout.absent)
        none = None if record.documents else "no document fell into the held-out part"
        return StudyHeldOut(documents=record.documents, found=record.found, absent=none)

    def _run(self, run: Run, error: str | None) -> StudyRun:
        steps = {s.kind: s for s in self.plan.steps if s.run == run and s.kind != "prepare"}
        heldout = steps.pop("heldout", None)  # a run is done without it
        done = all(self.is_done(step) for step in steps.values())
        training = self.state(steps["train"]) if "train" in steps else None
        sessions = training.sessions if training else []
        evaluated = "evaluate" in steps and self.is_done(steps["evaluate"])
        return StudyRun(
            arm=run.arm,
            seed=run.seed,
            stage=run.stage,
            status="done" if done else "failed" if error else "pending",
            eval_dir=f"{run.folder}/eval" if evaluated else None,
            heldout_dir=f"{run.folder}/{HELDOUT}" if self._has_output(heldout) else None,
            train_dir=f"{run.folder}/train" if "train" in steps else None,
            error=None if done and (heldout is None or self.is_done(heldout)) else error,
            world_size=training.world_size if training else None,
            # The host's own figure is better, but covers the last session alone.
            train_seconds=round(sum(sessions), 3) if done and len(sessions) > 1 else None,
        )
