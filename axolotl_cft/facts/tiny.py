"""A small random Llama whose tokenizer knows a world: each answer one token, each name several."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

from axolotl_cft.demo.tiny import build_model, build_tokenizer
from axolotl_cft.errors import CFTError
from axolotl_cft.facts.names import invent
from axolotl_cft.facts.world import World

VOCABULARY = 3072
POSITIONS = 512
_DECOYS = 500
"""Invented names from which the syllables are learned; none of them is the world's."""

_REPEATS = 200
"""How often each answer is shown, so that its letters merge before a name's do."""

_REPEATED_PROMPTS = 20
"""How often prompts are shown: they are few, and their words would be too rare for merges."""


def build_world_tokenizer(world: World, texts: Iterable[str], prompts: Iterable[str] = ()) -> Any:
    """Train a tokenizer on texts about a world, with its names left out.

    Args:
        world: whose answers are to be one token each.
        texts: documents and questions.
        prompts: what may stand before them, to be read in whole words for the most part.

    Returns:
        A `PreTrainedTokenizerFast`, as `axolotl_cft.demo.tiny.build_tokenizer` makes it.

    Raises:
        CFTError: an answer is not one token.
    """
    answers = [value for relation in _relations(world) for value in relation.values]
    texts = chain(texts, *repeat(list(prompts), _REPEATED_PROMPTS))
    tokenizer = build_tokenizer(_lessons(world, texts, answers), VOCABULARY)
    split = [answer for answer in answers if not _is_one_token(tokenizer, answer)]
    if split:
        raise CFTError(f"the tokenizer does not know the answer {split[0]!r} as one token")
    return tokenizer


def build_world_model(directory: Path, tokenizer: Any, seed: int) -> Path:
    """Save a random 2-layer Llama of width 128 (0.8 M parameters) with `tokenizer`."""
    return build_model(
        directory, tokenizer, POSITIONS, seed, width=128, intermediate=352, layers=2, tied=True
    )


def _is_one_token(tokenizer: Any, answer: str) -> bool:
    # Behind another word, as in a text: the tokenizer puts a space before what begins one.
    bare, more = (
        tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("is", f"is {answer}")
    )
    return len(more) == len(bare) + 1


def _relations(world: World) -> list[Any]:
    return [each for kind in world.domain.kinds.values() for each in kind.relations.values()]


def _lessons(world: World, texts: Iterable[str], answers: Sequence[str]) -> Iterator[str]:
    """What the merges are learned from: words alone, for a sign beside one would merge with it."""
    names = {
        word
        for thing in world.things.values()
        for word in world.kind(thing).form.invented(thing.name)
    }
    for text in texts:
        yield from (word for word in _words(text) if word not in names)
    for answer in answers:
        yield from [answer] * _REPEATS
    for kind in world.domain.kinds.values():
        decoys = invent(kind.form, world.draws("decoys", kind.name))
        for decoy in islice(decoys, _DECOYS):
            yield from (word for word in kind.form.invented(decoy) if word not in names)


def _words(text: str) -> list[str]:
    signs = str.maketrans({sign: f" {sign} " for sign in "\n.,;:?!'\"()"})
    return text.translate(signs).split(" ")
