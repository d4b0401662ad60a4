"""Plain text and Markdown: decoded, with one kind of line ends, and as it is."""

import codecs
import re
from collections.abc import Mapping
from typing import Any

import yaml

from axolotl_cft.corpus.building.parsed import Parsed
from axolotl_cft.errors import CFTError

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_FRONT_MATTER = re.compile(
    r"---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE
)
_MAX_FRONT_MATTER = 1 << 14  # characters


def read_text(data: bytes, encoding: str | None = None) -> Parsed:
    """A `.txt` file, or the body of a Markdown file; it has no title.

    Line ends become `\\n`, form feeds an empty line; byte order marks, NUL bytes and white space
    around the whole go. Nothing else changes.

    Args:
        data: the file.
        encoding: a codec of Python; None for UTF-8, or what a byte order mark says.

    Raises:
        CFTError: the bytes are not of this encoding, or there is no such encoding. The sentence
            does not name the file.
    """
    text = _decoded(data, encoding).replace("\r\n", "\n").replace("\r", "\n")
    text = text.replace("\x00", "").replace("\f", "\n\n").lstrip("\ufeff")
    return Parsed(text=re.sub(r"\A(?:[^\S\n]*\n)+", "", text).rstrip())


def read_markdown(data: bytes, encoding: str | None = None) -> Parsed:
    """A Markdown file; its front matter becomes title, license, address, date and so on.

    Args:
        data: the file.
        encoding: as for `read_text`.

    Returns:
        the Markdown as it stands, without front matter. What begins like one and is no YAML mapping
        is text.

    Raises:
        CFTError: as `read_text`.
    """
    parsed = read_text(data, encoding)
    found = _FRONT_MATTER.match(parsed.text[:_MAX_FRONT_MATTER])
    stated = _mapping(found[1]) if found else None
    if found is None or stated is None:
        return parsed
    doi = re.search(r"10\.\d{4,9}/\S+", _first(stated, "doi") or "")
    date = re.match(r"\d{4}(?:-\d\d){0,2}(?![\d-])", _first(stated, "date", "published") or "")
    return Parsed(
        text=parsed.text[found.end() :].strip("\n"),
        title=_first(stated, "title"),
        licence=_first(stated, "license", "licence", "rights"),
        url=_first(stated, "url", "canonical_url", "source")
        or (doi and f"https://doi.org/{doi[0]}"),
        date=date[0] if date else None,
        journal=_first(stated, "journal"),
        doi=doi[0] if doi else None,
        language=_first(stated, "lang", "language"),
    )


def _decoded(data: bytes, encoding: str | None) -> str:
    by_mark = next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(by_mark if encoding is None else encoding)
    except LookupError as exc:
        raise CFTError(
            f"there is no encoding {encoding!r}; --encoding takes Python's names"
        ) from exc
    except UnicodeDecodeError as exc:
        raise CFTError(
            f"not {exc.encoding} at byte {exc.start} (0x{data[exc.start]:02x}): name the file's "
            "encoding, such as --encoding latin-1"
        ) from exc


def _mapping(source: str) -> Mapping[str, Any] | None:
    try:
        # Every value a string, and no merge keys, which a few lines can let grow without end.
        stated = yaml.load(source, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError):
        return None
    return stated if isinstance(stated, Mapping) else None


def _first(stated: Mapping[Any, Any], *names: str) -> str | None:
    """The first of these entries that says something."""
    lower = {str(key).lower(): value for key, value in stated.items()}
    said = (lower.get(name) for name in names)
    return next((value.strip() for value in said if isinstance(value, str) and value.strip()), None)
