"""The `cft:` block of an Axolotl config, and how it resolves for one dataset."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from axolotl_cft.core.choice import PromptSource
from axolotl_cft.core.encoding import ENCODING_VERSION
from axolotl_cft.core.options import CFTConfig, DatasetOptions, Part, Plan
from axolotl_cft.core.sampling import HOLDOUT_VERSION
from axolotl_cft.errors import CFTError
from axolotl_cft.host.sources import find_source, source_identity
from axolotl_cft.prompts.registry import load_source

DEFAULT_SEED = 42
"""Used, with a warning, when neither `cft.seed` nor the host's `seed` is set."""

STAMP_PREFIX = "axolotl-cft:"
"""Marks the value that we write into `datasets[i].conversation` (host/plugin)."""

STAMP_JOINT = "+"
"""Between the two halves of a stamp: the plan's, and the run's (host/identity)."""


def plan_stamp(stamp: str) -> str:
    """The half of a stamp that is known without a tokenizer."""
    return stamp.partition(STAMP_JOINT)[0]


def is_complete(stamp: str) -> bool:
    """Whether a stamp has both halves."""
    return STAMP_JOINT in stamp


def is_chat_type(type_: Any) -> bool:
    """Whether a dataset's `type` names the strategy for conversations."""
    return type_ in ("cft.chat", "axolotl_cft.chat")  # a tuple: the host's types may be mappings


def is_cft_type(type_: Any) -> bool:
    """Whether a dataset's `type` names one of this package's strategies."""
    return type_ in ("cft", "axolotl_cft.strategy") or is_chat_type(type_)


def all_datasets(cfg: Mapping[str, Any]) -> Iterator[tuple[str, Part, Any]]:
    """Yield (place in the config, part, dataset config) for every dataset, of whatever type.

    What is not a list of mappings is left for the host's own validation to name.
    """
    parts: tuple[tuple[str, Part], ...] = (("datasets", "train"), ("test_datasets", "test"))
    for key, part in parts:
        datasets = cfg.get(key)
        for index, dataset in enumerate(datasets if isinstance(datasets, list) else []):
            if isinstance(dataset, Mapping):
                yield f"{key}[{index}]", part, dataset


def cft_datasets(cfg: Mapping[str, Any]) -> Iterator[tuple[str, Part, Any]]:
    """`all_datasets`, only those of type `cft` or `cft.chat`."""
    return (found for found in all_datasets(cfg) if is_cft_type(found[2].get("type")))


def parse_options(cfg: Mapping[str, Any]) -> CFTConfig:
    """The validated `cft:` block of a raw config; all defaults where there is none.

    Raises:
        CFTError: the first wrong option, by name.
    """
    return _validate(CFTConfig, cfg.get("cft"), "cft")


_REACHED_BY = (
    ("place", True, "cft.chat"),
    *((option, False, "cft") for option in ("format", "every", "trained_tokens")),
)
"""Options that only one of our types has: name, whether it is the one for conversations, type."""


def check_reach(top: CFTConfig, cfg: Mapping[str, Any]) -> None:
    """Refuse an option of the `cft:` block that no dataset would see.

    Raises:
        CFTError: `place` without a conversation, or `format`, `every` or `trained_tokens`
            without a document.
    """
    chats = {is_chat_type(dataset.get("type")) for _, _, dataset in cft_datasets(cfg)}
    for option, wants_chat, type_ in _REACHED_BY:
        if chats and option in top.model_fields_set and wants_chat not in chats:
            raise CFTError(f"cft.{option}: no dataset has `type: {type_}`; remove the option")


