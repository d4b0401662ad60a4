"""Which tasks of a results file a word of `--tasks` stands for."""

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any


def requested(content: Mapping[str, Any], words: Iterable[str]) -> set[str]:
    """Names of the tasks and groups in a results file that were asked for by `words`.

    A word is the name of a task, a group or a tag, or a pattern that such names match
    (lm_eval/utils.py::pattern_match). The file has groups with their members, and each task's tags
    in its config.

    Args:
        content: of a results file.
        words: of `--tasks`, a path replaced by the name of the task in that file.
    """
    wanted = [*words]
    members = content.get("group_subtasks", {})
    configs = content.get("configs", {})
    found: set[str] = set()
    for name in {*configs, *members}:
        tags = (configs.get(name) or {}).get("tag") or []
        called = [name, *([tags] if isinstance(tags, str) else tags)]
        if any(fnmatchcase(each, word) for each in called for word in wanted):
            found |= {name, *_below(name, members)}
    return found


def leaves(group: str, members: Mapping[str, list[str]]) -> Iterator[str]:
    """The tasks of a group, through the groups in it."""
    for member in members.get(group, []):
        if members.get(member):
            yield from leaves(member, members)
        else:
            yield member


def _below(group: str, members: Mapping[str, list[str]]) -> Iterator[str]:
    """Everything in a group, the groups in it as well."""
    for member in members.get(group, []):
        yield member
        yield from _below(member, members)
