"""A document → its reading-comprehension texts, a pure function of the document."""

from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field

from axolotl_cft.corpus.comprehension.compose import Composed, Exercise, compose
from axolotl_cft.corpus.comprehension.mining import mine
from axolotl_cft.corpus.comprehension.sections import SECTION_CHARACTERS, sections
from axolotl_cft.corpus.language import plainly_other

LANGUAGE = "en"
"""What the patterns and the wording are in."""

Titled = tuple[str, str | None]
"""A document's text, and its title if that is known from elsewhere."""


@dataclass(frozen=True)
class Text:
    """What one section of a document becomes.

    Attributes:
        text: the section with its exercises.
        kinds: of the exercises.
        added: characters of it that are not the section's own.
        exercises: those made of something mined; empty unless they are asked for.
    """

    text: str
    kinds: tuple[str, ...] = ()
    added: int = 0
    exercises: tuple[Exercise, ...] = ()


@dataclass
class Texts:
    """What a document becomes.

    Attributes:
        texts: one for each section.
        other_language: whether it stays as it is because it is not English.
        mined: kind -> what was found.
        left_out: kind -> what matched, and makes no sense out of its place.
    """

    texts: list[Text]
    other_language: bool = False
    mined: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Transformation:
    """Makes reading-comprehension texts.

    Attributes:
        limit: most characters of a section.
        keywords: words of the domain; without any no exercises are made of words.
        showing: whether exercises are handed out with what they are made of.
    """

    limit: int = SECTION_CHARACTERS
    keywords: Set[str] = frozenset()
    showing: bool = False

    def all(self, documents: Iterable[Titled]) -> list[Texts]:
        """Transform several documents."""
        return [self.one(text, title) for text, title in documents]

    def one(self, text: str, title: str | None = None) -> Texts:
        """Transform a document; one in another language stays as it is."""
        if plainly_other(text, LANGUAGE):
            return Texts([Text(text)], other_language=True)
        made = Texts([])
        for section in sections(text, self.limit, title):
            harvest = mine(section.text, self.keywords)
            made.mined.update(each.kind for each in harvest.mined)
            made.left_out.update(harvest.left_out)
            made.texts.append(self._text(compose(section, harvest)))
        return made

    def _text(self, composed: Composed) -> Text:
        shown: Sequence[Exercise] = composed.exercises if self.showing else ()
        return Text(composed.text, composed.kinds, composed.added, tuple(shown))
