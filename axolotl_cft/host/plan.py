"""The `cft:` block of an Axolotl config, and how it resolves for one dataset."""

import glob
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from axolotl_cft.core.choice import PromptSource
from axolotl_cft.core.encoding import ENCODING_VERSION
from axolotl_cft.core.options import CFTConfig, DatasetOptions, Part, Plan
from axolotl_cft.core.sampling import HOLDOUT_VERSION
from axolotl_cft.errors import CFTError
from axolotl_cft.prompts.registry import load_source

DEFAULT_SEED = 42
"""Used, with a warning, when neither `cft.seed` nor the host's `seed` is set."""

STAMP_PREFIX = "axolotl-cft:"
"""Marks the value that we write into `datasets[i].conversation` (host/plugin)."""


def is_chat_type(type_: Any) -> bool:
    """Whether a dataset's `type` names the strategy for conversations."""
    return type_ in ("cft.chat", "axolotl_cft.chat")  # a tuple: the host's types may be mappings


def is_cft_type(type_: Any) -> bool:
    """Whether a dataset's `type` names one of this package's strategies."""
    return type_ in ("cft", "axolotl_cft.strategy") or is_chat_type(type_)


def all_datasets(cfg: Mapping[str, Any]) -> Iterator[tuple[str, Part, Any]]:
    """Yield (place in the config, part, dataset config) for every dataset, of whatever type.

    What is no list of mappings is left for the host's own validation to name.
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
    place: str,
    part: Part,
    dataset: Mapping[str, Any],
    top: CFTConfig,
    host_seed: int | None,
    eval_sequence_len: int | None = None,
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
        eval_sequence_len: the config's own, which sizes the rows of the test part.

    Raises:
        CFTError: a wrong override, a pool that cannot be used, options that contradict.
    """
    options = _resolve(place, part, dataset, top, host_seed)
    source = load_source(options.prompts)
    _check_views(place, options, source)
    identity = {
        "encoding": ENCODING_VERSION,
        "chat": is_chat_type(dataset.get("type")),
        "part": part,
        "holdout": [HOLDOUT_VERSION, top.holdout, top.holdout_by] if top.holdout else 0.0,
        "eval_sequence_len": eval_sequence_len if part == "test" else None,
        "options": options.model_dump() | {"prompts": source.identity},
        "source": source_of(dataset),
        "files": [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in local_files(dataset)],
    }
    data = json.dumps(identity, sort_keys=True, default=str).encode()
    stamp = STAMP_PREFIX + hashlib.blake2b(data, digest_size=12).hexdigest()
    path = str(dataset.get("path"))
    return Plan(path, part, options, top.holdout, source, stamp, top.holdout_by)


def _resolve(
    place: str, part: Part, dataset: Mapping[str, Any], top: CFTConfig, host_seed: int | None
) -> DatasetOptions:
    """The `cft:` block with the dataset's own overrides, its seed set."""
    base = top.model_dump(include=set(DatasetOptions.model_fields))
    if part == "test":
        base |= {"prompts": "none", "views": 1, "dropout": 0.0}
    overrides = dataset.get("cft") or {}
    _check_block(overrides, f"{place}.cft")
    for option in ("holdout", "holdout_by"):
        if option in overrides:
            raise CFTError(
                f"{place}.cft.{option}: set it in the top-level cft block; it splits all"
            )
    foreign = "format" if is_chat_type(dataset.get("type")) else "place"
    if foreign in overrides:
        raise CFTError(f"{place}.cft.{foreign}: `type: {dataset.get('type')}` has no such option")
    options: DatasetOptions = _validate(DatasetOptions, {**base, **overrides}, f"{place}.cft")
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


def source_of(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """What tells the documents of a dataset from another's, as the config names it.

    The host hashes these too; a stamp repeats them so that no two datasets of a config share one.
    """
    keys = ("path", "name", "revision", "data_files", "split", "shards", "shards_idx")
    fields = ("field", "field_messages")
    return {key: dataset.get(key) for key in (*keys, *fields)}


def local_files(dataset: Mapping[str, Any]) -> list[Path]:
    """Every local file that a dataset reads, sorted; the host hashes their names only.

    `path` and `data_files` may be files, folders (read with all that lies below them) or patterns.
    """
    data_files = dataset.get("data_files") or []
    names = [dataset.get("path"), *([data_files] if isinstance(data_files, str) else data_files)]
    found: set[Path] = set()
    for name in map(str, filter(None, names)):
        if Path(name).is_dir():
            found.update(_files_below(name))
        elif Path(name).is_file():
            found.add(Path(name))
        else:
            matches = map(Path, glob.glob(name, recursive=True))  # noqa: PTH207 (may be absolute)
            found.update(match for match in matches if match.is_file())
    return sorted(found)


def _files_below(folder: str) -> Iterator[Path]:
    """The files that `datasets` would read: links are followed, hidden names left out."""
    visited = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        if (real := Path(root).resolve()) in visited:  # a link to a folder above
            folders.clear()
            continue
        visited.add(real)
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        # `datasets` keeps the results of its own map and shuffle beside a saved dataset.
        names = [name for name in files if not name.startswith((".", "__", "cache-"))]
        yield from (path for name in names if (path := Path(root, name)).is_file())


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
