"""XML from strangers: nothing is fetched, nothing grows, and what is broken is named."""

import html.entities
import re
from collections import ChainMap
from collections.abc import Mapping

from lxml import etree

from axolotl_cft.errors import CFTError

_NAMED = re.compile(
    rb"<!\[CDATA\[.*?(?:\]\]>|\Z)|<!--.*?(?:-->|\Z)|&([A-Za-z][A-Za-z0-9]*);", re.DOTALL
)
_OF_XML = {b"amp", b"lt", b"gt", b"quot", b"apos"}


def parse_xml(data: bytes) -> etree._Element:
    """The root element of a file, without comments and processing instructions.

    No DTD is loaded, no network asked and no entity expanded: those are nodes of the tree, for
    `named_characters`. libxml2's own limits stay on (256 levels, 10 MB in one text), and it refuses
    entities that multiply.

    Raises:
        CFTError: the file is not well-formed, or goes beyond these limits.
    """
    data = data.lstrip(b" \t\r\n")  # an XML declaration must come first, and often does not
    try:
        return etree.fromstring(data, _parser())
    except etree.XMLSyntaxError as exc:
        if (named := _NAMED.sub(_numbered, data)) == data:
            raise _broken(exc) from exc
    # Without a DOCTYPE, names such as &alpha; are an error to an XML parser.
    try:
        return etree.fromstring(named, _parser())
    except etree.XMLSyntaxError as exc:
        raise _broken(exc) from exc


def _parser() -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


def _numbered(match: re.Match[bytes]) -> bytes:
    name = match[1]
    if name is None or name in _OF_XML:
        return match[0]
    characters = html.entities.html5.get(name.decode() + ";")
    return "".join(f"&#{ord(c)};" for c in characters).encode() if characters else match[0]


def _broken(exc: etree.XMLSyntaxError) -> CFTError:
    if "Excessive depth" in exc.msg:
        return CFTError(
            "elements are nested more than 256 deep: remove the file, no paper needs it"
        )
    return CFTError(f"not well-formed XML: {exc.msg}; mend or remove the file")


def named_characters(root: etree._Element) -> Mapping[str, str]:
    """What named entities stand for: HTML's names, and those that the file itself declares.

    Only what is declared in plain characters counts; not what holds markup, other entities or
    other files.
    """
    dtd = root.getroottree().docinfo.internalDTD
    declared = {
        entity.name: entity.content
        for entity in (dtd.iterentities() if dtd is not None else ())
        if entity.content is not None and not set("<&") & set(entity.content)
    }
    return ChainMap(_OF_HTML, declared)


_OF_HTML = {name[:-1]: text for name, text in html.entities.html5.items() if name[-1] == ";"}
