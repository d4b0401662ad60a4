"""Web pages as Markdown: the main text alone, found by trafilatura."""

import codecs
import logging
import re
from collections import Counter
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING

from lxml import etree

from axolotl_cft.corpus.building.lines import END, SUBSCRIPT, SUPERSCRIPT, settle_scripts
from axolotl_cft.corpus.building.mathml import math_to_text
from axolotl_cft.corpus.building.parsed import MissingPackageError, Parsed

if TYPE_CHECKING:
    from lxml.html import HtmlElement

_CHARSET = re.compile(
    rb"""<(?:meta|\?xml)\s[^>]*(?:charset|encoding)\s*=\s*["']?\s*([\w:.-]+)""", re.I
)
_BLANKS = re.compile(r"[ \t\r\n\f]+")
_NOT_OF_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""What HTML can write as a number, such as &#1;, and lxml does not take back."""
_MARKS = "//sup[normalize-space() = normalize-space(a[starts-with(@href, '#')])]"
"""Raised numbers that lead to a note or a reference of the same page, and are nothing else."""
_SCRIPT = re.compile(r"<(su[bp])>([^<>\n]{1,80})</\1>")
_DATES = {"original_date": True, "extensive_search": False, "max_date": "2100-01-01"}
"""Dates that a page states, not guesses from its words; and the same ones whatever today is."""


def read_html(data: bytes, url: str | None = None) -> Parsed:
    """The main text of a page as Markdown, without navigation, comments and link addresses.

    Args:
        data: the page.
        url: where it is published; without it the page's own canonical address is taken.

    Returns:
        a text that is empty where trafilatura finds none: an empty page, nothing but navigation.

    Raises:
        MissingPackageError: `trafilatura` is missing.
    """
    trafilatura = _trafilatura()
    tree = trafilatura.load_html(_decoded(data))
    if tree is None:
        return Parsed(text="", url=url)
    if _is_list_of_links(tree):
        return Parsed(text="", url=url, left_out=Counter({"link lists": 1}))
    marks = _prepare(tree)
    language, license_address, doi, journal = _stated(tree)
    document = trafilatura.bare_extraction(
        tree,
        url=url,
        include_comments=False,
        include_tables=True,
        include_formatting=True,
        # Navigation would be the text of pages with little else.
        prune_xpath=[_MARKS, "//nav", "//*[@role='navigation']"],
        deduplicate=False,
        with_metadata=True,
        date_extraction_params=_DATES,
    )
    if document is None:
        return Parsed(text="", url=url, language=language)
    return Parsed(
        text=_polished(document.text or ""),
        title=document.title,
        licence=license_address or document.license,
        url=url or document.url,
        date=document.date,
        journal=journal,
        doi=doi,
        language=language,
        left_out=Counter({"citation marks": marks} if marks else {}),
    )


def _trafilatura() -> ModuleType:
    try:
        import trafilatura
    except ModuleNotFoundError as exc:
        raise MissingPackageError(
            "HTML needs trafilatura: pip install 'axolotl-cft[corpus]'"
        ) from exc
    # It logs pages without text, and cannot name them; who called us can.
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    return trafilatura


def _decoded(data: bytes) -> str | bytes:
    """By byte order mark, by what the page says, as UTF-8; else bytes, for trafilatura to guess."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    said = _CHARSET.search(data[:4096])
    names = [said[1].decode("ascii", "replace")] if said else []
    for name in [*names, "utf-8-sig"]:
        # Browsers read Latin-1 as Windows-1252, which has quotation marks where it has none.
        latin = name.lower() in ("iso-8859-1", "latin-1", "latin1", "us-ascii", "ascii")
        # A page that says UTF-16 in ASCII letters is wrong about itself.
        wide = name.lower().startswith("utf-16")
        try:
            return data.decode("cp1252" if latin else "utf-8-sig" if wide else name)
        except (LookupError, UnicodeDecodeError):
            continue
    return data


def _prepare(tree: "HtmlElement") -> int:
    """Formulas as text, line breaks of the source as spaces; the number of citation marks."""
    for formula in list(tree.iter("math")):
        text = math_to_text(formula)
        for child in list(formula):
            formula.remove(child)
        formula.tag, formula.text = "span", _flowing(text)
    fixed = {element for block in tree.iter("pre", "textarea") for element in block.iter()}
    for element in tree.iter(etree.Element):
        if element.text and "\n" in element.text and element not in fixed:
            element.text = _flowing(element.text)
        if element.tail and "\n" in element.tail and element.getparent() not in fixed:
            element.tail = _flowing(element.tail)
    return len(tree.xpath(_MARKS))


def _flowing(text: str) -> str:
    return _BLANKS.sub(" ", _NOT_OF_XML.sub("", text))


def _is_list_of_links(tree: "HtmlElement") -> bool:
    """Whether nearly all letters of a page are in links: a menu, a table of contents."""
    shown = tree.xpath("//body//text()[not(parent::script or parent::style or parent::noscript)]")
    linked = tree.xpath("//body//a[@href]//text()")
    return 0 < 0.9 * _letters(shown) <= _letters(linked)


def _letters(texts: Iterable[str]) -> int:
    return sum(len("".join(text.split())) for text in texts)


def _stated(tree: "HtmlElement") -> tuple[str | None, ...]:
    """Language, address of the license, DOI and journal, where the page states them."""

    def meta(*names: str) -> str | None:
        for name in names:
            for found in tree.iterfind(f".//meta[@name='{name}']"):
                if content := (found.get("content") or "").strip():
                    return content
        return None

    addresses = (
        found.get("href")
        for found in tree.iter("link", "a")
        if "license" in (found.get("rel") or "").lower().split()
    )
    doi = re.search(
        r"10\.\d{4,9}/\S+", meta("citation_doi", "DC.Identifier", "dc.identifier") or ""
    )
    return (
        tree.get("lang"),
        next((address for address in addresses if address), None),
        doi[0] if doi else None,
        meta("citation_journal_title"),
    )


def _polished(text: str) -> str:
    """Scripts written out as in papers, and no white space at the ends of lines."""
    signs = {"sub": SUBSCRIPT, "sup": SUPERSCRIPT}
    text = _SCRIPT.sub(lambda match: signs[match[1]] + match[2] + END, text)
    return "\n".join(line.rstrip() for line in settle_scripts(text).splitlines()).strip()
