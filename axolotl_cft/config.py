"""The `cft:` block of an Axolotl config, and how it resolves for one dataset."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from axolotl_cft.encoding import ENCODING_VERSION
from axolotl_cft.errors import CFTError
from axolotl_cft.hooks import load_function
from axolotl_cft.prompts import PromptFunction, PromptPool, load_pool

DEFAULT_SEED = 42
"""Used, with a warning, when neither `cft.seed` nor the host's `seed` is set."""

STAMP_PREFIX = "axolotl-cft:"
"""Marks the value that we write into `datasets[i].conversation` (see plugin.py)."""

Part = Literal["train", "test"]


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
    seed: int | None = Field(
        default=None, description="Seed of all draws. Default: the config's own `seed`."
    )
    views: int = Field(
        default=1,
        ge=1,
        description="Prompts drawn for each chunk, each a row of its own. A fresh context in each "
        "of E epochs is `views: E` with `num_epochs: 1`.",
    )
    dropout: float = Field(
        default=0.0, ge=0.0, lt=1.0, description="Share of chunks that get no prompt."
    )

    @field_validator("prompts", mode="before")
    @classmethod
    def _prompts_named(cls, value: Any) -> Any:
        if value is None or value == "":
            raise ValueError(
                "is empty; name a pool (paper, negative, fixed), a pool file, {column: NAME} or "
                "{function: NAME}, or write `prompts: none` for CPT"
            )
        return value


class CFTConfig(DatasetOptions):
    """The top-level `cft:` block."""

    holdout: float = Field(
        default=0.0,
        ge=0.0,
        lt=1.0,
        description="Share of documents kept for `test_datasets`, chosen by a hash of the text.",
    )


class CFTArgs(BaseModel):
    """What the plugin adds to Axolotl's own config schema (`BasePlugin.get_input_args`)."""

    cft: CFTConfig | None = None


@dataclass(frozen=True)
class Plan:
    """Everything that decides how one dataset is encoded.

    Attributes:
        path: the dataset, for messages.
        part: which documents it takes once `holdout` is above 0.
        options: the resolved options; `options.seed` is set.
        holdout: share of documents that belong to the test part.
        pool: the loaded pool, None for prompts from elsewhere and for none.
        stamp: identity of the result: equal stamps mean equal rows.
        function: the loaded function of `{function: NAME}`, else None.
    """

    path: str
    part: Part
    options: DatasetOptions
    holdout: float
    pool: PromptPool | None
    stamp: str
    function: PromptFunction | None = None

    @property
    def prompts_name(self) -> str:
        """`cft.prompts` as one word for tables."""
        prompts = self.options.prompts
        if isinstance(prompts, str):
            return prompts
        return " ".join(str(part) for pair in prompts.model_dump().items() for part in pair)


def is_chat_type(type_: Any) -> bool:
    """Whether a dataset's `type` names the strategy for conversations."""
    return type_ in {"cft.chat", "axolotl_cft.chat"}


def is_cft_type(type_: Any) -> bool:
    """Whether a dataset's `type` names one of this package's strategies."""
    return type_ in {"cft", "axolotl_cft.strategy"} or is_chat_type(type_)


def cft_datasets(cfg: Mapping[str, Any]) -> Iterator[tuple[str, Part, Any]]:
    """Yield (place in the config, part, dataset config) for every `cft` or `cft.chat` dataset."""
    parts: tuple[tuple[str, Part], ...] = (("datasets", "train"), ("test_datasets", "test"))
    for key, part in parts:
        for index, dataset in enumerate(cfg.get(key) or []):
            if is_cft_type(dataset.get("type")):
                yield f"{key}[{index}]", part, dataset


def parse_options(cfg: Mapping[str, Any]) -> CFTConfig:
    """The validated `cft:` block of a raw config; all defaults where there is none.

    Raises:
        CFTError: the first wrong option, by name.
    """
    return _validate(CFTConfig, cfg.get("cft"), "cft")


def check_reach(top: CFTConfig, cfg: Mapping[str, Any]) -> None:
    """Refuse an option of the `cft:` block that no dataset would see.

    Raises:
        CFTError: `place` without a conversation, or `format` without a document.
    """
    chats = {is_chat_type(dataset.get("type")) for _, _, dataset in cft_datasets(cfg)}
    for option, wants_chat, type_ in (("place", True, "cft.chat"), ("format", False, "cft")):
        if chats and option in top.model_fields_set and wants_chat not in chats:
            raise CFTError(f"cft.{option}: no dataset has `type: {type_}`; remove the option")


