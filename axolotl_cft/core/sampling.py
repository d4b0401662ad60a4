"""Which prompt a chunk gets: a pure function of (seed, text, chunk, view).

Nothing else enters: process count, batch size, row order, sharding, rank and streaming cannot
change a draw, and a run can be repeated anywhere. Uniform numbers come from keyed BLAKE2b, one
purpose ("person") for each kind of decision, so that decisions are independent of each other.
"""

import hashlib
import math
import re
import unicodedata
from collections.abc import Sequence

HOLDOUT_VERSION = 2
"""Changes with what `holdout_key` makes of a text, and so with which documents are held out."""

_TWO_64 = float(2**64)

_ASCII = bytes(range(128))
_ASCII_SIGNS = bytes(code for code in _ASCII if not chr(code).isalnum())
_OTHER_SIGNS = re.compile(r"[^\w\x00-\x7f]+")


def text_key(text: str) -> bytes:
    """16 bytes that stand for a text's content. Equal texts have equal keys, wherever they are."""
    return hashlib.blake2b(_utf8(text), digest_size=16).digest()


def letters_of(text: str) -> bytes:
    """The letters and digits of a text, one after the other, in UTF-8.

    Texts that differ in case, white space, punctuation, accents, ligatures, hyphenation or
    invisible characters only have the same ones.

    Example:
        >>> letters_of("The Heart-beat:  5\u00adµV!")
        b'theheartbeat5\xce\xbcv'
    """
    letters = _utf8(text)
    others = letters.translate(None, _ASCII)
    # Few characters beyond ASCII are replaced one by one, which spares a European text three
    # passes over all of it.
    few = len(others) * 32 < len(letters)
    characters = set(others.decode("utf-8", "surrogatepass")) if few else set()
    if few and len(characters) <= 16:
        for character in characters:
            letters = letters.replace(_utf8(character), _utf8(_fold(character)))
    else:
        letters = _utf8(_fold(text))
    return letters.lower().translate(None, _ASCII_SIGNS)


def _fold(text: str) -> str:
    """A text in small letters, without any other sign than those of ASCII."""
    # Compatibility forms taken apart: an accent is then a mark of its own, which is no letter.
    # Capitals first bring together what lower case keeps apart (ı and i).
    return _OTHER_SIGNS.sub("", unicodedata.normalize("NFKD", text).upper().casefold())


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def holdout_key(text: str, letters: bytes | None = None) -> bytes:
    """16 bytes that decide on which side of the hold-out a document stands.

    Args:
        text: the document, or the value of the column that decides for it.
        letters: from `letters_of(text)`, where they are known already. A text without a single
            one (a row of dashes) stands for itself.
    """
    letters = letters_of(text) if letters is None else letters
    return hashlib.blake2b(letters, digest_size=16).digest() if letters else text_key(text)


def uniform(purpose: str, key: bytes, label: str = "") -> float:
    """A number in (0, 1), determined by its arguments and uniform over keys.

    Args:
        purpose: kind of decision, at most 16 ASCII characters.
        key: from `text_key` or `holdout_key`.
        label: everything else the decision depends on.
    """
    digest = hashlib.blake2b(key + label.encode(), digest_size=8, person=purpose.encode()).digest()
    # Halves keep the result off 0 and 1: a 64-bit integer plus 0.5, scaled. The sum rounds to
    # 2**64 for the topmost integers, hence the min.
    return min((int.from_bytes(digest, "big") + 0.5) / _TWO_64, 1.0 - 2.0**-53)


def is_held_out(key: bytes, holdout: float) -> bool:
    """Whether a document belongs to the held-out part, by its key (`holdout_key`) alone.

    The seed does not enter, so that every seed of a comparison shares one held-out part.
    """
    return holdout > 0.0 and uniform("cft-holdout", key) < holdout


def share_to_hold_out(documents: int, wanted: int) -> float:
    """The share that holds out `wanted` of so many documents or more, in 39 of 40 corpora.

    Each is held out by itself, so that a share of `wanted` / `documents` would miss the number in
    half of them; the standard deviation is at most the root of what is expected.

    Args:
        documents: how many there are, at least 1.
        wanted: how many are to be held out.

    Returns:
        A share, rounded up to two digits; above 1 where there are too few documents.
    """
    expected = (1 + math.sqrt(1 + wanted)) ** 2  # expected - 2 √expected = wanted
    share = expected / documents
    digits = 10.0 ** (math.floor(math.log10(share)) - 1)
    return round(math.ceil(share / digits) * digits, 12)


def is_dropped(seed: int, key: bytes, chunk: int, view: int, dropout: float) -> bool:
    """Whether this view of a chunk goes without a prompt; true for a share `dropout` of them."""
    return dropout > 0.0 and uniform("cft-dropout", key, f"{seed}/{chunk}/{view}") < dropout


def draw(
    ids: Sequence[str], weights: Sequence[float], seed: int, key: bytes, chunk: int, views: int
) -> list[int]:
    """Draw one prompt for each view of a chunk, without replacement while the pool lasts.

    Prompt i gets the key -ln(u_i) / w_i with u_i hashed from its id; the smallest keys win
    (weighted sampling without replacement, Efraimidis & Spirakis 2006). A single view is thus a
    plain weighted draw; adding or reordering prompts leaves most other draws as they were; view v
    is the same however many views are asked for. More views than prompts start a new round.

    Args:
        ids: the prompts' ids, distinct.
        weights: positive, one for each id.
        seed: `cft.seed`.
        key: the document, from `text_key`.
        chunk: index of the chunk in its document.
        views: how many prompts to draw.

    Returns:
        `views` indices into `ids`.
    """
    drawn: list[int] = []
    for round_ in range(-(-views // len(ids))):
        label = f"{seed}/{chunk}/{round_}/"
        scores = [
            -math.log(uniform("cft-prompt", key, label + id_)) / weight
            for id_, weight in zip(ids, weights, strict=True)
        ]
        drawn += sorted(range(len(ids)), key=scores.__getitem__)
    return drawn[:views]
