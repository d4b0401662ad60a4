"""What a reader makes of one file."""

from collections import Counter
from dataclasses import dataclass, field

from axolotl_cft.errors import CFTError


class MissingPackageError(CFTError):
    """A reader needs a package that is not installed: no document's own fault."""


@dataclass(frozen=True)
class Parsed:
    """A document as a reader hands it over.

    Attributes:
        text: readable text, paragraphs apart by an empty line.
        title: of the document.
        licence: as the file states it: a URL or words; None where it says nothing.
        url: where it is published, such as `https://doi.org/…`.
        date: of publication, ISO 8601, as precise as it is known ("2021", "2021-04").
        journal: or book.
        doi: without `https://doi.org/`.
        language: its code, as the file states it ("en").
        article_type: as journals name it ("research-article", "retraction", "editorial").
        left_out: what was not taken over -> how often ("references", "figures", …).
    """

    text: str
    title: str | None = None
    licence: str | None = None
    url: str | None = None
    date: str | None = None
    journal: str | None = None
    doi: str | None = None
    language: str | None = None
    article_type: str | None = None
    left_out: Counter[str] = field(default_factory=Counter)
