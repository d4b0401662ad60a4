"""Training corpora read block by block, and written back without parts of their documents.

A corpus is a file, a folder of files, or a dataset on the hub; a document is a line of
`.jsonl`/`.jsonl.gz`, a row of `.parquet` or of the hub's dataset, or a whole `.txt` file.
Memory holds one block at a time, whatever the corpus's size.
"""

import contextlib
import gzip
import json
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from axolotl_cft.errors import CFTError
from axolotl_cft.files import open_whole

BLOCK_ROWS = 1000
FORMATS = (".jsonl", ".jsonl.gz", ".parquet", ".txt")

Kept = Sequence[str] | None
"""What is left of a document: its texts, each a document of its own; None for all, as it is."""

Write = Callable[["Block", Sequence[Kept]], None]


@dataclass
class Block:
    """Some consecutive documents of one part of a corpus.

    Attributes:
        names: where each document stands, for messages ("corpus.jsonl:12").
        texts: the documents' texts.
        content: what the part's own writer needs to copy documents unchanged.
        position: how far into the part the block reaches, in the units of `Part.size`.
    """

    names: list[str]
    texts: list[str]
    content: Any
    position: int

    @property
    def tabular(self) -> bool:
        """Whether `content` is an Arrow table (or record batch), with the types of its columns."""
        return hasattr(self.content, "schema")

    def first(self, count: int) -> "Block":
        """The block without all but its first documents."""
        content = self.content.slice(0, count) if self.tabular else self.content
        if isinstance(content, list):
            content = content[:count]
        return Block(self.names[:count], self.texts[:count], content, self.position)

    def rows(self) -> Iterator[dict[str, Any]]:
        """The columns of each document; of a text file, `text` alone."""
        if self.tabular:
            yield from self.content.to_pylist()
        elif self.content is None:
            yield from ({"text": text} for text in self.texts)
        else:
            yield from map(json.loads, self.content)


class Part(Protocol):
    """One file of a corpus, or a whole dataset on the hub."""

    name: str
    size: int | None
    """Bytes, or None where the length is not known beforehand."""

    def blocks(self) -> Iterator[Block]:
        """The part's documents, in order."""

    def write(self, file: Path) -> contextlib.AbstractContextManager[Write]:
        """A function that writes what is left of a block's documents to `file`."""


@dataclass(frozen=True)
class Field:
    """The column that holds the texts, and the option of the command that names it."""

    name: str = "text"
    option: str = "--field"


def open_corpus(
    corpus: str,
    field: Field,
    *,
    subset: str | None = None,
    split: str = "train",
    streamed: bool = True,
) -> list[Part]:
    """The parts of a corpus given as a path or as the name of a dataset on the hub.

    Args:
        corpus: a file, a folder, or a name.
        field: where the texts are.
        subset: configuration of a hub dataset.
        split: split of a hub dataset.
        streamed: read a hub dataset as it arrives, each time again; otherwise it is downloaded
            once into the cache of `datasets`, for callers that read it more than once.

    Raises:
        CFTError: nothing there, or no file of a known format.
    """
    path = Path(corpus).expanduser()
    if path.is_file():
        return [_file_part(path, path.name, field)]
    if path.is_dir():
        files = sorted(
            file for file in path.rglob("*") if file.is_file() and file.name.endswith(FORMATS)
        )
        if not files:
            raise CFTError(f"{path} holds no {', '.join(FORMATS)} file")
        return [_file_part(file, str(file.relative_to(path)), field) for file in files]
    if corpus.count("/") > 1 or corpus.endswith(FORMATS) or corpus.startswith((".", "~", "/")):
        raise CFTError(f"corpus {corpus!r} does not exist")
    return [HubDataset(corpus, subset, split, field, streamed)]


def _file_part(path: Path, name: str, field: Field) -> Part:
    if name.endswith(".txt"):
        return _TextFile(path, name)
    if name.endswith(".parquet"):
        return _Parquet(path, name, field)
    if name.endswith((".jsonl", ".jsonl.gz")):
        return _JsonLines(path, name, field)
    raise CFTError(f"cannot read {path}: a corpus is {', '.join(FORMATS)}, or a folder of these")


def _text_of(value: Any, name: str, field: Field) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise CFTError(f"{name}: column {field.name!r} holds {type(value).__name__}, not text")
    return value


def _no_column(place: str, columns: Iterable[str], field: Field) -> str:
    return (
        f"{place} has no column {field.name!r} (it has {', '.join(columns)}): name it with "
        f"{field.option}"
    )


