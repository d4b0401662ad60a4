"""A thing → prose: an opening, its facts among sentences of no account, and an ending."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from axolotl_cft.errors import CFTError
from axolotl_cft.facts.domain import Kind
from axolotl_cft.facts.draws import Draws
from axolotl_cft.facts.grammar import as_sentence, choose, fill, possessive, slots
from axolotl_cft.facts.world import Thing, World

_PRONOUN = 0.6
"""How often a sentence has a pronoun where it might have the name."""

_ATTEMPTS = 200
_PARAGRAPH = (3, 6)
"""Fewest and most sentences before a new paragraph is possible, and due."""


@dataclass(frozen=True)
class Sentence:
    """A sentence of a document.

    Attributes:
        relation: the fact it states; None for one of no account.
        named: whether the thing stands in it by name.
        other: whether another thing does, so that a pronoun after it would be in doubt.
        prompt: the words before the answer, where that comes last and the thing is named.
    """

    text: str
    relation: str | None = None
    named: bool = False
    other: bool = False
    prompt: str | None = None

    @property
    def words(self) -> int:
        """How many words it has."""
        return len(self.text.split())


@dataclass(frozen=True)
class Document:
    """What is written about a thing."""

    id: str
    thing: str
    text: str
    facts: tuple[Sentence, ...]


@dataclass(frozen=True)
class Style:
    """How documents are written.

    Attributes:
        per_thing: documents about each thing.
        wordings: how many sentences each fact has over these.
        words: fewest and most words of a document.
    """

    per_thing: int = 1
    wordings: int = 1
    words: tuple[int, int] = (80, 250)


def write_documents(world: World, half: str, style: Style) -> Iterator[Document]:
    """The documents of a half, thing by thing.

    Raises:
        CFTError: a fact has not so many wordings, or the facts are longer than a document.
    """
    for thing in world.half(half):
        wordings = _wordings(world, thing, style.wordings)
        for number in range(style.per_thing):
            draws = world.draws("document", thing.id, number)
            facts = [said[number % style.wordings] for said in wordings]
            text = _compose(world.kind(thing), thing, facts, style.words, draws)
            yield Document(f"{thing.id}-{number:03d}", thing.id, text, tuple(facts))


def _wordings(world: World, thing: Thing, count: int) -> list[list[Sentence]]:
    """For each fact of a thing so many sentences, no two of them alike."""
    kind = world.kind(thing)
    frames = {name: relation.frames for name, relation in kind.relations.items()}
    if kind.link:
        frames[kind.link.name] = kind.link.frames
    return [
        _of_one_fact(world, thing, relation, wordings, count)
        for relation, wordings in frames.items()
    ]


def _of_one_fact(
    world: World, thing: Thing, relation: str, frames: Sequence[str], count: int
) -> list[Sentence]:
    draws = world.draws("wording", thing.id, relation)
    frames = draws.shuffled(frames)
    said: dict[str, Sentence] = {}
    for attempt in range(_ATTEMPTS + 10 * count):
        if len(said) == count:
            break
        # One frame after the other: a fact's wordings differ as much as they can.
        sentence = _fact(world, thing, relation, frames[attempt % len(frames)], draws)
        said.setdefault(sentence.text, sentence)
    if len(said) < count:
        raise CFTError(
            f"--wordings {count}: the grammar has only {len(said)} wordings for {relation} of "
            f"{thing.name}; ask for fewer"
        )
    return list(said.values())


def _fact(world: World, thing: Thing, relation: str, frame: str, draws: Draws) -> Sentence:
    last = frame.endswith("{answer}.")
    values = {}
    if relation in thing.values:
        values["answer"] = thing.values[relation]
    elif thing.other:
        values["other"] = world.things[thing.other].name
    # An answer that comes last is one to ask for by the sentence's own words, which then name the
    # thing.
    by_name = last or draws.uniform() > _PRONOUN
    sentence = _say(world.kind(thing), thing, frame, by_name, draws, values)
    prompt = None
    if last and sentence.named:
        prompt = sentence.text.removesuffix(f" {values['answer']}.")
    return Sentence(sentence.text, relation, sentence.named, "other" in values, prompt)


def _say(
    kind: Kind,
    thing: Thing,
    wording: str,
    by_name: bool,
    draws: Draws,
    values: dict[str, str] | None = None,
) -> Sentence:
    """A wording as a sentence about a thing."""
    chosen = choose(wording, draws)
    subject, possessor, object_, reflexive = thing.pronouns
    noun = draws.pick((None, *kind.nouns))
    if by_name:
        said = {"X": thing.name, "X's": possessive(thing.name), "Y": thing.name}
    elif noun is None:
        said = {"X": subject, "X's": possessor, "Y": object_}
    else:
        said = {"X": noun, "X's": possessive(noun), "Y": noun}
    pronouns = {"she": subject, "her": possessor, "them": object_, "herself": reflexive}
    text = as_sentence(fill(chosen, {"name": thing.name} | said | pronouns | (values or {})))
    used = slots(chosen)
    return Sentence(text, named="name" in used or (by_name and bool(used & set(said))))


def _compose(
    kind: Kind, thing: Thing, facts: Sequence[Sentence], words: tuple[int, int], draws: Draws
) -> str:
    """A document of the facts, of a length drawn between the bounds."""
    shortest, longest = words
    wanted = shortest + draws.below(longest - shortest + 1)
    opening = _say(kind, thing, draws.pick(kind.openings), True, draws)
    closing = _say(kind, thing, draws.pick(kind.closings), True, draws)
    body = list(facts)
    length = sum(sentence.words for sentence in [opening, *facts, closing])
    if length > longest:
        raise CFTError(
            f"--words {shortest}-{longest}: what a document says of {thing.name} takes {length} "
            "words; raise the second number"
        )
    for wording in draws.shuffled(kind.fillers):
        filler = _say(kind, thing, wording, draws.uniform() > _PRONOUN, draws)
        if length >= wanted:
            break
        if length + filler.words <= longest:
            body.append(filler)
            length += filler.words
    if length < shortest:
        raise CFTError(
            f"--words {shortest}-{longest}: there are sentences for {length} words about "
            f"{thing.name}; lower the first number"
        )
    return _paragraphs([opening, *_ordered(body, draws), closing], draws)


def _ordered(sentences: Sequence[Sentence], draws: Draws) -> list[Sentence]:
    """The sentences in some order in which no pronoun can be taken for another thing's."""
    rest = draws.shuffled([sentence for sentence in sentences if not sentence.other])
    for sentence in (sentence for sentence in sentences if sentence.other):
        clear = [place for place, next_ in enumerate(rest) if next_.named] + [len(rest)]
        rest.insert(draws.pick(clear), sentence)
    return rest


def _paragraphs(sentences: Sequence[Sentence], draws: Draws) -> str:
    """One text; a paragraph begins with a sentence that names the thing, where it can."""
    fewest, most = _PARAGRAPH
    text, since = sentences[0].text, 1
    for sentence in sentences[1:]:
        breaks = since >= fewest and sentence.named and (since >= most or draws.uniform() < 0.5)
        text += ("\n\n" if breaks else " ") + sentence.text
        since = 1 if breaks else since + 1
    return text
