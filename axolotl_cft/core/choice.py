"""Where prompts come from, and which of them a chunk gets.

A `PromptSource` is a pool, a column of the data, a function of an installed package, or nothing.
Whoever chooses, encodes or describes asks the source and need not know which it is; the next
source is one more class here.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from axolotl_cft.core.pool import PromptFunction, PromptPool
from axolotl_cft.core.sampling import draw
from axolotl_cft.errors import CFTError

if TYPE_CHECKING:  # `prompts list` does without NumPy
    from axolotl_cft.core.cuts import Cut

CUT_SUFFIX = "_cut"
"""Behind the name of a column with a prompt for each chunk: the column of `Cut.digest`."""

SHOWN_SUFFIX = "_shown"
"""Behind the name of a column of prompts: the share of each text that their writer was shown."""


@dataclass(frozen=True)
class Document:
    """What choosing needs to know of a document.

    Attributes:
        dataset: the dataset it is from, for messages only.
        number: its place there from 1, for messages only.
        key: stands for its text (`sampling.text_key`).
        values: the columns that prompts refer to.
        cut: how it falls into chunks; None for what is never cut, a conversation.
    """

    dataset: str
    number: int
    key: bytes
    values: Mapping[str, Any]
    cut: "Cut | None" = None

    @property
    def place(self) -> str:
        """For messages."""
        return f"dataset {self.dataset}: document {self.number}"


Choice = tuple[str, str]
"""A prompt's id (what the ledger counts by) and its text, filled in."""


class PromptSource(ABC):
    """Something that offers prompts for a chunk.

    Attributes:
        gives_prompts: False where every row goes without.
        offers_one: every view of a chunk would get the same prompt.
    """

    gives_prompts: ClassVar[bool] = True
    offers_one: bool = True

    @property
    @abstractmethod
    def name(self) -> str:
        """`cft.prompts` as one phrase, for tables."""

    @property
    def label(self) -> str:
        """What to call it in messages."""
        return self.name

    @property
    @abstractmethod
    def identity(self) -> Any:
        """All that decides what is offered, as JSON: part of a prepared dataset's identity."""

    @property
    def columns(self) -> frozenset[str] | None:
        """Columns that `Document.values` should bring where they exist; None for all."""
        return frozenset()

    @property
    def known(self) -> Mapping[str, str]:
        """Texts that are known before any data are read, by id."""
        return {}

    @abstractmethod
    def offer(
        self, document: Document, chunk: int, seed: int, views: int
    ) -> Sequence[Choice | None]:
        """One prompt for each view of a chunk; None where there is none.

        With `cft.every`, `chunk` counts the segments of the document, which get a prompt each.

        Raises:
            CFTError: the document lacks what a prompt needs, or a package's function fails.
        """

    def share_shown(self, document: Document) -> float | None:
        """Share of a document's text that the writer of its prompts was shown; None if unknown."""
        return None

    def check_columns(self, present: Collection[str], dataset: str) -> None:
        """Check that the data have every column that some prompt cannot do without.

        Raises:
            CFTError: one is missing; says which, what needs it and what to do.
        """
        if missing := sorted(self._needed() - set(present)):
            start = f"dataset {dataset} has no column '{missing[0]}'"
            raise CFTError(start + self._why_and_what_to_do(present))

    def _needed(self) -> frozenset[str]:
        return self.columns or frozenset()

    def _why_and_what_to_do(self, present: Collection[str]) -> str:
        return "; add it"


class NoPrompts(PromptSource):
    """`prompts: none`: CPT on the same chunks."""

    gives_prompts = False

    @property
    def name(self) -> str:
        """As in the config."""
        return "none"

    @property
    def identity(self) -> str:
        """As in the config."""
        return "none"

    def offer(self, document: Document, chunk: int, seed: int, views: int) -> list[Choice | None]:
        """Nothing."""
        return [None] * views


class FromPool(PromptSource):
    """`prompts: NAME` or a pool file: drawn from a pool, with columns filled in.

    Args:
        pool: the prompts.
        name: as the config names it.
    """

    def __init__(self, pool: PromptPool, name: str):
        self.pool = pool
        self._name = name
        self.offers_one = len(pool.prompts) == 1
        self._ids = [prompt.id for prompt in pool.prompts]
        self._weights = [prompt.weight for prompt in pool.prompts]

    @property
    def name(self) -> str:
        """As the config names it."""
        return self._name

    @property
    def label(self) -> str:
        """By the pool's own name."""
        return f"pool {self.pool.name}"

    @property
    def identity(self) -> list[str]:
        """Content, not the name: a pool may be edited in place."""
        return ["PromptPool", self.pool.fingerprint]

    @property
    def columns(self) -> frozenset[str]:
        """Those that any of the prompts names."""
        return self.pool.columns

    @property
    def known(self) -> dict[str, str]:
        """Prompts that name no column."""
        return {p.id: p.fill({}) for p in self.pool.prompts if not p.columns}

    def offer(self, document: Document, chunk: int, seed: int, views: int) -> list[Choice]:
        """Draw one prompt for each view (`sampling.draw`)."""
        drawn = draw(self._ids, self._weights, seed, document.key, chunk, views)
        return [(self._ids[index], self._filled(document, index)) for index in drawn]

    def _filled(self, document: Document, index: int) -> str:
        prompt, pool = self.pool.prompts[index], self.pool
        if not prompt.columns:
            return prompt.fill({})
        given = {name: value for name, value in document.values.items() if value is not None}
        known = {**pool.defaults, **given}
        if missing := sorted(prompt.columns - known.keys()):
            raise CFTError(
                f"{document.place} has no value for '{missing[0]}', which prompt '{prompt.id}' of "
                f"{pool.origin or pool.name} names; add the column, or a value under the pool's "
                "`defaults`"
            )
        return prompt.fill(known)

    def _needed(self) -> frozenset[str]:
        return self.pool.columns - self.pool.defaults.keys()

    def _why_and_what_to_do(self, present: Collection[str]) -> str:
        return (
            f", which a prompt of {self.pool.origin or self.pool.name} names; add the column, or a "
            "value under the pool's `defaults`"
        )


