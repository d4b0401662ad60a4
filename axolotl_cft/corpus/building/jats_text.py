"""The elements of an article as text, from the leaves up.

One walk without recursion: when an element ends, its children have become text already, and one
function of `_BUILDERS` puts them together. What has none is a piece of a line.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lxml import etree

from axolotl_cft.corpus.building.jats_left_out import left_out, local_name
from axolotl_cft.corpus.building.jats_tables import table_lines
from axolotl_cft.corpus.building.lines import (
    CITATION,
    END,
    LABEL_END,
    LINE,
    PARAGRAPH,
    SPACE,
    SUPERSCRIPT,
    is_mark,
    laid_out,
    lines_of,
    on_one_line,
    preserved,
    subscript,
    superscript,
    tidy,
)
from axolotl_cft.corpus.building.mathml import MATHML, Part, Parts, tex_to_text
from axolotl_cft.corpus.building.safe_xml import named_characters


@dataclass
class Reading:
    """What is learned of one article while it is read.

    Attributes:
        references, footnotes: ids that a mark in the text may point to.
        noted: ids of footnotes that the text points to.
        characters: what named entities stand for.
        left_out: what did not become text -> how often.
        notes: the texts of the footnotes.
        cells: what table cells say.
    """

    references: set[str]
    footnotes: set[str]
    noted: set[str]
    characters: Mapping[str, str]
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    cells: dict[etree._Element, str] = field(default_factory=dict)

    @classmethod
    def of(cls, article: etree._Element) -> "Reading":
        """Ready to read an article."""
        footnotes = {found.get("id", "") for found in article.iter("{*}fn")}
        pointed = {rid for xref in article.iter("{*}xref") for rid in xref.get("rid", "").split()}
        return cls(
            references={found.get("id", "") for found in article.iter("{*}ref")} - {""},
            footnotes=footnotes - {""},
            noted=footnotes & pointed,
            characters=named_characters(article),
        )

    def count(self, elements: Iterable[etree._Element], what: str) -> None:
        """Count elements that nobody reads."""
        if number := sum(1 for _ in elements):
            self.left_out[what] += number

    def paragraphs(self, elements: Sequence[etree._Element]) -> str:
        """Elements, one after the other, as paragraphs apart by an empty line."""
        return laid_out(PARAGRAPH.join(self._walk(element) for element in elements))

    def line(self, element: etree._Element | None) -> str | None:
        """An element as one line; None if it is not there or says nothing."""
        return (on_one_line(self._walk(element)) or None) if element is not None else None

    def _walk(self, root: etree._Element) -> str:
        names: list[str] = []
        frames: list[list[Part]] = [[]]
        skipped = None
        walker = etree.iterwalk(root, events=("start", "end"))
        for event, element in walker:
            if event == "start":
                tag = element.tag
                name = local_name(tag) if isinstance(tag, str) else _ENTITY
                names.append(name)
                frames.append([("", element.text)] if element.text else [])
                if left_out(element, name, self.left_out):
                    skipped = element
                    walker.skip_subtree()
                continue
            name, parts = names.pop(), frames.pop()
            text = "" if element is skipped else self._build(element, name, parts)
            frames[-1].append((name, text))
            if element.tail:
                frames[-1].append(("", element.tail))
        return frames[0][0][1]

    def _build(self, element: etree._Element, name: str, parts: Parts) -> str:
        if (build := _BUILDERS.get(name)) is not None:
            return build(self, element, parts)
        if (build_math := MATHML.get(name)) is not None:
            return build_math(element, parts)
        return _join(parts)


def _join(parts: Parts) -> str:
    return "".join([text for _, text in parts])


def _take(parts: Parts, *names: str) -> tuple[str, list[Part]]:
    """The children of these names as one line, and all else."""
    taken = tidy(" ".join(text for name, text in parts if name in names))
    return taken, [part for part in parts if part[0] not in names]


def _sentences(lines: Sequence[str]) -> str:
    """Lines as one, with a stop behind each that has none."""
    lines = [line for line in lines if line]
    stopped = [line if line[-1] in ".!?:;,)" else line + "." for line in lines[:-1]]
    return " ".join(stopped + lines[-1:])


def _is_inside(element: etree._Element, *names: str) -> bool:
    return any(local_name(ancestor.tag) in names for ancestor in element.iterancestors())


def _block(reading: Reading, element: etree._Element, parts: Parts) -> str:
    return PARAGRAPH + _join(parts) + PARAGRAPH


def _paragraph(reading: Reading, element: etree._Element, parts: Parts) -> str:
    text = _join(parts)
    # eLife has such a paragraph below every abstract and caption.
    if len(text) < 100 and "DOI" in text and re.fullmatch(r"DOI: ?https?://\S+", tidy(text)):
        return ""
    return PARAGRAPH + text + PARAGRAPH


def _line(reading: Reading, element: etree._Element, parts: Parts) -> str:
    return LINE + _join(parts) + LINE


def _one_line(reading: Reading, element: etree._Element, parts: Parts) -> str:
    return tidy(_join(parts))


def _titled(reading: Reading, element: etree._Element, parts: Parts) -> str:
    """A label and a title on a line of their own, and the rest below."""
    label, rest = _take(parts, "label")
    title, rest = _take(rest, "title", "caption")
    return PARAGRAPH + f"{label} {title}" + PARAGRAPH + _join(rest) + PARAGRAPH


def _nothing(reading: Reading, element: etree._Element, parts: Parts) -> str:
    return ""


def _space(reading: Reading, element: etree._Element, parts: Parts) -> str:
    return " "


def _entity(reading: Reading, element: etree._Element, parts: Parts) -> str:
    characters = reading.characters.get(element.name)
    if characters is None:
        reading.left_out["unknown entities"] += 1
    return characters or ""


def _superscript(reading: Reading, element: etree._Element, parts: Parts) -> str:
    return superscript(_join(parts))


def _subscript(reading: Reading, element: etree._Element, parts: Parts) -> str:
    return subscript(_join(parts))


def _cross_reference(reading: Reading, element: etree._Element, parts: Parts) -> str:
    """Numbers and signs that mark a reference or a note go; names, figures and tables stay."""
    text, kind = _join(parts), element.get("ref-type")
    targets = set(element.get("rid", "").split())
    if kind in ("bibr", "ref") or (kind is None and targets & reading.references):
        if not is_mark(text):
            return text
        reading.left_out["citation marks"] += 1
        return CITATION
    if kind in ("fn", "table-fn") or (kind is None and targets & reading.footnotes):
        return superscript(text) if _is_inside(element, "table", "table-wrap") else CITATION
    return "" if kind in ("aff", "author-notes", "contrib", "corresp") else text


def _footnote(reading: Reading, element: etree._Element, parts: Parts) -> str:
    """Below a table where it stands; else at the end of the article, if the text points to it."""
    label, rest = _take(parts, "label")
    body = _MARK_AT_BEGINNING.sub(r"\g<0> ", _join(rest))
    if _is_inside(element, "table-wrap", "table-wrap-foot"):
        return f"{LINE}{label} {' '.join(lines_of(body))}{LINE}"
    in_group = _is_inside(element, "fn-group")
    pointed = element.get("id") in reading.noted or element.get("fn-type") == "abbr"
    if _is_inside(element, "title-group") or (in_group and not pointed):
        reading.left_out["footnotes"] += 1
    elif text := on_one_line(body):
        reading.notes.append(text)
    return ""


def _footnotes(reading: Reading, element: etree._Element, parts: Parts) -> str:
    return _join([part for part in parts if part[0] == "fn"])


def _figure(reading: Reading, element: etree._Element, parts: Parts) -> str:
    """The caption, which is prose, with the label that the text speaks of."""
    label, rest = _take(parts, "label")
    caption, rest = _take(rest, "caption")
    head = _sentences([label, caption]) if caption else ""
    return PARAGRAPH + head + PARAGRAPH + _join(rest) + PARAGRAPH


def _table_wrap(reading: Reading, element: etree._Element, parts: Parts) -> str:
    label, rest = _take(parts, "label")
    caption, rest = _take(rest, "caption")
    return PARAGRAPH + _sentences([label, caption]) + PARAGRAPH + _join(rest) + PARAGRAPH


def _caption(reading: Reading, element: etree._Element, parts: Parts) -> str:
    return _sentences(lines_of(_join(parts)))


def _cell(reading: Reading, element: etree._Element, parts: Parts) -> str:
    reading.cells[element] = " ".join(lines_of(_join(parts)))
    return ""


def _table(reading: Reading, element: etree._Element, parts: Parts) -> str:
    return PARAGRAPH + LINE.join(table_lines(element, reading.cells)) + PARAGRAPH


def _below_table(reading: Reading, element: etree._Element, parts: Parts) -> str:
    text = _LETTER_AS_MARK.sub(r"\g<0> ", _join(parts))
    return PARAGRAPH + LINE.join(lines_of(text)) + PARAGRAPH


def _list_item(reading: Reading, element: etree._Element, parts: Parts) -> str:
    label, rest = _take(parts, "label")
    lines = lines_of(_join(rest))
    return label + LABEL_END + LINE.join(lines) if lines else ""


def _list(reading: Reading, element: etree._Element, parts: Parts) -> str:
    head, rest = _take(parts, "label", "title")
    kind, lines = element.get("list-type", "bullet"), []
    items = [text for name, text in rest if name == "list-item" and text]
    for number, item in enumerate(items, 1):
        label, _, body = item.partition(LABEL_END)
        first, *others = body.split(LINE)
        lines.append(f"{label or list_mark(kind, number)} {first}")
        lines += [SPACE * 2 + line for line in others]
    return PARAGRAPH + head + PARAGRAPH + LINE.join(lines) + PARAGRAPH


def list_mark(kind: str, number: int) -> str:
    """What stands before an item of a list of a `list-type`.

    Example:
        >>> [list_mark(kind, 4) for kind in ("order", "alpha-lower", "roman-upper", "bullet")]
        ['4.', 'd.', 'IV.', '-']
    """
    if kind in ("simple", "none"):
        return ""
    if kind.startswith("alpha") and number <= 26:
        mark = chr(ord("a") + number - 1)
    elif kind.startswith("roman") and number < 40:
        mark = "x" * (number // 10) + _ROMAN[number % 10]
    elif kind.startswith(("order", "alpha", "roman", "arabic", "number")):
        mark = str(number)
    else:
        return "-"
    return (mark.upper() if kind.endswith("upper") else mark) + "."


def _definitions(reading: Reading, element: etree._Element, parts: Parts) -> str:
    head, rest = _take(parts, "label", "title")
    columns = [tidy(text) for name, text in rest if name in ("term-head", "def-head")]
    items = _join([part for part in rest if not part[0].endswith("-head")])
    lines = [": ".join(filter(None, columns)), *lines_of(items)]
    return PARAGRAPH + head + PARAGRAPH + LINE.join(filter(None, lines)) + PARAGRAPH


def _definition(reading: Reading, element: etree._Element, parts: Parts) -> str:
    terms = ", ".join(filter(None, (tidy(text) for name, text in parts if name == "term")))
    said = " ".join(line for name, text in parts if name == "def" for line in lines_of(text))
    return LINE + ": ".join(filter(None, (terms, said))) + LINE


def _speech(reading: Reading, element: etree._Element, parts: Parts) -> str:
    speaker, rest = _take(parts, "speaker")
    lines = lines_of(_join(rest))
    sign = " " if speaker.endswith(".") else ": "
    return PARAGRAPH + sign.join(filter(None, (speaker.rstrip(":"), " ".join(lines)))) + PARAGRAPH


def _abbreviation(reading: Reading, element: etree._Element, parts: Parts) -> str:
    """What it stands for in parentheses."""
    meaning, rest = _take(parts, "def")
    return f"{_join(rest)} ({meaning})" if meaning else _join(rest)


def _preserved(reading: Reading, element: etree._Element, parts: Parts) -> str:
    return preserved(_join(parts))


def _keywords(reading: Reading, element: etree._Element, parts: Parts) -> str:
    title, rest = _take(parts, "label", "title")
    # An <x> holds the comma that stands between two on the page.
    words = "; ".join(filter(None, (tidy(text) for name, text in rest if name not in ("", "x"))))
    return f"{PARAGRAPH}{title.rstrip(':') or 'Keywords'}: {words}{PARAGRAPH}" if words else ""


def _keyword_of_parts(reading: Reading, element: etree._Element, parts: Parts) -> str:
    return ": ".join(filter(None, (tidy(text) for name, text in parts if name)))


def _best(parts: Parts) -> list[Part]:
    """Of several forms of one thing the one that reads best, without white space around it."""
    for name in _FORMS:
        if found := [part for part in parts if part[0] == name and part[1]]:
            return found
    return list(parts)


def _alternatives(reading: Reading, element: etree._Element, parts: Parts) -> str:
    return _join(_best(parts))


def _inline_formula(reading: Reading, element: etree._Element, parts: Parts) -> str:
    return tidy(_join(_best(parts)))


def _display_formula(reading: Reading, element: etree._Element, parts: Parts) -> str:
    """On a line of its own, with the number by which the text speaks of it."""
    label, rest = _take(parts, "label")
    formula = tidy(_join(_best(rest)))
    return f"{LINE}{formula} {label}{LINE}" if formula else " "


def _tex(reading: Reading, element: etree._Element, parts: Parts) -> str:
    around = [local_name(found.tag) for found in element.iterancestors()][:2]
    return tex_to_text(_join(parts), display="disp-formula" in around)


_ENTITY = "&"
_ROMAN = ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")
_FORMS = ("tex-math", "math", "table", "array", "textual-form")
_MARK_AT_BEGINNING = re.compile(
    f"\\A[\\s{PARAGRAPH}{LINE}]*{SUPERSCRIPT}[^{SUPERSCRIPT}{END}]*{END}(?=\\S)"
)

_LETTER_AS_MARK = re.compile(f"(?:\\A|(?<=[\\s{PARAGRAPH}{LINE}])){SUPERSCRIPT}[a-z]{END}(?=\\S)")
"""Of a note below a table: behind white space, and followed by none."""

_BUILDERS: dict[str, Callable[[Reading, etree._Element, Parts], str]] = {
    _ENTITY: _entity,
    **dict.fromkeys(
        """
        abstract address answer app-group attrib back body disp-formula-group explanation
        floats-group floats-wrap front-matter-part named-book-part-body question question-wrap
        sig-block subtitle title trans-title
        """.split(),  # noqa: SIM905
        _block,
    ),
    **dict.fromkeys(
        """
        app boxed-text disp-quote gloss-group glossary sec statement verse-group
        """.split(),  # noqa: SIM905
        _titled,
    ),
    **dict.fromkeys(("addr-line", "sig", "verse-line"), _line),
    **dict.fromkeys(("compound-kwd", "nested-kwd"), _keyword_of_parts),
    **dict.fromkeys(("hr", "glyph-ref"), _nothing),
    "abbrev": _abbreviation,
    "alternatives": _alternatives,
    "array": _table,
    "break": _space,
    "caption": _caption,
    "code": _preserved,
    "def-item": _definition,
    "def-list": _definitions,
    "disp-formula": _display_formula,
    "entry": _cell,
    "fig": _figure,
    "fig-group": _figure,
    "fn": _footnote,
    "fn-group": _footnotes,
    "inline-formula": _inline_formula,
    "kwd-group": _keywords,
    "label": _one_line,
    "list": _list,
    "list-item": _list_item,
    "p": _paragraph,
    "preformat": _preserved,
    "speech": _speech,
    "sub": _subscript,
    "sup": _superscript,
    "table": _table,
    "table-wrap": _table_wrap,
    "table-wrap-group": _table_wrap,
    "table-wrap-foot": _below_table,
    "td": _cell,
    "tex-math": _tex,
    "th": _cell,
    "xref": _cross_reference,
}
