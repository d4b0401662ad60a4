"""The rows of a corpus with more columns: JSONL or Parquet out, in the order they came in.

`axolotl_cft.corpus.readers` reads, a block of rows at a time. Writing streams too, except from
JSON, CSV or text files to Parquet: there only the whole corpus tells the columns and their types.
"""

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from axolotl_cft.core.sampling import text_key
from axolotl_cft.corpus.json_files import LINES
from axolotl_cft.corpus.parts import Block, Part, Row
from axolotl_cft.errors import CFTError
from axolotl_cft.files import json_line, open_whole

ROW_FILES = ("corpus.jsonl", "corpus.parquet")
"""Names of what `generate` and `educate` write."""


class Corpus:
    """A corpus that is read more than once, and must be the same each time.

    Args:
        name: as the user gave it.
        parts: from `readers.open_corpus`.
        limit: leave all but so many rows at the beginning out.
    """

    def __init__(self, name: str, parts: Sequence[Part], limit: int | None = None) -> None:
        self.name = name
        self.parts = parts
        self.limit = limit
        self._rows: int | None = None
        self._digest = b""

    @property
    def format(self) -> str:
        """What its rows are written as: "jsonl" if all of it is JSON or CSV, else "parquet"."""
        lines = all(part.name.endswith((*LINES, ".json", ".csv")) for part in self.parts)
        return "jsonl" if lines else "parquet"

    def folder_in(self, output_dir: Path) -> Path:
        """Where its rows are written: a part neither passes for the whole nor replaces it."""
        return output_dir if self.limit is None else output_dir / f"first-{self.limit}"

    def blocks(self) -> Iterator[Block]:
        """Its blocks, in order.

        Raises:
            CFTError: the texts are not those of the first complete reading.
        """
        rows, digest = 0, hashlib.blake2b(digest_size=16)
        for block in self._limited():
            rows += len(block.texts)
            for text in block.texts:
                digest.update(text_key(text))
            if self._rows is not None and rows > self._rows:
                break
            yield block
        if self._rows is None:
            self._rows, self._digest = rows, digest.digest()
        elif (rows, digest.digest()) != (self._rows, self._digest):
            raise CFTError(f"{self.name} changed while it was read: restore it and run this again")

    def _limited(self) -> Iterator[Block]:
        left = self.limit
        for block in (block for part in self.parts for block in part.blocks()):
            if left is not None and left <= len(block.texts):
                yield block.first(left)
                return
            yield block
            left = left and left - len(block.texts)

    def texts(self) -> Iterator[str]:
        """The documents' texts, in order; a null is the empty text."""
        for block in self.blocks():
            yield from block.texts

    def named_rows(self) -> Iterator[tuple[str, Row]]:
        """Every row and what to call it in messages ("items.jsonl:12"), in order."""
        for block in self.blocks():
            yield from zip(block.names, block.rows(), strict=True)

    def refuse_columns(self, new: Sequence[str]) -> None:
        """Refuse a column that is to be added and is there already, before any work is done.

        Raises:
            CFTError: names the row and the column.
        """
        for name, row in itertools.islice(self.named_rows(), 1):
            refuse_taken(name, row, new)


class RepeatedRows(Corpus):
    """The rows of a corpus, each so many times, and without one of their columns.

    Args:
        corpus: the rows.
        times: for each of them, how often it comes.
        without: the column that is left out.
    """

    def __init__(self, corpus: Corpus, times: Sequence[int], without: str) -> None:
        super().__init__(corpus.name, corpus.parts)
        self._corpus, self._times, self._without = corpus, times, without

    def blocks(self) -> Iterator[Block]:
        """The blocks of the corpus, in order.

        Raises:
            CFTError: the texts are not those of its first complete reading.
        """
        begin = 0
        for block in self._corpus.blocks():
            end = begin + len(block.texts)
            yield block.repeated(self._times[begin:end], self._without)
            begin = end


