"""Which files of this machine a dataset reads, and in what order.

As the host goes about it (axolotl/utils/data/shared.py::load_dataset_with_config): `path` may be a
file, a folder or a pattern, and `data_files` one or several of them.
"""

import functools
import glob
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axolotl_cft.files.places import names_local

_DATA_SUFFIX = re.compile(r"\.(arrow|csv|jsonl?|ndjson|parquet|tsv|txt)\b")


@dataclass(frozen=True)
class LocalFiles:
    """Files below one root.

    Attributes:
        root: the folder, or the part of a pattern before its first wildcard.
        paths: the files, in the order in which they are read.
        metadata: what README.md and its like say of the files and their columns; None if nothing.
    """

    root: Path
    paths: tuple[Path, ...]
    metadata: str | None = None


def local_files(dataset: Mapping[str, Any]) -> list[Path]:
    """Every local file that a dataset reads, sorted."""
    return sorted({path for group in find_local_files(dataset) for path in group.paths})


def find_local_files(dataset: Mapping[str, Any]) -> list[LocalFiles]:
    """What a dataset reads on this machine, by root; empty if it is read from elsewhere."""
    path, listed = str(dataset.get("path")), list_data_files(dataset)
    if Path(path).is_file():  # the host leaves `data_files` aside then
        found = [LocalFiles(Path(path).parent, (Path(path),))]
    elif listed:
        # `path: json` and its like read these; those of the hub's `org/name` lie on the hub.
        here = Path(path).exists() or "/" not in path
        found = [_matching(name) for name in listed if here and "://" not in name]
    elif Path(path).is_dir():
        found = [_in_folder(Path(path), dataset.get("name"))]
    else:
        found = [_matching(path)] if glob.has_magic(path) else []
    return [group for group in found if group.paths]


def list_data_files(dataset: Mapping[str, Any]) -> list[str]:
    """`data_files` as a list, whichever way it is written."""
    given = dataset.get("data_files") or []
    return [given] if isinstance(given, str) else [str(name) for name in given]


def looks_local(dataset: Mapping[str, Any]) -> bool:
    """Whether the config means files of this machine, which may be absent."""
    path, listed = str(dataset.get("path")), list_data_files(dataset)
    if "://" in path or any("://" in name for name in listed):
        return False
    # A name on the hub has at most one slash, and does not end like a file.
    return names_local(path) or names_files(dataset)


def names_files(dataset: Mapping[str, Any]) -> bool:
    """Whether the config means single files of this machine and no folder; they may be absent."""
    path, listed = str(dataset.get("path")), list_data_files(dataset)
    if any("://" in name for name in (path, *listed)):
        return False
    return bool(_DATA_SUFFIX.search(path) or (listed and "/" not in path))


def _matching(pattern: str) -> LocalFiles:
    """The files of one entry of `data_files`."""
    if Path(pattern).is_file():
        return LocalFiles(Path(pattern).parent, (Path(pattern),))
    fixed = re.split(r"[*?\[]", pattern)[0]
    found = map(Path, glob.glob(pattern, recursive=True))  # noqa: PTH207 (may be absolute)
    return LocalFiles(Path(fixed + "_").parent, tuple(sorted(filter(Path.is_file, found))))


def _in_folder(folder: Path, name: Any) -> LocalFiles:
    """What `load_from_disk` or `load_dataset` reads of a folder."""
    visible = tuple(sorted(visible_files(folder)))
    try:
        if saved := tuple(_saved_files(folder)):
            return LocalFiles(folder, saved)
        metadata = _read_metadata(folder)
        root, names = folder.resolve(), tuple(map(str, visible))
        chosen = _chosen_files(str(root), name and str(name), names, metadata)
    except Exception:  # the libraries share no base class; the host will say what is wrong
        return LocalFiles(folder, visible)
    return LocalFiles(root, tuple(map(Path, chosen)), metadata)


def _saved_files(folder: Path) -> Iterator[Path]:
    """The data of a folder written by `save_to_disk`, of all its splits."""
    if (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file():
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        yield from (folder / file["filename"] for file in state["_data_files"])
    elif (folder / "dataset_dict.json").is_file():
        splits = json.loads((folder / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
        for split in splits:
            yield from _saved_files(folder / split)


def _read_metadata(folder: Path) -> str | None:
    """What stands beside the data about which files are read, and how; None if nothing.

    datasets/load.py::LocalDatasetModuleFactory names the places.
    """
    from huggingface_hub import metadata_load

    readme = folder / "README.md"
    card = (metadata_load(readme) if readme.is_file() else None) or {}
    says = {key: card[key] for key in ("configs", "dataset_info") if key in card}
    for file in (folder / ".huggingface.yaml", folder / "dataset_infos.json"):
        if file.is_file():
            says[file.name] = file.read_text(encoding="utf-8")
    return json.dumps(says, sort_keys=True, default=str) if says else None


@functools.lru_cache(maxsize=64)
def _chosen_files(
    folder: str, name: str | None, visible: tuple[str, ...], metadata: str | None
) -> tuple[str, ...]:
    """Those of a folder's visible files that `load_dataset` reads, by its own word.

    Remembered, since asking takes milliseconds a file and the answer follows from the arguments.
    """
    from datasets import load_dataset_builder

    splits = load_dataset_builder(folder, name).config.data_files or {}
    return tuple(str(file) for files in splits.values() for file in files)


def visible_files(folder: Path) -> Iterator[Path]:
    """All files below a folder that are not hidden; links are followed."""
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