class _JsonLines:
    """`.jsonl` or `.jsonl.gz`; lines are copied byte for byte."""

    def __init__(self, path: Path, name: str, field: Field) -> None:
        self.path, self.name, self.field = path, name, field
        self.size: int | None = path.stat().st_size

    def blocks(self) -> Iterator[Block]:
        with contextlib.ExitStack() as stack:
            raw: Any = stack.enter_context(self.path.open("rb"))
            lines = raw
            if self.name.endswith(".gz"):
                lines = stack.enter_context(gzip.GzipFile(fileobj=raw))
            block = Block([], [], [], 0)
            try:
                for number, line in enumerate(lines, 1):
                    if not line.strip():
                        continue
                    block.names.append(f"{self.name}:{number}")
                    block.texts.append(self._text(line, block.names[-1]))
                    block.content.append(line if line.endswith(b"\n") else line + b"\n")
                    if len(block.texts) == BLOCK_ROWS:
                        block.position = raw.tell()
                        yield block
                        block = Block([], [], [], 0)
            except (OSError, EOFError, zlib.error) as exc:
                raise CFTError(f"cannot read {self.path}: {exc}") from exc
            block.position = raw.tell()
            yield block

    def _text(self, line: bytes, name: str) -> str:
        try:
            row = json.loads(line)
        except ValueError as exc:
            raise CFTError(f"{name} is not JSON: {exc}") from exc
        if not isinstance(row, dict):
            raise CFTError(f"{name} is not a JSON object: a row maps column names to values")
        if self.field.name not in row:
            raise CFTError(_no_column(name, row, self.field))
        return _text_of(row[self.field.name], name, self.field)

    @contextlib.contextmanager
    def write(self, file: Path) -> Iterator[Write]:
        with contextlib.ExitStack() as stack:
            sink: Any = stack.enter_context(open_whole(file))
            if self.name.endswith(".gz"):
                # No file name and no time in the header: same input, same bytes.
                sink = stack.enter_context(gzip.GzipFile("", "wb", fileobj=sink, mtime=0))
            yield lambda block, kept: sink.writelines(
                line for pair in zip(block.content, kept, strict=True) for line in self._left(*pair)
            )

    def _left(self, line: bytes, texts: Kept) -> Iterator[bytes]:
        if texts is None:
            yield line
        for text in texts or ():
            row = json.dumps(json.loads(line) | {self.field.name: text}, ensure_ascii=False)
            # A lone surrogate has no UTF-8 form, but JSON's own escape has.
            yield row.encode("utf-8", "backslashreplace") + b"\n"


class _Tabular:
    """Rows as Arrow tables; the columns and their types are kept."""

    def __init__(self, name: str, field: Field) -> None:
        self.name, self.field = name, field

    def _block(self, table: Any, first: int, position: int) -> Block:
        if self.field.name not in table.schema.names:
            raise CFTError(_no_column(self.name, table.schema.names, self.field))
        names = [f"{self.name}:{first + row}" for row in range(table.num_rows)]
        values = table.column(self.field.name).to_pylist()
        texts = [_text_of(v, name, self.field) for v, name in zip(values, names, strict=True)]
        return Block(names, texts, table, position)

    @contextlib.contextmanager
    def write(self, file: Path) -> Iterator[Write]:
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


class _Parquet(_Tabular):
    def __init__(self, path: Path, name: str, field: Field) -> None:
        super().__init__(name, field)
        self.path = path
        self.size: int | None = path.stat().st_size

    def blocks(self) -> Iterator[Block]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self.path) as file:
                total, done = file.metadata.num_rows, 0
                if total == 0:
                    yield self._block(file.schema_arrow.empty_table(), 1, self.size or 0)
                for batch in file.iter_batches(BLOCK_ROWS):
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


class _TextFile:
    """One document per file."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        self.size: int | None = path.stat().st_size

    def blocks(self) -> Iterator[Block]:
        try:
            text = self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise CFTError(f"cannot read {self.path}: {exc}") from exc
        yield Block([self.name], [text], None, self.size or 0)

    @contextlib.contextmanager
    def write(self, file: Path) -> Iterator[Write]:
        def write(block: Block, kept: Sequence[Kept]) -> None:
            if kept[0] is None:
                with self.path.open("rb") as source, open_whole(file, synced=False) as target:
                    shutil.copyfileobj(source, target)
                return
            for number, text in enumerate(kept[0], 1):
                name = file if len(kept[0]) == 1 else self._numbered(file, number)
                with open_whole(name, synced=False) as target:
                    target.write(text.encode("utf-8"))

        yield write

    def _numbered(self, file: Path, number: int) -> Path:
        """A name for one of several texts that the corpus has not got."""
        name = f"{file.stem}.part{number}.txt"
        while self.path.with_name(name).exists():
            name = f"{name.removesuffix('.txt')}_.txt"
        return file.with_name(name)
