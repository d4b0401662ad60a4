"""Questions about a world whose answers stand in its documents alone, with eight options each.

Every option stands as often as any other beside the answers it is no answer to, and the answer as
often at each place, so that chance is one in eight for a model that knows nothing of the world.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from typing import Any

from axolotl_cft.facts.documents import Document
from axolotl_cft.facts.domain import Relation
from axolotl_cft.facts.draws import Draws
from axolotl_cft.facts.grammar import as_sentence, choose, fill, possessive
from axolotl_cft.facts.world import NEVER, Thing, World

OPTIONS = 8

KINDS = (
    *("verbatim", "reworded", "question", "reversed", "two_hop", "never_taught"),
    "base_question",
)


@dataclass(frozen=True)
class Candidate:
    """A question that could be asked.

    Attributes:
        thing: id of the thing asked about.
        relation: the fact's name; of two hops, `link.relation`; of a description, the first of its
            two facts.
        prompt: what stands before the answer, without a space at the end.
        answer: the right option.
        sort: what it is one of.
        barred: those of the sort that must not stand beside it, itself among them.
    """

    thing: str
    relation: str
    prompt: str
    answer: str
    # Shared between candidates: a list for each would take gigabytes in a world of 20,000.
    sort: Sequence[str]
    barred: tuple[Set[str], ...]

    @property
    def others(self) -> Iterator[str]:
        """What may stand beside the answer, all of it wrong."""
        barred = set[str]().union(*self.barred)
        return (each for each in self.sort if each not in barred)


def verbatim(world: World, documents: Iterable[Document]) -> Iterator[Candidate]:
    """The documents' own sentences, up to the answer at their end; each fact once."""
    seen = set()
    for document in documents:
        thing = world.things[document.thing]
        for sentence in document.facts:
            fact = (thing.id, sentence.relation)
            if sentence.prompt is None or sentence.relation is None or fact in seen:
                continue
            seen.add(fact)
            yield _of_value(world, thing, sentence.relation, sentence.prompt)


def reworded(world: World, half: str) -> Iterator[Candidate]:
    """Statements in words that are kept out of all documents."""
    for thing, relation, draws in _facts(world, half, "reworded"):
        wording = choose(draws.pick(relation.reserved), draws)
        before = wording.removesuffix(" {answer}")
        prompt = as_sentence(fill(before, {"X": thing.name}))
        yield _of_value(world, thing, relation.name, prompt)


def question(world: World, half: str) -> Iterator[Candidate]:
    """A question for every fact."""
    for thing, relation, draws in _facts(world, half, "question"):
        asked = fill(choose(draws.pick(relation.questions), draws), {"X": thing.name})
        yield _of_value(world, thing, relation.name, _ask(asked))


def two_hop(world: World, half: str) -> Iterator[Candidate]:
    """Questions for a fact about the thing that this one is related to.

    Things that share the answer with the other one are left out, and their own value is never an
    option: who knows but the thing itself is at chance.
    """
    for thing in world.half(half):
        link = world.kind(thing).link
        if link is None or thing.other is None:
            continue
        other = world.things[thing.other]
        for relation in world.kind(other).relations.values():
            draws = world.draws("two_hop", thing.id, relation.name)
            answer, own = other.values[relation.name], thing.values.get(relation.name)
            if answer == own:
                continue
            named = {"X": thing.name, "X's": possessive(thing.name)}
            phrase = fill(choose(draws.pick(link.phrases), draws), named)
            asked = fill(choose(draws.pick(relation.questions), draws), {"X": phrase})
            barred = {answer} if own is None else {answer, own}
            name = f"{link.name}.{relation.name}"
            yield Candidate(thing.id, name, _ask(asked), answer, relation.values, (barred,))


def reversed_(world: World, half: str) -> Iterator[Candidate]:
    """From two attributes to the thing that has both; the other options have neither."""
    alike: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for thing in world.half(half):
        for name, value in thing.values.items():
            alike[thing.kind, name, value].add(thing.name)
    names: dict[str, list[str]] = defaultdict(list)
    for thing in world.half(half):
        names[thing.kind].append(thing.name)
    for thing, relation, draws in _facts(world, half, "reversed"):
        kind = world.kind(thing)
        second = draws.pick([name for name in kind.relations if name != relation.name])
        pair = (relation, kind.relations[second])
        values = [thing.values[each.name] for each in pair]
        said = [
            fill(each.predicate, {"answer": value})
            for each, value in zip(pair, values, strict=True)
        ]
        wording = choose(draws.pick(kind.described), draws)
        asked = fill(wording, {"first": said[0], "second": said[1]})
        true = tuple(
            alike[kind.name, each.name, value] for each, value in zip(pair, values, strict=True)
        )
        every = names[kind.name]
        yield Candidate(thing.id, relation.name, _ask(asked), thing.name, every, true)


