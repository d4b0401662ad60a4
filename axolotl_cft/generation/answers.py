"""The answers so far, in an SQLite file that survives being killed.

An answer is stored under a digest of what decides it: the model, the further fields of the request,
and the message, in which the instruction, the strategy and the text stand as they are shown. It
belongs to no corpus: a row more, another order of the rows or a seed that decides nothing leave all
answers where they are found.
"""

import contextlib
import hashlib
import itertools
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from axolotl_cft.errors import CFTError
from axolotl_cft.generation.hiding import hide_secrets
from axolotl_cft.host.tokens import well_formed

_APPLICATION = 0x43465441  # "CFTA", which `file` and we know such a file by
_SCHEMA = 1
_AT_ONCE = 500
"""Keys in one query; SQLite's own bound is 999 in old versions."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one question.

    Attributes:
        key: what it is stored under.
        text: the answer, unwrapped; the last one of several.
        reject: why it cannot be used; None if it can.
        final: whether a rejected one was given up: it is asked for again only on demand.
        judged_by: what the judgement rests on besides the answer and the text: tokenizer and
            budget, as `Tokens.measure` has them.
        attempts: answers that were asked for.
        tokens_in: as billed, for all attempts.
        tokens_out: the same for the answers.
        retries: requests sent again since the answer before this one was stored, whatever for.
        answered_by: "model at address".
    """

    key: str
    text: str
    reject: str | None = None
    final: bool = True
    judged_by: str = ""
    attempts: int = 1
    tokens_in: int = 0
    tokens_out: int = 0
    retries: int = 0
    answered_by: str = ""

    @property
    def usable(self) -> bool:
        """Whether it passed the checks."""
        return self.reject is None


_COLUMNS = [field.name for field in fields(Answer)]
_CREATE = f"""
CREATE TABLE answers (
  key TEXT PRIMARY KEY, text TEXT NOT NULL, reject TEXT, final INTEGER NOT NULL,
  judged_by TEXT NOT NULL, attempts INTEGER NOT NULL, tokens_in INTEGER NOT NULL,
  tokens_out INTEGER NOT NULL, retries INTEGER NOT NULL, answered_by TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE batch_lines (digest TEXT PRIMARY KEY) WITHOUT ROWID;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_SCHEMA};
"""


class Keys:
    """Makes the keys of questions to one model."""

    def __init__(self, model: str | None, request: Mapping[str, Any]) -> None:
        """`request`: the further fields; keys and passwords among them decide nothing."""
        asked = json.dumps([1, model, hide_secrets(request)], sort_keys=True)
        self._begun = hashlib.blake2b(asked.encode(), digest_size=16)

    def of(self, message: str) -> str:
        """32 hex digits for a user message."""
        digest = self._begun.copy()
        digest.update(well_formed(message).encode())
        return digest.hexdigest()


class Answers:
    """A file of answers, durable on return from `store`; one process writes to it at a time.

    SQLite's rollback journal, not its write-ahead log, which no network file system carries.
    """

    def __init__(self, path: Path) -> None:
        """Open or begin a file, and lock it against a second process.

        Raises:
            CFTError: it is in use, is no such file, is of a newer version, or cannot be written.
        """
        self.path = path
        real = path.resolve()  # two names of one file have one lock
        self._lock = FileLock(real.with_name(f".{real.name}.lock"))
        try:
            real.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout as exc:  # an OSError itself
            raise CFTError(f"{path} is in use by another run; wait for it to end") from exc
        except OSError as exc:
            raise CFTError(f"cannot write {path}: {exc.strerror}") from exc
        try:
            with self._named():
                # A minute for somebody who only looks on. Commits are made in other threads, one
                # at a time.
                self._db = sqlite3.connect(path, timeout=60, check_same_thread=False)
                self._db.execute("PRAGMA synchronous = EXTRA")
                self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        tables = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        known = self._db.execute("PRAGMA application_id").fetchone()[0] == _APPLICATION
        if tables and not known:
            raise CFTError(f"{self.path} is a database of another program; name another file")
        if version > _SCHEMA:
            raise CFTError(
                f"{self.path} was written by a newer axolotl-cft: update this one, or name another "
                "file"
            )
        if not tables:
            self._db.executescript(f"BEGIN;{_CREATE}COMMIT;")

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """SQLite's errors in a sentence that names the file."""
        try:
            yield
        except sqlite3.Error as exc:
            raise CFTError(f"cannot use {self.path}: {exc}") from exc

    def __len__(self) -> int:
        with self._named():
            return int(self._db.execute("SELECT count(*) FROM answers").fetchone()[0])

    def read(self, keys: Iterable[str]) -> dict[str, Answer]:
        """The answers that are there, by key, in the order of the keys.

        Raises:
            CFTError: the file cannot be read.
        """
        keys = list(dict.fromkeys(keys))
        rows = self._select(f"SELECT {', '.join(_COLUMNS)} FROM answers WHERE key", keys)
        found = {
            key: Answer(key, text, why, bool(final), *more) for key, text, why, final, *more in rows
        }
        return {key: found[key] for key in keys if key in found}

    def store(self, answers: Sequence[Answer], batch_lines: Iterable[str] = ()) -> None:
        """Store answers, each in place of one with its key; on return they are on the disk.

        All of them are stored, or none is.

        Args:
            answers: with different keys.
            batch_lines: digests of the lines that they were taken from, if they were.

        Raises:
            CFTError: the disk is full, or the file cannot be written for another reason.
        """
        marks = ",".join("?" * len(_COLUMNS))
        with self._named(), self._db:
            self._db.executemany(
                f"INSERT OR REPLACE INTO answers ({', '.join(_COLUMNS)}) VALUES ({marks})",
                map(astuple, answers),
            )
            self._db.executemany(
                "INSERT OR IGNORE INTO batch_lines VALUES (?)", ((line,) for line in batch_lines)
            )

    def unknown_lines(self, digests: Iterable[str]) -> set[str]:
        """Those of some digests whose lines were not taken yet.

        Raises:
            CFTError: the file cannot be read.
        """
        asked = set(digests)
        rows = self._select("SELECT digest FROM batch_lines WHERE digest", asked)
        return asked - {digest for (digest,) in rows}

    def _select(self, query: str, values: Iterable[str]) -> Iterator[tuple[Any, ...]]:
        """The rows of a query that ends in the column which has one of the values."""
        left = iter(values)
        while some := list(itertools.islice(left, _AT_ONCE)):
            marks = ",".join("?" * len(some))
            with self._named():
                rows = self._db.execute(f"{query} IN ({marks})", some).fetchall()
            yield from rows

    def close(self) -> None:
        """Close the file and give the lock back."""
        if hasattr(self, "_db"):
            self._db.close()
        self._lock.release()
