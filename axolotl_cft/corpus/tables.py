"""Parts of a corpus with typed columns: Parquet files, and datasets on the hub."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from axolotl_cft.corpus.parquet import read_batches
from axolotl_cft.corpus.parts import BLOCK_ROWS, Block, Field, Kept, Write, no_column, text_of
from axolotl_cft.errors import CFTError
from axolotl_cft.files import open_whole
from axolotl_cft.files.places import refuse_absent


class _Tabular:
    """Rows as Arrow tables; the columns and their types are kept."""

    def __init__(self, name: str, field: Field) -> None:
        self.name, self.field = name, field

    def _block(self, table: Any, first: int, position: int) -> Block:
        if self.field.name not in table.schema.names:
            raise CFTError(no_column(self.name, table.schema.names, self.field))
        names = [f"{self.name}:{first + row}" for row in range(table.num_rows)]
        values = table.column(self.field.name).to_pylist()
        texts = [text_of(v, name, self.field) for v, name in zip(values, names, strict=True)]
        return Block(names, texts, table, position, table.to_pylist)

    @contextlib.contextmanager
    def write(self, file: Path) -> Iterator[Write]:
        """A function that writes rows to `file`, which is Parquet."""
        import pyarrow.parquet as pq

        with open_whole(file) as target, contextlib.ExitStack() as stack:
            writers: list[Any] = []

            def write(block: Block, kept: Sequence[Kept]) -> None:
                if not writers:
                    sink = pq.ParquetWriter(target, block.content.schema)
                    writers.append(stack.enter_context(sink))
                writers[0].write(self._left(block.content, kept))

            yield write
            if not writers:
                raise CFTError(f"{self.name} holds no documents")

    def _left(self, content: Any, kept: Sequence[Kept]) -> Any:
        """The rows that are left as a table, with a row for each text of a document."""
        import pyarrow as pa

        is_batch = isinstance(content, pa.RecordBatch)
        table = pa.Table.from_batches([content]) if is_batch else content
        if not any(isinstance(texts, Sequence) for texts in kept):
            return table
        rows = [row for row, texts in enumerate(kept) for _ in ([0] if texts is None else texts)]
        left = table.take(pa.array(rows, pa.int64()))
        place = table.schema.get_field_index(self.field.name)
        column = table.column(place)
        values = [
            text
            for value, texts in zip(column.to_pylist(), kept, strict=True)
            for text in ([value] if texts is None else texts)
        ]
        return left.set_column(place, table.schema.field(place), pa.array(values, column.type))


class ParquetFile(_Tabular):
    """A `.parquet` file, read batch by batch."""

    def __init__(self, path: Path, name: str, field: Field) -> None:
        super().__init__(name, field)
        self.path = path
        self.size: int | None = path.stat().st_size

    def blocks(self) -> Iterator[Block]:
        """The rows of each row group, a thousand at a time."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self.path) as file:
                total, done = file.metadata.num_rows, 0
                if total == 0:
                    yield self._block(file.schema_arrow.empty_table(), 1, self.size or 0)
                for batch in read_batches(file, BLOCK_ROWS):
                    first, done = done + 1, done + batch.num_rows
                    yield self._block(batch, first, (self.size or 0) * done // total)
        except (pa.ArrowException, OSError) as exc:
            raise CFTError(f"cannot read {self.path}: {exc}") from exc


class HubDataset(_Tabular):
    """A dataset on the hub, streamed or downloaded; a cleaned copy is one Parquet file."""

    size: int | None = None

    def __init__(
        self, corpus: str, subset: str | None, split: str, field: Field, streamed: bool = True
    ) -> None:
        name = "-".join([corpus.replace("/", "--"), *([subset] if subset else []), split])
        super().__init__(f"{name}.parquet", field)
        self.corpus, self.subset, self.split, self.streamed = corpus, subset, split, streamed
        self._downloaded: Any = None

    def blocks(self) -> Iterator[Block]:
        """The rows, a thousand at a time."""
        rows = self._open() if self._downloaded is None else self._downloaded
        if not self.streamed:
            self._downloaded = rows
        tables = iter(rows.with_format("arrow").iter(BLOCK_ROWS))
        done = 0
        while (table := self._next(tables)) is not None:
            yield self._block(table, done + 1, 0)
            done += table.num_rows

    def _open(self) -> Any:
        import datasets

        refuse_absent(self.corpus, "corpus")
        try:
            builder = datasets.load_dataset_builder(self.corpus, self.subset)
            # The `text` loader makes a row of every line; a .txt file is one document here.
            options = {"sample_by": "document"} if hasattr(builder.config, "sample_by") else {}
            return datasets.load_dataset(
                self.corpus, self.subset, split=self.split, streaming=self.streamed, **options
            )
        except Exception as exc:  # datasets and huggingface_hub share no base class
            raise CFTError(
                f"corpus {self.corpus!r} is neither a file or folder here nor a dataset that can "
                f"be opened on the hub ({type(exc).__name__}: {exc})"
            ) from exc

    def _next(self, tables: Iterator[Any]) -> Any:
        try:
            return next(tables, None)
        except Exception as exc:
            raise CFTError(
                f"reading {self.corpus!r} from the hub failed halfway ({type(exc).__name__}: {exc})"
            ) from exc