def choose_items(
    kind: str, candidates: Iterable[Candidate], wanted: int, draws: Draws
) -> list[dict[str, Any]]:
    """So many of the candidates as items, relations and values equally often.

    Args:
        kind: becomes part of the items' ids.
        candidates: what may be asked; those whose prompt holds its answer, or which have too few
            wrong options, are left out.
        wanted: how many items; fewer come out where there are no more candidates.
        draws: decides.

    Returns:
        Items with `id`, `thing`, `relation`, `prompt`, `options` and `answer`, an index.
    """
    usable = [each for each in candidates if _is_fair(each)]
    chosen = draws.shuffled(_spread(usable, draws)[:wanted])
    places = chain.from_iterable(
        draws.shuffled(range(OPTIONS)) for _ in range(-(-len(chosen) // OPTIONS))
    )
    used: Counter[str] = Counter()
    return [
        {
            "id": f"{kind}-{number:05d}",
            "thing": each.thing,
            "relation": each.relation,
            "prompt": each.prompt,
            "options": _options(each, place, used, draws),
            "answer": place,
        }
        for number, (each, place) in enumerate(zip(chosen, places, strict=False))
    ]


def texts(world: World, half: str) -> list[str]:
    """All questions of a half with their answers, to learn from what answering is."""
    draws = world.draws("texts", half)
    said = [
        *(f"{each.prompt} {each.answer}" for each in question(world, half)),
        *(f"{each.prompt} {each.answer}." for each in reworded(world, half)),
        *(f"{each.prompt} {each.answer}" for each in reversed_(world, half)),
        *(f"{each.prompt} {each.answer}" for each in two_hop(world, half)),
    ]
    return draws.shuffled(said)


def candidates(
    world: World, documents: Sequence[Document]
) -> dict[str, Callable[[], Iterator[Candidate]]]:
    """What may be asked, by kind of question; `documents` are those of the new half."""
    return {
        "verbatim": lambda: verbatim(world, documents),
        "reworded": lambda: reworded(world, "new"),
        "question": lambda: question(world, "new"),
        "reversed": lambda: reversed_(world, "new"),
        "two_hop": lambda: two_hop(world, "new"),
        "never_taught": lambda: question(world, NEVER),
        "base_question": lambda: question(world, "base"),
    }


def half_of(kind: str) -> str:
    """The half with which a kind's items are written."""
    return "base" if kind == "base_question" else "new"


def _facts(world: World, half: str, purpose: str) -> Iterator[tuple[Thing, Relation, Draws]]:
    for thing in world.half(half):
        for name, relation in world.kind(thing).relations.items():
            yield thing, relation, world.draws(purpose, thing.id, name)


def _of_value(world: World, thing: Thing, relation: str, prompt: str) -> Candidate:
    answer = thing.values[relation]
    values = world.kind(thing).relations[relation].values
    return Candidate(thing.id, relation, prompt, answer, values, ({answer},))


def _ask(asked: str) -> str:
    return f"Question: {as_sentence(asked)}\nAnswer:"


def _is_fair(candidate: Candidate) -> bool:
    hidden = candidate.answer.lower() not in candidate.prompt.lower()
    return hidden and len(list(islice(candidate.others, OPTIONS - 1))) == OPTIONS - 1


def _spread(usable: Sequence[Candidate], draws: Draws) -> list[Candidate]:
    """All of them in an order whose beginnings hold relations and answers equally often."""
    by_relation: dict[str, dict[str, list[Candidate]]] = defaultdict(lambda: defaultdict(list))
    for each in draws.shuffled(usable):
        by_relation[each.relation][each.answer].append(each)
    columns = [_in_turn(list(answers.values())) for answers in by_relation.values()]
    return _in_turn(columns)


def _in_turn(lists: Sequence[list[Candidate]]) -> list[Candidate]:
    """The first of each list, the second of each, and so on."""
    rounds = zip_longest(*lists)
    return [each for round_ in rounds for each in round_ if each is not None]


def _options(candidate: Candidate, place: int, used: Counter[str], draws: Draws) -> list[str]:
    """The answer at its place among those others that stood beside answers least."""
    others = draws.shuffled(list(candidate.others))
    wrong = sorted(others, key=used.__getitem__)[: OPTIONS - 1]
    used.update(wrong)
    wrong = draws.shuffled(wrong)
    return [*wrong[:place], candidate.answer, *wrong[place:]]
