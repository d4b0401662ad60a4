"""Files that are either whole or absent: atomic writes and content digests; JSON and YAML."""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from axolotl_cft.errors import CFTError


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write `content` to `path` so that a reader sees the old file or the new one, never half.

    The parent folder is made where missing. A text is stored as UTF-8 with `\\n` line ends.

    Raises:
        CFTError: the folder cannot be made or written; names the path.
    """
    with open_whole(path) as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)


def json_line(content: Any) -> bytes:
    """A value as a line of JSON, its letters as they are.

    Raises:
        TypeError: it has no JSON form.
    """
    # A lone surrogate has no UTF-8 form, but JSON's own escape has.
    return json.dumps(content, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


@contextlib.contextmanager
def open_whole(path: Path, synced: bool = True) -> Iterator[IO[bytes]]:
    """A binary file to write that takes the name `path` only when the block ends well.

    Until then, and for good if the block raises, `path` is what it was before. `synced` is for
    single files; it would take minutes over a folder of a hundred thousand.

    Raises:
        CFTError: the folder cannot be made or written, or an `OSError` in the block; names the
            path.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    except OSError as exc:
        raise CFTError(f"cannot write {path}: {exc.strerror or exc}") from exc
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            if synced:
                os.fsync(file.fileno())
        # mkstemp makes 0600 files; a result is as readable as any other file the user makes.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
        if synced:
            sync_folder(path.parent)
    except OSError as exc:
        raise CFTError(f"cannot write {path}: {exc.strerror or exc}") from exc
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, as `fsync` makes a file's content."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def digest_file(path: Path, count: Callable[[int], None] | None = None) -> str:
    """SHA-256 of a file's bytes, as 64 hex digits; `count` is told of every piece how long it is.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            if count is not None:
                count(len(block))
    return digest.hexdigest()


def read_json(path: Path, advice: str) -> dict[str, Any]:
    """The JSON object in `path`.

    Raises:
        CFTError: unreadable, cut short or not an object; ends with `advice`, what to do about it.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise CFTError(f"cannot read {path}: {exc.strerror or exc}; {advice}") from exc
    except ValueError as exc:
        raise CFTError(f"{path} is not valid JSON (cut short?): {exc}; {advice}") from exc
    if not isinstance(content, dict):
        raise CFTError(f"{path} holds no JSON object; {advice}")
    return content


def read_text(path: Path, keep_line_ends: bool = False) -> str:
    """A file's text, its lines ending in `\\n` unless they are to be kept as they end.

    Raises:
        CFTError: it cannot be read, or is not UTF-8.
    """
    try:
        with path.open(encoding="utf-8", newline="" if keep_line_ends else None) as file:
            return file.read()
    except OSError as exc:
        raise CFTError(f"cannot read {path}: {exc.strerror or exc}") from exc
    except UnicodeDecodeError as exc:
        raise CFTError(f"{path} is not UTF-8 text: {exc}") from exc


def read_yaml(path: Path, as_text: bool = False) -> dict[str, Any]:
    """The mapping in a YAML file, such as an Axolotl config.

    Args:
        path: the file.
        as_text: whether every value stays the text that stands there, so that `24:00:00` is no
            number.

    Raises:
        CFTError: unreadable, not YAML, refused for its form (`bounded_yaml`), or something else
            than a mapping.
    """
    from axolotl_cft.files.bounded_yaml import BoundedLoader, BoundedTextLoader, parse_yaml

    loader = BoundedTextLoader if as_text else BoundedLoader
    content = parse_yaml(read_text(path), str(path), loader)
    if not isinstance(content, dict):
        raise CFTError(f"{path}: expected a mapping of options")
    return content