def make_plan(
    place: str, part: Part, dataset: Mapping[str, Any], top: CFTConfig, host_seed: int | None
) -> Plan:
    """Resolve the options of one dataset and give the result its identity.

    The test part goes without prompts, views and dropout unless the dataset itself asks for
    them: a loss on bare text is comparable across arms.

    Args:
        place: where the dataset stands in the config, for messages.
        part: the training or the held-out part.
        dataset: its raw config, with an optional `cft` mapping of overrides.
        top: the `cft:` block.
        host_seed: the config's own `seed`.

    Raises:
        CFTError: a wrong override, a pool that cannot be used, options that contradict.
    """
    base = top.model_dump(exclude={"holdout"})
    if part == "test":
        base |= {"prompts": "none", "views": 1, "dropout": 0.0}
    overrides = dict(dataset.get("cft") or {})
    if "holdout" in overrides:
        raise CFTError(f"{place}.cft.holdout: set it in the top-level cft block; it splits all")
    foreign = "format" if is_chat_type(dataset.get("type")) else "place"
    if foreign in overrides:
        raise CFTError(f"{place}.cft.{foreign}: `type: {dataset.get('type')}` has no such option")
    options = _validate(DatasetOptions, base | overrides, f"{place}.cft")
    if options.seed is None:
        options = options.model_copy(
            update={"seed": DEFAULT_SEED if host_seed is None else host_seed}
        )
    pool = function = None
    if isinstance(options.prompts, FunctionPrompts):
        function = load_function(options.prompts.function)
    elif isinstance(options.prompts, str) and options.prompts != "none":
        pool = load_pool(options.prompts)
    _check_views(place, options, pool)
    path = str(dataset.get("path"))
    stamp = _stamp(part, dataset, options, top.holdout, pool or function)
    return Plan(path, part, options, top.holdout, pool, stamp, function)


def _check_views(place: str, options: DatasetOptions, pool: PromptPool | None) -> None:
    if isinstance(options.prompts, FunctionPrompts):
        return  # it is told the view
    if options.views > 1 and (pool is None or len(pool.prompts) == 1):
        shown = options.prompts if isinstance(options.prompts, str) else "{column: …}"
        raise CFTError(
            f"{place}: views: {options.views} would repeat the same row, since prompts: {shown} "
            "offers a single choice; set views: 1 and train more epochs instead"
        )


def _stamp(
    part: Part,
    dataset: Mapping[str, Any],
    options: DatasetOptions,
    holdout: float,
    source: PromptPool | PromptFunction | None,
) -> str:
    described = options.model_dump()
    if source is not None:
        # Content, not the name: a pool may be edited in place, a package upgraded.
        described["prompts"] = [type(source).__name__, source.fingerprint]
    content = {
        "encoding": ENCODING_VERSION,
        "chat": is_chat_type(dataset.get("type")),
        "part": part if holdout else "all",
        "holdout": holdout,
        "options": described,
        "files": _local_files(dataset),
    }
    data = json.dumps(content, sort_keys=True, default=str).encode()
    return STAMP_PREFIX + hashlib.blake2b(data, digest_size=12).hexdigest()


def _local_files(dataset: Mapping[str, Any]) -> list[tuple[str, int, int]]:
    """(path, size, mtime in ns) of every local file a dataset reads; the host hashes names only."""
    data_files = dataset.get("data_files") or []
    names = [dataset.get("path"), *([data_files] if isinstance(data_files, str) else data_files)]
    found = []
    for name in filter(None, names):
        path = Path(str(name))
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file():
                status = file.stat()
                found.append((str(file), status.st_size, status.st_mtime_ns))
    return found


def _validate(model: type[Any], raw: Any, place: str) -> Any:
    if raw is not None and not isinstance(raw, Mapping):
        raise CFTError(f"{place}: expected a block of options, got {raw!r}")
    try:
        return model.model_validate(dict(raw or {}))
    except ValidationError as exc:
        raise CFTError(_explain(exc, place, list(model.model_fields))) from exc


def _explain(exc: ValidationError, place: str, known: list[str]) -> str:
    """The first of pydantic's complaints as one sentence."""
    error = exc.errors()[0]
    field = str(error["loc"][0])
    if error["type"] == "extra_forbidden" and len(error["loc"]) == 1:
        return f"{place}.{field}: no such option; known options: {', '.join(known)}"
    if field == "prompts" and error["type"] != "value_error":
        return (
            f"{place}.prompts: expected a pool's name, a pool file, {{column: NAME}}, "
            f"{{function: NAME}} or none, got {error['input']!r}"
        )
    message = error["msg"].removeprefix("Value error, ")
    got = "" if error["input"] is None else f", got {error['input']!r}"
    return f"{place}.{field}: {message[:1].lower()}{message[1:]}{got}"
