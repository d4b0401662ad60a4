"""Wordings with alternatives: one line of a domain's file stands for many sentences.

    {X} keeps a {answer} (named|called) (Biscuit|Pepper).

In round brackets stand alternatives, one of which is drawn; `(|very )` has an empty one, and
brackets may hold brackets. In braces stand slots:

    {X} {X's} {Y}           the thing, as subject, possessor and object: by name or by pronoun
    {name}                  the thing by name
    {she} {her} {them} {herself}   its pronouns: subject, possessor, object, reflexive
    {answer}                the attribute's value
    {other}                 the thing it is related to, by name
    {first} {second}        two descriptions of the thing
"""

import re
from collections.abc import Iterator, Mapping

from axolotl_cft.errors import CFTError
from axolotl_cft.facts.draws import Draws

_MARK = re.compile(r"[(|)]")
_SLOT = re.compile(r"\{([^{}]*)\}")


def choose(wording: str, draws: Draws) -> str:
    """A wording with one of each bracket's alternatives; slots stay.

    Raises:
        CFTError: a bracket is not closed, or closed and never opened.
    """
    text, end = _sequence(wording, 0, _MARK.finditer(wording), draws, nested=False)
    assert end == len(wording)
    return _tidy(text)


def slots(wording: str) -> set[str]:
    """The names of the slots of a wording."""
    return set(_SLOT.findall(wording))


def fill(text: str, values: Mapping[str, str]) -> str:
    """A chosen wording with its slots filled.

    Raises:
        KeyError: a slot that `values` does not have.
    """
    return _SLOT.sub(lambda match: values[match[1]], text)


def possessive(name: str) -> str:
    """A name as the owner of something.

    Example:
        >>> possessive("Zelora Works"), possessive("Zelora Group")
        ("Zelora Works'", "Zelora Group's")
    """
    return f"{name}'" if name.endswith("s") else f"{name}'s"


def as_sentence(text: str) -> str:
    """A text that begins with a capital."""
    return text[:1].upper() + text[1:]


def _sequence(
    wording: str, start: int, marks: Iterator[re.Match[str]], draws: Draws, nested: bool
) -> tuple[str, int]:
    """What is drawn from `start` to the bracket that closes this one, and where that stands."""
    alternatives, text = [], ""
    while mark := next(marks, None):
        text += wording[start : mark.start()]
        start = mark.end()
        if mark[0] == "(":
            inner, start = _sequence(wording, start, marks, draws, nested=True)
            text += inner
        elif not nested:
            raise CFTError(f"{mark[0]!r} stands outside of brackets in the wording {wording!r}")
        else:
            alternatives.append(text)
            text = ""
            if mark[0] == ")":
                return draws.pick(alternatives), start
    if nested:
        raise CFTError(f"a bracket is not closed in the wording {wording!r}")
    return text + wording[start:], len(wording)


def _tidy(text: str) -> str:
    """Single spaces, and none before a comma or full stop: an alternative may be empty."""
    return re.sub(r" +([,.?])", r"\1", re.sub(r"\s+", " ", text)).strip()
