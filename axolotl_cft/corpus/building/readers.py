"""One file or row becomes a document: the reader that its ending calls for, and what it says."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axolotl_cft.corpus.building.inputs import MOST_BYTES, Item
from axolotl_cft.corpus.building.parsed import MissingPackageError, Parsed
from axolotl_cft.corpus.building.shards import COLUMNS, TEXT
from axolotl_cft.corpus.readers import Field, open_corpus
from axolotl_cft.errors import CFTError

_COLUMNS = {
    "title": ("title",),
    "licence": ("licence", "license"),
    "url": ("url", "link"),
    "doi": ("doi",),
    "journal": ("journal",),
    "date": ("date", "published", "publication_date"),
    "topic": ("topic",),
    "source": ("source",),
}
"""Our columns, and what they are called in tables."""


@dataclass(frozen=True)
class Reading:
    """A document as it was read.

    Attributes:
        path: of its file in the source.
        place: what tells it from all others of the source: the path, with the row's number.
        text: as it will be trained.
        columns: what is known about it, by our columns' names; `doc_id` where it was packed before.
        omitted: what of the file is not in the text, such as references -> how often.
        trouble: why it cannot be used, if it cannot.
    """

    path: str
    place: str
    text: str = ""
    columns: Mapping[str, str | None] = field(default_factory=dict)
    omitted: Counter[str] = field(default_factory=Counter)
    trouble: str | None = None


def read_item(item: Item, encoding: str | None) -> Iterator[Reading]:
    """The documents in a file; one that cannot be read is one in trouble.

    Raises:
        MissingPackageError: such files cannot be read here at all.
    """
    if item.data is None:
        yield Reading(item.path, item.path, trouble=f"more than {MOST_BYTES >> 20} MiB")
        return
    if not item.data.strip():
        yield Reading(item.path, item.path)
        return
    try:
        found = _parse(item.path.lower(), item.data, encoding)
    except MissingPackageError:
        raise
    except CFTError as exc:
        yield Reading(item.path, item.path, trouble=str(exc))
        return
    for number, parsed in enumerate(found, 1):
        place = item.path if len(found) == 1 else f"{item.path}:{number}"
        columns = {name: getattr(parsed, name, None) for name in _COLUMNS}
        yield Reading(item.path, place, parsed.text, columns, parsed.left_out)


def _parse(name: str, data: bytes, encoding: str | None) -> list[Parsed]:
    if name.endswith((".xml", ".nxml")):
        from axolotl_cft.corpus.building.jats import read_jats

        return read_jats(data)
    if name.endswith((".html", ".htm")):
        from axolotl_cft.corpus.building.html import read_html

        return [read_html(data)]
    from axolotl_cft.corpus.building.plain import read_markdown, read_text

    return [(read_markdown if name.endswith(".md") else read_text)(data, encoding)]


def read_rows(place: Path, path: str, text: Field) -> Iterator[Reading]:
    """The documents in a table.

    Raises:
        CFTError: it cannot be read, or has no such column.
    """
    number = 0
    for part in open_corpus(str(place), text):
        for block in part.blocks():
            for row, content in zip(block.rows(), block.texts, strict=True):
                number += 1
                yield Reading(path, f"{path}:{number}", content, _known(row))


def _known(row: Mapping[str, Any]) -> dict[str, str | None]:
    """Our columns, of those that a table has; what has all of them was packed before."""
    if row.keys() >= set(COLUMNS):
        return {name: row[name] and str(row[name]) for name in COLUMNS if name != TEXT}
    lower = {str(name).lower(): value for name, value in row.items()}
    found = {}
    for name, others in _COLUMNS.items():
        value = next((lower[other] for other in others if lower.get(other)), None)
        found[name] = None if value is None else str(value)
    return found
