"""Sentence ends in plain text, and cutting a long text at one (pure, stdlib only)."""

import re
from collections.abc import Iterator

# A full stop counts with closing quotes and before white space; CJK stops need no space after, nor
# does a narrow question mark between CJK signs. A blank line ends a sentence
# too (headings, list items).
_END = re.compile(
    r"[.!?…؟।]+[\"'”’»)\]]*(?=\s|$)|[!?]+(?=[\u3040-\u30ff\u4e00-\u9fff])"
    r"|[\u3002\uff01\uff1f]+[\u300d\u300f\uff09”’]*|(?=\n[ \t]*\n)"
)
# What ends in a full stop without ending a sentence: initials and the usual abbreviations.
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:[A-Z]|Dr|Mr|Mrs|Ms|Prof|St|Figs?|Eqs?|Nos?|vs|al|ca|cf|approx|resp|e\.g"
    r"|i\.e)\.$"
)


def sentence_ends(text: str) -> Iterator[int]:
    """Yield, in rising order, the character positions just after each sentence of `text`.

    A rule of thumb for prose: a stop is not an end where it closes an initial or a common
    abbreviation, or where the next word begins in lower case.
    """
    previous = 0
    for match in _END.finditer(text):
        end = match.end()
        if not text[previous:end].strip():
            continue
        if match.group():
            if _ABBREVIATION.search(text[max(0, end - 10) : end]):
                continue
            if text[end : end + 40].lstrip()[:1].islower():
                continue
        previous = end
        yield end


def count_sentences(text: str) -> int:
    """Number of sentences; an unfinished last one counts."""
    ends = list(sentence_ends(text))
    return len(ends) + bool(text[ends[-1] if ends else 0 :].strip())


def cut_at_sentence(text: str, limit: int) -> str:
    """Return the longest prefix of `text` of at most `limit` characters that ends a sentence.

    Where no sentence ends within the limit, the cut falls before a word; where there is no white
    space either, at the limit itself. A text that fits is returned unchanged.
    """
    if len(text) <= limit:
        return text
    best = 0
    # A few characters beyond the limit show what follows a stop that stands right at it.
    for end in sentence_ends(text[: limit + 40]):
        if end > limit:
            break
        best = end
    if not best:
        spaces = [match.start() for match in re.finditer(r"\s+", text[: limit + 1])]
        best = spaces[-1] if spaces and spaces[-1] else limit
    return text[:best].rstrip()
