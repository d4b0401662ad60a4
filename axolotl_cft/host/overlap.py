"""Whether two datasets of a config may read the same rows, by what config and disk tell.

What the host reads of a dataset is decided in axolotl/utils/data/shared.py
(`load_dataset_with_config`), its split in axolotl/utils/data/sft.py
(`_load_and_process_single_dataset`).
"""

import filecmp
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from datasets import load_dataset_builder

from axolotl_cft.core.options import Part
from axolotl_cft.host.local_files import local_files, names_files

_LOADED = ("path", "name", "revision", "data_files", "ds_type", "split")


class Piece(NamedTuple):
    """What one term of a split says, such as `train[10%:20%]`; no bound is None.

    A bound below zero counts from the end.
    """

    split: str
    begin: int | None = None
    end: int | None = None
    unit: str = ""

    def meets(self, other: "Piece") -> bool:
        """Whether the two may have rows in common, if they are cut from the same splits."""
        apart = self._precedes(other) or other._precedes(self)
        return self.of_one_split(other) and not apart

    def of_one_split(self, other: "Piece") -> bool:
        """Whether both are cut from one split."""
        return self.split == other.split or "all" in (self.split, other.split)

    def _precedes(self, other: "Piece") -> bool:
        if self.end is None or other.begin is None or self.unit != other.unit:
            return False
        same_side = (self.end < 0) == (other.begin < 0)
        return same_side and self.end <= other.begin


@dataclass(frozen=True)
class Reading:
    """The rows that the host reads of a dataset.

    Attributes:
        options: those that load it.
        files: the local files, sorted; none for a hub name or an address.
        pieces: of its splits.
        shard: (number of shards, index of the one that is read).
    """

    options: Mapping[str, Any]
    files: tuple[Path, ...]
    pieces: tuple[Piece, ...]
    shard: tuple[int, int]

    @classmethod
    def of(cls, part: Part, dataset: Mapping[str, Any]) -> "Reading":
        """What is read of `dataset`, which stands in `datasets` (train) or `test_datasets`."""
        options = {key: dataset.get(key) for key in _LOADED}
        shard = (_number(dataset.get("shards"), 1), _number(dataset.get("shards_idx"), 0))
        split = str(dataset.get("split") or part)
        name, pieces = str(dataset.get("path")), tuple(map(_piece, split.split("+")))
        path = Path(name)
        files = local_files({"data_files": dataset.get("data_files")})
        if not files and path.is_file():
            files = [path]
        if files or names_files(dataset):  # whatever its name, such a source has one split
            pieces = tuple(piece._replace(split="train") for piece in pieces)
            if not dataset.get("split"):
                pieces = (Piece("train"),)
        elif path.is_dir():
            files, sliced = _of_folder(path, dataset.get("name"), split, part)
            pieces = pieces if sliced else (Piece("train"),)
        elif "://" in name and not name.startswith("http"):
            pieces = (Piece("train"),)  # a folder in the cloud, of which the host takes all
        return cls(options, tuple(sorted(files)), pieces, shard)

    def may_share(self, other: "Reading", seed: int | None) -> bool:
        """Whether rows may be in both; False only where that is certain.

        Args:
            seed: the config's own, by which the host shuffles before it takes a shard.
        """
        if not self._same_source(other):
            return False
        pairs = list(product(self.pieces, other.pieces))
        if not self._same_order(other):
            return self.files != () or any(a.of_one_split(b) for a, b in pairs)
        if not any(a.meets(b) for a, b in pairs):
            return False
        (shards, index), (others, other_index) = self.shard, other.shard
        same_split = self.pieces == other.pieces
        apart = same_split and seed is not None and shards == others and index != other_index
        return not apart

    def differs_by_name(self, other: "Reading") -> bool:
        """Whether two configurations of one hub dataset are meant, which may overlap or not."""
        names = [set(_listed(reading.options["name"])) for reading in (self, other)]
        return not self.files and all(names) and names[0].isdisjoint(names[1])

    def _same_source(self, other: "Reading") -> bool:
        if self.files and other.files:
            return _share_a_file(self.files, other.files)
        if self.files or other.files or _hub_name(self) != _hub_name(other):
            return False
        named = [set(_listed(reading.options["data_files"])) for reading in (self, other)]
        patterns = any(set(name) & set("*?[{") for name in named[0] | named[1])
        return patterns or not all(named) or not named[0].isdisjoint(named[1])

    def _same_order(self, other: "Reading") -> bool:
        """Whether both are cut from the same rows in the same order."""
        if len(self.files) == len(other.files) == 1:
            return True
        keys = [key for key in _LOADED if key != "split"]
        return self.files == other.files and all(
            self.options[key] == other.options[key] for key in keys
        )


def _hub_name(reading: Reading) -> str:
    return str(reading.options["path"]).strip("/").casefold()


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(item) for item in value or []]


def _number(value: Any, default: int) -> int:
    return value if isinstance(value, int) and value else default  # the host names a wrong one


def _piece(term: str) -> Piece:
    """One term of a split; in a form that is not known here it counts as the whole split."""
    bound = r"(-?\d+)?(%)?"
    match = re.fullmatch(rf"\s*([\w.]+)(?:\[{bound}:{bound}\])?\s*", term)
    if match is None:
        return Piece(term.partition("[")[0].strip())
    split, begin, begin_unit, end, end_unit = match.groups()
    unit = begin_unit or end_unit or ""
    if begin and end and begin_unit != end_unit:
        return Piece(split)
    return Piece(split, int(begin) if begin else None, int(end) if end else None, unit)


def _of_folder(folder: Path, name: Any, split: str, part: Part) -> tuple[list[Path], bool]:
    """The data files of a folder that are read, and whether the host minds slices of a split."""
    if (folder / "state.json").is_file():  # a saved `Dataset`: all of it, whatever `split` says
        return _arrow_files(folder), False
    if (folder / "dataset_dict.json").is_file():
        chosen = split if (folder / split).is_dir() else part
        return _arrow_files(folder / chosen), False
    try:
        of_split = load_dataset_builder(str(folder), name).config.data_files
        pieces = map(_piece, split.split("+"))
        return [Path(file) for piece in pieces for file in of_split[piece.split]], True
    except Exception:  # the host will say what is wrong with it
        return local_files({"path": folder}), True


def _arrow_files(folder: Path) -> list[Path]:
    return [file for file in local_files({"path": folder}) if file.suffix == ".arrow"]


def _share_a_file(files: Iterable[Path], others: Iterable[Path]) -> bool:
    """Whether a file is in both: the same, a link to it, or a copy byte by byte."""
    by_size = defaultdict(list)
    for file in files:
        by_size[file.stat().st_size].append(file)
    return any(
        file.samefile(other) or filecmp.cmp(file, other, shallow=False)
        for other in others
        if (size := other.stat().st_size)
        for file in by_size.get(size, ())
    )
