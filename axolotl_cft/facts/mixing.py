"""Documents of a world among those of a corpus, so that a run carries its own thermometer."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from axolotl_cft.errors import CFTError
from axolotl_cft.facts.documents import Document
from axolotl_cft.facts.draws import Draws
from axolotl_cft.files import json_line

Corpus = Callable[[], Iterable[tuple[str, str]]]
"""Gives (name, text) of each document; called twice, so that no corpus has to fit in memory."""

_TOO_MUCH = 1.5


@dataclass
class Mixed:
    """What a mixture is made of; `share` is of its characters."""

    corpus_documents: int
    corpus_characters: int
    copies: int
    share: float


def plan_mixture(corpus: Corpus, documents: Sequence[Document], share: float) -> Mixed:
    """How often the documents have to come for their share of all characters.

    Every document comes at least once, and all of them equally often, for a fact that is left out
    cannot be asked for.

    Raises:
        CFTError: the corpus is empty, or so small that its share would be much smaller than wanted.
    """
    count = characters = 0
    for _, text in corpus():
        count += 1
        characters += len(text)
    if not characters:
        raise CFTError("--mix-into: the corpus holds no text")
    ours = sum(len(document.text) for document in documents)
    copies = max(1, round(share / (1 - share) * characters / ours))
    reached = copies * ours / (copies * ours + characters)
    # Of a share of two thirds or more, the corpus's own tells what is too much.
    if reached > _TOO_MUCH * share or _TOO_MUCH * (1 - reached) < 1 - share:
        raise CFTError(
            f"--share {share:g}: the new half's documents are {reached:.2%} of all characters when "
            "each comes once; make a smaller world, or mix it into a larger corpus"
        )
    return Mixed(count, characters, copies, reached)


def mixture(
    corpus: Corpus, documents: Sequence[Document], plan: Mixed, draws: Draws
) -> Iterator[bytes]:
    """The mixture, a line of JSON for each document; the corpus's own stay in their order."""
    places = sorted(
        (int(draws.uniform() * (plan.corpus_documents + 1)), draws.uniform(), number)
        for number in range(plan.copies * len(documents))
    )
    waiting = iter([(place, documents[number % len(documents)]) for place, _, number in places])
    place, ours = next(waiting, (-1, None))
    for number, (name, text) in enumerate(corpus()):
        while ours is not None and place <= number:
            yield document_line(ours)
            place, ours = next(waiting, (-1, None))
        yield json_line({"text": text, "doc_id": name, "thing": ""})
    while ours is not None:
        yield document_line(ours)
        place, ours = next(waiting, (-1, None))


def document_line(document: Document) -> bytes:
    """A document as a line of JSON."""
    return json_line({"text": document.text, "doc_id": document.id, "thing": document.thing})
