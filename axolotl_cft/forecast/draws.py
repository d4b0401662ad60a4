"""Some documents that stand for all of a dataset: drawn at random, and the same ones every time.

A dataset is read once from end to end, as a stream, and each document has the same chance. Parquet
files say how many rows they have without being read, so that of these only some stretches are.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

    from axolotl_cft.core.options import Part

GROUPS = 50
"""Groups that a sample falls into; how they differ shows how far off it may be."""

SEED = 0
"""Of the draw. It is no option: a sample that does not please is not to be drawn again."""

BATCH = 1000
"""Documents read at a time."""

Tell = Callable[[str, str], None]
"""Is told what is done, and how far it is."""


@dataclass(frozen=True)
class Drawn:
    """The sample of a dataset.

    Attributes:
        groups: documents, in groups of one size; a single group holds all there are.
        documents: how many the dataset has.
        sizes: bytes of the texts of each group; None where a document is no single text.
        size: bytes of all texts.
    """

    groups: list["Dataset"]
    documents: int
    sizes: npt.NDArray[np.float64] | None
    size: float | None

    @property
    def drawn(self) -> int:
        """Documents in the sample."""
        return sum(map(len, self.groups))

    @property
    def is_whole(self) -> bool:
        """Whether the sample is all of it."""
        return self.drawn == self.documents


def draw(dataset: Any, cfg: Any, part: "Part", count: int, tell: Tell) -> Drawn:
    """Draw about `count` documents of a dataset; all of them where there are no more.

    Its `shards` are left aside: one of several is as good as another, and a shuffle changes nothing
    in a sample.

    Args:
        dataset: an entry of `datasets` or `test_datasets` in the validated config.
        cfg: the config.
        part: the split to take where the dataset names none.
        count: at least 6.
        tell: is told that it is read.

    Raises:
        ValueError, OSError: what the host raises about a dataset that cannot be read.
    """
    from axolotl_cft.host.raw_documents import load_documents

    bare = type(dataset)({**dataset, "shards": None, "preprocess_shards": None})
    field = dataset.field or "text"
    tell(f"Reading {dataset.path}", "")
    stretches = _Stretches.of(_parquet_files(bare, part), field)
    if stretches is not None and stretches.documents > count:
        return stretches.draw(count)
    rows = load_documents(bare, part, cfg.hf_use_auth_token, cfg.seed)
    return _draw_from(rows.with_format("arrow").iter(batch_size=BATCH), field, count)


def _draw_from(tables: Iterator["pa.Table"], field: str, count: int) -> Drawn:
    """A simple random sample from one pass, of a number of documents not known before.

    Every document draws a number, and the lowest `count` stay.
    """
    import pyarrow as pa

    chance = np.random.default_rng(SEED)
    kept: list[pa.Table] = []
    numbers, documents, size, sized = np.empty(0), 0, 0.0, True
    for table in tables:
        drawn = chance.random(len(table))
        documents += len(table)
        lengths = _text_bytes(table, field)
        sized &= lengths is not None
        size += 0.0 if lengths is None else float(lengths.sum())
        limit = np.partition(numbers, count - 1)[count - 1] if numbers.size >= count else 2.0
        kept.append(table.filter(pa.array(drawn < limit)))
        numbers = np.append(numbers, drawn[drawn < limit])
        if numbers.size > 4 * count:
            kept, numbers = _lowest(kept, numbers, count)
    if not documents:
        return Drawn([], 0, None, None)
    [table], numbers = _lowest(kept, numbers, count)
    groups = _deal(table, 1 if documents <= count else _groups(count))
    return _drawn(groups, documents, field, size if sized else None)


def _lowest(
    tables: list["pa.Table"], numbers: npt.NDArray[np.float64], count: int
) -> tuple[list["pa.Table"], npt.NDArray[np.float64]]:
    """The rows with the lowest numbers, in their order."""
    import pyarrow as pa

    chosen = np.sort(np.argsort(numbers)[:count])
    whole = pa.concat_tables(tables, promote_options="default")
    return [whole.take(pa.array(chosen))], numbers[chosen]


def _groups(count: int) -> int:
    return max(3, min(GROUPS, count // 2))


def _deal(table: "pa.Table", groups: int) -> list["pa.Table"]:
    """Hands the rows out in turn; those that would make a group larger than another are left."""
    size = len(table) // groups
    return [table.take(list(range(group, size * groups, groups))) for group in range(groups)]


def _drawn(tables: list["pa.Table"], documents: int, field: str, size: float | None) -> Drawn:
    from datasets import Dataset

    lengths = [_text_bytes(table, field) for table in tables]
    sums = [each.sum() for each in lengths if each is not None]
    sizes = np.array(sums, float) if size is not None and len(sums) == len(tables) else None
    groups = [Dataset(table.replace_schema_metadata(None).combine_chunks()) for table in tables]
    return Drawn(groups, documents, sizes, size)


def _text_bytes(table: "pa.Table", field: str) -> npt.NDArray[np.int64] | None:
    """The bytes of each text, 0 for a null; None where the column holds something else."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if field not in table.column_names:
        return None
    column = table.column(field)
    if pa.types.is_null(column.type):
        return np.zeros(len(column), np.int64)
    if pa.types.is_string_view(column.type):
        column = column.cast(pa.large_string())
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return None
    lengths = pc.fill_null(pc.binary_length(column), 0).to_numpy()
    return np.asarray(lengths, np.int64)


