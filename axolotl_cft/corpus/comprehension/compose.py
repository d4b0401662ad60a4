"""A section and what was mined in it → a text with exercises.

Every choice is drawn from the section's own key: neither a document's place in the corpus, nor the
process that works on it, nor Python's hash seed changes any. (Of the published program's texts 21
of 30 changed with the hash seed, and all with the order of the files.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from axolotl_cft.core.sampling import text_key, uniform
from axolotl_cft.corpus.comprehension.mining import MINED, TASKS, WORDS, Harvest, Mined
from axolotl_cft.corpus.comprehension.sections import Section
from axolotl_cft.corpus.comprehension.templates import Templates, load_templates

TITLE, COMPLETION = "title", "completion"
KINDS = (*MINED, TITLE, COMPLETION)
"""All kinds of exercises."""

MOST = 2
"""Exercises of each mined kind in a section."""

_CLASSIFIED = 0.8
"""Share of inference exercises that ask how two sentences are related, not for the second."""

_ENOUGH = 4
"""Sentences of a text that can be completed."""

_WHOLE: dict[tuple[bool, bool], list[tuple[tuple[str, ...], float]]] = {
    (True, True): [((TITLE,), 0.4), ((COMPLETION,), 0.1), ((TITLE, COMPLETION), 0.4), ((), 0.1)],
    (True, False): [((TITLE,), 0.5), ((), 0.5)],
    (False, True): [((COMPLETION,), 0.5), ((), 0.5)],
    (False, False): [((), 1.0)],
}
"""(there is a title, there are enough sentences) -> what is asked about the text as a whole."""

_Some = TypeVar("_Some")


@dataclass(frozen=True)
class Exercise:
    """A question with its answer.

    Attributes:
        mined: what it is made of.
        text: as it is written.
    """

    mined: Mined
    text: str


@dataclass(frozen=True)
class Composed:
    """A section with its exercises.

    Attributes:
        pieces: what the text is made of: (words, whether they are the section's own).
        kinds: of its exercises, in the order of `KINDS`, each as often as it occurs.
        exercises: those that were mined.
    """

    pieces: tuple[tuple[str, bool], ...]
    kinds: tuple[str, ...]
    exercises: tuple[Exercise, ...]

    @property
    def text(self) -> str:
        """What is trained on."""
        return "\n\n".join(words for words, _ in self.pieces if words)

    @property
    def added(self) -> int:
        """Characters that are not the section's own."""
        return len(self.text) - sum(len(words) for words, own in self.pieces if own)


class _Draws:
    """Choices that depend on a key and on what is chosen alone."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def number(self, label: str) -> float:
        return uniform("cft-read", self._key, label)

    def one(self, label: str, options: Sequence[_Some]) -> _Some:
        return options[int(self.number(label) * len(options))]

    def order(self, label: str, options: Sequence[_Some]) -> list[_Some]:
        numbers = [self.number(f"{label}/{place}") for place in range(len(options))]
        return [options[place] for place in sorted(range(len(options)), key=numbers.__getitem__)]


def compose(section: Section, harvest: Harvest) -> Composed:
    """Write a section with exercises.

    Args:
        section: white space at both ends is left out.
        harvest: what was mined in it.
    """
    draws, templates = _Draws(text_key(section.text)), load_templates()
    groups = draws.order("order", _chosen(harvest.mined, draws))
    exercises = [
        Exercise(each, _worded(each, f"{each.kind}/{number}", draws, templates))
        for group in groups
        for number, each in enumerate(group)
    ]
    stops = [stop for stop in harvest.stops if stop > section.head]
    titled = bool(section.title and section.text[section.head :].strip())
    asked = _whole(draws.number("whole"), _WHOLE[titled, len(stops) + 1 >= _ENOUGH])
    before, after, head = _frame(section, asked, exercises, draws, templates)
    text = section.text[head:]
    own = [(text.strip(), True)]
    if COMPLETION in asked:
        stop = draws.one("stop", stops) - head
        own = _in_two(text, stop, draws.one("completion", templates.completion))
    added = [(words, False) for words in after]
    kinds = [*(exercise.mined.kind for exercise in exercises), *asked]
    return Composed(
        ((before, False), *own, *added), tuple(sorted(kinds, key=KINDS.index)), tuple(exercises)
    )


def _chosen(mined: Sequence[Mined], draws: _Draws) -> list[list[Mined]]:
    """At most `MOST` of each kind; those of one task type are together."""
    groups = []
    for kinds in TASKS.values():
        group: list[Mined] = []
        for kind in kinds:
            of_kind = [each for each in mined if each.kind == kind]
            group += draws.order(f"chosen/{kind}", of_kind)[:MOST]
        if group:
            groups.append(group)
    return groups


def _worded(mined: Mined, label: str, draws: _Draws, templates: Templates) -> str:
    values = dict(mined.values)
    if mined.kind == "word_to_text":
        words = draws.order(f"{label}/words", values["words"].split(", "))
        values |= {"words": ", ".join(words[:WORDS]), "number": "three"}
    if mined.kind in TASKS["inference"] and draws.number(f"{label}/form") < _CLASSIFIED:
        question = draws.one(label, templates.classify)
        return question["ask"].format(**values, answer=question[mined.kind])
    return draws.one(label, templates.exercises[mined.kind]).format(**values)


def _whole(number: float, options: Sequence[tuple[tuple[str, ...], float]]) -> tuple[str, ...]:
    for asked, share in options:
        if number < share:
            return asked
        number -= share
    return options[-1][0]


def _frame(
    section: Section,
    asked: Sequence[str],
    exercises: Sequence[Exercise],
    draws: _Draws,
    templates: Templates,
) -> tuple[str, list[str], int]:
    """What stands before and after the text, and how much of its head is not shown as text."""
    before, ends = "", []
    if exercises:
        introduction = draws.one("introduction", templates.introductions)
        ends.append([introduction, *(exercise.text for exercise in exercises)])
    if TITLE in asked and COMPLETION not in asked and draws.number("title first") < 0.5:
        before = draws.one("title", templates.title_before).format(title=section.title)
    elif TITLE in asked:
        ends.append([draws.one("title", templates.title_after).format(title=section.title)])
    elif not asked and exercises:
        before = draws.one("plain", templates.plain)
    after = [words for end in draws.order("ends", ends) for words in end]
    return before, after, section.head if TITLE in asked else 0


def _in_two(text: str, stop: int, words: dict[str, str]) -> list[tuple[str, bool]]:
    """A text in two parts, with what asks for the second between them."""
    first, second = text[:stop].strip(), text[stop:].strip()
    return [(words["before"], False), (first, True), (words["between"], False), (second, True)]
