"""A world: invented things, their attributes and how they are related, in halves.

Attributes, relations and names are drawn apart from each other, so that none says anything about
another one. In each half every value of a list is held by equally many things, give or take one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from axolotl_cft.errors import CFTError
from axolotl_cft.facts.domain import Domain, Kind
from axolotl_cft.facts.draws import Draws
from axolotl_cft.facts.names import invent

HALVES = ("base", "new")
NEVER = "never"

_SHARES = {"base": 0.4, "new": 0.4, NEVER: 0.2}
_FEWEST = 12
"""Things of a kind in a half, below which distractors run out."""


@dataclass(frozen=True)
class Thing:
    """An invented person, disease, drug or company.

    Attributes:
        id: its half, kind and number.
        half: "base", "new" or "never".
        pronouns: (subject, possessor, object, reflexive).
        values: relation -> the answer.
        other: the `id` of the thing it is related to, if its kind has such a relation.
    """

    id: str
    kind: str
    half: str
    name: str
    pronouns: tuple[str, str, str, str]
    values: dict[str, str]
    other: str | None


@dataclass(frozen=True)
class World:
    """The things of a domain, and the seed that everything about them is drawn from."""

    domain: Domain
    seed: int
    things: dict[str, Thing]

    def half(self, name: str) -> list[Thing]:
        """The things of a half."""
        return [thing for thing in self.things.values() if thing.half == name]

    def kind(self, thing: Thing) -> Kind:
        """A thing's kind."""
        return self.domain.kinds[thing.kind]

    def draws(self, *words: object) -> Draws:
        """Choices of this world for the purpose that the words name."""
        return Draws(self.domain.name, self.seed, *words)


def make_world(domain: Domain, things: int, seed: int) -> World:
    """Invent so many things: two fifths for each half, one fifth that is never taught.

    Raises:
        CFTError: too few for eight options, or more than there are names.
    """
    each = things // len(domain.kinds)
    sizes = {half: int(each * share) for half, share in _SHARES.items()}
    if sizes["new"] < _FEWEST:
        least = -(-_FEWEST * 5 // 2) * len(domain.kinds)
        raise CFTError(f"--things {things} is too small a world: it takes {least} at least")
    # Every kind's names are drawn before any half's, so that no name is in two.
    names = {
        kind.name: invent(kind.form, Draws(domain.name, seed, "names", kind.name))
        for kind in domain.kinds.values()
    }
    made: dict[str, Thing] = {}
    for half, count in sizes.items():
        for kind in domain.kinds.values():
            draws = Draws(domain.name, seed, half, kind.name)
            for thing in _things(kind, half, list(islice(names[kind.name], count)), draws):
                made[thing.id] = thing
    return World(domain, seed, made)


def _things(kind: Kind, half: str, names: Sequence[str], draws: Draws) -> Iterator[Thing]:
    count = len(names)
    values = {
        name: _balanced(relation.values, count, draws) for name, relation in kind.relations.items()
    }
    others = _related(kind, half, count, draws)
    for place, name in enumerate(names):
        yield Thing(
            id=_id(half, kind.name, place),
            kind=kind.name,
            half=half,
            name=name,
            pronouns=draws.pick(kind.pronouns),
            values={relation: column[place] for relation, column in values.items()},
            other=others[place],
        )


def _balanced(values: Sequence[str], count: int, draws: Draws) -> list[str]:
    """`count` of the values in some order, each as often as any other, give or take one."""
    order = draws.shuffled(values)
    return draws.shuffled([order[place % len(order)] for place in range(count)])


def _related(kind: Kind, half: str, count: int, draws: Draws) -> list[str | None]:
    """Which thing each one is related to: every thing of a half once."""
    if kind.link is None:
        return [None] * count
    order = draws.shuffled(range(count))
    # Among things of one kind along a single circle, so that no two are each other's.
    follow = dict(zip(order, [*order[1:], order[0]], strict=True))
    to_own = kind.link.to == kind.name
    return [
        _id(half, kind.link.to, follow[place] if to_own else order[place]) for place in range(count)
    ]


def _id(half: str, kind: str, place: int) -> str:
    return f"{half}-{kind}-{place:05d}"
