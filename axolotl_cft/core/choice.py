"""Which prompts a chunk gets, whatever they come from: a pool, the data, a function, or nowhere."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from axolotl_cft.core.options import ColumnPrompts, FunctionPrompts, Plan
from axolotl_cft.core.pool import PromptPool
from axolotl_cft.core.sampling import draw, is_dropped
from axolotl_cft.errors import CFTError


@dataclass(frozen=True)
class Document:
    """What choosing needs to know of a document.

    Attributes:
        number: its place in the dataset from 1, for messages only.
        key: stands for its text (`sampling.text_key`).
        values: the columns that prompts refer to.
    """

    number: int
    key: bytes
    values: Mapping[str, Any]


Choice = tuple[str, str]
"""A prompt's id (what the ledger counts by) and its text, filled in."""


class PromptChooser:
    """Chooses prompts as a plan says: `chooser(document, chunk)`.

    Args:
        plan: source of the prompts, seed, views and dropout.
    """

    def __init__(self, plan: Plan):
        self.plan = plan

    @property
    def columns(self) -> frozenset[str] | None:
        """Columns that `Document.values` should bring, where they exist; None for all."""
        prompts, pool = self.plan.options.prompts, self.plan.pool
        if isinstance(prompts, ColumnPrompts):
            return frozenset({prompts.column})
        if self.plan.function is not None:
            return self.plan.function.columns
        return frozenset() if pool is None else pool.columns

    def check_columns(self, present: Collection[str]) -> None:
        """Check that the data have every column that some prompt cannot do without.

        Raises:
            CFTError: one is missing; names it, what needs it and the mend.
        """
        plan, wanted = self.plan, self.columns or frozenset()
        pool = plan.pool
        if pool is not None:
            wanted -= pool.defaults.keys()
        if not (missing := sorted(wanted - set(present))):
            return
        if pool is not None:
            needs = f"which a prompt of {pool.origin or pool.name} names"
            mend = "add the column, or a value under the pool's `defaults`"
        elif plan.function is not None:
            needs = f"which {plan.prompts_name} of package {plan.function.package} reads"
            mend = "add the column"
        else:
            needs, mend = "", f"set `cft.prompts.column` to one of {', '.join(present)}"
        raise CFTError(
            ", ".join(filter(None, [f"dataset {plan.path} has no column '{missing[0]}'", needs]))
            + f"; {mend}"
        )

    def __call__(self, document: Document, chunk: int) -> list[Choice | None]:
        """One choice for each view of a chunk; None where it goes without a prompt.

        Raises:
            CFTError: the document has no value for a column that a prompt needs, or a package's
                function fails.
        """
        options = self.plan.options
        seed = options.seed or 0
        return [
            None if is_dropped(seed, document.key, chunk, view, options.dropout) else choice
            for view, choice in enumerate(self._offered(document, chunk, seed))
        ]

    def _offered(self, document: Document, chunk: int, seed: int) -> list[Choice | None]:
        prompts, pool = self.plan.options.prompts, self.plan.pool
        if isinstance(prompts, ColumnPrompts):
            return [(prompts.column, self._from_column(document, prompts.column))]
        if isinstance(prompts, FunctionPrompts):
            views = range(self.plan.options.views)
            return [self._from_function(document, seed, chunk, view) for view in views]
        if pool is None:
            return [None]
        ids = [prompt.id for prompt in pool.prompts]
        weights = [prompt.weight for prompt in pool.prompts]
        drawn = draw(ids, weights, seed, document.key, chunk, self.plan.options.views)
        return [(ids[index], self._filled(document, pool, index)) for index in drawn]

    def _from_column(self, document: Document, column: str) -> str:
        prompt = document.values.get(column)
        if not isinstance(prompt, str) or not prompt.strip():
            raise CFTError(
                f"dataset {self.plan.path}: document {document.number} has no prompt in column "
                f"'{column}'; fill it (`axolotl-cft generate --fallback paper` does) or drop the "
                "row"
            )
        return prompt

    def _from_function(self, document: Document, seed: int, chunk: int, view: int) -> Choice | None:
        provided, name = self.plan.function, self.plan.prompts_name
        assert provided is not None
        where = f"package {provided.package}: {name}, document {document.number} of "
        where += self.plan.path
        try:
            prompt = provided.function(document.values, seed, chunk, view)
        except Exception as exc:
            raise CFTError(f"{where}: raised {type(exc).__name__}: {exc}") from exc
        if prompt is None:
            return None
        if not isinstance(prompt, str) or not prompt.strip():
            raise CFTError(f"{where}: returned {prompt!r}; a prompt is a text, or None for none")
        return name, prompt

    def _filled(self, document: Document, pool: PromptPool, index: int) -> str:
        prompt = pool.prompts[index]
        if not prompt.columns:
            return prompt.fill({})
        given = {name: value for name, value in document.values.items() if value is not None}
        known = {**pool.defaults, **given}
        if missing := sorted(prompt.columns - known.keys()):
            raise CFTError(
                f"dataset {self.plan.path}: document {document.number} has no value for "
                f"'{missing[0]}', which prompt '{prompt.id}' of {pool.origin or pool.name} names; "
                "add the column, or a value under the pool's `defaults`"
            )
        return prompt.fill(known)
