"""A domain's file: kinds of things, what can be said of them, and in which words."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from axolotl_cft.errors import CFTError
from axolotl_cft.facts.grammar import slots
from axolotl_cft.facts.names import NameForm
from axolotl_cft.files import read_yaml

DOMAINS = ("medical", "financial", "people")

_FOLDER = Path(__file__).parent / "domains"


@dataclass(frozen=True)
class Relation:
    """What a thing has one of, from a closed list.

    Attributes:
        values: the possible answers, single words.
        questions: wordings that end with a question mark.
        predicate: completes "the person who …" with the answer.
        reserved: statements ending with the answer that no document holds.
        frames: sentences of documents.
    """

    name: str
    values: tuple[str, ...]
    questions: tuple[str, ...]
    predicate: str
    reserved: tuple[str, ...]
    frames: tuple[str, ...]


@dataclass(frozen=True)
class Link:
    """How a thing is related to another one of its half.

    Attributes:
        to: kind of the other thing.
        phrases: what the other thing may be called by way of this one.
        frames: sentences of documents.
    """

    name: str
    to: str
    phrases: tuple[str, ...]
    frames: tuple[str, ...]


@dataclass(frozen=True)
class Kind:
    """A sort of thing.

    Attributes:
        pronouns: (subject, possessor, object, reflexive), of which a thing gets one set.
        nouns: what may stand in place of a pronoun ("the company").
        described: questions that describe a thing by {first} and {second}, two predicates.
    """

    name: str
    form: NameForm
    pronouns: tuple[tuple[str, str, str, str], ...]
    nouns: tuple[str, ...]
    described: tuple[str, ...]
    relations: dict[str, Relation] = field(hash=False)
    link: Link | None
    openings: tuple[str, ...]
    fillers: tuple[str, ...]
    closings: tuple[str, ...]


@dataclass(frozen=True)
class Domain:
    """What a world may be made of."""

    name: str
    kinds: dict[str, Kind] = field(hash=False)


@cache
def load_domain(name: str) -> Domain:
    """One of ours.

    Raises:
        CFTError: unknown, or its file is at fault.
    """
    if name not in DOMAINS:
        raise CFTError(f"there is no domain {name!r}: choose one of {', '.join(DOMAINS)}")
    return parse_domain(name, read_yaml(_FOLDER / f"{name}.yml"))


def parse_domain(name: str, content: dict[str, Any]) -> Domain:
    """A domain from what its file holds.

    Raises:
        CFTError: something is missing, or a wording has a slot that nothing fills.
    """
    try:
        return Domain(name, {kind: _kind(kind, raw) for kind, raw in content["kinds"].items()})
    except KeyError as exc:
        raise CFTError(f"domain {name}: {exc.args[0]!r} is missing") from exc


_THING = {"X", "X's", "Y", "name", "she", "her", "them", "herself"}


def _kind(name: str, raw: dict[str, Any]) -> Kind:
    relations, links = {}, []
    for relation, content in raw["relations"].items():
        if "to" in content:
            links.append(
                Link(
                    relation,
                    content["to"],
                    _wordings(content["phrases"], {"X", "X's"}),
                    _wordings(content["frames"], _THING | {"other"}, {"other"}),
                )
            )
        else:
            relations[relation] = _relation(relation, content)
    return Kind(
        name=name,
        form=NameForm(tuple(raw["name"]["syllables"]), tuple(raw["name"]["endings"])),
        pronouns=tuple(tuple(forms) for forms in raw["pronouns"]),
        nouns=tuple(raw["nouns"]),
        described=_wordings(raw["described"], {"first", "second"}, {"first", "second"}),
        relations=relations,
        link=links[0] if links else None,
        openings=_wordings(raw["openings"], _THING, {"name"}),
        fillers=_wordings(raw["fillers"], _THING),
        closings=_wordings(raw["closings"], _THING),
    )


def _relation(name: str, raw: dict[str, Any]) -> Relation:
    return Relation(
        name=name,
        values=tuple(raw["values"].split()),
        questions=_wordings(raw["questions"], {"X"}, {"X"}),
        predicate=_wordings(raw["predicate"], {"answer"}, {"answer"})[0],
        reserved=_wordings(raw["reserved"], {"X", "answer"}, {"X", "answer"}),
        frames=_wordings(raw["frames"], _THING | {"answer"}, {"answer"}),
    )


def _wordings(
    text: str, known: set[str], needed: frozenset[str] | set[str] = frozenset()
) -> tuple[str, ...]:
    """One wording for each line."""
    lines = tuple(line.strip() for line in text.splitlines() if line.strip())
    for line in lines:
        if strange := slots(line) - known:
            raise CFTError(f"nothing fills {{{min(strange)}}} in the wording {line!r}")
        if missing := needed - slots(line):
            raise CFTError(f"{{{min(missing)}}} is missing in the wording {line!r}")
    return lines
