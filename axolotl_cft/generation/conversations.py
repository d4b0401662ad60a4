"""Whether a column holds conversations, which are then read as texts."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from axolotl_cft.core.conversation_text import conversation_text
from axolotl_cft.corpus.readers import Field, Part
from axolotl_cft.corpus.writers import Corpus
from axolotl_cft.host.turns import turn_keys


def find_field(
    corpus: str, column: Field, config: Path | None, parts_of: Callable[[Field], Sequence[Part]]
) -> Field:
    """The column as it is to be read: as texts, or with `render` as conversations.

    It holds conversations if its first value that is not null is a list, or if the config reads
    the messages of a `type: cft.chat` dataset from it, which may be JSON.

    Args:
        corpus: its path or name.
        column: where the texts or conversations are.
        config: an Axolotl YAML, or None.
        parts_of: opens the corpus.

    Raises:
        CFTError: corpus or config cannot be read, or there is no such column.
    """
    keys = turn_keys(config, corpus, column.name) if config else None
    if keys is None and not _first_is_list(Corpus(corpus, parts_of(_anything(column))), column):
        return column
    return replace(column, render=partial(conversation_text, keys=keys))


def _anything(column: Field) -> Field:
    """The column, whatever it holds."""
    return replace(column, render=lambda value: "")


def _first_is_list(corpus: Corpus, column: Field) -> bool:
    values = (row.get(column.name) for _, row in corpus.named_rows())
    return isinstance(next((value for value in values if value is not None), None), list)
