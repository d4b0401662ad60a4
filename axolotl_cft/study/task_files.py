"""The files that define an evaluation task, so that an edited task is evaluated again.

Looked for in lm_eval's `--include_path` and among our own tasks. The harness's tasks have no files
here: their version is the harness's.
"""

import functools
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from axolotl_cft.errors import CFTError
from axolotl_cft.files import digest_file, read_text
from axolotl_cft.files.bounded_yaml import BoundedLoader, parse_yaml


@dataclass(frozen=True)
class TaskFiles:
    """Folders with task files; a name that two of them have is the first one's."""

    folders: tuple[Path, ...]

    def digest(self, word: str) -> str:
        """Digest of all that defines what a word of `--tasks` stands for.

        That is the YAMLs of tasks, of groups and of their members, with what they include, the
        Python files beside the functions that they name, and local files in their
        `dataset_kwargs`. Where they lie does not count.

        Args:
            word: a name, a pattern, a tag or a path.

        Returns:
            64 hex digits, or "" where no file defines it.

        Raises:
            CFTError: a file cannot be read, or is not valid YAML.
        """
        words, files = [word], set[Path]()
        for each in words:  # which grows while it is gone through
            for path, config in self._defining(each):
                files |= _closure(path, config)
                words += [name for name in _members(config.get("task")) if name not in words]
        digests = "".join(sorted(_digest(path) for path in files))
        return hashlib.sha256(digests.encode()).hexdigest() if files else ""

    def _defining(self, word: str) -> list[tuple[Path, dict[str, Any]]]:
        """The YAMLs that a word names, and their content."""
        if is_path(word):
            return [(Path(word), _read(Path(word)))]
        return [
            (path, config)
            for name, (path, config) in self._index.items()
            if any(fnmatchcase(called, word) for called in (name, *_tags(config)))
        ]

    @functools.cached_property
    def _index(self) -> dict[str, tuple[Path, dict[str, Any]]]:
        """The YAML of every name."""
        found = {}
        for folder in reversed(self.folders):
            for path in sorted(folder.rglob("*.yaml")):
                config = _read(path)
                found[_name(config)] = path, config
        return found


def is_path(word: str) -> bool:
    """Whether a word of `--tasks` is a file (lm_eval/config/evaluate_config.py)."""
    return word.endswith(".yaml") and Path(word).is_file()


def called(word: str) -> str:
    """What the results call a word of `--tasks`: of a path, the task in that file.

    Raises:
        CFTError: the file cannot be read, or is not valid YAML.
    """
    return (_name(_read(Path(word))) or word) if is_path(word) else word


class _Function(str):
    """`!function module.name`, which is not imported here."""


class _Loader(BoundedLoader):
    """YAML as the harness reads it, which takes the later of two equal keys."""

    keys_once = False


_Loader.add_constructor("!function", lambda _, node: _Function(node.value))


def _read(path: Path) -> dict[str, Any]:
    content = parse_yaml(read_text(path), str(path), _Loader)
    return content if isinstance(content, dict) else {}


def _name(config: Mapping[str, Any]) -> str:
    """The group's name, or the task's."""
    task = config.get("task")
    return str(config.get("group") or (task if isinstance(task, str) else ""))


def _tags(config: Mapping[str, Any]) -> list[str]:
    tags = config.get("tag") or []
    return [tags] if isinstance(tags, str) else list(tags)


def _members(given: Any) -> Iterator[str]:
    """The names in a group's `task`, whose items may be mappings and groups themselves."""
    for item in given if isinstance(given, list) else []:
        inner = item.get("task") if isinstance(item, dict) else item
        if isinstance(inner, str):
            yield inner
        yield from _members(inner)


def _closure(path: Path, config: Mapping[str, Any]) -> set[Path]:
    """A YAML, what it includes, and the files that both name."""
    found = {path}
    for text in _texts(config):
        if isinstance(text, _Function):  # lm_eval/utils.py::import_function
            module = path.parent / f"{text.rpartition('.')[0]}.py"
            found |= set(module.parent.glob("*.py")) if module.is_file() else set()
    found |= {Path(text) for text in _texts(config.get("dataset_kwargs")) if _is_file(text)}
    for include in _texts(config.get("include")):
        below = path.parent / include
        if below.is_file():
            found |= _closure(below, _read(below))
    return found


def _texts(value: Any) -> Iterator[str]:
    """All texts in what a YAML holds, keys aside."""
    if isinstance(value, str):
        yield value
    inner = value.values() if isinstance(value, dict) else value
    for each in inner if isinstance(value, dict | list) else ():
        yield from _texts(each)


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long for a name, or with a zero byte
        return False


def _digest(path: Path) -> str:
    try:
        return digest_file(path)
    except OSError as exc:
        raise CFTError(f"cannot read {path}: {exc.strerror or exc}") from exc