class FromColumn(PromptSource):
    """`prompts: {column: NAME}`: every row brings its own prompt, or one for each of its chunks.

    Beside a list of prompts a second column must say which cut it was written for, since nothing
    else tells a list of yesterday's chunks from one of today's.

    Args:
        column: its name, and the prompts' id.
    """

    def __init__(self, column: str):
        self.column = column

    @property
    def name(self) -> str:
        """`column NAME`."""
        return f"column {self.column}"

    @property
    def identity(self) -> dict[str, str]:
        """The column; its content is part of the data's identity."""
        return {"column": self.column}

    @property
    def columns(self) -> frozenset[str]:
        """The column, and the two that `generate` writes beside it."""
        return frozenset({self.column, self._cut_column, self._shown_column})

    @property
    def _cut_column(self) -> str:
        return self.column + CUT_SUFFIX

    @property
    def _shown_column(self) -> str:
        return self.column + SHOWN_SUFFIX

    def offer(
        self, document: Document, chunk: int, seed: int, views: int
    ) -> Sequence[Choice | None]:
        """The row's own prompt, or the chunk's: None where the list has null for it."""
        prompt = document.values.get(self.column)
        if isinstance(prompt, list):
            prompt = self._of_chunk(document, chunk, prompt)
            if prompt is None:
                return [None] * views
        if not isinstance(prompt, str) or not prompt.strip():
            raise CFTError(
                f"{document.place} has no prompt in column '{self.column}'; fill it, drop the row, "
                "or train on the column that `axolotl-cft generate --fallback paper` writes for "
                "every row"
            )
        return [(self.column, prompt)] * views

    def share_shown(self, document: Document) -> float | None:
        """What the column beside the prompts says."""
        share = document.values.get(self._shown_column)
        return share if isinstance(share, float) and 0 <= share <= 1 else None

    def _of_chunk(self, document: Document, chunk: int, prompts: list[Any]) -> Any:
        """The chunk's entry in a list that was written for these very chunks."""
        place, cut, digest = document.place, document.cut, document.values.get(self._cut_column)
        if cut is None:
            raise CFTError(
                f"{place} has a list of prompts in column '{self.column}', and a conversation is "
                "not cut into chunks; give it one prompt, as a text, such as `axolotl-cft "
                "generate` writes for each conversation"
            )
        again = "run `axolotl-cft generate --per chunk --config` again with this config"
        if not isinstance(digest, str):
            raise CFTError(
                f"{place} has a list of prompts in column '{self.column}' and nothing in column "
                f"'{self._cut_column}', which says for which chunks they are; keep that column "
                f"too, or {again}"
            )
        if len(prompts) != len(cut.bounds):
            raise CFTError(
                f"{place} has {len(prompts)} prompts in column '{self.column}' for "
                f"{len(cut.bounds)} chunks; restore the text, tokenizer, sequence_len, "
                f"cft.prompt_budget and cft.every that they were written for, or {again}"
            )
        if digest != cut.digest:
            raise CFTError(
                f"{place} has prompts in column '{self.column}' for other chunks than these; "
                "restore the text, tokenizer, sequence_len, cft.prompt_budget and cft.every that "
                f"they were written for, or {again}"
            )
        return prompts[chunk]

    def _needed(self) -> frozenset[str]:
        return frozenset({self.column})

    def _why_and_what_to_do(self, present: Collection[str]) -> str:
        return f"; set `cft.prompts.column` to one of {', '.join(present)}"


class FromFunction(PromptSource):
    """`prompts: {function: NAME}`: an installed package's function gives every row its prompt.

    Args:
        function: as the package provides it.
        name: as the config names it, and the prompts' id.
    """

    offers_one = False  # it is told the view

    def __init__(self, function: PromptFunction, name: str):
        self.function = function
        self._name = name

    @property
    def name(self) -> str:
        """`function NAME`."""
        return f"function {self._name}"

    @property
    def identity(self) -> list[str]:
        """What the package's author changes with the function: a package may be upgraded."""
        return ["PromptFunction", self.function.fingerprint]

    @property
    def columns(self) -> frozenset[str] | None:
        """Those that it says it reads."""
        return self.function.columns

    def offer(self, document: Document, chunk: int, seed: int, views: int) -> list[Choice | None]:
        """What the function answers for each view."""
        return [self._ask(document, chunk, seed, view) for view in range(views)]

    def _ask(self, document: Document, chunk: int, seed: int, view: int) -> Choice | None:
        where = f"package {self.function.package}: {self.name}, document {document.number} of "
        where += document.dataset
        wanted, values = self.columns, document.values
        if wanted is not None:  # another column may be there for the hold-out's sake
            values = {name: value for name, value in values.items() if name in wanted}
        try:
            prompt = self.function.function(values, seed, chunk, view)
        except Exception as exc:
            raise CFTError(f"{where}: raised {type(exc).__name__}: {exc}") from exc
        if prompt is None:
            return None
        if not isinstance(prompt, str) or not prompt.strip():
            raise CFTError(f"{where}: returned {prompt!r}; a prompt is a text, or None for none")
        return self.name, prompt

    def _why_and_what_to_do(self, present: Collection[str]) -> str:
        return f", which {self.name} of package {self.function.package} reads; add the column"
