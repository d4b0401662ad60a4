"""Hashes of whole files, and a memory of them, so that a large corpus is not read at every start.

The memory lies in Hugging Face's assets cache (`HF_HOME`), a small file for each folder of data. It
knows a file by path, size, time of change and inode. Of the processes of a machine one hashes
behind a lock, and the others wait for what it finds.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from axolotl_cft.errors import CFTError
from axolotl_cft.files import digest_file, write_atomic

LOG = logging.getLogger(__name__)

_SAID_FROM = 1 << 30
"""Bytes from which hashing is worth a line."""

_SAID_EVERY = 30.0
"""Seconds between two lines about its progress."""

_SETTLED = 2_000_000_000
"""Nanoseconds without a change after which a hash is remembered. Some disks count time in seconds,
so that a file may change twice within one tick, which nobody could see later."""

_State = tuple[int, int, int]
"""Size, time of the last change in nanoseconds, inode."""


def digest_files(paths: Sequence[Path]) -> list[tuple[int, str]]:
    """(bytes, SHA-256 as 64 hex digits) of each file, remembered or computed now.

    Args:
        paths: of one dataset.

    Raises:
        CFTError: a file cannot be read; names it.
    """
    states = {path.absolute(): _state(path) for path in paths}
    memory = _memory_of(paths[0].absolute().parent) if paths else None
    known = _remembered(memory, states)
    if len(known) < len(states) and memory is None:
        known |= _hash(states, known)
    elif len(known) < len(states):
        assert memory is not None
        with FileLock(str(memory.with_suffix(".lock"))):
            known = _remembered(memory, states)  # another process may have done it by now
            began = time.time_ns()
            known |= _hash(states, known)
            _remember(memory, states, known, began)
    return [(states[path.absolute()][0], known[path.absolute()]) for path in paths]


def _state(path: Path) -> _State:
    try:
        found = path.stat()
    except OSError as exc:
        raise CFTError(f"cannot read {path}: {exc.strerror or exc}") from exc
    return found.st_size, found.st_mtime_ns, found.st_ino


def _hash(states: Mapping[Path, _State], known: Mapping[Path, str]) -> dict[Path, str]:
    """The hashes of those files that are not known; says how far it is with many bytes."""
    todo = {path: state[0] for path, state in states.items() if path not in known}
    total, done, said = sum(todo.values()), 0, time.monotonic()

    def count(size: int) -> None:
        nonlocal done, said
        done += size
        if time.monotonic() - said > _SAID_EVERY:
            said = time.monotonic()
            LOG.info(f"cft: {done / total:.0%} of {total / 1e9:,.1f} GB hashed")

    if total >= _SAID_FROM:
        LOG.info(
            f"cft: hashing {len(todo):,} files ({total / 1e9:,.1f} GB) once, beginning with "
            f"{next(iter(todo))}; they are remembered by size and time"
        )
    try:
        return {path: digest_file(path, count) for path in todo}
    except OSError as exc:
        raise CFTError(f"cannot read {exc.filename}: {exc.strerror or exc}") from exc


def _memory_of(folder: Path) -> Path | None:
    """The file that remembers the hashes of a folder's files; None where there is no place."""
    from huggingface_hub import cached_assets_path

    name = hashlib.blake2b(os.fsencode(folder), digest_size=12).hexdigest()
    try:
        place = cached_assets_path("axolotl-cft", namespace="digests")
    except (OSError, ValueError):  # a home that cannot be written: hash at every start
        return None
    return place / f"{name}.json" if os.access(place, os.W_OK) else None


def _remembered(memory: Path | None, states: Mapping[Path, _State]) -> dict[Path, str]:
    """The hashes of those files that are as they were when they were hashed."""
    entries = _entries(memory) if memory else {}
    found = {path: entries.get(str(path), [None]) for path in states}
    return {path: entry[-1] for path, entry in found.items() if tuple(entry[:-1]) == states[path]}


def _entries(memory: Path) -> dict[str, list[Any]]:
    """By path: size, time, inode and hash. None if there is no memory yet, or a damaged one."""
    try:
        content = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _remember(
    memory: Path, states: Mapping[Path, _State], known: Mapping[Path, str], began: int
) -> None:
    """Keep what was not changed shortly before, or while, it was hashed."""
    others = {path: entry for path, entry in _entries(memory).items() if Path(path).is_file()}
    settled = {
        str(path): [*state, known[path]]
        for path, state in states.items()
        if began - state[1] > _SETTLED and _state(path) == state
    }
    write_atomic(memory, json.dumps(others | settled))
