"""Formulas as text: MathML in one line, TeX without its document.

`MATHML` has a function for every element: given it and what became of its children, it gives the
text.

Signs stay the author's (∑, ≤, α); structure is written as TeX and calculators write it: `x_{i+1}`,
`10^-3`, `(a + b)/c`, `√(x)`, rows of a matrix apart by semicolons.
"""

import re
from collections.abc import Callable, Sequence

from lxml import etree

Part = tuple[str, str]
"""A piece of an element's content: the name of a child and what it became; or "" and text."""

Parts = Sequence[Part]
Builder = Callable[[etree._Element, Parts], str]

_RELATIONS = set("=<>≤≥≦≧⩽⩾≈≠≡∼~≃≅≜≔∝→←↔⇒⇐⇔↦∈∉∋⊂⊆⊃⊇∣≪≫⟶⟵⟷⟹⟺") | {":=", "<=", ">=", "==", "!="}
_BINARY = set("+−-±∓×⋅·∗*∘⊗⊕∪∩∧∨÷∖")
_INVISIBLE = re.compile("[\u2061-\u2064\u200b\u2060]")
_ACCENTS = {
    **dict.fromkeys("^ˆ\u0302", "\u0302"),
    **dict.fromkeys("~˜∼\u0303", "\u0303"),
    **dict.fromkeys("¯‾_―\u0304\u0305", "\u0304"),
    **dict.fromkeys("˙.\u0307", "\u0307"),
    **dict.fromkeys("¨\u0308", "\u0308"),
    **dict.fromkeys("→⃗\u20d7", "\u20d7"),
}
_NAMES = {"\u0302": "hat", "\u0303": "tilde", "\u0304": "bar", "\u20d7": "vec"}
_PRIMES = set("′″‴'*†‡°")
_ATOM = re.compile(r"[^\W_]+(?:\.\d+)?(?:[_^](?:-?[^\W_]+|\{[^{}]*\}))*|[^\s\w]", re.UNICODE)
_SIMPLE = re.compile(r"-?[^\W_]+(?:\.\d+)?|[^\s\w]")


def tex_to_text(source: str, display: bool) -> str:
    """TeX between dollar signs, without a preamble, comments and delimiters of its own."""
    if body := re.search(r"\\begin\{document\}(.*?)(?:\\end\{document\}|\Z)", source, re.DOTALL):
        source = body[1]
    source = " ".join(re.sub(r"(?<!\\)%[^\n]*", "", source).split())
    source = re.sub(r"\\(begin|end)\{(equation|displaymath)\*?\}", "", source).strip()
    for begin, end in (("$$", "$$"), ("$", "$"), (r"\[", r"\]"), (r"\(", r"\)")):
        if len(source) > len(begin + end) and source.startswith(begin) and source.endswith(end):
            source = source[len(begin) : -len(end)].strip()
    sign = "$$" if display else "$"
    return sign + source + sign if source else ""


def _row(element: etree._Element, parts: Parts) -> str:
    kids = [part for part in parts if part[0] and part[1].strip()]
    out, last = "", ""
    for number, (name, text) in enumerate(kids):
        more = number + 1 < len(kids)
        infix = bool(out) and more and not out.endswith((" ", "(", "[", "{", "|"))
        if name == "mo" and (text in _RELATIONS or (text in _BINARY and infix)):
            out = f"{out.rstrip()} {text} "
        elif name == "mo" and text in (",", ";"):
            out += text + " "
        else:
            out += " " + text if _are_apart(out, last, text) else text
        last = text
    return out.strip()


def _are_apart(out: str, last: str, text: str) -> bool:
    """Whether two things side by side would run into one word."""
    if not (out[-1:].isalnum() or out[-1:] == "}") or not text[0].isalnum():
        return False
    if last[0] in "^_":  # scripts before what they belong to: ^13C
        return False
    one_letter = text[0].isalpha() and not text[1:2].isalnum()
    return not (one_letter and (_is_number(last) or len(last) == 1))


def _is_number(text: str) -> bool:
    return text.replace(".", "").replace(",", "").isdigit()


def _group(text: str) -> str:
    """In parentheses, unless it holds together as it is."""
    return text if not text or _ATOM.fullmatch(text) or _is_wrapped(text) else f"({text})"


def _is_wrapped(text: str) -> bool:
    """Whether the first parenthesis closes at the very end."""
    depth = 0
    for place, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if depth <= 0:
            return place == len(text) - 1 and text[0] in "(["
    return False


def _script(sign: str, text: str) -> str:
    text = re.sub(r"\A−(?=\w+\Z)", "-", text)
    if not text:
        return ""
    if sign == "^" and set(text) <= _PRIMES - {"*", "†", "‡"}:
        return text
    return sign + (text if _SIMPLE.fullmatch(text) else "{" + text + "}")


def _texts(kids: Parts, count: int) -> list[str]:
    """The texts of the first children, "" for those that are not there."""
    return [*(text for _, text in kids), *[""] * count][:count]


