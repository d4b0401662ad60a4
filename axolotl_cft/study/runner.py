"""Carries a plan out, one step after another, so that it can be cut short at any moment."""

import os
import re
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import yaml
from filelock import FileLock

from axolotl_cft.errors import CFTError
from axolotl_cft.files import write_atomic
from axolotl_cft.host.output_dir import checkpoints, world_size
from axolotl_cft.records import SOURCES_FILE
from axolotl_cft.study import outcome
from axolotl_cft.study.leases import JOB_VARIABLE, Busy, Lease, lease, refuse_if_busy
from axolotl_cft.study.llm_use import llm_use
from axolotl_cft.study.making import made_for
from axolotl_cft.study.plan import (
    PREPARED,
    Run,
    Step,
    StudyPlan,
    missing_documents,
    stamps,
)
from axolotl_cft.study.preflight import check_amounts, check_targets, row_room
from axolotl_cft.study.prepared import clear_half_prepared, share, workshop
from axolotl_cft.study.processes import Stopped, at_own_port, run_child
from axolotl_cft.study.records import JOURNAL, Records, installed
from axolotl_cft.study.remaining import foretell
from axolotl_cft.study.schedule import schedules

_AGAIN = ("prepare", "evaluate", "heldout")
"""Kinds of steps that are done again where they would have another outcome now."""

SEEN_SECONDS = 60
"""After which every node sees what another one wrote (NFS keeps what it read for so long)."""

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_EXCEPTION = re.compile(r"(\[rank\d+\]: )?[\w.]+(Error|Exception|Interrupt)(: .+)?")


class Progress(Protocol):
    """Where the runner tells what happens; the command line draws it."""

    def begin(self, step: Step, log: Path) -> None:
        """A process starts, its output goes to `log`."""

    def end(self, step: Step, how: str) -> None:
        """A step is over: done, done before, failed or skipped."""

    def say(self, text: str) -> None:
        """Something worth reading."""


