"""Invented names: pronounceable, unlike each other, and none of a real thing or word."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from axolotl_cft.errors import CFTError
from axolotl_cft.facts.draws import Draws
from axolotl_cft.files import read_text

OPEN = tuple(
    """
    ba be bro chi da dre du fa fe glo gru ha hi jo ju ka kle ko la lu ma mi mo ne nu o pa plo qui ra
    ri sa ske so ta thu tri u ve vi vo wa wi ya yo za zu
    """.split()  # noqa: SIM905
)
CLOSED = tuple(
    """
    bak bel bir dath dov dran fel fim gath gol grun hesk jar kel kem kov lath lim luk mav med nal
    nex nim pesk pol quin rash rel rov sef sil tav thel tor tul vesh vin vram wen wol yath zel zim
    """.split()  # noqa: SIM905
)
"""A name's syllables: open ones, then a closed one."""

_REAL = Path(__file__).with_name("real_names.txt")
_CLUMSY = re.compile(r"([aeiou])\1")
_ATTEMPTS = 1000


@dataclass(frozen=True)
class NameForm:
    """What the names of a kind of things look like.

    Attributes:
        syllables: how many each invented word has.
        endings: one of them follows the last word at once; with a space in front, it is a word of
            its own, which is not invented.
    """

    syllables: tuple[int, ...]
    endings: tuple[str, ...]

    def invented(self, name: str) -> list[str]:
        """The invented words of such a name."""
        return name.split()[: len(self.syllables)]


@cache
def real_words() -> frozenset[str]:
    """Words that no name may hold, in small letters: real drugs, diseases, companies, people and
    what else of the syllables' combinations means something.
    """
    lines = read_text(_REAL).splitlines()
    return frozenset(
        word for line in lines if not line.startswith("#") for word in line.lower().split()
    )


def invent(form: NameForm, draws: Draws) -> Iterator[str]:
    """Names without end, each with words that no earlier one had.

    Args:
        form: what they look like.
        draws: decides.

    Raises:
        CFTError: there are no more.
    """
    used: set[str] = set()
    while True:
        for _ in range(_ATTEMPTS):
            words = [_word(syllables, draws) for syllables in form.syllables]
            ending = draws.pick(form.endings)
            name = " ".join(words) + ending
            # The longest word tells the things apart; a first name may come again.
            fresh = words[-1] not in used and not _CLUMSY.search(name)
            if fresh and real_words().isdisjoint([*words, *name.lower().split()]):
                break
        else:
            raise CFTError("--things: there are not so many names; make a smaller world")
        used.add(words[-1])
        yield " ".join(word.capitalize() for word in words) + ending


def _word(syllables: int, draws: Draws) -> str:
    return "".join(draws.pick(OPEN) for _ in range(syllables - 1)) + draws.pick(CLOSED)
