"""Articles in JATS, the XML of PubMed Central and most publishers of journals, as readable text.

Written for continued pre-training: what the authors say about their subject, in the order of the
page, without what a reader skips (`jats_left_out` says what that is; `Parsed.left_out` counts it).
Standard: https://jats.nlm.nih.gov/ (1.0 to 1.4, and NLM 2 and 3 before it).
"""

from lxml import etree

from axolotl_cft.corpus.building.jats_metadata import metadata_of
from axolotl_cft.corpus.building.jats_text import Reading
from axolotl_cft.corpus.building.parsed import Parsed
from axolotl_cft.corpus.building.safe_xml import parse_xml
from axolotl_cft.errors import CFTError

PROSE_ABSTRACTS = {
    None,
    "summary",
    "author-summary",
    "editor-summary",
    "executive-summary",
    "plain-language-summary",
    "lay-summary",
    "main",
    "abstract",
    "structured",
    "normal",
}
"""Kinds of abstracts that are kept; graphical ones, teasers and highlights repeat the main one."""


def read_jats(data: bytes) -> list[Parsed]:
    """The articles of one file: one, or many in a `<pmc-articleset>` or an OAI answer.

    Returns:
        in the order of the file. A text is empty where an article has no title, abstract and body.

    Raises:
        CFTError: the file is no XML or holds no JATS article. The sentence does not name the file.
    """
    articles = [found for found in parse_xml(data).iter("{*}article") if _is_jats(found)]
    if not articles:
        raise CFTError("no JATS: there is no <article> with a <front> or a <body> in it")
    return [_parsed(article) for article in articles]


def _is_jats(article: etree._Element) -> bool:
    """DocBook and HTML have an `<article>` too."""
    return any(article.find(f"{{*}}{part}") is not None for part in ("front", "body"))


def _parsed(article: etree._Element) -> Parsed:
    reading = Reading.of(article)
    metadata = metadata_of(article, reading)
    meta = article.find("{*}front/{*}article-meta")
    blocks = [metadata.title or ""]
    if meta is not None:
        blocks += _abstracts(meta, reading, metadata.language)
        blocks += _keywords(meta, reading, metadata.language)
        for name, what in (("aff", "affiliations"), ("author-notes", "author notes")):
            reading.count(meta.iter(f"{{*}}{name}"), what)
    for name in ("body", "floats-group", "floats-wrap", "back"):  # the third as in NLM 2
        blocks.append(reading.paragraphs(article.findall(f"{{*}}{name}")))
    if reading.notes:
        blocks += ["Notes", *reading.notes]
    reading.count(article.iterchildren("{*}sub-article", "{*}response"), "sub-articles")
    text = "\n\n".join(filter(None, blocks))
    return Parsed(text=text, left_out=reading.left_out, **metadata._asdict())


def _is_translated(element: etree._Element, language: str | None) -> bool:
    """Whether it is in another language than the article, as it says itself."""
    own = element.get("{http://www.w3.org/XML/1998/namespace}lang")
    return bool(own and language) and str(own)[:2].lower() != str(language)[:2].lower()


def _abstracts(meta: etree._Element, reading: Reading, language: str | None) -> list[str]:
    """The main abstract and summaries for other readers, each below a title."""
    blocks = []
    reading.count(meta.iterchildren("{*}trans-abstract"), "other abstracts")
    for abstract in meta.iterchildren("{*}abstract"):
        kind = abstract.get("abstract-type")
        if kind not in PROSE_ABSTRACTS or _is_translated(abstract, language):
            reading.left_out["other abstracts"] += 1
        elif text := reading.paragraphs([abstract]):
            titled = abstract.find("{*}title") is not None
            blocks += [text] if titled else ["Abstract", text]
    return blocks


def _keywords(meta: etree._Element, reading: Reading, language: str | None) -> list[str]:
    """The authors' own; indexers' terms, lists of abbreviations and translations are counted."""
    blocks = []
    for group in meta.iterchildren("{*}kwd-group"):
        own = (group.get("kwd-group-type") or "author").lower().startswith("author")
        if own and not _is_translated(group, language):
            blocks.append(reading.paragraphs([group]))
        else:
            reading.left_out["other keywords"] += 1
    return blocks
