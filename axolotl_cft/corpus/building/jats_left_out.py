"""What of an article is not for a model to learn: by element, by section, and under which name.

A corpus for continued pre-training wants what the authors say about their subject. Reference lists,
what the publisher asks for around a paper (funding, conflicts, contributions, availability, thanks)
and what is no text are left out, and counted.
"""

import re
from collections import Counter
from functools import lru_cache

from lxml import etree

_COUNTED = {
    "media": "media",
    "supplementary-material": "supplementary materials",
    "ack": "acknowledgements",
    "notes": "declarations",
    "bio": "biographies",
    "private-char": "private characters",
}
_SILENT = set(
    """
    alt-text alt-title long-desc object-id permissions copyright-statement index-term
    index-term-range-end glyph-data sec-meta processing-meta related-article subj-group
    contrib-group history custom-meta-group col colgroup
    """.split()  # noqa: SIM905
)
_SUSPECTS = _SILENT | _COUNTED.keys() | {"graphic", "inline-graphic", "ref-list", "sec", "app"}
_GRAPHICS = {
    "fig": "figures",
    "table-wrap": "tables as images",
    "disp-formula": "formulas as images",
    "inline-formula": "formulas as images",
    "chem-struct": "formulas as images",
    "chem-struct-wrap": "formulas as images",
    "chem-struct-wrapper": "formulas as images",
}
_AS_TEXT = ("tex-math", "math", "table", "textual-form", "array")

_SUPPLEMENTS = re.compile(
    r"(electronic |appendix( [a-z\d])?[.:]? )?(supplementa(ry|l)|supporting) "
    r"(materials?|information|data|files?)|additional (information|files?)",
    re.IGNORECASE,
)
_DECLARATIONS = re.compile(
    r"""
    acknowledge?ments?(\ and\ .*)?
    | funding(\ (information|statement|sources?|support|acknowledge?ments?))?
    | (financial|grant)\ (support|disclosures?) | role\ of\ the\ (funding\ source|funders?)
    | declarations?(\ of\ .*)? | disclosures?(\ statements?)? | disclaimer
    | (conflicts?|competing)\ (of\ )?(financial\ )?interests?(\ (statement|disclosure)s?)?
    | author(s|['’]s|s['’])?\ (contributions?|information|details|notes?) | credit\ author.*
    | (data|code|data\ and\ code|software)(\ and\ materials?)?\ (availability|accessibility)
      (\ statements?)?
    | availability\ of\ .*data.* | publisher['’]s\ note
    | ethic(s|al)\ (statement|declaration|approval)s?(\ .*)? | consent\ (for|to)\ publi(sh|cation)
    | institutional\ review\ board\ statement | informed\ consent(\ statement)?
    | pre-?publication\ history | (generative\ )?ai\ (use\ )?statement | references
    """,
    re.VERBOSE | re.IGNORECASE,
)
_SECTION_TYPES = set(
    """
    COI-statement coi-statement conflict ethics-statement data-availability
    funding funding-information author-contributions financial-disclosure additional-information
    ref-list
    """.split()  # noqa: SIM905
)


@lru_cache(4096)
def local_name(tag: str) -> str:
    """A tag without its namespace: JATS comes with and without one."""
    return tag.rpartition("}")[2]


def left_out(element: etree._Element, name: str, counts: Counter[str]) -> bool:
    """Whether nothing of an element becomes text; counts it where it is worth knowing."""
    if name not in _SUSPECTS:
        return False
    if name in _SILENT:
        return True
    if name in _COUNTED:
        counts[_COUNTED[name]] += 1
    elif name in ("graphic", "inline-graphic"):
        if not _has_text_beside(element):
            counts[_kind_of_graphic(element, name)] += 1
    elif name == "ref-list":
        counts["references"] += sum(1 for _ in element.iter("{*}ref"))
    elif name in ("sec", "app") and (what := _kind_of_declaration(element)) is not None:
        counts[what] += 1
    else:
        return False
    return True


def _has_text_beside(graphic: etree._Element) -> bool:
    """Whether the same thing is also given as text."""
    parent = graphic.getparent()
    return local_name(parent.tag) in ("alternatives", "disp-formula", "inline-formula") and any(
        isinstance(child.tag, str) and local_name(child.tag) in _AS_TEXT for child in parent
    )


def _kind_of_graphic(element: etree._Element, name: str) -> str:
    for ancestor in element.iterancestors():
        if (kind := _GRAPHICS.get(local_name(ancestor.tag))) is not None:
            return kind
    return "inline graphics" if name == "inline-graphic" else "figures"


def _kind_of_declaration(section: etree._Element) -> str | None:
    """The name to count it under; None for a section of the paper itself."""
    kind, title = section.get("sec-type"), section.find("{*}title")
    words = " ".join("".join(title.itertext()).split()) if title is not None else ""
    words = re.sub(r"\A[\d.]+ ", "", words).strip(" .:")
    if kind == "supplementary-material" or _SUPPLEMENTS.fullmatch(words):
        return "supplementary materials"
    return "declarations" if kind in _SECTION_TYPES or _DECLARATIONS.fullmatch(words) else None
