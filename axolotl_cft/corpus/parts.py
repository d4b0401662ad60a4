"""What a corpus is made of: parts, read as blocks of documents, and written back the same way."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path
from typing import Any, Protocol

from axolotl_cft.errors import CFTError

BLOCK_ROWS = 1000

Row = dict[str, Any]

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
        rows: gives the columns of each document; of a text file, `text` alone.
    """

    names: list[str]
    texts: list[str]
    content: Any
    position: int
    rows: Callable[[], Iterable[Row]]

    @property
    def tabular(self) -> bool:
        """Whether `content` is an Arrow table (or record batch), with the types of its columns."""
        return hasattr(self.content, "schema")

    def first(self, count: int) -> "Block":
        """The block without all but its first documents."""
        content = self.content.slice(0, count) if self.tabular else self.content
        if isinstance(content, list):
            content = content[:count]
        names, texts, rows = self.names[:count], self.texts[:count], self.rows
        return Block(names, texts, content, self.position, lambda: islice(rows(), count))

    def repeated(self, times: Sequence[int], without: str) -> "Block":
        """Each document so many times in a row, and without one of its columns."""
        places = [place for place, count in enumerate(times) for _ in range(count)]
        names, texts = ([held[place] for place in places] for held in (self.names, self.texts))
        content = self.content.take(places).drop_columns([without]) if self.tabular else None

        def rows() -> Iterator[Row]:
            for row, count in zip(self.rows(), times, strict=True):
                yield from repeat({name: row[name] for name in row if name != without}, count)

        return Block(names, texts, content, self.position, rows)


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
    """The column that holds the texts, and the option of the command that names it.

    Attributes:
        name: the column.
        option: for messages.
        render: makes a text of a value that is not null, or raises ValueError with what the column
            holds instead; None where it holds texts.
    """

    name: str = "text"
    option: str = "--field"
    render: Callable[[Any], str] | None = None


def text_of(value: Any, name: str, field: Field) -> str:
    """The text of a document; a null is the empty text.

    Raises:
        CFTError: the column holds something else; names the document.
    """
    if value is None:
        return ""
    if field.render is not None:
        try:
            return field.render(value)
        except ValueError as exc:
            raise CFTError(f"{name}: column {field.name!r} {exc}") from exc
    if not isinstance(value, str):
        raise CFTError(f"{name}: column {field.name!r} holds {type(value).__name__}, not text")
    return value


def no_column(place: str, columns: Iterable[str], field: Field) -> str:
    """What to say where the column of texts is missing."""
    return (
        f"{place} has no column {field.name!r} (it has {', '.join(columns)}): name it with "
        f"{field.option}"
    )
