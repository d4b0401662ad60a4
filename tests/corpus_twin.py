"""A made-up corpus in the shape of OpenMedText, with everything planted that a corpus must lose.

37 topics of articles under CC BY 4.0 by rule, textbooks in folders named after their licences,
lengths spread log-normally; all words are made up. What was planted is known file by file.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

TOPICS = 37
LICENCES = ("CC BY", "CC BY-SA", "CC BY-NC", "CC BY-NC-SA")
ONE_IN = 60
"""Of so many articles, one has one of the faults."""

_SYLLABLES = [c + v for c, v in zip("bcdfglmnprstvxz", "aeiouaeiouaeiou", strict=True)]


@dataclass
class Planted:
    """Paths below the root by what was planted there.

    Attributes:
        doubles: the same letters as another's -> that other.
        near: one word in a hundred changed -> the other.
        distant: one word in ten changed: to be kept.
        debris: lines that repeat, or signs.
        items: the test item in it.
        unreadable: Latin-1.
        empty: nothing or white space.
        huge: more than one document may have.
        not_free: textbooks under NC licences.
    """

    doubles: dict[str, str] = field(default_factory=dict)
    near: dict[str, str] = field(default_factory=dict)
    distant: set[str] = field(default_factory=set)
    debris: set[str] = field(default_factory=set)
    items: dict[str, str] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    empty: set[str] = field(default_factory=set)
    huge: set[str] = field(default_factory=set)
    not_free: set[str] = field(default_factory=set)


def build(
    root: Path, files: int, items: list[str], *, words: int = 250, huge_bytes: int, seed: int = 0
) -> Planted:
    """Write the tree.

    Args:
        root: its folder.
        files: how many.
        items: questions of an evaluation set, each planted once.
        words: median of a text's words.
        huge_bytes: size of the files that are too large.
        seed: of all draws.
    """
    dice, planted = random.Random(seed), Planted()
    vocabulary = ["".join(dice.choices(_SYLLABLES, k=dice.randint(1, 4))) for _ in range(4000)]
    weights = [1 / (rank + 10) for rank in range(len(vocabulary))]
    left, before = list(items), []

    def prose() -> list[str]:
        count = max(80, round(words * dice.lognormvariate(0, 0.6)))
        return dice.choices(vocabulary, weights, k=count)

    for number, path in enumerate(_paths(files)):
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        text = prose()
        fault = number % ONE_IN if number >= ONE_IN else None
        if "CC BY-NC" in path:
            planted.not_free.add(path)
        elif fault in (1, 2, 3):
            other, other_words = before.pop(dice.randrange(len(before)))
            if fault == 1:
                planted.doubles[path] = other
                place.write_text(_sentences(other_words).upper().replace(". ", "!\n\n"))
                continue
            changed = {2: 100, 3: 10}[fault]
            text = list(other_words)
            for spot in range(dice.randrange(changed), len(text), changed):
                text[spot] = "".join(dice.choices(_SYLLABLES, k=5))
            if fault == 2:
                planted.near[path] = other
            else:
                planted.distant.add(path)
        elif fault == 4:
            planted.debris.add(path)
            place.write_text("Sign up for our letter today\n" * 80)
            continue
        elif fault == 5:
            planted.debris.add(path)
            place.write_text("# # … # " * 200)
            continue
        elif fault == 6:
            planted.unreadable.add(path)
            place.write_bytes(("é " + _sentences(text)).encode("latin-1"))
            continue
        elif fault == 7:
            planted.empty.add(path)
            place.write_text(" \n" * (number % 2))
            continue
        elif number == ONE_IN + 8:
            planted.huge.add(path)
            place.write_bytes(b"word " * (huge_bytes // 5 + 1))
            continue
        elif fault == 9 and left:
            planted.items[path] = left.pop()
            whole = [_sentences(text), planted.items[path], _sentences(prose() + prose())]
            place.write_text(" ".join(whole))
            continue
        elif fault is None or fault > 9:
            before.append((path, text))
        place.write_text(_sentences(text))
    return planted


def _paths(files: int) -> Iterator[str]:
    """Articles by topic, and one textbook section in twenty."""
    for number in range(files):
        if number % 20 == 19:
            licence = LICENCES[number // 20 % len(LICENCES)]
            yield f"data/Textbook/{licence}/book{number // 80:02}/{number:06}.txt"
        else:
            yield f"data/Topic{number % TOPICS:02}/{number:06}.txt"


def _sentences(words: list[str]) -> str:
    """The words as sentences of twelve, a paragraph for each eight of them."""
    sentences = [
        " ".join(words[begin : begin + 12]).capitalize() + "." for begin in range(0, len(words), 12)
    ]
    paragraphs = [" ".join(sentences[begin : begin + 8]) for begin in range(0, len(sentences), 8)]
    return "\n\n".join(paragraphs) + "\n"
