"""A packed corpus: read back, or found where one is to be written."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from axolotl_cft.corpus.building.output import DATA
from axolotl_cft.corpus.building.shards import COLUMNS
from axolotl_cft.corpus.parquet import read_batches
from axolotl_cft.errors import CFTError
from axolotl_cft.records import CORPUS_FILE, CorpusManifest, CorpusShard

_ROWS = 256
"""Documents read at a time, at most."""


def read_manifest(folder: Path) -> CorpusManifest:
    """The manifest of a packed corpus.

    Raises:
        CFTError: there is none.
    """
    if not (folder / CORPUS_FILE).is_file():
        raise CFTError(
            f"{folder} holds no packed corpus ({CORPUS_FILE} is missing): `axolotl-cft corpus "
            "pack` makes one"
        )
    return CorpusManifest.read(folder / CORPUS_FILE)


def read_corpus(folder: Path, columns: Sequence[str] = COLUMNS) -> Iterator[list[dict[str, Any]]]:
    """The documents of a packed corpus, some at a time, in order.

    Raises:
        CFTError: it is no such folder, or a shard is missing or damaged.
    """
    for shard in read_manifest(folder).shards:
        yield from read_shard(folder, shard, columns)


def read_shard(
    folder: Path, shard: CorpusShard, columns: Sequence[str] = COLUMNS
) -> Iterator[list[dict[str, Any]]]:
    """The documents of one shard, some at a time, in order.

    Raises:
        CFTError: it is missing or damaged.
    """
    try:
        with pq.ParquetFile(folder / shard.file) as file:
            for batch in read_batches(file, _ROWS, columns):
                yield batch.to_pylist()
    except (OSError, ValueError) as exc:  # Arrow's own errors are ValueErrors
        raise CFTError(f"cannot read {folder / shard.file}: {exc}; pack it again") from exc


def give_memory_back() -> None:
    """Have Arrow use the system's allocator, in this process and from now on.

    Its own keeps what it has freed, and more of it the longer a corpus is read.
    """
    pa.set_memory_pool(pa.system_memory_pool())


def find_finished(
    output_dir: Path, scratch: Path, identity: Mapping[str, Any]
) -> CorpusManifest | None:
    """The manifest of a result that is there already, made as it would be made now.

    Args:
        output_dir: where the result goes.
        scratch: the folder in it that a run has which is under way, or was killed.
        identity: what decides the result.

    Raises:
        CFTError: another corpus is there, or shards would go among files that are none of ours.
    """
    if (output_dir / CORPUS_FILE).is_file():
        manifest = CorpusManifest.read(output_dir / CORPUS_FILE)
        refuse_other(output_dir, [k for k in identity if manifest.identity.get(k) != identity[k]])
        return manifest
    # A run makes its scratch folder before the other, and removes it last.
    if (output_dir / DATA).exists() and not scratch.exists():
        raise CFTError(
            f"{output_dir / DATA} is there already and belongs to no packed corpus: name another "
            "output folder"
        )
    return None


def refuse_other(output_dir: Path, changed: Sequence[str]) -> None:
    """Refuse a folder with a corpus that something else decided.

    Raises:
        CFTError: names what changed, if anything did.
    """
    if changed:
        raise CFTError(
            f"{output_dir} holds a corpus that was made with another "
            f"{', '.join(sorted(changed))}: name another folder, or remove it"
        )
