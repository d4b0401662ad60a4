"""Who published an article where, when and under what license, as its front matter says."""

import calendar
import html
import re
from typing import NamedTuple

from lxml import etree

from axolotl_cft.corpus.building.jats_left_out import local_name
from axolotl_cft.corpus.building.jats_text import Reading

_HREF = "{http://www.w3.org/1999/xlink}href"
_CC = re.compile(r"https?://(?:www\.)?creativecommons\.org/[\w./+-]*[\w/]")
_DOI = re.compile(r"10\.\d{4,9}/\S+")
_NOT_PUBLISHED = re.compile(r"pmc-release|nihms|retract|correct|embargo|submit|received|preprint")
_MONTHS = {name.lower()[:3]: number for number, name in enumerate(calendar.month_abbr) if name}


class Metadata(NamedTuple):
    """What the front matter says; see `Parsed`."""

    title: str | None
    licence: str | None
    url: str | None
    date: str | None
    journal: str | None
    doi: str | None
    language: str | None
    article_type: str | None


def metadata_of(article: etree._Element, reading: Reading) -> Metadata:
    """The metadata of an `<article>`."""
    meta = article.find("{*}front/{*}article-meta")
    if meta is None:
        meta = etree.Element("article-meta")
    titles = (
        reading.line(meta.find(f"{{*}}title-group/{{*}}{name}"))
        for name in ("article-title", "subtitle")
    )
    doi = _doi(meta)
    return Metadata(
        title=": ".join(filter(None, titles)) or None,
        licence=_license(meta),
        url=f"https://doi.org/{doi}" if doi else _other_address(meta),
        date=_date(meta),
        journal=reading.line(article.find("{*}front/{*}journal-meta//{*}journal-title")),
        doi=doi,
        language=article.get("{http://www.w3.org/XML/1998/namespace}lang"),
        article_type=article.get("article-type"),
    )


def _ids(meta: etree._Element) -> dict[str, str]:
    return {
        found.get("pub-id-type", ""): (found.text or "").strip()
        for found in reversed(meta.findall("{*}article-id"))
    }


def _doi(meta: etree._Element) -> str | None:
    found = _DOI.search(_ids(meta).get("doi", ""))
    return found[0] if found else None


def _other_address(meta: etree._Element) -> str | None:
    ids = _ids(meta)
    for kind in ("pmc", "pmcid"):
        if number := ids.get(kind, "").upper().removeprefix("PMC"):
            return f"https://pmc.ncbi.nlm.nih.gov/articles/PMC{number}/"
    for link in meta.iterchildren("{*}self-uri"):
        if (address := link.get(_HREF) or "").startswith(("http://", "https://")):
            return address
    return f"https://pubmed.ncbi.nlm.nih.gov/{ids['pmid']}/" if ids.get("pmid") else None


def _license(meta: etree._Element) -> str | None:
    """The address of a license, Creative Commons before others; else its words; else its type."""
    licenses = meta.findall("{*}permissions/{*}license") + meta.findall("{*}license")
    references = meta.findall(".//{*}license_ref")
    references.sort(key=lambda found: found.get("specific-use") == "tdm")  # for machines only
    links = [link for one in licenses for link in one.iter("{*}ext-link", "{*}uri")]
    said = [one.get(_HREF) or "" for one in licenses] + [_words(found) for found in references]
    addresses = [address for address in said if re.match("https?://", address)]
    words = [
        _words(one) for one in licenses
    ] + [  # the last as publishers wrote before there was an element for it
        text
        for found in meta.iterfind(".//{*}copyright-statement")
        if re.search("(?i)licen[cs]|creative commons", text := _words(found))
    ]
    for text in [*addresses, *(link.get(_HREF) or "" for link in links), *words]:
        if found := _CC.search(text):
            return found[0]
    types = [one.get("license-type") for one in licenses]
    return next(filter(None, [*addresses, *words, *types]), None)


def _words(element: etree._Element) -> str:
    return html.unescape(" ".join("".join(element.itertext()).split()))


def _date(meta: etree._Element) -> str | None:
    """The earliest day, month or year of publication; the more precise of the same year first."""
    found = [
        date
        for element in meta.iterchildren("{*}pub-date")
        if not _NOT_PUBLISHED.search(
            f"{element.get('pub-type')} {element.get('date-type')}".lower()
        )
        and (date := _parts_of_date(element))
    ]
    earliest = min(found, key=lambda date: (*date, 99, 99)[:3], default=())
    return (
        "-".join(f"{part:0{width}}" for part, width in zip(earliest, (4, 2, 2), strict=False))
        or None
    )


def _parts_of_date(element: etree._Element) -> tuple[int, ...]:
    """Year, month and day, as far as they are given and make sense."""
    given = {
        local_name(child.tag): (child.text or "").strip() for child in element.iterchildren("*")
    }
    iso = re.match(r"(\d{4})(?:-(\d\d))?(?:-(\d\d))?", element.get("iso-8601-date") or "")
    year, month, day = iso.groups() if iso else map(given.get, ("year", "month", "day"))
    if year is None:
        in_words = re.search(r"\b(1[5-9]|20)\d\d\b", given.get("string-date", ""))
        year, month, day = (in_words[0] if in_words else ""), None, None
    if not re.fullmatch(r"[12]\d{3}", year):
        return ()
    number = _MONTHS.get(month[:3].lower()) or _number(month) if month else None
    if number is None or not 1 <= number <= 12:
        return (int(year),)
    days = calendar.monthrange(int(year), number)[1]
    if (of_month := _number(day)) is None or not 1 <= of_month <= days:
        return int(year), number
    return int(year), number, of_month


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 5 else None