def refuse_taken(name: str, row: Row, new: Sequence[str] | Mapping[str, Any]) -> None:
    """Refuse columns that a row has already.

    Raises:
        CFTError: names the row and the column.
    """
    for column in new:
        if column in row:
            raise CFTError(f"{name} has a column '{column}' already: rename it or drop it first")


def write_rows(
    corpus: Corpus,
    path: Path,
    columns: Mapping[str, Sequence[Any]],
    keep: Sequence[bool],
) -> None:
    """Write the rows of a corpus with more columns; the file appears whole or not at all.

    Args:
        corpus: the rows.
        path: `.parquet` for Parquet, anything else for JSON lines.
        columns: name -> one value for each row of the corpus: texts, lists of texts or floats, any
            of them None.
        keep: for each row of the corpus, whether it is written.

    Raises:
        CFTError: the corpus changed, a row has one of the columns already, or the rows have no
            form in this format.
    """
    write = _write_parquet if path.suffix == ".parquet" else _write_lines
    with open_whole(path) as file:
        write(corpus, file, columns, keep)


def _write_lines(
    corpus: Corpus,
    file: IO[bytes],
    columns: Mapping[str, Sequence[Any]],
    keep: Sequence[bool],
) -> None:
    for index, (name, row) in enumerate(corpus.named_rows()):
        refuse_taken(name, row, columns)
        if not keep[index]:
            continue
        added = {column: values[index] for column, values in columns.items()}
        try:
            line = json_line(row | added)
        except TypeError as exc:
            raise CFTError(f"{name} has no JSON form ({exc}): choose the format parquet") from exc
        file.write(line)


def _write_parquet(
    corpus: Corpus,
    file: IO[bytes],
    columns: Mapping[str, Sequence[Any]],
    keep: Sequence[bool],
) -> None:
    write_tables(file, corpus, _extended(corpus, columns, keep))


def write_tables(file: IO[bytes], corpus: Corpus, tables: Iterator[Any]) -> None:
    """Write Arrow tables that were made of a corpus's blocks as Parquet.

    Raises:
        CFTError: they have no common columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if any(not part.name.endswith(".parquet") for part in corpus.parts):
            tables = iter([pa.concat_tables(tables, promote_options="permissive")])
        first = next(tables)
        with pq.ParquetWriter(file, first.schema) as writer:
            for table in itertools.chain([first], tables):
                writer.write_table(table)
    except (pa.ArrowException, ValueError) as exc:
        if isinstance(exc, CFTError):
            raise
        raise CFTError(f"the rows have no common columns ({exc}): choose the format jsonl") from exc


def _extended(
    corpus: Corpus, columns: Mapping[str, Sequence[Any]], keep: Sequence[bool]
) -> Iterator[Any]:
    """The rows kept, as Arrow tables with the new columns."""
    import pyarrow as pa

    begin, types = 0, {name: _type_of(values) for name, values in columns.items()}
    for block in corpus.blocks():
        end = begin + len(block.texts)
        table = table_of(block)
        refuse_taken(
            block.names[0] if block.names else "the corpus",
            dict.fromkeys(table.column_names),
            columns,
        )
        for name, values in columns.items():
            table = table.append_column(name, pa.array(values[begin:end], types[name]))
        yield table.filter(pa.array(keep[begin:end], pa.bool_()))
        begin = end


def _type_of(values: Sequence[Any]) -> Any:
    """The Arrow type of a new column, from all of it: a block may hold nothing but nulls."""
    import pyarrow as pa

    match next((value for value in values if value is not None), None):
        case list():
            return pa.list_(pa.string())
        case float():
            return pa.float64()
    return pa.string()


def table_of(block: Block) -> Any:
    """A block's rows as an Arrow table."""
    import pyarrow as pa

    if block.tabular:
        content = block.content
        return content if isinstance(content, pa.Table) else pa.Table.from_batches([content])
    rows = pa.array(list(block.rows()), None if block.texts else pa.struct([]))
    return pa.Table.from_struct_array(rows)