def _fraction(element: etree._Element, kids: Parts) -> str:
    above, below = _texts(kids, 2)
    if re.match(r"0+(\.0+)?\D*\Z", element.get("linethickness") or "1"):
        return f"({above} choose {below})"
    return f"{_group(above)}/{_group(below)}"


def _scripted(signs: str) -> Builder:
    def build(element: etree._Element, kids: Parts) -> str:
        base, *scripts = _texts(kids, 1 + len(signs))
        return _group(base) + "".join(map(_script, signs, scripts))

    return build


def _over(element: etree._Element, kids: Parts) -> str:
    base, above = _texts(kids, 2)
    accent = _ACCENTS.get(above)
    if accent and len(base) == 1:
        return base + accent
    return f"{_NAMES[accent]}({base})" if accent in _NAMES else _group(base) + _script("^", above)


def _square_root(element: etree._Element, kids: Parts) -> str:
    content = _row(element, kids)
    return f"√{content}" if _is_wrapped(content) else f"√({content})"


def _root(element: etree._Element, kids: Parts) -> str:
    base, index = _texts(kids, 2)
    return f"√[{index}]({base})"


def _fenced(element: etree._Element, kids: Parts) -> str:
    separators = "".join(element.get("separators", ",").split())
    out = ""
    for number, (_, text) in enumerate(kids):
        if number and separators:
            out += separators[min(number, len(separators)) - 1] + " "
        out += text
    return element.get("open", "(") + out + element.get("close", ")")


def _table(element: etree._Element, kids: Parts) -> str:
    return "; ".join(text for _, text in kids if text)


def _table_row(element: etree._Element, kids: Parts) -> str:
    return " ".join(text for _, text in kids if text)


def _before_and_after(element: etree._Element, kids: Parts) -> str:
    """Scripts on all sides: base, pairs of sub and sup, `mprescripts`, pairs before the base."""
    names = [name for name, _ in kids]
    cut = names.index("mprescripts") if "mprescripts" in names else len(kids)
    sides = []
    for side in (kids[1:cut], kids[cut + 1 :]):
        signs = "_^" * ((len(side) + 1) // 2)
        sides.append("".join(map(_script, signs, (text for _, text in side))))
    after, before = sides
    return before + _group(_texts(kids, 1)[0]) + after


def _semantics(element: etree._Element, kids: Parts) -> str:
    """TeX, if it is given beside the MathML; else the first of the children."""
    for child in element.iterchildren("{*}annotation"):
        if "tex" in child.get("encoding", "").lower() and child.text:
            return tex_to_text(child.text, display=False).strip("$")
    return _texts(kids, 1)[0]


def _first(element: etree._Element, kids: Parts) -> str:
    return _texts(kids, 1)[0]


def _nothing(element: etree._Element, kids: Parts) -> str:
    return ""


def _leaf(element: etree._Element, parts: Parts) -> str:
    return " ".join(_INVISIBLE.sub("", "".join([text for _, text in parts])).split())


def _words(element: etree._Element, parts: Parts) -> str:
    text = _leaf(element, parts)
    return f" {text} " if re.fullmatch("[A-Za-z][A-Za-z ]+", text) else text


def _on_children(build: Builder) -> Builder:
    """Without the white space between them."""
    return lambda element, parts: build(element, [part for part in parts if part[0]])


MATHML: dict[str, Builder] = {
    **dict.fromkeys(("mi", "mn", "mo", "ms"), _leaf),
    "mtext": _words,
    **dict.fromkeys(("math", "mrow", "mstyle", "mpadded", "menclose", "merror", "mtd"), _row),
    **dict.fromkeys(("mphantom", "annotation", "annotation-xml", "none", "mspace"), _nothing),
    "mfrac": _on_children(_fraction),
    "msub": _on_children(_scripted("_")),
    "msup": _on_children(_scripted("^")),
    "msubsup": _on_children(_scripted("_^")),
    "munder": _on_children(_scripted("_")),
    "munderover": _on_children(_scripted("_^")),
    "mover": _on_children(_over),
    "msqrt": _square_root,
    "mroot": _on_children(_root),
    "mfenced": _on_children(_fenced),
    "mtable": _on_children(_table),
    "mtr": _on_children(_table_row),
    "mlabeledtr": _on_children(_table_row),
    "mmultiscripts": _on_children(_before_and_after),
    "semantics": _on_children(_semantics),
    "maction": _on_children(_first),
}


def math_to_text(root: etree._Element) -> str:
    """A `<math>` of a page of HTML, where elements have no namespace."""
    texts: dict[etree._Element, str] = {}
    for element in reversed(list(root.iter(etree.Element))):  # children before parents
        parts = [("", element.text or "")]
        for child in element.iterchildren(etree.Element):
            parts += [(child.tag, texts[child]), ("", child.tail or "")]
        build = MATHML.get(element.tag)
        texts[element] = build(element, parts) if build else "".join([text for _, text in parts])
    return texts[root]
