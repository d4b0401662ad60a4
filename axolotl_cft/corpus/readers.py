"""Training corpora read block by block, and written back without parts of their documents.

A corpus is a file, a folder of files, or a dataset on the hub; a document is a line of JSON lines,
a row of `.csv`, `.parquet` or of the hub's dataset, an object of a `.json` array, or a whole `.txt`
file. Memory holds one block at a time, whatever the corpus's size; only a `.json` or `.txt` file is
read as a whole.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from axolotl_cft.corpus.csv_files import CsvFile
from axolotl_cft.corpus.json_files import LINES, JsonArray, JsonLines
from axolotl_cft.corpus.parts import Block, Field, Kept, Part, Write
from axolotl_cft.corpus.tables import HubDataset, ParquetFile
from axolotl_cft.corpus.text_files import TextFile
from axolotl_cft.errors import CFTError

__all__ = [
    "FORMATS",
    "Block",
    "Field",
    "HubDataset",
    "Kept",
    "Part",
    "Write",
    "open_corpus",
    "refuse_foreign",
    "refuse_own_output",
]

FORMATS = (*LINES, ".json", ".csv", ".parquet", ".txt")

ABOUT_DATA = {"config.json", "dataset_dict.json", "dataset_info.json", "dataset_infos.json"}
"""What stands beside data and is none (datasets/data_files.py::FILES_TO_IGNORE)."""


def open_corpus(
    corpus: str,
    field: Field,
    *,
    subset: str | None = None,
    split: str = "train",
    streamed: bool = True,
) -> list[Part]:
    """The parts of a corpus given as a path or as the name of a dataset on the hub.

    Of a folder, hidden files and folders below it are left out, and folders that begin with `__`.

    Args:
        corpus: a file, a folder, or a name.
        field: where the texts are.
        subset: configuration of a hub dataset.
        split: split of a hub dataset.
        streamed: read a hub dataset as it arrives, each time again; otherwise it is downloaded
            once into the cache of `datasets`, for callers that read it more than once.

    Raises:
        CFTError: nothing there, or no file of a known format.
    """
    path = Path(corpus).expanduser()
    if path.is_file():
        return [_file_part(path, path.name, field)]
    if path.is_dir():
        files = sorted(file for file in _visible_files(path) if file.name.endswith(FORMATS))
        if not files:
            raise CFTError(f"{path} holds no {', '.join(FORMATS)} file that is not hidden")
        return [_file_part(file, str(file.relative_to(path)), field) for file in files]
    if corpus.count("/") > 1 or corpus.endswith(FORMATS) or corpus.startswith((".", "~", "/")):
        raise CFTError(f"corpus {corpus!r} does not exist")
    return [HubDataset(corpus, subset, split, field, streamed)]


def refuse_own_output(corpus: str, *outputs: Path | None) -> None:
    """Refuse to write where a command reads: the next run would read what this one wrote.

    Args:
        corpus: as `open_corpus` takes it.
        outputs: the folders and files that will be written; None for one that is not.

    Raises:
        CFTError: one of them lies in the corpus's folder, or is the corpus itself.
    """
    source = Path(corpus).expanduser().resolve()
    for output in filter(None, outputs):
        target = output.resolve()
        if source.is_dir() and target.is_relative_to(source):
            raise CFTError(
                f"{output} lies in the corpus's own folder, so that the next run would read what "
                "this one writes: choose another"
            )
        if source.is_file() and target == source:
            raise CFTError(f"{output} is the corpus itself, which would be written over: move one")


def refuse_foreign(folder: Path, marks: Sequence[str], names: Iterable[str]) -> None:
    """Refuse to write over files that no earlier run of this command wrote.

    Args:
        folder: that will be written to.
        marks: the files by which a run of this command is known.
        names: the files that it writes.

    Raises:
        CFTError: one of them is there, and none of the marks.
    """
    if any((folder / mark).exists() for mark in marks):
        return
    for path in map(folder.joinpath, names):
        if path.exists():
            raise CFTError(
                f"{path} is there already, and no {marks[0]} beside it says that this command made "
                "it: choose another --output-dir, or move it away"
            )


def _visible_files(folder: Path) -> Iterator[Path]:
    """A folder's files, without those that `datasets` leaves out when training reads it."""
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        for name in files:
            if not name.startswith(".") and name not in ABOUT_DATA:
                yield Path(root, name)


def _file_part(path: Path, name: str, field: Field) -> Part:
    if name.endswith(LINES):
        return JsonLines(path, name, field)
    if name.endswith(".json"):
        return JsonArray(path, name, field)
    if name.endswith(".csv"):
        return CsvFile(path, name, field)
    if name.endswith(".parquet"):
        return ParquetFile(path, name, field)
    if name.endswith(".txt"):
        return TextFile(path, name)
    raise CFTError(f"cannot read {path}: a corpus is {', '.join(FORMATS)}, or a folder of these")
