"""Parquet files read in memory that does not grow with them."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


def read_batches(
    file: "pq.ParquetFile", rows: int, columns: Sequence[str] | None = None
) -> Iterator["pa.RecordBatch"]:
    """The rows of an open file, in order.

    Args:
        file: read from its beginning.
        rows: of a batch at most; a batch ends where its row group ends.
        columns: those to read; None for all.

    Raises:
        OSError, pyarrow.ArrowException: the file is damaged.
    """
    names = None if columns is None else list(columns)
    # Asked for all row groups at once, Arrow keeps what it has read of the file.
    for group in range(file.num_row_groups):
        yield from file.iter_batches(rows, row_groups=[group], columns=names, use_threads=False)
