"""Sentences out of their place: without markup, and only those that make sense there.

The published patterns take what matches. A sentence that begins with "They", points at a figure or
is half of a quotation matches too, and is a bad question: such ones are left out here.
"""

import re

_IMAGE = re.compile(r"!\[[^\]]*\](?:\([^()]*\)|\[[^\]]*\])?")
_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])+)\](?:\((?:[^()\s]|\([^()]*\))*\)|\[[^\[\]]*\])")
_REFERENCE = re.compile(
    r"\s*[(\[](?:see\s+|cf\.\s+)?(?:also\s+)?(?:\[link\]\w?|Figs?\.?|Figures?|Tables?|Eqs?\.?"
    r"|Equations?|Box|Chapters?|Sections?)(?:[\s ]*[\dIVX][\w.,–-]*(?:\s*(?:and|,)\s*\d[\w.]*)*)?"
    r"[)\]](?!\()",
    re.IGNORECASE,
)
_CITATION = re.compile(r"\s?\[\d+(?:\s*[,–-]\s*\d+)*\]")
_EMPHASIS = re.compile(r"(?<!\w)(\*\*\*|\*\*|\*|___|__|_)(?=\S)(.+?)(?<=\S)\1(?!\w)")
_INSIDE_WORDS = re.compile(r"(\*\*)(?=\S)([^*]+?)(?<=\S)\1")
_SPACE_BEFORE_STOP = re.compile(r" ([,.;:])(?=\s|\Z)")
_ESCAPE = re.compile(r"\\([\\`*_{}\[\]()#+\-.!|<>~])")


def without_markup(text: str) -> str:
    """A sentence as it is read: no emphasis marks, no addresses, no references in brackets.

    Example:
        >>> without_markup("A **cell** (Figure 3.1) is [small](a.html).")
        'A cell is small.'
    """
    if "*" in text or "_" in text:
        text = _INSIDE_WORDS.sub(r"\2", _EMPHASIS.sub(r"\2", text))
    if "[" in text:
        text = _LINK.sub(r"\1", _IMAGE.sub("", _ESCAPE.sub(r"\1", text)))
        text = _CITATION.sub("", text)
    if "(" in text or "[" in text:
        text = _REFERENCE.sub("", text)
    return _SPACE_BEFORE_STOP.sub(r"\1", " ".join(text.split()))