@dataclass
class Runner:
    """State of one call of `axolotl-cft study`.

    Attributes:
        plan: the whole study.
        steps: the steps of the arms chosen for this call.
        allow_targets: whether arms may train on different targets.
        progress: where to tell what happens.
        failures: run -> sentence, filled while running.
    """

    plan: StudyPlan
    steps: tuple[Step, ...]
    allow_targets: bool
    progress: Progress
    failures: dict[Run, str] = field(default_factory=dict)
    _no_documents: CFTError | None = None
    _foretold: bool = False

    def __post_init__(self) -> None:
        self.records = Records(self.plan)

    def run(self, gpus: int) -> None:
        """Carry out every step that is not done yet; failures are collected, not raised.

        Args:
            gpus: that a training may use.

        Raises:
            CFTError: arms train on different targets (or on more than a budget), or a finished step
                does not fit the study any more. Nothing is trained then.
            Busy: somebody else works on one of the chains.
            Stopped: by a signal; the running child has ended.
        """
        self.check()
        self._carry_out(step for step in self.steps if step.kind == "prepare")
        self.check_targets()
        self.tell_schedules(gpus)
        self._carry_out(step for step in self.steps if step.kind != "prepare")

    def check(self) -> None:
        """Before anything is started: finished steps fit the study, and nobody is at work on it.

        Raises:
            CFTError: a finished step does not fit any more.
            Busy: somebody else works on one of the chains.
        """
        for step in self.steps:
            check_identity(self.records, step)
            self.records.adopt(step)
        for chain in dict.fromkeys(step.run.chain for step in self.steps):
            refuse_if_busy(self.plan.root / chain)

    def run_one(self, step: Step) -> None:
        """Carry out one step that others of the plan were made ready for.

        Raises:
            CFTError: it fails, or cannot begin.
            Busy: somebody else works on its chain.
            Stopped: by a signal; the running child has ended.
        """
        check_identity(self.records, step)
        if self.records.is_done(step):
            self.progress.end(step, "done before")
            return
        if unmet := self._unmet(step):
            raise CFTError(f"{step.path} cannot begin before {unmet.path} is done; run that first")
        if step.kind == "train":
            self.check_targets()
        self._attempt(step)
        if step.run in self.failures:
            raise CFTError(f"{step.path} failed: {self.failures[step.run]}")

    def _unmet(self, step: Step) -> Step | None:
        """What has to be done first. Of a node that has just ended it, others may hear late."""
        deadline = time.monotonic() + (SEEN_SECONDS if JOB_VARIABLE in os.environ else 0)
        while unmet := self.records.standing().blocker(step):
            if time.monotonic() >= deadline:
                return unmet
            time.sleep(5)
        return None

    def _carry_out(self, steps: Iterable[Step]) -> None:
        for step in steps:
            if self.records.is_done(step):
                self.progress.end(step, "done before")
                self.records.write_study()
            elif unmet := self.records.standing().blocker(step):
                reason = f"not run, because {unmet.name} failed"
                self.failures.setdefault(step.run, reason)
                self.progress.end(step, "skipped")
                self.records.write_study()
            else:
                self._attempt(step)
                self.foretell(step.run)

    def foretell(self, run: Run, at_once: int = 1) -> None:
        """Say what the rest will take, once: when the first arm is finished with a seed.

        Args:
            run: which a step has just been carried out for.
            at_once: how many chains are carried out side by side.
        """
        if run.seed is None or self._foretold:
            return
        seconds = self.records.standing().seconds()
        if sentence := foretell(run.chain, self.steps, seconds, at_once):
            self._foretold = True
            self.progress.say(sentence)

    def _attempt(self, step: Step) -> None:
        """Carry out a step as the only one on its chain, and mark how it ended."""
        try:
            with lease(self.plan.root / step.run.chain, step.name) as held:
                if self.records.is_done(step):  # by another process, since we looked
                    self.progress.end(step, "done before")
                else:
                    self._try(step, held)
        except Busy as exc:  # its mark is the other's
            self.failures[step.run] = str(exc)
            self.progress.end(step, "skipped")
        self.records.write_study()

    def _try(self, step: Step, held: Lease) -> None:
        try:
            self._execute(step, held)
        except (CFTError, OSError, ValueError) as exc:
            self.failures[step.run] = f"{step.kind}: {exc}"
            self.records.mark_ended(step, "failed", str(exc))
            self.progress.end(step, "failed")
            self.progress.say(self._tail(step))
        except Stopped:
            self.records.mark_ended(step, "interrupted")
            raise
        else:
            self.progress.end(step, "done")

    def _execute(self, step: Step, held: Lease) -> None:
        """Run one step to a checked result, then mark it done."""
        folder, records = self.plan.folder(step.run), self.records
        if step.kind == "consolidate" and not outcome.needs_consolidation(folder / "train"):
            records.mark(step, status="done", remark="the host left whole weights")
            return
        if step.kind == "heldout" and not self._export_documents():
            nothing = "no document is held out"
            records.mark(step, status="done", remark=nothing, tasks=dict(step.tasks))
            return
        sessions, kept = records.earlier_sessions(step), records.held(step)
        if step.tasks:
            step = step.evaluating(records.missing(step))
        self._clear(step)
        folder.mkdir(parents=True, exist_ok=True)
        self._write_config(step)
        started = time.time()
        records.mark(step, status="started", started=started, sessions=sessions, **kept)
        log = records.log(step)
        begin = log.stat().st_size if log.exists() else 0
        self.progress.begin(step, log)
        records.note(step, "started")
        chain = self.plan.root / step.run.chain
        command = at_own_port(step.command, os.environ)
        status = run_child(command, log, chain, held.started)
        seconds = round(time.time() - started, 3)
        records.note(step, "ended", exit=status, seconds=seconds)
        output = _read_from(log, begin)
        if status != 0:
            raise CFTError(f"{_exit(status)}: {_reason(output)} (see {os.path.relpath(log)})")
        found = self._check_outcome(step, output)
        sessions = [*sessions, seconds]
        records.mark(step, status="done", started=started, sessions=sessions, **found)

    def _write_config(self, step: Step) -> None:
        """Write the config that the step's command names; an evaluation has none."""
        if step.config is None:
            return
        name, config = "config.yml", step.config
        if step.kind == "prepare":
            made = workshop(self.plan.root, step)
            name, config = "prepare.yml", {**config, "dataset_prepared_path": str(made)}
        write_atomic(self.plan.folder(step.run) / name, _config_text(config, step.added))

    def _export_documents(self) -> int:
        """The number of held-out documents, which are there now; a failure is remembered."""
        if self._no_documents is not None:
            raise self._no_documents
        try:
            with FileLock(self.plan.root / ".heldout.lock"):  # other chains may be as far
                record = self.plan.heldout.export(self.progress.say)
        except CFTError as exc:
            self._no_documents = exc
            raise
        self.records.heldout = record
        return record.documents

    def _check_outcome(self, step: Step, output: str) -> dict[str, Any]:
        """Refuse a result that is not whole; return what is worth remembering of it."""
        folder = self.plan.folder(step.run)
        train = folder / "train"
        if step.kind == "prepare":
            made = workshop(self.plan.root, step)
            targets = outcome.prepared_targets(made, stamps(step.config or {}))
            share(made, self.plan.root / PREPARED)
            return {**targets, "software": installed()}
        if step.kind == "train":
            outcome.check_training(train, output, step.config or {})
            software = installed() | outcome.trained_with(train)
            llm = llm_use(step.config or {}, self._made_for(step.run))
            return {"world_size": world_size(train), "software": software, "llm": llm}
        if step.kind == "merge":
            outcome.check_merged(train)
        elif step.kind == "consolidate":
            outcome.take_consolidated(train)
        else:
            return self._take_evaluation(step)
        return {"software": installed()}

    def _made_for(self, run: Run) -> list[Path]:
        """What was made for a run's data, which are its arm's own in the first stage alone."""
        prepared = (step.run for step in self.plan.steps if step.kind == "prepare")
        own = any((other.arm, other.stage) == (run.arm, run.stage) for other in prepared)
        return made_for(self.plan.root / run.arm) if own else []

    def _take_evaluation(self, step: Step) -> dict[str, Any]:
        """Put new results beside those that still hold; the mark alone tells which do."""
        folder = self.records.output(step)
        partial = self.records.partial(step)
        missing = self.records.missing(step)
        software = outcome.check_evaluation(partial, missing)
        kept = {task: digest for task, digest in step.tasks.items() if task not in missing}
        # What is replaced now is no result any more, even if this process ends at once.
        self.records.keep(step, kept)
        outcome.take_evaluation(partial, folder, add=bool(kept))
        return {"tasks": dict(step.tasks), "software": software}

    def _clear(self, step: Step) -> None:
        """Remove what an interrupted or failed process may have left half-done."""
        folder = self.plan.folder(step.run)
        if step.kind == "prepare":
            shutil.rmtree(workshop(self.plan.root, step), ignore_errors=True)
        elif step.kind == "train":
            if removed := clear_half_prepared(self.plan.root / PREPARED):
                self.progress.say(f"removed half-written prepared data: {', '.join(removed)}")
            outcome.clear_half_checkpoints(folder / "train")
        elif step.kind in ("merge", "consolidate"):
            shutil.rmtree(folder / "train" / "merged", ignore_errors=True)
        else:
            shutil.rmtree(self.records.partial(step), ignore_errors=True)

    def check_targets(self) -> None:
        """Compare all arms that are prepared, whichever were chosen for this call.

        Raises:
            CFTError: two of them would train on different targets, or on more of them than the
                study's budget.
        """
        prepared = [s for s in self.plan.steps if s.kind == "prepare" and self.records.is_done(s)]
        marks = {step.run.arm: self.records.state(step) for step in prepared}
        if self.plan.budgeted:
            tokens = {arm: mark.trained_tokens if mark else None for arm, mark in marks.items()}
            check_amounts(
                tokens, max((row_room(step.config or {}) for step in prepared), default=0)
            )
            return
        digests = {arm: mark.targets_digest if mark else None for arm, mark in marks.items()}
        if remark := check_targets(digests, self.allow_targets):
            self.progress.say(remark)

    def tell_schedules(self, gpus: int) -> None:
        """Say how many steps each prepared arm takes, if any training is left.

        Args:
            gpus: that a training may use.
        """
        if all(self.records.is_done(step) for step in self.steps if step.kind == "train"):
            return
        if table := schedules(self.plan, self.records, gpus):
            self.progress.say(table)

    def _tail(self, step: Step) -> str:
        lines = _lines(_read_from(self.records.log(step), 0))[-12:]
        shown = (f"  | {line[:200]}" for line in lines)
        return "\n".join([f"{step.name}: {self.failures[step.run]}", *shown])


