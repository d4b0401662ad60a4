"""The `cft:` block as data, and what it resolves to for one dataset."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator

from axolotl_cft.core.choice import Choice, Document, PromptSource
from axolotl_cft.core.sampling import holdout_key, is_dropped, is_held_out

Part = Literal["train", "test"]

PROMPTS_VARIABLE = "AXOLOTL_CFT_PROMPTS"
"""Environment variable that overrides the top-level `cft.prompts` of a training."""


class ColumnPrompts(BaseModel):
    """`prompts: {column: NAME}`: every row brings its own prompt."""

    model_config = ConfigDict(extra="forbid")

    column: str = Field(min_length=1)


class FunctionPrompts(BaseModel):
    """`prompts: {function: NAME}`: an installed package's function gives every row its prompt."""

    model_config = ConfigDict(extra="forbid")

    function: str = Field(min_length=1)


class DatasetOptions(BaseModel):
    """Options that a single dataset may override (`datasets[i].cft`)."""

    model_config = ConfigDict(extra="forbid")

    prompts: str | ColumnPrompts | FunctionPrompts = Field(
        default="paper",
        description="A pool by name (paper, negative, fixed, or an installed package's), the path "
        "of a pool file, {column: NAME} for a prompt in each row, {function: NAME} for an "
        "installed package's function, or none for CPT on the same chunks.",
    )
    format: Literal["plain", "chat"] = Field(
        default="plain",
        description="plain: prompt, separator, text. chat: the prompt as the user turn of the "
        "tokenizer's chat template, the text where the reply would begin.",
    )
    place: Literal["user", "system"] = Field(
        default="user",
        description="`type: cft.chat` only. user: before the first user message, which every "
        "template can show. system: before the system message, or as one where there is none.",
    )
    separator: str = Field(
        default="\n\n",
        description="Between prompt and text (plain format), or prompt and message; bears no loss.",
    )
    prompt_budget: int = Field(
        default=128,
        ge=1,
        description="Tokens kept free before the text (BOS, prompt, separator, template) in every "
        "arm, so that chunk boundaries agree.",
    )
    every: int | None = Field(
        default=None,
        ge=2,
        description="Tokens of text behind each prompt, so that a row holds several: prompt, text, "
        "prompt, text, … `prompt_budget` is kept free for each, in every arm. Default: one prompt "
        "before the whole row.",
    )
    seed: int | None = Field(
        default=None, description="Seed of all draws. Default: the config's own `seed`."
    )
    views: int = Field(
        default=1,
        ge=1,
        description="Prompts drawn for each chunk, each in a row of its own. A fresh context in "
        "each of E epochs is `views: E` with `num_epochs: 1`.",
    )
    dropout: float = Field(
        default=0.0, ge=0.0, lt=1.0, description="Share of chunks that get no prompt."
    )
    trained_tokens: int | None = Field(
        default=None,
        ge=1,
        description="Tokens to train on in an epoch, within a row: documents are left out, or "
        "taken again with other prompts, by a hash of their texts. Default: all documents once.",
    )

    @field_validator("prompts", mode="before")
    @classmethod
    def _prompts_named(cls, value: Any) -> Any:
        if value is None or value == "":
            raise ValueError(
                "is empty; name a pool (paper, negative, fixed), a pool file, {column: NAME} or "
                "{function: NAME}, or write `prompts: none` for CPT (on the command line the host "
                "takes none for empty, unless the config has a `prompts` line to overrule)"
            )
        return value


class CFTConfig(DatasetOptions):
    """The top-level `cft:` block."""

    holdout: float = Field(
        default=0.0,
        ge=0.0,
        lt=1.0,
        description="Share of documents kept for `test_datasets`, chosen by a hash of the text's "
        "letters and digits, or of the column that `holdout_by` names.",
    )
    holdout_by: str | None = Field(
        default=None,
        min_length=1,
        description="Column (a source, a journal) whose documents of one value stay together, all "
        "held out or all trained. Default: each document by its own text.",
    )


class CFTArgs(BaseModel):
    """What the plugin adds to Axolotl's own config schema (`BasePlugin.get_input_args`)."""

    cft: CFTConfig | None = None
    cft_plans: dict[str, Any] | None = Field(
        default=None, description="Kept by the plugin: the plans that it resolved. Leave it out."
    )


class HoldoutRule(NamedTuple):
    """Which documents are held out.

    Attributes:
        share: of all documents, 0 for none.
        by: column that decides; None for the text itself.
    """

    share: float
    by: str | None = None

    def holds_out(self, text: str, letters: bytes, values: Mapping[str, Any]) -> bool:
        """Whether a document belongs to the held-out part.

        Args:
            text: the document.
            letters: what `sampling.letters_of` finds in it; where that is nothing, the text counts.
            values: its columns, `by` among them. A row without a value there goes by its text: what
                is not known to belong together does not.
        """
        if not self.share:
            return False
        group = self.group_of(values)
        key = holdout_key(text, letters) if group is None else holdout_key(group)
        return is_held_out(key, self.share)

    def group_of(self, values: Mapping[str, Any]) -> str | None:
        """What a document's fate goes by, beside its own text; None for nothing."""
        value = values.get(self.by) if self.by else None
        return None if value is None or value == "" else str(value)


@dataclass(frozen=True)
class Plan:
    """Everything that decides how one dataset is encoded.

    Attributes:
        path: the dataset, for messages.
        part: which documents it takes once `holdout` is above 0.
        options: the resolved options; `options.seed` is set.
        holdout: share of documents that belong to the test part.
        source: where its prompts come from.
        stamp: identity of the result: equal stamps mean equal rows.
        holdout_by: column that decides which; None for the text itself.
        before: documents of the dataset that stand before those to be encoded, for messages.
    """

    path: str
    part: Part
    options: DatasetOptions
    holdout: float
    source: PromptSource
    stamp: str
    holdout_by: str | None = None
    before: int = 0

    def of_a_sample(self) -> "Plan":
        """The same for some of the documents, which no budget can be shared out among."""
        return replace(self, options=self.options.model_copy(update={"trained_tokens": None}))

    @property
    def columns(self) -> frozenset[str] | None:
        """Columns that a document's values should bring where they exist; None for all."""
        wanted = self.source.columns
        return None if wanted is None else wanted.union(filter(None, [self.holdout_by]))

    def holds_out(self, text: str, letters: bytes, values: Mapping[str, Any]) -> bool:
        """Whether a document belongs to the held-out part.

        Args:
            text: the document.
            letters: what `sampling.letters_of` finds in it.
            values: its columns, `holdout_by` among them.
        """
        return HoldoutRule(self.holdout, self.holdout_by).holds_out(text, letters, values)

    def takes(self, held_out: bool) -> bool:
        """Whether a document belongs here; all do while nothing is held out."""
        return not self.holdout or held_out == (self.part == "test")

    def choose(
        self, document: Document, chunk: int, views: int | None = None
    ) -> list[Choice | None]:
        """A prompt for each view of a chunk (or of a segment: `every`); None where it has none.

        Args:
            document: the document.
            chunk: index of the chunk in it.
            views: how many; None for `cft.views`.

        Raises:
            CFTError: the document lacks what a prompt needs, or a package's function fails.
        """
        options, seed = self.options, self.options.seed or 0
        if self.before:
            document = replace(document, number=self.before + document.number)
        offered = self.source.offer(document, chunk, seed, views or options.views)
        return [
            None if is_dropped(seed, document.key, chunk, view, options.dropout) else choice
            for view, choice in enumerate(offered)
        ]
