"""What a study makes for its arms before anything of it can be planned: data, and a first model.

`make`, the study's own and each arm's, names commands of ours (`comprehension …`, `generate …`);
the study's may also train a model that all arms start from (`train CONFIG.yml`). Each is carried
out once; its mark says of which command and which inputs, by content. A model's mark lies with the
model, so that other studies may start from it too.
"""

import hashlib
import json
import os
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from axolotl_cft.errors import CFTError
from axolotl_cft.files import read_yaml
from axolotl_cft.files.recipes import texts_in
from axolotl_cft.host.digests import digest_files
from axolotl_cft.records import StepMark
from axolotl_cft.study.launch import launch_command
from axolotl_cft.study.leases import lease
from axolotl_cft.study.processes import run_child, stop_signals

COMMANDS = ("comprehension", "corpus", "educate", "facts", "generate")
"""Those of our commands that make data."""

TRAIN = "train"
"""The word before the config of a model that is trained for all arms."""

MADE = "made"
"""Folder of the marks and logs of what is made for all arms, in the study's."""

_WITH_MODEL = "cft_made"
"""Folder of the mark and the log of a training, in the model's."""

_NO_INPUTS = (
    *("output_dir", "dataset_prepared_path", "logging_dir", "run_name", "hub_"),
    *("wandb_", "mlflow_", "comet_", "trackio_", "swanlab_"),
)
"""How keys of a config begin that name nothing it reads: a logger's project is often called like
the study, whose folder is another at every start."""

Show = Callable[[str], AbstractContextManager[Any]]
"""Shows that a piece of work goes on."""


@dataclass(frozen=True)
class Making:
    """A command that makes data for an arm, or for all.

    Attributes:
        arm: its name; `MADE` where it is the study's.
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

    def mark(self, root: Path) -> Path:
        """Where it is written down what was made; `root` is the study's folder."""
        return root / self.arm / f"make-{self.number}.json"

    def refuse_other(self, mark: Path) -> None:
        """Whatever is there is made anew: the command sees to what it finds."""

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
        inputs = [path for path in named if path != self.output and not _is_study(path)]
        content = [digest_files(sorted(_files(path))) for path in inputs]
        text = json.dumps([self.words, content])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Training(Making):
    """A model that is trained for all arms.

    Attributes:
        launch: the command line that trains a config (`study.launch`).
    """

    launch: str

    @property
    def config(self) -> Path:
        """The Axolotl config."""
        return Path(self.words[1])

    @property
    def command(self) -> tuple[str, ...]:
        """As a shell would take it."""
        return launch_command(self.launch, self.config)

    @property
    def output(self) -> Path:
        """The folder of the model.

        Raises:
            CFTError: the config cannot be read, or names none.
        """
        output = read_yaml(self.config).get("output_dir")
        if not output:
            raise CFTError(f"{self.config}: output_dir is missing; say where the model goes")
        return Path(str(output))

    @property
    def identity(self) -> str:
        """Digest of the config, and of the files that it names."""
        config = read_yaml(self.config)
        read = {key: value for key, value in config.items() if not key.startswith(_NO_INPUTS)}
        # `Path.exists` raises at a string that is too long for a path.
        inputs = [Path(text) for text in texts_in(read) if text and os.path.exists(text)]  # noqa: PTH110
        content = [digest_files(sorted(_files(path))) for path in inputs]
        return hashlib.sha256(json.dumps([config, content]).encode()).hexdigest()[:16]

    def mark(self, root: Path) -> Path:
        """Beside the model's files, whichever study it was trained for."""
        return self.output / _WITH_MODEL / "make.json"

    def refuse_other(self, mark: Path) -> None:
        """Refuse to train over a model, or go on from checkpoints, of another config.

        Raises:
            CFTError: names the folder to remove.
        """
        known = StepMark.read(mark) if mark.is_file() else None
        if self.output.exists() and (known is None or known.identity != self.identity):
            origin = "from another config or other data" if known else "by somebody else"
            raise CFTError(
                f"{self.name}: {self.output} was made {origin}; remove it, or name another "
                f"output_dir in {self.config}"
            )


def shared_makings(lines: Sequence[str], launch: str, folder: Path) -> list[Making]:
    """What is made for all arms, in its order.

    Args:
        lines: the study's `make`, checked.
        launch: the study's `launch.train`.
        folder: the study file's, to which the paths of configs are relative.
    """
    found: list[Making] = []
    for number, words in enumerate(read_make(lines, "make", (*COMMANDS, TRAIN)), start=1):
        if words[0] == TRAIN:
            path = str(folder / words[1])
            found.append(Training(MADE, number, (TRAIN, path), launch))
        else:
            found.append(Making(MADE, number, words))
    return found


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
        for number, words in enumerate(read_make(block.get("make"), f"arms.{arm}.make"), start=1)
    ]


def read_make(value: Any, where: str, known: Sequence[str] = COMMANDS) -> list[tuple[str, ...]]:
    """A `make` as words of commands.

    Args:
        value: what the study says.
        where: the name of the field, for messages.
        known: what a command may begin with.

    Raises:
        CFTError: it is no list of such commands.
    """
    lines = [value] if isinstance(value, str) else value or []
    if not isinstance(lines, Sequence) or not all(isinstance(line, str) for line in lines):
        raise CFTError(f"{where}: expected a list of commands, got {value!r}")
    found = []
    for line in lines:
        try:
            words = tuple(shlex.split(line))
        except ValueError as exc:
            raise CFTError(f"{where}: {line!r}: {str(exc).lower()}") from exc
        if not words or words[0] not in known:
            raise CFTError(
                f"{where}: {line!r} does not begin with one of {', '.join(known)}; other "
                "data are made before the study"
            )
        if words[0] == TRAIN and len(words) != 2:
            raise CFTError(f"{where}: {line!r}: expected `train` and the path of one config")
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
        mark = making.mark(root)
        if _is_made(making, mark):
            continue
        making.refuse_other(mark)
        mark.parent.mkdir(parents=True, exist_ok=True)
        with lease(mark.parent, making.name) as held, stop_signals(), show(making.name):
            _mark(making, "started").write(mark)
            log = mark.with_suffix(".log")
            status = run_child(making.command, log, mark.parent, held.started)
        if status != 0:
            last = log.read_text("utf-8", "replace").strip().splitlines()[-1:]
            raise CFTError(
                f"{making.name}: `{shlex.join(making.command)}` ended with status {status}: "
                f"{''.join(last)[-400:]} (see {os.path.relpath(log)})"
            )
        _mark(making, "done").write(mark)


def _is_study(path: Path) -> bool:
    """Whether a word happens to be the name of a study's folder, which changes as it goes on."""
    return (path / "study.json").is_file() or (path / MADE).is_dir()


def _mark(making: Making, status: Literal["started", "done"]) -> StepMark:
    return StepMark(status=status, identity=making.identity, command=list(making.command))


def made_for(folder: Path) -> list[Path]:
    """What the commands of an arm made, by the marks in its folder.

    Raises:
        CFTError: a mark is damaged.
    """
    commands = (StepMark.read(mark).command for mark in sorted(folder.glob("make-*.json")))
    outputs = (Making(folder.name, 0, tuple(command[1:])).output for command in commands)
    return [output for output in outputs if output]


def _is_made(making: Making, mark: Path) -> bool:
    if not mark.is_file() or making.is_absent:
        return False
    known = StepMark.read(mark)
    return known.status == "done" and known.identity == making.identity


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    for folder, _, names in os.walk(path):
        yield from (Path(folder) / name for name in names)