@dataclass(frozen=True)
class _Stretches:
    """Parquet files, of which only the row groups are read that hold a drawn stretch.

    Attributes:
        field: the text column.
        places: file and row group, in order.
        starts: document at which each row group begins, and the number of all documents.
        stored: bytes of the text column in each row group, before compression.
    """

    field: str
    places: list[tuple[Path, int]]
    starts: npt.NDArray[np.int64]
    stored: npt.NDArray[np.float64]

    @classmethod
    def of(cls, files: list[Path], field: str) -> "_Stretches | None":
        """What the files' footers say; None where there are no files, or no such column."""
        import pyarrow.parquet as pq

        places, rows, stored = [], [0], []
        for file in files:
            about = pq.read_metadata(file)
            for index in range(about.num_row_groups):
                group = about.row_group(index)
                columns = [group.column(number) for number in range(group.num_columns)]
                text = [c.total_uncompressed_size for c in columns if c.path_in_schema == field]
                if not text:
                    return None
                places.append((file, index))
                rows.append(group.num_rows)
                stored.append(text[0])
        starts = np.cumsum(rows)
        return cls(field, places, starts, np.array(stored, float)) if places else None

    @property
    def documents(self) -> int:
        """Rows of all files."""
        return int(self.starts[-1])

    def draw(self, count: int) -> Drawn:
        """Stretches of documents that follow one another, one from each equal part of the whole.

        Where in its part a stretch begins is drawn. How long all texts are is known from the
        footers, up to what the encoding adds to a text, which the row groups that are read tell.
        """
        import pyarrow as pa

        groups = _groups(count)
        each, room = count // groups, self.documents / groups
        offsets = np.random.default_rng(SEED).random(groups) * max(0.0, room - each)
        begins = (np.arange(groups) * room + offsets).astype(np.int64)
        parts, looked_at, found = self._read(begins, begins + each)
        rows = np.diff(self.starts)[looked_at].sum()
        added = (self.stored[looked_at].sum() - found) / max(1, rows)
        size = float(self.stored.sum() - added * self.documents)
        tables = [pa.concat_tables(part, promote_options="default") for part in parts]
        return _drawn(tables, self.documents, self.field, size)

    def _read(
        self, begins: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
    ) -> tuple[list[list["pa.Table"]], list[int], float]:
        """The documents of each stretch; the row groups read, each once, and their texts' bytes."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        parts: list[list[pa.Table]] = [[] for _ in begins]
        looked_at, found = [], 0.0
        for index, (first, after) in enumerate(pairwise(self.starts)):
            hit = np.flatnonzero((begins < after) & (ends > first))
            if not hit.size:
                continue
            file, group = self.places[index]
            table = pq.ParquetFile(file).read_row_group(group)
            lengths = _text_bytes(table, self.field)
            looked_at.append(index)
            found += 0.0 if lengths is None else float(lengths.sum())
            for stretch in hit:
                rows = np.arange(max(begins[stretch], first), min(ends[stretch], after)) - first
                # Copied: a slice would keep the whole row group in memory.
                parts[stretch].append(table.take(pa.array(rows)))
        return parts, looked_at, found


def _parquet_files(dataset: Mapping[str, Any], part: "Part") -> list[Path]:
    """The local Parquet files of a dataset, where it is nothing else; in the order of reading."""
    from axolotl.utils.data.shared import get_dataset_type
    from datasets import load_dataset_builder

    path, split = Path(str(dataset["path"])), dataset.get("split") or part
    if "[" in split or dataset.get("data_files"):
        return []
    if path.is_file():
        return [path] if get_dataset_type(dataset) == "parquet" else []  # type: ignore[arg-type]
    if not path.is_dir() or (path / "state.json").is_file():
        return []
    try:
        builder = load_dataset_builder(str(path), dataset.get("name"))
    except Exception:  # saved with save_to_disk, say; the host's own reader will say what is wrong
        return []
    files = (builder.config.data_files or {}).get(split, [])
    return (
        [Path(str(file)) for file in files] if builder.dataset_name and _all_parquet(files) else []
    )


def _all_parquet(files: Any) -> bool:
    return all(str(file).endswith(".parquet") for file in files)
