"""What becomes of texts that are encoded while training goes on, above all on several ranks.

Who reads is accelerate's choice (accelerate/data_loader.py::prepare_data_loader):

    dispatch_batches   files            who reads and encodes
    not false          any              rank 0 for all; its batches must be of one length
    false              more than ranks  every rank its own files
    false              fewer or equal   every rank everything, and takes its share of the rows

Packing leaves nothing out here: the host packs a buffer of the stream into batches of one bin each
(axolotl/utils/data/streaming.py::encode_packed_streaming), so that its `drop_last` drops none.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from axolotl_cft.errors import CFTError
from axolotl_cft.host.flags import read_flag
from axolotl_cft.host.local_files import local_files
from axolotl_cft.host.plan import all_datasets

EVERY_RANK = "accelerator_config: {dispatch_batches: false}"


def check_streaming(cfg: Mapping[str, Any], ranks: int) -> None:
    """Refuse a stream that would leave texts out unseen, or stop at a step that is not the first.

    Args:
        cfg: the raw config.
        ranks: processes that train.

    Raises:
        CFTError: a dataset, or texts on some rank, would be left out; or batches differ in length.
    """
    if not read_flag(cfg, "streaming"):
        return
    if read_flag(cfg, "sample_packing") and len(cfg.get("datasets") or []) > 1:
        # axolotl/utils/data/sft.py::_prepare_streaming_dataset
        raise CFTError(
            "streaming: with sample_packing the host reads the first of `datasets` and leaves the "
            "others out; list one dataset, or set one of the two to false"
        )
    if ranks == 1:
        return
    if _dispatches(cfg):
        if instead := _even_batches(cfg):
            raise CFTError(
                f"streaming: rank 0 hands out the batches of all {ranks} ranks, which must be of "
                f"one length, and these are not; set `{EVERY_RANK}`, or {instead}"
            )
    elif cfg.get("seed") is None and read_flag(cfg, "shuffle_merged_datasets") is not False:
        raise CFTError(
            "streaming: without a `seed` in the config each rank shuffles in an order of its own, "
            "so that texts are trained twice and others never; set seed"
        )


def streaming_warnings(cfg: Mapping[str, Any], ranks: int) -> Iterator[str]:
    """What a stream does that most people do not expect, each with what to do about it.

    Args:
        cfg: the raw config.
        ranks: processes that train.
    """
    if not read_flag(cfg, "streaming"):
        return
    packed = read_flag(cfg, "sample_packing")
    if cfg.get("test_datasets") and not packed:
        # axolotl/utils/data/sft.py::_prepare_streaming_dataset
        yield (
            "streaming without sample_packing makes the host leave test_datasets out, so nothing "
            "is evaluated; evaluate the saved model afterwards"
        )
    if packed:
        yield (
            "streaming: packed rows come in a random order that the host does not draw anew when a "
            "run is resumed, so a resumed one repeats and skips texts; set sample_packing: false, "
            "or prepare the data"
        )
    if ranks > 1 and _dispatches(cfg):
        yield (
            f"streaming: rank 0 reads and encodes for all {ranks} ranks; set `{EVERY_RANK}`, and "
            f"split the data into more than {ranks} files"
        )
    elif ranks > 1:
        yield from _too_few_files(cfg, ranks)


def _too_few_files(cfg: Mapping[str, Any], ranks: int) -> Iterator[str]:
    for place, part, dataset in all_datasets(cfg):
        files = len(local_files(dataset))
        if part == "train" and 0 < files <= ranks:
            yield (
                f"streaming: {place} has {files} files for {ranks} ranks, so every rank reads and "
                f"encodes all of it; split it into more than {ranks} files, or prepare the data"
            )


def _dispatches(cfg: Mapping[str, Any]) -> bool:
    """Whether rank 0 reads for all, which is accelerate's default for a stream.

    The host hands this block on unvalidated, and a text counts as true there.
    """
    return (cfg.get("accelerator_config") or {}).get("dispatch_batches") is not False


def _even_batches(cfg: Mapping[str, Any]) -> str | None:
    """The line that gives all batches one length, if the config lacks it."""
    if read_flag(cfg, "sample_packing"):
        # A bin of several rows' length is padded to a multiple of one's.
        return "micro_batch_size: 1" if (cfg.get("micro_batch_size") or 1) > 1 else None
    return None if read_flag(cfg, "pad_to_sequence_len") else "pad_to_sequence_len: true"
