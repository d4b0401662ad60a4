"""An Axolotl config that somebody has, turned to contextual fine-tuning.

What is raw text goes by the host's own meaning: `type: completion` and `pretraining_dataset` train
on a text as it stands (axolotl/prompt_strategies/completion.py and pretrain.py). Everything else is
left alone. Nothing of the host is imported, and no data are looked at.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from axolotl_cft.errors import CFTError
from axolotl_cft.files.yaml_edits import EditableYaml
from axolotl_cft.host.flags import read_flag
from axolotl_cft.host.local_files import list_data_files, names_files
from axolotl_cft.host.plan import DEFAULT_SEED, all_datasets, cft_datasets, is_cft_type

PLUGIN = "axolotl_cft.CFTPlugin"

HOLDOUT = 0.01
"""Share of the documents that is held out where the config does not say how many."""

_BUILDERS = ("arrow", "csv", "json", "parquet")
"""Names under `path` that say how to read `data_files`."""

_MADE_HERE = {
    "accelerator_config",
    "cft",
    "dataset_prepared_path",
    "datasets",
    "eval_sample_packing",
    "plugins",
    "pretraining_dataset",
    "seed",
    "streaming",
    "test_datasets",
    "val_set_size",
}
"""Keys of a config that may change."""


_WITH_PARTS = (
    "cft",
    "datasets",
    "plugins",
    "pretraining_dataset",
    "test_datasets",
    "val_set_size",
)
"""Of these, the keys whose values are changed where they stand."""


@dataclass(frozen=True)
class Adoption:
    """A config with contextual fine-tuning in it.

    Attributes:
        text: the config.
        remarks: what its owner should know, a sentence each.
    """

    text: str
    remarks: tuple[str, ...]


def adopt(text: str, origin: str, name: str) -> Adoption:
    """Add contextual fine-tuning to an Axolotl config; a second time, nothing is added.

    Args:
        text: the config, of which every character stays that need not change.
        origin: what to call it in messages: its file.
        name: of the new config, after which a folder of prepared data is called.

    Raises:
        CFTError: not a config, none of its datasets is raw text, or what has to change cannot be
            changed by itself.
    """
    config = EditableYaml(text, origin, behind="datasets")
    before = config.data
    _check_form(config, origin)
    remarks = [*_move_pretraining(config, origin), *_turn_datasets(config)]
    turned = config.text != text
    if not any(part == "train" for _, part, _ in cft_datasets(config.data)):
        raise CFTError(f"{origin}: {_what_to_add(config.data)}")
    remarks += _hold_out(config, origin, turned)
    _add_rest(config, name)
    _check_that_nothing_else_changed(before, config.data, origin)
    if config.text != text:
        remarks.append(
            "output_dir is the old config's; give the new one its own, to keep both results"
        )
    return Adoption(config.text, tuple(remarks))


def _check_form(config: EditableYaml, origin: str) -> None:
    for key in ("datasets", "test_datasets", "plugins"):
        if not isinstance(config.data.get(key) or [], list):
            raise CFTError(f"{origin}: {key}: expected a list")
    if not isinstance(config.data.get("cft") or {}, Mapping):
        raise CFTError(f"{origin}: cft: expected a block of options")
    for key in _WITH_PARTS:
        if config.data.get(key) and not config.has([key]):
            raise CFTError(f"{origin}: {key} comes by a merge (`<<`); write it out in the config")


def _move_pretraining(config: EditableYaml, origin: str) -> list[str]:
    """`pretraining_dataset`, whose labels the host makes itself, becomes a stream of `datasets`."""
    given = config.data.get("pretraining_dataset")
    if not given:
        return []
    if "datasets" in config.data:
        raise CFTError(
            f"{origin}: Axolotl reads pretraining_dataset and leaves datasets aside; remove one of "
            "the two"
        )
    if isinstance(given, str):
        config.put(["pretraining_dataset"], [{"path": given, "type": "cft"}])
    elif not (isinstance(given, list) and len(given) == 1 and isinstance(given[0], Mapping)):
        raise CFTError(
            f"{origin}: pretraining_dataset: expected one dataset, since Axolotl reads no other"
        )
    elif given[0].get("type") not in (None, "pretrain", "completion"):
        return []
    else:
        _check_pretraining(given[0], origin)
        _rewrite_pretraining(config, given[0])
    config.rename(["pretraining_dataset"], "datasets")
    _stream(config)
    return [
        "pretraining_dataset became a stream of `datasets`, since Axolotl would train on the "
        "prompts there; without `streaming: true` the corpus is prepared on disk instead, with a "
        "ledger, checks and a held-out part"
    ]


def _check_pretraining(dataset: Mapping[str, Any], origin: str) -> None:
    if dataset.get("skip"):
        raise CFTError(
            f"{origin}: pretraining_dataset[0].skip: a dataset under `datasets` cannot leave out "
            "its first documents; remove the option"
        )


def _rewrite_pretraining(config: EditableYaml, dataset: Mapping[str, Any]) -> None:
    place: list[str | int] = ["pretraining_dataset", 0]
    files = list_data_files(dataset)
    if "field" not in dataset and config.has([*place, "text_column"]):
        config.rename([*place, "text_column"], "field")
    if dataset.get("path") in _BUILDERS and not read_flag(config.data, "sample_packing") and files:
        # An unpacked stream of `datasets` reads files by their own names alone.
        config.put([*place, "ds_type"], dataset["path"])
        config.put([*place, "path"], files[0])
    config.put([*place, "type"], "cft")


def _stream(config: EditableYaml) -> None:
    """What the host does for `pretraining_dataset` by itself."""
    config.put(["streaming"], True)
    if config.data.get("accelerator_config") is None:
        # axolotl/utils/schemas/validation.py::check_pretraining_split_batches_accelerate
        batches = {"split_batches": False, "dispatch_batches": False}
        config.put(["accelerator_config"], batches)


def _turn_datasets(config: EditableYaml) -> list[str]:
    """Give every dataset of raw text our type, and say of the others why they stay."""
    remarks = []
    for key in ("datasets", "test_datasets"):
        for index in range(len(config.data.get(key) or [])):
            dataset = config.data[key][index]  # as it is now: what shares an anchor has changed
            place = f"{key}[{index}]"
            if _is_raw(dataset):
                config.put([key, index, "type"], "cft")
            elif isinstance(dataset, Mapping) and not is_cft_type(dataset.get("type")):
                remarks.append(_why_not(place, dataset))
    return remarks


def _is_raw(dataset: Any) -> bool:
    """Whether the host trains on whole documents of a dataset as they are."""
    text = isinstance(dataset, Mapping) and dataset.get("type") == "completion"
    return text and not _read_by_line(dataset)


def _why_not(place: str, dataset: Mapping[str, Any]) -> str:
    type_ = dataset.get("type")
    if type_ == "completion":
        return (
            f"{place} ({dataset.get('path')}) stays as it is, since Axolotl makes a document of "
            "every line of a text file; `axolotl-cft corpus pack` makes whole documents of such "
            "files"
        )
    shown = f"`type: {type_}`" if isinstance(type_, str) else "a format of its own"
    chat = "; `type: cft.chat` puts prompts into conversations" if type_ == "chat_template" else ""
    return f"{place} ({dataset.get('path')}, {shown}) is no raw text and stays as it is{chat}"


def _read_by_line(dataset: Mapping[str, Any]) -> bool:
    """Whether the host would load text files (axolotl/utils/data/shared.py::get_dataset_type)."""
    names = [str(dataset.get("path")), *list_data_files(dataset)]
    ds_type = dataset.get("ds_type")
    return ds_type == "text" or (not ds_type and any(".txt" in name for name in names))


def _what_to_add(data: Mapping[str, Any]) -> str:
    nearly = [
        f"; {_why_not(place, dataset)}"
        for place, _, dataset in all_datasets(data)
        if dataset.get("type") == "completion"
    ]
    return (
        "no dataset is raw text, so there is nothing to put prompts before: add one of whole "
        "documents under `datasets`, such as {path: corpus.jsonl, type: cft, field: text}"
        + "".join(nearly)
    )


def _hold_out(config: EditableYaml, origin: str, turned: bool) -> list[str]:
    """Keep documents for `test_datasets`, as many as the config sets aside already."""
    data = config.data
    asked = _asked_share(data.get("val_set_size"), origin)
    if data.get("test_datasets"):
        if asked:
            raise CFTError(
                f"{origin}: Axolotl takes val_set_size or test_datasets; remove one of the two"
            )
        return []
    new = asked is None and (turned or not data.get("cft"))
    if not asked and not new:
        return [_NOTHING_ASKED] if turned else []
    if read_flag(data, "streaming"):
        return ["nothing is held out of a stream; list other documents under test_datasets"]
    remarks = list(_about_holdout(data, asked))
    _name_test_datasets(config, replaces=bool(asked))
    if new and read_flag(data, "sample_packing") and data.get("eval_sample_packing") is None:
        # A small part would not fill a packed batch, which the host takes for an error.
        config.put(["eval_sample_packing"], False)
    share = asked if asked and asked < 1 else HOLDOUT
    if not data.get("cft"):
        config.put(["cft"], {"prompts": "paper", "holdout": share})
    elif "holdout" not in data["cft"]:
        config.put(["cft", "holdout"], share)
    return remarks


_NOTHING_ASKED = (
    "nothing is held out, since val_set_size is 0; for a loss that all arms share, set cft.holdout "
    "and test_datasets"
)


def _asked_share(value: Any, origin: str) -> float | None:
    """`val_set_size` as the host reads it: a share, from 1 on a number of rows; None if not set."""
    if value is None:
        return None
    try:
        asked = float(value)
    except (TypeError, ValueError):
        asked = -1.0
    if not asked >= 0:  # nor is it a number
        raise CFTError(f"{origin}: val_set_size: expected a share of the rows, got {value!r}")
    return asked


def _about_holdout(data: Mapping[str, Any], asked: float | None) -> Iterator[str]:
    if not asked:
        yield (
            f"{HOLDOUT:.0%} of the documents is held out for test_datasets, to compare arms by; "
            "remove cft.holdout and test_datasets to train on all of them"
        )
        return
    yield (
        "val_set_size split rows, so that parts of one document were both trained and tested; "
        "cft.holdout takes whole documents"
        + (f", {HOLDOUT:.0%} of them, where you had {asked:g} rows" if asked >= 1 else "")
    )
    others = [
        place for place, _, dataset in all_datasets(data) if not is_cft_type(dataset.get("type"))
    ]
    if others:
        yield f"{' and '.join(others)} had rows in val_set_size too, which are trained now"


def _name_test_datasets(config: EditableYaml, replaces: bool) -> None:
    """List the CFT datasets once more, for their held-out part."""
    tested: list[dict[str, Any]] = []
    for _, _, dataset in cft_datasets(config.data):
        copy = {key: value for key, value in dataset.items() if key != "cft"}
        if not copy.get("split") and not names_files(copy):
            copy["split"] = "train"  # of `test_datasets`, the host would look for a split `test`
        if copy not in tested:
            tested.append(copy)
    if replaces and "test_datasets" not in config.data:
        config.put(["val_set_size"], tested)
        config.rename(["val_set_size"], "test_datasets")
        return
    if replaces:
        config.put(["val_set_size"], 0)
    config.put(["test_datasets"], tested)


def _add_rest(config: EditableYaml, name: str) -> None:
    """The plugin, its block, and what makes a preparation repeatable."""
    if not config.data.get("dataset_prepared_path"):
        config.put(["dataset_prepared_path"], f"prepared/{name}")
    if config.data.get("seed") is None:
        config.put(["seed"], DEFAULT_SEED)
    if not any(_is_plugin(entry) for entry in config.data.get("plugins") or []):
        config.append(["plugins"], PLUGIN)
    if not config.data.get("cft"):
        config.put(["cft"], {"prompts": "paper"})


def _is_plugin(entry: Any) -> bool:
    """Whether an entry of `plugins` is ours, by whichever of its names."""
    return str(entry).startswith("axolotl_cft.") and str(entry).endswith(".CFTPlugin")


def _check_that_nothing_else_changed(
    before: Mapping[str, Any], after: Mapping[str, Any], origin: str
) -> None:
    """What an anchor names changes wherever it is used; elsewhere that is not meant.

    Raises:
        CFTError: a key that stands apart from datasets has changed with them.
    """
    for key in before.keys() | after.keys():
        hidden = str(key).startswith((".", "_", "x-"))  # where anchors are kept
        if key not in _MADE_HERE and not hidden and before.get(key) != after.get(key):
            raise CFTError(
                f"{origin}: {key} shares an anchor with what has to change; write its value out, "
                f"or call it x-{key} if it only holds the anchor"
            )
    for key in ("datasets", "test_datasets"):
        for old, new in zip(before.get(key) or [], after.get(key) or [], strict=False):
            if new != ({**old, "type": "cft"} if _is_raw(old) else old):
                raise CFTError(
                    f"{origin}: {key} share an anchor with what has to change; write them out"
                )
