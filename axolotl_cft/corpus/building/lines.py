"""A line of text: scripts, citation marks and white space.

While an article is put together, control characters stand for what is settled later. XML 1.0 allows
none of them, so none comes from a file.

Scripts become plain ASCII or TeX, not Unicode's small digits: that is how most text is written that
models read, every letter has it, and normalization (NFKC, as in many tokenizers) would turn 10⁻³
into 10-3.
"""

import re

CITATION = "\x01"
"""A mark of a reference or a footnote, which goes together with its brackets."""

SUBSCRIPT, SUPERSCRIPT, END = "\x02", "\x03", "\x0f"
SPACE, NEWLINE = "\x04", "\x05"
"""White space that stays: of code, and before a nested list."""

LABEL_END = "\x0e"
"""Behind the label that a list item brings."""

PARAGRAPH, LINE = "\x06", "\x07"
"""Where a paragraph or a line begins or ends, however often they stand there."""

_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]")  # soft hyphen, zero-width, byte order mark
_BREAKS = re.compile(f"[{PARAGRAPH}{LINE}]")


def tidy(text: str) -> str:
    """One line in its final form, but for `SPACE` and `NEWLINE`.

    Example:
        >>> tidy(f"10{SUPERSCRIPT}−3{END}  mol [{CITATION}, {CITATION}].")
        '10^-3 mol.'
    """
    if PARAGRAPH in text or LINE in text:
        text = _BREAKS.sub(" ", text)
    if not text.isascii():
        text = _INVISIBLE.sub("", text)
    text = " ".join(text.split())
    if CITATION in text:
        text = " ".join(_without_citations(text).split())
    return settle_scripts(text)


def lines_of(text: str) -> list[str]:
    """The lines of some paragraphs, tidied; no empty ones."""
    return [line for part in _BREAKS.split(text) if (line := tidy(part))]


def laid_out(text: str) -> str:
    """The text of a whole article: paragraphs apart by an empty line."""
    paragraphs = ("\n".join(lines_of(part)) for part in text.split(PARAGRAPH))
    text = "\n\n".join(filter(None, paragraphs))
    return text.replace(LABEL_END, " ").replace(SPACE, " ").replace(NEWLINE, "\n")


def on_one_line(text: str) -> str:
    """The text of one element, in its final form."""
    return " ".join(laid_out(text).split())


def preserved(text: str) -> str:
    """Text whose white space stays, as a block of its own."""
    lines = settle_scripts(text).expandtabs(4).splitlines()
    while lines and not lines[0].strip():
        del lines[0]
    kept = "\n".join(line.rstrip() for line in lines).rstrip()
    return PARAGRAPH + kept.replace(" ", SPACE).replace("\n", NEWLINE) + PARAGRAPH


_C = CITATION
_BETWEEN = r"(?:[\s,;–—‒−-]|and\b|&)"
_ABOUT = (
    r"[\s,;.:–-]|see|also|e\.g|i\.e|cf|[Rr]efs?|[Rr]eferences?|reviewed|reviews?|in|for|and|an?"
    r"|therein|pp?\. ?\d+(?:[–-]\d+)?"
)
_CITATIONS = re.compile(f"{_C}(?:{_BETWEEN}*{_C})*")
_NUMBER = r"(?<![.\d])\d{1,3}\b(?!\.\d)"
_BRACKETED = re.compile(
    rf"\((?:{_ABOUT})*{_C}(?:{_ABOUT}|{_C})*\)"
    rf"|\[(?:{_ABOUT}|{_NUMBER})*{_C}(?:{_ABOUT}|{_NUMBER}|{_C})*\]"  # [1,2,3], 2 unmarked
)
_LAST_IN_BRACKETS = re.compile(rf"[,;] ?{_C}(?= ?[\])])")
_FIRST_IN_BRACKETS = re.compile(rf"(?<=[\[(]){_C} ?[,;] ?")
_MARK = re.compile(r"[\[(]?\s*(?:\d{1,3}[a-z]?|[a-z]|[*†‡§¶#]+)\s*[\])]?")
_BETWEEN_MARKS = re.compile(r"\s*(?:[,;–—‒−-]|\Z)\s*")
_SIGNS = re.compile(rf"\A\s+|[{SUPERSCRIPT}{SUBSCRIPT}{END}]")
_ONLY_MARKS = re.compile(rf"[\s\[(]*(?:\d+|{_C}+)(?:\s*[,;–—‒−-]\s*(?:\d+|{_C}+))*[\s\])]*")


