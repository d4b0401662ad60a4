"""The answers so far, in an append-only JSON-lines file that survives being killed.

Line 1 is the run's identity; every further line is one settled answer:

    {"journal": 1, "identity": {"model": "…", "input": "…", …}}
    {"key": "prompt:9f…", "answer": "Focus on …", "attempts": 1, "tokens_in": 812, …}
    {"key": "prompt:02…", "reject": "it is a refusal", "answer": "I'm sorry …", "attempts": 3, …}

A line counts once it is complete: what a kill left of the last line is cut off on opening. If
several lines have one key, the last one counts.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from axolotl_cft.errors import CFTError
from axolotl_cft.files import sync_folder
from axolotl_cft.generation.hiding import hide_secrets
from axolotl_cft.records import JournalHeader

Entry = dict[str, Any]


class Journal:
    """Settled answers of one run, durable on return from `append`.

    Attributes:
        path: the file.
        entries: key -> the entry that counts.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Open or begin a journal and lock it against a second process.

        Raises:
            CFTError: it belongs to a run with another input or other options (each named), is in
                use, damaged, or cannot be written.
        """
        self.path = path
        self.entries: dict[str, Entry] = {}
        self._lock = FileLock(path.with_name(f".{path.name}.lock"))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        except Timeout as exc:  # an OSError itself
            raise CFTError(f"{path.parent} is in use by another run; wait for it to end") from exc
        except OSError as exc:
            self._lock.release()
            raise CFTError(f"cannot write {path}: {exc.strerror}") from exc
        try:
            self._open(identity)
        except BaseException:
            self.close()
            raise

    def _open(self, identity: Mapping[str, Any]) -> None:
        content = self.path.read_bytes()
        complete = content.rfind(b"\n") + 1
        if complete < len(content):
            os.ftruncate(self._file, complete)
        lines = content[:complete].splitlines()
        if not lines:
            self._write([JournalHeader(identity=dict(identity)).content()])
            sync_folder(self.path.parent)
            return
        header, *entries = [self._parse(number, line) for number, line in enumerate(lines, start=1)]
        began = dict(JournalHeader.parse(header, f"{self.path}, line 1,").identity)
        if "request" in began:  # earlier versions wrote keys among its fields
            began["request"] = hide_secrets(began["request"])
        self.entries = {entry["key"]: entry for entry in entries}
        self._refuse_others(began, identity)

    def _parse(self, number: int, line: bytes) -> Entry:
        """The JSON object of a line; all but the first have a key."""
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict) or not (number == 1 or isinstance(entry.get("key"), str)):
            raise CFTError(
                f"{self.path} is damaged in line {number} and cannot be continued: use another "
                "output folder"
            )
        return entry

    def _refuse_others(self, began: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
        # Through JSON, so that a tuple equals the list it was written as.
        now = json.loads(json.dumps(dict(identity)))
        changed = [
            f"{name} (then {_short(began.get(name))}, now {_short(now.get(name))})"
            for name in {**began, **now}
            if began.get(name) != now.get(name)
        ]
        if changed:
            raise CFTError(
                f"{self.path.parent} holds {len(self.entries)} answers of a run that differs in "
                f"{'; '.join(changed)}: restore that to continue it, or use another output folder"
            )

    def append(self, entries: Sequence[Entry]) -> None:
        """Store entries with one write; on return they are on the disk.

        Raises:
            CFTError: the disk is full, or the file cannot be written for another reason.
        """
        self._write(entries)
        self.entries.update((entry["key"], entry) for entry in entries)

    def _write(self, lines: Sequence[Mapping[str, Any]]) -> None:
        data = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        rest = memoryview(data.encode("utf-8", "backslashreplace"))
        end = os.fstat(self._file).st_size
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)
        except OSError as exc:
            # Another worker may write before all have stopped: no line may begin after half of
            # another.
            os.ftruncate(self._file, end)
            raise CFTError(f"cannot write {self.path}: {exc.strerror}") from exc

    def close(self) -> None:
        """Close the file and give the lock back."""
        os.close(self._file)
        self._lock.release()


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"
