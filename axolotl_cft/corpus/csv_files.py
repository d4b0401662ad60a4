"""CSV as a corpus: a header, then a document in each row; every value is the text that it is.

A row that stays as it is is copied byte for byte.
"""

import contextlib
import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from axolotl_cft.corpus.parts import BLOCK_ROWS, Block, Field, Kept, Row, Write, no_column, text_of
from axolotl_cft.errors import CFTError
from axolotl_cft.files import open_whole

_LONGEST_FIELD = 2**31 - 1
"""Characters; `csv` would refuse a document of more than 131,072."""

_BOM = "\ufeff"


class _Record(NamedTuple):
    """A row of the file: the line it begins on, its own characters, and its fields."""

    line: int
    written: str
    fields: list[str]


class CsvFile:
    """A `.csv` file in UTF-8, with or without a byte order mark."""

    def __init__(self, path: Path, name: str, field: Field) -> None:
        self.path, self.name, self.field = path, name, field
        self.size: int | None = path.stat().st_size

    def blocks(self) -> Iterator[Block]:
        """The documents, a thousand at a time."""
        with self._open() as (position, records):
            columns, _ = self._header(records)
            block = self._new_block(columns)
            for record in records:
                name = f"{self.name}:{record.line}"
                if len(record.fields) > len(columns):
                    raise CFTError(
                        f"{name} has {len(record.fields)} fields where the header has "
                        f"{len(columns)}: quote a text that holds a comma"
                    )
                row = _row(columns, record)
                block.names.append(name)
                block.texts.append(text_of(row[self.field.name], name, self.field))
                block.content.append(record)
                if len(block.texts) == BLOCK_ROWS:
                    block.position = position()
                    yield block
                    block = self._new_block(columns)
            block.position = self.size or 0
            yield block

    def _new_block(self, columns: list[str]) -> Block:
        content: list[_Record] = []
        return Block([], [], content, 0, lambda: (_row(columns, record) for record in content))

    @contextlib.contextmanager
    def _open(self) -> Iterator[tuple[Callable[[], int], Iterator[_Record]]]:
        """How many bytes of the file were read, and its rows."""
        csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_FIELD))
        try:
            with (
                self.path.open("rb") as raw,
                io.TextIOWrapper(raw, encoding="utf-8", newline="") as lines,
            ):
                yield raw.tell, self._records(lines)
        except (OSError, UnicodeDecodeError) as exc:
            raise CFTError(f"cannot read {self.path}: {exc}") from exc

    def _records(self, lines: Iterable[str]) -> Iterator[_Record]:
        """The rows that are not blank; of each, the lines that the reader took for it."""
        taken: list[str] = []

        def taking() -> Iterator[str]:
            for number, line in enumerate(lines):
                taken.append(line)
                yield line if number else line.removeprefix(_BOM)

        first = 1
        try:
            # Strict: a quote that is never closed would take the rest of the file for one field.
            for fields in csv.reader(taking(), strict=True):
                if fields:
                    yield _Record(first, "".join(taken), fields)
                first += len(taken)
                taken.clear()
        except csv.Error as exc:
            raise CFTError(
                f"{self.name}:{first} is not CSV ({exc}): a quote within a field is written twice"
            ) from exc

    def _header(self, records: Iterator[_Record]) -> tuple[list[str], str]:
        """The names of the columns, and the header as it is written.

        A column without a name is called as pandas calls it, with which the host reads.
        """
        header = next(records, None)
        if header is None:
            raise CFTError(
                f"{self.path} is empty: a .csv file begins with the names of its columns"
            )
        columns = [name or f"Unnamed: {place}" for place, name in enumerate(header.fields)]
        twice = [name for name, count in Counter(columns).items() if count > 1]
        if twice:
            raise CFTError(f"{self.name} has two columns {twice[0]!r}: rename one")
        if self.field.name not in columns:
            raise CFTError(no_column(self.name, columns, self.field))
        return columns, header.written

    @contextlib.contextmanager
    def write(self, file: Path) -> Iterator[Write]:
        """A function that writes rows to `file`, behind the same header."""
        with self._open() as (_, records):
            columns, header = self._header(records)
        newline = header[len(header.rstrip("\r\n")) :] or "\n"

        def left(record: _Record, texts: Kept) -> Iterator[str]:
            if texts is None:
                ended = record.written.endswith(("\n", "\r"))
                yield record.written if ended else record.written + newline
            for text in texts or ():
                row = _row(columns, record) | {self.field.name: text}
                line = io.StringIO(newline="")
                csv.writer(line).writerow(row.values())  # whose \r\n makes it quote either
                yield line.getvalue().removesuffix("\r\n") + newline

        with open_whole(file) as sink:
            sink.write(header.encode())
            yield lambda block, kept: sink.writelines(
                row.encode()
                for pair in zip(block.content, kept, strict=True)
                for row in left(*pair)
            )


def _row(columns: list[str], record: _Record) -> Row:
    """The columns of a row; None for those at its end that it leaves out."""
    missing = [None] * (len(columns) - len(record.fields))
    return dict(zip(columns, [*record.fields, *missing], strict=True))
