"""A dataset's raw documents, loaded the way the host loads them."""

from collections.abc import Iterator, Mapping
from typing import Any

from axolotl.utils.data.shared import datasets_with_name_generator, load_dataset_with_config
from axolotl.utils.dict import DictDefault

from axolotl_cft.core.options import Part
from axolotl_cft.files.places import refuse_absent


def load_documents(
    dataset: Any, part: Part, auth_token: Any = None, seed: int | None = None, lazy: bool = True
) -> Any:
    """The rows of one dataset, before any strategy sees them.

    Follows axolotl/utils/data/sft.py::_load_and_process_single_dataset.

    Args:
        dataset: its config, as a `DictDefault`.
        part: the split to take where the config names none.
        auth_token: the config's `hf_use_auth_token`.
        seed: the config's own, by which the host shuffles before it takes a shard.
        lazy: stream the rows if possible; neither a slice (train[:90%]) nor a shard can be.

    Returns:
        A `datasets.Dataset` or `IterableDataset`.

    Raises:
        CFTError: it means files of this machine that are not there.
        ValueError: the dataset has several splits, and none of that name.
    """
    refuse_absent(str(dataset.path), "dataset")
    streaming = lazy and not dataset.shards and "[" not in (dataset.split or "")
    rows = load_dataset_with_config(dataset, auth_token, streaming=streaming)
    if isinstance(rows, Mapping):
        split = dataset.split if dataset.split in rows else part
        if split not in rows:
            raise ValueError(f"no {split} split; name one of {', '.join(rows)} in `split`")
        rows = rows[split]
    if dataset.shards:
        shuffled = rows.shuffle(seed=seed)
        rows = shuffled.shard(num_shards=dataset.shards, index=dataset.get("shards_idx") or 0)
    return rows


def first_rows(dataset: Mapping[str, Any], part: Part, auth_token: Any = None) -> Iterator[Any]:
    """The rows of a dataset of the raw config from the first on, none of them fetched before.

    A slice or a shard of it has the rows of the whole: only the first few are of interest.

    Raises:
        ValueError: the dataset has several splits, and none of that name.
    """
    split = str(dataset.get("split") or "").partition("[")[0] or None
    changes = {"shards": None, "preprocess_shards": None, "split": split}
    for named in each_name({**dataset, **changes}):
        yield from load_documents(named, part, auth_token)


def each_name(dataset: Mapping[str, Any]) -> Iterator[Any]:
    """A dataset of the raw config as the host reads it, once for each of its `name`s."""
    return datasets_with_name_generator([DictDefault(dataset)])
