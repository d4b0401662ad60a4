"""Documents as Parquet shards: zstd, one document a row, in the order they come in."""

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from axolotl_cft.files import open_whole

TEXT = "text"
COLUMNS = ("doc_id", "source", "topic", "licence", "title", "url", "doi", "journal", "date", TEXT)
SCHEMA = pa.schema([(name, pa.large_string() if name == TEXT else pa.string()) for name in COLUMNS])

SHARD_BYTES = 256 * 10**6
"""Of a shard as it lies on disk, about; the last one of a unit is smaller."""

_GROUP_CHARACTERS = 16 * 2**20
"""Of text in a group of rows, which is what readers hold at a time."""

_GROUP_ROWS = 1000


class ShardWriter:
    """Writes documents to numbered shards in a folder; a new one begins when one is full.

    Used as a context; what raises in it leaves nothing of the shard that was begun.

    Attributes:
        shards: the files that are whole, with their numbers of documents.
    """

    def __init__(self, folder: Path, shard_bytes: int = SHARD_BYTES) -> None:
        self.shards: list[tuple[Path, int]] = []
        self._folder, self._most = folder, shard_bytes
        self._rows: list[Mapping[str, Any]] = []
        self._characters = self._documents = 0
        self._opened = ExitStack()
        self._writer: Any = None
        self._file: Any = None

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is not None:
            self._opened.__exit__(kind, error, trace)
            return
        try:
            self._flush()
            self._end_shard()
        except BaseException:
            self._opened.__exit__(*sys.exc_info())
            raise

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a document.

        Raises:
            CFTError: the folder cannot be written.
        """
        self._rows.append(row)
        self._characters += len(row[TEXT])
        if self._characters >= _GROUP_CHARACTERS or len(self._rows) == _GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        if self._writer is None:
            self._file = self._opened.enter_context(open_whole(self._path))
            sink = pq.ParquetWriter(self._file, SCHEMA, compression="zstd", compression_level=3)
            self._writer = self._opened.enter_context(sink)
        self._writer.write_table(pa.Table.from_pylist(self._rows, SCHEMA))
        self._documents += len(self._rows)
        self._rows, self._characters = [], 0
        if self._file.tell() >= self._most:
            self._end_shard()

    @property
    def _path(self) -> Path:
        return self._folder / f"shard-{len(self.shards):05}.parquet"

    def _end_shard(self) -> None:
        if self._writer is not None:
            self._opened.close()
            self.shards.append((self._path, self._documents))
            self._writer, self._documents = None, 0
