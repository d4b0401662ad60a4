"""JSON as a corpus: an object on each line, or one array of objects in a file.

A document that stays as it is is copied byte for byte.
"""

import contextlib
import gzip
import io
import json
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from axolotl_cft.corpus.parts import BLOCK_ROWS, Block, Field, Kept, Write, no_column, text_of
from axolotl_cft.errors import CFTError
from axolotl_cft.files import open_whole

LINES = (".jsonl", ".jsonl.gz", ".jsonl.zst")

Found = tuple[str, bytes, Any]
"""A document: its name, its own bytes, and what they hold."""


class _JsonFile:
    """What both kinds share; the content of their blocks is each document's own bytes."""

    def __init__(self, path: Path, name: str, field: Field) -> None:
        self.path, self.name, self.field = path, name, field
        self.size: int | None = path.stat().st_size

    def _blocks(self, documents: Iterable[Found], position: Callable[[], int]) -> Iterator[Block]:
        block = _new_block()
        for name, content, row in documents:
            block.names.append(name)
            block.texts.append(self._text(row, name))
            block.content.append(content)
            if len(block.texts) == BLOCK_ROWS:
                block.position = position()
                yield block
                block = _new_block()
        block.position = self.size or 0
        yield block

    def _text(self, row: Any, name: str) -> str:
        if not isinstance(row, dict):
            raise CFTError(f"{name} is not a JSON object: a row maps column names to values")
        if self.field.name not in row:
            raise CFTError(no_column(name, row, self.field))
        return text_of(row[self.field.name], name, self.field)

    def _left(self, content: bytes, texts: Kept) -> Iterator[bytes]:
        """What takes the place of a document's bytes."""
        if texts is None:
            yield content
        for text in texts or ():
            row = json.dumps(json.loads(content) | {self.field.name: text}, ensure_ascii=False)
            # A lone surrogate has no UTF-8 form, but JSON's own escape has.
            yield row.encode("utf-8", "backslashreplace")


def _new_block() -> Block:
    content: list[bytes] = []
    # Parsed again where the columns are asked for: they take many times the memory of the bytes.
    return Block([], [], content, 0, lambda: map(json.loads, content))


def _parse(name: str, parse: Callable[..., Any], *arguments: Any) -> Any:
    """What a parser of JSON makes of a document; says which one is none."""
    try:
        return parse(*arguments)
    except RecursionError as exc:
        raise CFTError(f"{name} is nested too deep to be read") from exc
    except ValueError as exc:
        raise CFTError(f"{name} is not JSON: {exc}") from exc


class JsonLines(_JsonFile):
    """`.jsonl`, as it is or compressed by gzip or Zstandard; a document is a line."""

    def blocks(self) -> Iterator[Block]:
        """The documents, a thousand at a time."""
        try:
            with self.path.open("rb") as raw, contextlib.ExitStack() as stack:
                lines = self._decompressed(raw, stack)
                yield from self._blocks(self._documents(lines), raw.tell)
        except (OSError, EOFError, zlib.error) as exc:
            raise CFTError(f"cannot read {self.path}: {exc}") from exc

    def _decompressed(self, raw: IO[bytes], stack: contextlib.ExitStack) -> Iterable[bytes]:
        if self.name.endswith(".gz"):
            return stack.enter_context(gzip.GzipFile(fileobj=raw))
        if self.name.endswith(".zst"):
            import pyarrow as pa

            stream: Any = stack.enter_context(pa.CompressedInputStream(raw, "zstd"))
            return io.BufferedReader(stream)
        return raw

    def _documents(self, lines: Iterable[bytes]) -> Iterator[Found]:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            name = f"{self.name}:{number}"
            yield name, line, _parse(name, json.loads, line)

    @contextlib.contextmanager
    def write(self, file: Path) -> Iterator[Write]:
        """A function that writes lines to `file`, compressed as the part is."""
        with contextlib.ExitStack() as stack:
            sink = self._compressed(stack.enter_context(open_whole(file)), stack)
            yield lambda block, kept: sink.writelines(
                line if line.endswith(b"\n") else line + b"\n"
                for pair in zip(block.content, kept, strict=True)
                for line in self._left(*pair)
            )

    def _compressed(self, sink: IO[bytes], stack: contextlib.ExitStack) -> Any:
        if self.name.endswith(".gz"):
            # No file name and no time in the header: same input, same bytes.
            return stack.enter_context(gzip.GzipFile("", "wb", fileobj=sink, mtime=0))
        if self.name.endswith(".zst"):
            import pyarrow as pa

            # A stream is one frame, and some readers stop after the first (fsspec's, say). It
            # closes the file beneath, hence a handle of its own.
            beneath = os.fdopen(os.dup(sink.fileno()), "wb")
            return stack.enter_context(pa.CompressedOutputStream(beneath, "zstd"))
        return sink


_SPACE = re.compile(r"[ \t\n\r]*")


class JsonArray(_JsonFile):
    """`.json`: one array of objects, each a document; the file is read as a whole."""

    def blocks(self) -> Iterator[Block]:
        """The documents, a thousand at a time."""
        try:
            text = self.path.read_bytes().decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as exc:
            raise CFTError(f"cannot read {self.path}: {exc}") from exc
        size, done = self.size or 0, 0

        def documents() -> Iterator[Found]:
            nonlocal done
            for number, (begin, end, row) in enumerate(self._members(text), 1):
                done = end
                yield f"{self.name}:{number}", text[begin:end].encode(), row

        yield from self._blocks(documents(), lambda: size * done // len(text))

    def _members(self, text: str) -> Iterator[tuple[int, int, Any]]:
        """Where each member of the array begins and ends in the text, and what it holds."""
        decode, place = json.JSONDecoder().raw_decode, _after_space(text, 0)
        if text[place : place + 1] != "[":
            raise CFTError(
                f"{self.path} holds no array of objects ([{{…}}, {{…}}]): name a file with an "
                "object on each line .jsonl, and keep what is no data out of a corpus's folder"
            )
        place, number = _after_space(text, place + 1), 0
        while text[place : place + 1] != "]" or number:
            number += 1
            row, end = _parse(f"{self.name}:{number}", decode, text, place)
            yield place, end, row
            place = _after_space(text, end)
            if text[place : place + 1] == "]":
                break
            if text[place : place + 1] != ",":
                raise CFTError(
                    f"{self.name}:{number} is followed by neither a comma nor the end of the array "
                    "(cut short?)"
                )
            place = _after_space(text, place + 1)
        if _after_space(text, place + 1) != len(text):
            raise CFTError(f"{self.path} is not JSON: it goes on after the end of the array")

    @contextlib.contextmanager
    def write(self, file: Path) -> Iterator[Write]:
        """A function that writes an array to `file`, with an object on each line."""
        before = b"[\n"
        with open_whole(file) as sink:

            def write(block: Block, kept: Iterable[Kept]) -> None:
                nonlocal before
                for content, texts in zip(block.content, kept, strict=True):
                    for row in self._left(content, texts):
                        sink.write(before + row)
                        before = b",\n"

            yield write
            sink.write(b"[]\n" if before == b"[\n" else b"\n]\n")


def _after_space(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    return match.end() if match else place