def check_identity(records: Records, step: Step) -> None:
    """Refuse to mix trainings of another config into this study; the rest is done again.

    Raises:
        CFTError: a training was begun with another config or other data.
    """
    state = records.state(step)
    if not state or state.identity == step.identity or step.kind in _AGAIN:
        return
    folder = records.plan.folder(step.run)
    if state.status != "done" and not checkpoints(folder / "train"):
        return
    if step.config is not None and (missing := missing_documents(step.config)):
        raise CFTError(
            f"{missing} is not here, and {PREPARED}/{SOURCES_FILE} does not know it, so nobody "
            f"can tell whether {os.path.relpath(folder)} was trained on it; put one of the two "
            "back"
        )
    raise CFTError(
        f"{os.path.relpath(folder)} holds a {step.kind} step of another config or other data "
        "(or of axolotl-cft 0.1, which told data apart by their times: finish its studies with "
        "it); delete this folder to run it again, or choose another output folder"
    )


def _config_text(config: Mapping[str, Any], added: Iterable[str]) -> str:
    head = f"# Derived by `axolotl-cft study`; {JOURNAL} says what was run with it.\n"
    if lines := ", ".join(added):
        head += f"# Added by it, so that packing leaves no row out: {lines}\n"
    return head + yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)


def _read_from(path: Path, offset: int) -> str:
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read().decode("utf-8", errors="replace")


def _lines(output: str) -> list[str]:
    """Non-empty lines without colors; of a progress bar its last state."""
    plain = (_ANSI.sub("", line).split("\r")[-1].rstrip() for line in output.split("\n"))
    return [line for line in plain if line]


def _reason(output: str) -> str:
    """The last exception that was printed, else the last line."""
    lines = [line.strip() for line in _lines(output)] or ["no output"]
    for index in reversed(range(len(lines))):
        if _EXCEPTION.fullmatch(lines[index]):
            # pydantic says what is wrong in the lines that follow
            more = lines[index + 1 : index + 3] if "validation error" in lines[index] else []
            return ": ".join([lines[index], *more])[:400]
    return lines[-1][-400:]


def _exit(status: int) -> str:
    return f"killed by signal {-status}" if status < 0 else f"exited with status {status}"
