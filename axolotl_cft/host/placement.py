"""What is meant for us but stands where nothing reads it: the host drops unknown keys silently.

A misplaced `prompts: none` would train the ten prompts, and the comparison would look clean. Only
keys that the host and its plugins do not know are looked at, so that nobody else's is refused.
"""

import difflib
import importlib.util
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from axolotl_cft.core.options import PROMPTS_VARIABLE, CFTConfig, DatasetOptions
from axolotl_cft.errors import CFTError
from axolotl_cft.host.plan import all_datasets, is_cft_type

OPTIONS = tuple(CFTConfig.model_fields)
"""Names of the options of the `cft:` block."""

TELLING = frozenset(OPTIONS) - {"seed", "format", "place"}
"""Of these, the names that nobody uses for something else inside a mapping."""

TYPES = ("cft", "cft.chat", "axolotl_cft.strategy", "axolotl_cft.chat")

_DOTTED = re.compile(r"-*(?:(?:test_)?datasets[._]+\d+[._]+)?_*cft[.\-]", re.IGNORECASE)
"""`cft.prompts`, `cft-prompts`, `datasets.0.cft.prompts`, as keys or as arguments."""


def check_placement(
    cfg: Mapping[str, Any],
    top_keys: Collection[str],
    dataset_keys: Collection[str],
    arguments: Sequence[str] = (),
) -> list[str]:
    """Refuse options of ours in the wrong place.

    Args:
        cfg: the raw config.
        top_keys: what the host, its plugins and we know at the top of a config.
        dataset_keys: what the host knows of a dataset.
        arguments: of the process's command line; with `strict: true` the host drops what it does
            not know before anybody sees it.

    Returns:
        Warnings: options of a CFT dataset that the host drops, and that resemble nothing.

    Raises:
        CFTError: the first option found, with the right place.
    """
    for argument in arguments:
        if argument.startswith("-") and _DOTTED.match(argument):
            raise CFTError(_wrong_launcher(argument.partition("=")[0]))
    for key, value in cfg.items():
        if key not in top_keys:
            _check_top_key(str(key), value)
    if isinstance(cfg.get("datasets"), Mapping):
        raise CFTError(
            "datasets: expected a list of datasets (the command line cannot set options of one of "
            "them: write these into the config)"
        )
    dropped = []
    for place, _, dataset in all_datasets(cfg):
        _check_type(place, dataset)
        if is_cft_type(dataset.get("type")):
            unknown = [key for key in map(str, dataset) if key not in {"cft", *dataset_keys}]
            for key in unknown:
                _check_dataset_key(place, key, dataset[key], dataset_keys)
                dropped.append(f"{place}.{key}: Axolotl knows no such option and drops it")
    return dropped


def _check_top_key(key: str, value: Any) -> None:
    if key.startswith((".", "_", "x-")):  # where YAML anchors are kept
        return
    if _DOTTED.match(key):
        raise CFTError(_wrong_launcher(key))
    if _means_block(key, value):
        raise CFTError(f"{key}: Axolotl has no such option and drops it; write `cft:`")
    if option := _option_meant(key):
        raise CFTError(
            f"{key}: Axolotl has no such option and drops it; write `cft: {{{option}: …}}` if it "
            "is meant for contextual fine-tuning, else remove it"
        )
    if isinstance(value, list) and any(
        isinstance(item, Mapping) and is_cft_type(item.get("type")) for item in value
    ):
        meant = _closest(key, ["datasets", "test_datasets"], 0.0)
        raise CFTError(f"{key}: Axolotl has no such option and drops it; write `{meant}:`")


def _check_dataset_key(place: str, key: str, value: Any, known: Collection[str]) -> None:
    """`type: cft` is ours, so that a key the host does not know can hardly be another's."""
    if _DOTTED.match(key) or _means_block(key, value):
        raise CFTError(
            f"{place}.{key}: Axolotl has no such option and drops it; write `cft: {{…}}`"
        )
    if key == "chat_template_kwargs":
        raise CFTError(
            f"{place}.{key}: Axolotl knows it at the top of the config only; move it there"
        )
    if option := _option_meant(key):
        of_top = option not in DatasetOptions.model_fields
        where = "top-level `cft:" if of_top else "dataset's own `cft:"
        raise CFTError(
            f"{place}.{key}: Axolotl has no such option and drops it; write it into the {where} "
            f"{{{option}: …}}`"
        )
    if meant := _closest(key, known):
        raise CFTError(f"{place}.{key}: Axolotl has no such option and drops it; write `{meant}:`")


def _check_type(place: str, dataset: Mapping[str, Any]) -> None:
    """A `type` that nearly is ours: the host would say `unhandled prompt tokenization strategy`."""
    type_ = dataset.get("type")
    if not isinstance(type_, str) or is_cft_type(type_) or _is_another_package(type_):
        return
    flat = re.sub("[^a-z]", "", type_.lower())
    ours = {re.sub("[^a-z]", "", name): name for name in TYPES}
    if flat in ours:
        meant = ours[flat]
    elif sorted(flat) == sorted("cft"):
        meant = "cft"
    elif flat.startswith(("cft", "axolotlcft")):
        meant = "cft.chat" if "chat" in flat else "cft"
    else:
        meant = _closest(type_.lower(), TYPES) or ""
    if meant:
        raise CFTError(
            f"{place}.type: there is no '{type_}'; write `type: {meant}`"
            + ("" if "chat" in meant else " (or cft.chat for conversations)")
        )


def _is_another_package(type_: str) -> bool:
    """Whether a dotted type names a package that is installed and not this one."""
    package, dot, _ = type_.partition(".")
    foreign = bool(dot) and package.isidentifier() and package != __name__.partition(".")[0]
    return foreign and importlib.util.find_spec(package) is not None


def _means_block(key: str, value: Any) -> bool:
    """Whether a key is the `cft:` block under another name."""
    flat = key.lower().strip("_- ")
    if flat == "cft" or (flat.startswith("cft") and _close(flat, "cft", 0.85)):
        return True
    alike = _close(flat, "cft", 0.6) or "cft" in flat or "contextual" in flat
    return alike and isinstance(value, Mapping) and not TELLING.isdisjoint(value)


def _option_meant(key: str) -> str | None:
    """The option of ours that a key is, or nearly is."""
    flat = key.lower().replace("-", "_")
    bare = flat.removeprefix("cft_")
    return bare if bare in OPTIONS else _closest(bare, sorted(TELLING), 0.85)


def _wrong_launcher(key: str) -> str:
    return (
        f"{key}: the host reads no options of this form, so it would change nothing; write it into "
        f"the `cft:` block of a config for this arm, set {PROMPTS_VARIABLE} in the environment, or "
        "give --cft__OPTION to `python -m axolotl.cli.…`"
    )


def _closest(word: str, known: Collection[str], cutoff: float = 0.8) -> str | None:
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)), None)


def _close(word: str, other: str, cutoff: float) -> bool:
    return difflib.SequenceMatcher(None, word, other).ratio() >= cutoff
