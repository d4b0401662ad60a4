"""Documents, and what their texts come to: in all, by licence, by topic."""

from dataclasses import dataclass
from typing import Protocol


class TokenCounter(Protocol):
    """Counts tokens; goes to other processes."""

    @property
    def name(self) -> str:
        """Of the tokenizer, as it was given."""

    @property
    def digest(self) -> str:
        """Of what decides the counts, by content."""

    def __call__(self, texts: list[str]) -> list[int]:
        """The tokens of each text."""


@dataclass
class Sum:
    """What some documents come to.

    Attributes:
        documents: how many.
        characters: of their texts.
        tokens: of their texts; 0 where nobody counts them.
    """

    documents: int = 0
    characters: int = 0
    tokens: int = 0

    def add(self, characters: int, tokens: int, documents: int = 1) -> None:
        """Count one document, or some."""
        self.documents += documents
        self.characters += characters
        self.tokens += tokens