_LEFTOVERS = re.compile(r"[?!\[\]{}|\\<>=^~#*@�]|\blink\b|https?:|www\.|_|&\w+;|\.\.\.|…")
_POINTS_ELSEWHERE = re.compile(
    r"\b(?:Fig(?:ure|s|\.)|Tables?\s+\d|Table|Eq(?:uation|\.)|Box \d|[Cc]hapters?|[Tt]extbook"
    r"|this (?:book|section|text|article|paper|module|unit|table|figure)"
    r"|(?:next|previous|following|preceding|last) (?:section|page|paragraph|figure|table|example)"
    r"|(?:as|was|were|is|are|been|already) (?:mentioned|discussed|described|noted|shown|listed|seen"
    r"|stated|explained) (?:above|below|earlier|before|previously|here|in)|(?:see|shown) (?:above"
    r"|below)|the above|above-mentioned|[Ee]arlier we|(?:[Ww]e|[Yy]ou) (?:will|shall|have seen|saw)"
    r"|[Ww]e (?:have|had|also|already|just|now)|[Rr]ecall"
    r"|as follows|the following|respectively, in)\b"
)
_LEANS_ON_OTHERS = re.compile(
    r"(?:It|Its|They|Their|Theirs|He|His|She|Her|This|That|These|Those|Such|Both|Neither|Either"
    r"|Another|One|Some|Most|Many|Others?|The (?:former|latter|other|others|same|second|third"
    r"|next|reason|reasons|result|results|answer|difference|first|above|following|"
    r"two|three|four)|Here|There|So|And|But|Or|Nor|Then|Thus|Hence|Yet|Also|Again|Instead"
    r"|Therefore|However|Moreover|Furthermore|Otherwise|Similarly|Likewise|Conversely|Rather"
    r"|Accordingly|Consequently|Additionally|Nevertheless|Nonetheless|Meanwhile|Indeed"
    r"|As (?:a result|such|you|we|mentioned|noted|described|seen|shown|discussed|the name)"
    r"|For (?:this|that|these|example|instance)|In (?:this|that|these|such|other|turn|fact|contrast"
    r"|addition|response|both|either|each|some|most|many|other)|At (?:this|that|these)"
    r"|From (?:this|these)|By (?:this|these)|On the (?:other|contrary)|With (?:this|these)"
    r"|Because of (?:this|these)|Note|Notice|Recall|Remember|Consider|Imagine|Suppose|Think|See"
    r"|Briefly|Explain|Describe|Discuss|Compare|Identify|List|Define|Name|Determine|Calculate|Draw"
    r"|Give|State|Distinguish|Justify|Why|What|How|Which|Who"
    r"|Look|Let|Say|View|Watch|Visit|Read|We|You|Your|Our|I|Yes|No|First|Second|Third|Next|Last"
    r"|Finally|Later|Afterwards?|Now|Once|Only|Even|Not|An example|Examples|All (?:of )?(?:these"
    r"|this|of))\b"
    r"|(?:\S+ ){1,3}(?:this|these|those|such)\b"
)
_SUBJECT_ELSEWHERE = re.compile(
    r"(?!(?:As|Because|If|When|Where|Whenever|Although|Though|While|Since|Once|Unless|Until|Like"
    r"|Unlike|Despite|Due|Owing)\b)[^,]{1,80}, (?:it|they|he|she|this|these|those|we|you)\b"
)
"""A pronoun behind a few words that name nobody: "During pregnancy, it …"."""
_TAKEN_UP = re.compile(r"\b(?:this|these|those|such|the (?:former|latter))\s+(\w+)", re.IGNORECASE)
_VERBAL = re.compile(
    r"is|are|was|were|has|have|had|can|cannot|could|may|might|must|will|would|should|does|do|did|not"
    r"|means?|appears?|seems?|allows?|makes?|leads?|results?|causes?|occurs?|happens?|takes?|gives?"
    r"|requires?|provides?|helps?|as|that|who|whose|which|in|of|on|with|without|from|for|to|a|an"
)
"""What may follow "this" where it stands for all of the sentence before."""
_STEM = 5
"""Letters by which a word is known in another form."""
_SIGNS = re.compile(r"[^\w ]|\d")


def is_clean(sentence: str) -> bool:
    """Whether a sentence without its markup is a whole statement in plain words."""
    if not sentence or not sentence.endswith((".", ".”", '."', ".)")):
        return False
    if not (sentence[0].isupper() or sentence[0].isdigit()):
        return False
    if _LEFTOVERS.search(sentence):
        return False
    return len(_SIGNS.findall(sentence)) <= 0.2 * len(sentence) and _is_balanced(sentence)


def _is_balanced(sentence: str) -> bool:
    if sentence.count('"') % 2:
        return False
    # Not the closing single quote, which is an apostrophe as well.
    return all(sentence.count(a) == sentence.count(b) for a, b in ("()", "“”"))


def stands_alone(sentence: str) -> bool:
    """Whether a reader needs no other sentence for this one, as far as its words tell."""
    if _LEANS_ON_OTHERS.match(sentence) or _SUBJECT_ELSEWHERE.match(sentence):
        return False
    return _takes_up(sentence) and not points_elsewhere(sentence)


def points_elsewhere(sentence: str) -> bool:
    """Whether a sentence speaks of a figure, a chapter, or what is said somewhere else."""
    return bool(_POINTS_ELSEWHERE.search(sentence))


def takes_up(first: str, second: str) -> bool:
    """Whether "this patient" in the second of two sentences is somebody in the first, and so on."""
    return _takes_up(second, first)


def _takes_up(sentence: str, before: str = "") -> bool:
    """Whether "this" something is about what is named earlier in a sentence, or before it."""
    for found in _TAKEN_UP.finditer(sentence):
        words = re.findall(r"\w+", f"{before} {sentence[: found.start()]}".lower())
        known = {word[:_STEM] for word in words}
        if found[1].lower()[:_STEM] not in known and not _VERBAL.fullmatch(found[1].lower()):
            return False
    return True


def is_quoted(before: str) -> bool:
    """Whether what follows `before` in its paragraph stands in a quotation that is still open."""
    return before.count("“") > before.count("”") or before.count('"') % 2 == 1
