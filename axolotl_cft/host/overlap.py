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
from axolotl_cft.host.local_files import local_files
from axolotl_cft.host.sources import recall
from axolotl_cft.records import Source

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
        digests: of local files that are not at hand, as recorded when the data were prepared.
        pieces: of its splits.
        shard: (number of shards, index of the one that is read).
    """

    options: Mapping[str, Any]
    files: tuple[Path, ...]
    digests: frozenset[str]
    pieces: tuple[Piece, ...]
    shard: tuple[int, int]

    @classmethod
    def of(cls, part: Part, dataset: Mapping[str, Any], prepared: Path | None = None) -> "Reading":
        """What is read of a dataset.

        Args:
            part: whether it stands in `datasets` or in `test_datasets`.
            dataset: its raw config.
            prepared: the folder of prepared datasets, which may know documents that are not here.
        """
        options = {key: dataset.get(key) for key in _LOADED}
        shard = (_number(dataset.get("shards"), 1), _number(dataset.get("shards_idx"), 0))
        split = str(dataset.get("split") or part)
        path, pieces = str(dataset.get("path")), tuple(map(_piece, split.split("+")))
        files, digests, one_split = local_files(dataset), frozenset[str](), False
        if Path(path).is_dir() and not dataset.get("data_files"):
            files, one_split = _of_folder(Path(path), dataset.get("name"), split, part)
        elif files:
            one_split = True
        elif (known := recall(dataset, prepared) if prepared else None) and known.kind == "files":
            digests, one_split = _recorded(dataset, known)
        elif "://" in path and not path.startswith("http"):
            # A folder in the cloud, of which the host takes all, whatever is asked for.
            pieces, one_split = (Piece(""),), True
        if one_split:
            pieces = tuple(piece._replace(split="train") for piece in pieces)
        if (Path(path) / "state.json").is_file() or (Path(path) / "dataset_dict.json").is_file():
            pieces = (Piece("train"),)  # the host minds no slices of what was saved to disk
        return cls(options, tuple(sorted(files)), digests, pieces, shard)

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
        if self.digests and other.digests:
            return not self.digests.isdisjoint(other.digests)
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
    """The data files of a folder that are read, and whether they are all there is."""
    if (folder / "state.json").is_file():  # a saved `Dataset`: all of it, whatever `split` says
        return local_files({"path": folder}), True
    if (folder / "dataset_dict.json").is_file():
        chosen = split if (folder / split).is_dir() else part
        return local_files({"path": folder / chosen}), True
    try:
        of_split = load_dataset_builder(str(folder), name).config.data_files
        pieces = map(_piece, split.split("+"))
        return [Path(file) for piece in pieces for file in of_split[piece.split]], False
    except Exception:  # the host will say what is wrong with it
        return local_files({"path": folder}), False


def _recorded(dataset: Mapping[str, Any], known: Source) -> tuple[frozenset[str], bool]:
    """Digests of local files that are not at hand, and whether all of them are one split."""
    files = known.files
    names = [file.name for file in files]
    saved = all(name.endswith(".arrow") and "/" not in name for name in names)
    one_split = saved or bool(dataset.get("data_files"))
    one_split = one_split or names == [Path(str(dataset.get("path"))).name]
    return frozenset(file.digest for file in files if file.digest and file.size), one_split


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