def make_plan(
    place: str,
    part: Part,
    dataset: Mapping[str, Any],
    top: CFTConfig,
    host_seed: int | None,
    prepared: Path | None = None,
) -> Plan:
    """Resolve the options of one dataset and give the result its identity.

    The identity is made of what reaches the rows and of nothing else: a seed that draws nothing, a
    separator that stands nowhere and a file's time or place do not enter.

    The test part gets no prompts, views or dropout unless the dataset itself asks for them: a loss
    on bare text is comparable across arms.

    Args:
        place: where the dataset stands in the config, for messages.
        part: the training or the held-out part.
        dataset: its raw config, with an optional `cft` mapping of overrides.
        top: the `cft:` block.
        host_seed: the config's own `seed`.
        prepared: the folder of prepared datasets, which may know documents that are not here.

    Raises:
        CFTError: a wrong override, a pool that cannot be used, options that contradict, a file
            that cannot be read.
    """
    options = _resolve(place, part, dataset, top, host_seed)
    source = load_source(options.prompts)
    _check_views(place, options, source)
    chat = is_chat_type(dataset.get("type"))
    documents = find_source(dataset, prepared)
    # What lies elsewhere is as good as its name; the host hashes all names once more.
    named = () if documents.kind == "files" else ("path", "data_files")
    identity = {
        "encoding": ENCODING_VERSION,
        "chat": chat,
        "part": part,
        "holdout": [HOLDOUT_VERSION, top.holdout, top.holdout_by] if top.holdout else 0.0,
        "options": _deciding_options(options, source, chat),
        "prompts": source.identity,
        "documents": source_identity(documents),
        "reading": {key: dataset.get(key) for key in (*named, *_READING)},
    }
    data = json.dumps(identity, sort_keys=True, default=str).encode()
    stamp = STAMP_PREFIX + hashlib.blake2b(data, digest_size=12).hexdigest()
    path = str(dataset.get("path"))
    return Plan(path, part, options, top.holdout, source, stamp, top.holdout_by)


_READING = ("name", "split", "shards", "shards_idx", "field", "field_messages")
"""How a dataset takes its documents from the files. The host hashes these too; a stamp repeats them
so that no two datasets of a config share one."""


def _deciding_options(options: DatasetOptions, source: PromptSource, chat: bool) -> dict[str, Any]:
    """The options that reach the rows of a dataset, as far as these can be known without them."""
    idle = {"prompts", *(option for option, of_chat, _ in _REACHED_BY if of_chat != chat)}
    if not source.gives_prompts:
        idle |= {"seed", "separator", "format", "place", "views", "dropout"}
        # The budget bounds the chunks of a document; a conversation is never cut.
        idle |= {"prompt_budget"} if chat else set()
    # As before there were such options.
    idle |= {name for name in ("every", "trained_tokens") if getattr(options, name) is None}
    if source.offers_one and not options.dropout:
        idle.add("seed")
    if options.format == "chat" and not chat:
        idle.add("separator")
    return options.model_dump(exclude=idle)


def _resolve(
    place: str, part: Part, dataset: Mapping[str, Any], top: CFTConfig, host_seed: int | None
) -> DatasetOptions:
    """The `cft:` block with the dataset's own overrides, its seed set."""
    base = top.model_dump(include=set(DatasetOptions.model_fields))
    if part == "test":
        base |= {"prompts": "none", "views": 1, "dropout": 0.0, "trained_tokens": None}
    overrides = dataset.get("cft") or {}
    _check_block(overrides, f"{place}.cft")
    for option in ("holdout", "holdout_by"):
        if option in overrides:
            raise CFTError(
                f"{place}.cft.{option}: set it in the top-level cft block; it splits all"
            )
    if part == "test" and "trained_tokens" in overrides:
        raise CFTError(f"{place}.cft.trained_tokens: nothing trains on this dataset; remove it")
    chat = is_chat_type(dataset.get("type"))
    foreign = [option for option, of_chat, _ in _REACHED_BY if of_chat != chat]
    for option in set(foreign) & set(overrides):
        raise CFTError(f"{place}.cft.{option}: `type: {dataset.get('type')}` has no such option")
    options: DatasetOptions = _validate(DatasetOptions, {**base, **overrides}, f"{place}.cft")
    if options.every and options.format == "chat" and not chat:
        raise CFTError(
            f"{place}: cft.every puts prompts inside a text, where a chat template has no place "
            "for them; use format: plain with it"
        )
    if options.seed is None:
        seed = DEFAULT_SEED if host_seed is None else host_seed
        options = options.model_copy(update={"seed": seed})
    return options


def _check_views(place: str, options: DatasetOptions, source: PromptSource) -> None:
    if options.views > 1 and source.offers_one:
        shown = options.prompts if isinstance(options.prompts, str) else "{column: …}"
        raise CFTError(
            f"{place}: views: {options.views} would repeat the same row, since prompts: {shown} "
            "offers a single choice; set views: 1 and train more epochs instead"
        )


def _check_block(raw: Any, place: str) -> None:
    if not isinstance(raw, Mapping):
        raise CFTError(f"{place}: expected a block of options, got {raw!r}")


def _validate(model: type[Any], raw: Any, place: str) -> Any:
    _check_block({} if raw is None else raw, place)
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