def is_mark(text: str) -> bool:
    """Whether the words of a citation are a number or a sign, and no author and no year.

    Example:
        >>> [is_mark(text) for text in ("12", "[3, 4]", "2–5", "*", "2001", "Darwin, 1859")]
        [True, True, True, True, False, False]
    """
    if text.isdigit():
        return len(text) <= 3
    marks = _BETWEEN_MARKS.split(_SIGNS.sub("", text))
    return all(_MARK.fullmatch(mark) for mark in marks if mark)


def _without_citations(text: str) -> str:
    for _ in range(2):  # [1]–[3]: first within the brackets, then from one to the next
        text = _BRACKETED.sub(_C, _CITATIONS.sub(_C, text))
    text = _LAST_IN_BRACKETS.sub("", text)
    text = _FIRST_IN_BRACKETS.sub("", text)
    return text.replace(" " + _C, "").replace(_C, "")


def superscript(text: str) -> str:
    """A superscript; what holds nothing but citation marks is one."""
    if CITATION in text and _ONLY_MARKS.fullmatch(text):
        return CITATION
    if not any(character.isalnum() for character in text):
        return text  # CD4+, −/−, *, ®, or a comma between two marks
    return SUPERSCRIPT + tidy(text) + END


def subscript(text: str) -> str:
    """A subscript."""
    return SUBSCRIPT + tidy(text) + END


_SCRIPT = re.compile(f"([{SUBSCRIPT}{SUPERSCRIPT}])([^{SUBSCRIPT}{SUPERSCRIPT}{END}]*){END}")
_TOKEN = re.compile(r"-?\w+(?:\.\w+)?")
_NEGATIVE = re.compile(r"\A[−–‐‑-](?=\d)")


def settle_scripts(text: str) -> str:
    """Write scripts out.

    Chemistry and statistics as they are written where there are no scripts (H2O, HbA1c, Ca2+,
    CD4+, F(1, 20), 13C, 1st); everything else as in TeX (10^-3, V_max, x_{i+1}, SO4^2−).
    """
    return _SCRIPT.sub(_script, text) if END in text else text


def _script(match: re.Match[str]) -> str:
    kind, content = match[1], _NEGATIVE.sub("-", match[2].strip())
    before = match.string[: match.start()][-6:].rstrip(END)
    after = match.string[match.end() : match.end() + 1]
    if content in ("o", "0", "º") and before[-1:].isdigit() and after in ("C", "F"):
        return "°"  # 37 °C, as it is often typed
    plain = _is_plain_superscript if kind == SUPERSCRIPT else _is_plain_subscript
    if plain(content, before):
        return match[2].strip()
    alone = _TOKEN.fullmatch(content) or re.fullmatch(r"\d+[+−–-]", content)
    if not alone or after.isalnum():
        content = "{" + content + "}"
    return ("^" if kind == SUPERSCRIPT else "_") + content


def _is_plain_subscript(content: str, before: str) -> bool:
    if not before or before[-1].isspace() or not content:
        return True
    counts = re.fullmatch(r"\d+(?:\.\d+)?[A-Za-z]?", content) and (
        before[-1].isalpha() or before[-1] in ")]"
    )
    return bool(counts) or (content[0] == "(" and content[-1] == ")")


def _is_plain_superscript(content: str, before: str) -> bool:
    if content in ("st", "nd", "rd", "th", "TM"):
        return True
    if not before.strip() or before[-1] in "([{/–—-\"'“‘":
        return True  # 13C
    if before[-1].isspace():
        return content[0] != "-" and not before.rstrip().endswith("10")
    charge = re.fullmatch(r"\d+[+−–-]", content)
    return bool(charge) and (before[-1].isalpha() or before[-1] in ")]")
