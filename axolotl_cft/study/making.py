"""Data that a study makes for its arms, before anything of it can be planned.

An arm's `make` names commands of ours (`comprehension …`, `generate …`). Each is carried out once;
its mark in the arm's folder says of which command and which inputs, by content.
"""

import hashlib
import json
import os
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axolotl_cft.errors import CFTError
from axolotl_cft.host.digests import digest_files
from axolotl_cft.records import StepMark
from axolotl_cft.study.leases import lease
from axolotl_cft.study.processes import run_child, stop_signals

COMMANDS = ("comprehension", "corpus", "educate", "generate")
"""Those of our commands that make data."""

Show = Callable[[str], AbstractContextManager[Any]]
"""Shows that a piece of work goes on."""


@dataclass(frozen=True)
class Making:
    """A command that makes data for an arm.

    Attributes:
        arm: its name.
        number: of the command among the arm's, from 1.
        words: the command and its arguments, without the program.
    """

    arm: str
    number: int
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """For messages: `exercises make 1`."""
        return f"{self.arm} make {self.number}"

    @property
    def command(self) -> tuple[str, ...]:
        """As a shell would take it."""
        return ("axolotl-cft", *self.words)

    @property
    def output(self) -> Path | None:
        """Where it says that its result goes."""
        for option, value in zip(self.words, (*self.words[1:], ""), strict=True):
            if option == "--output-dir":
                return Path(value)
            if option.startswith("--output-dir="):
                return Path(option.partition("=")[2])
        return None

    @property
    def is_absent(self) -> bool:
        """Whether its result is known not to be there."""
        return self.output is not None and not self.output.exists()

    @property
    def identity(self) -> str:
        """Digest of the words, and of what the files among them hold."""
        # `Path.exists` raises at a word that is too long for a path.
        named = [Path(word) for word in self.words[1:] if os.path.exists(word)]  # noqa: PTH110
        inputs = [path for path in named if path != self.output]
        content = [digest_files(sorted(_files(path))) for path in inputs]
        text = json.dumps([self.words, content])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def makings(arms: Mapping[str, Mapping[str, Any]], chosen: Collection[str]) -> list[Making]:
    """The commands of some arms, in their order.

    Args:
        arms: of a study that was read and checked.
        chosen: names of arms.
    """
    return [
        Making(arm, number, words)
        for arm, block in arms.items()
        if arm in chosen
        for number, words in enumerate(read_make(block.get("make"), f"arms.{arm}"), start=1)
    ]


def read_make(value: Any, where: str) -> list[tuple[str, ...]]:
    """An arm's `make` as words of commands.

    Raises:
        CFTError: it is no list of commands of ours that make data.
    """
    lines = [value] if isinstance(value, str) else value or []
    if not isinstance(lines, Sequence) or not all(isinstance(line, str) for line in lines):
        raise CFTError(f"{where}.make: expected a list of commands, got {value!r}")
    found = []
    for line in lines:
        try:
            words = tuple(shlex.split(line))
        except ValueError as exc:
            raise CFTError(f"{where}.make: {line!r}: {str(exc).lower()}") from exc
        if not words or words[0] not in COMMANDS:
            raise CFTError(
                f"{where}.make: {line!r} does not begin with one of {', '.join(COMMANDS)}; other "
                "data are made before the study"
            )
        found.append(words)
    return found


def make_all(wanted: Sequence[Making], root: Path, show: Show) -> None:
    """Carry out every command that was not yet, or whose inputs or output are not as they were.

    Args:
        wanted: the commands.
        root: the study's folder.
        show: shows which is at work.

    Raises:
        CFTError: a command fails, or somebody else is at it.
        Stopped: by SIGINT or SIGTERM; the running child has ended.
    """
    for making in wanted:
        folder = root / making.arm
        mark = folder / f"make-{making.number}.json"
        if _is_made(making, mark):
            continue
        folder.mkdir(parents=True, exist_ok=True)
        with lease(folder, making.name) as held, stop_signals(), show(making.name):
            log = folder / f"make-{making.number}.log"
            status = run_child(making.command, log, folder, held.started)
        if status != 0:
            last = log.read_text("utf-8", "replace").strip().splitlines()[-1:]
            raise CFTError(
                f"{making.name}: `{shlex.join(making.command)}` ended with status {status}: "
                f"{''.join(last)[-400:]} (see {os.path.relpath(log)})"
            )
        done = StepMark(status="done", identity=making.identity, command=list(making.command))
        done.write(mark)


def _is_made(making: Making, mark: Path) -> bool:
    if not mark.is_file() or making.is_absent:
        return False
    return StepMark.read(mark).identity == making.identity


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    for folder, _, names in os.walk(path):
        yield from (Path(folder) / name for name in names)
