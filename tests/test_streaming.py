"""Streams: what a config would lose is refused, what it costs is said, and both are so."""

import logging
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from conftest import make_documents, write_jsonl
from host import host_config, prepare

from axolotl_cft.core.encoding import IGNORE_INDEX
from axolotl_cft.errors import CFTError

EVERY_RANK = {"accelerator_config": {"dispatch_batches": False}}
PACKED = {"sample_packing": True, "micro_batch_size": 1}


@pytest.fixture
def config(tmp_path, tiny_model) -> dict[str, Any]:
    (tmp_path / "corpus").mkdir()
    for number in range(3):
        write_jsonl(tmp_path / "corpus" / f"{number}.jsonl", make_documents(9))
    return host_config(tmp_path, tiny_model, tmp_path / "corpus", streaming=True)


def register(config: dict[str, Any]) -> None:
    from axolotl.utils.dict import DictDefault

    from axolotl_cft.host.plugin import CFTPlugin

    CFTPlugin().register(DictDefault(config))


REFUSED = {
    "batches of several lengths": (2, {}, r"set `accelerator_config: \{.*, or pad_to_sequence_len"),
    "packed batches of several lengths": (
        2,
        PACKED | {"micro_batch_size": 2},
        r"set `accelerator_config: \{dispatch_batches: false\}`, or micro_batch_size: 1",
    ),
    "an order for each rank": (2, EVERY_RANK | {"seed": None}, "without a `seed`.*; set seed"),
    "an order for each rank, packed": (
        2,
        EVERY_RANK | PACKED | {"seed": None},
        "without a `seed`.*; set seed",
    ),
}
WARNED = {
    "rank 0 for all": (2, {"pad_to_sequence_len": True}, "rank 0 reads and encodes for all 2"),
    "rank 0 for all, packed": (2, PACKED, "rank 0 reads and encodes for all 2 ranks; set `acc"),
    "every rank everything": (
        3,
        EVERY_RANK,
        r"datasets\[0\] has 3 files for 3 ranks, so every rank .* into more than 3 files",
    ),
    "a resumed stream": (1, PACKED, "a resumed one repeats and skips texts; set sample_packing"),
}
SOUND = {
    "one process": (1, {}),
    "one process without a seed": (1, {"seed": None}),
    "every rank its files": (2, EVERY_RANK),
    "unshuffled": (2, EVERY_RANK | {"seed": None, "shuffle_merged_datasets": False}),
    "no stream": (2, {"streaming": False}),
}


@pytest.mark.parametrize(("ranks", "changes", "said"), REFUSED.values(), ids=REFUSED)
def test_what_would_lose_text_or_stop_later_is_refused(config, monkeypatch, ranks, changes, said):
    monkeypatch.setenv("WORLD_SIZE", str(ranks))
    with pytest.raises(CFTError, match=f"^streaming: .*{said}") as caught:
        register(config | changes)
    assert "\n" not in str(caught.value)
    monkeypatch.setenv("WORLD_SIZE", "1")
    register(config | changes)


@pytest.mark.parametrize(("ranks", "changes", "said"), WARNED.values(), ids=WARNED)
def test_what_a_stream_costs_is_said(config, monkeypatch, caplog, ranks, changes, said):
    monkeypatch.setenv("WORLD_SIZE", str(ranks))
    with caplog.at_level(logging.WARNING):
        register(config | changes)
    assert [text for text in caplog.messages if re.search(f"^cft: streaming: .*{said}", text)]


@pytest.mark.parametrize(("ranks", "changes"), SOUND.values(), ids=SOUND)
def test_of_other_streams_nothing_is_said(config, monkeypatch, caplog, ranks, changes):
    monkeypatch.setenv("WORLD_SIZE", str(ranks))
    with caplog.at_level(logging.WARNING):
        register(config | changes)
    assert not [text for text in caplog.messages if "streaming" in text]


def trained(dataset: Any) -> int:
    """Tokens that bear loss."""
    return sum(int((np.asarray(row["labels"]) != IGNORE_INDEX).sum()) for row in dataset)


@pytest.mark.parametrize("size", [2, 7, 1000])
def test_a_packed_stream_trains_every_token_whatever_its_buffer(config, tmp_path, size):
    _, whole = prepare({**config, "streaming": False})
    config["datasets"] = [
        {
            "path": "json",
            "data_files": str(tmp_path / "corpus" / "*.jsonl"),
            "type": "cft",
            "field": "text",
        }
    ]
    config |= PACKED | {"micro_batch_size": 2, "streaming_multipack_buffer_size": size}
    _, streamed = prepare(config)
    assert trained(streamed.train_dataset) == trained(whole.train_dataset) > 1000


ON_TWO_RANKS = """
import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.utils import gather_object
from datasets import IterableDataset
from torch.utils.data import DataLoader


def documents(files):
    for file in files:
        yield from ({"id": 100 * file + n, "length": 3 + n % 3} for n in range(8))


def collate(rows):
    longest = max(row["length"] for row in rows)
    return {"id": torch.tensor([row["id"] for row in rows]), "x": torch.zeros(len(rows), longest)}


def seen(dispatch, seed, files):
    config = DataLoaderConfiguration(dispatch_batches=dispatch)
    stream = IterableDataset.from_generator(documents, gen_kwargs={"files": list(range(files))})
    stream = stream.shuffle(seed=seed, buffer_size=100)
    loader = Accelerator(cpu=True, dataloader_config=config).prepare(
        DataLoader(stream, batch_size=2, collate_fn=collate)
    )
    ids = [[int(i) for batch in loader for i in batch["id"]]]
    return len(set(sum(gather_object(ids), [])))


print("SEEN", seen(False, 7, 2), seen(False, None, 2), seen(False, 7, 4), seen(False, None, 4))
try:
    seen(None, 7, 2)
except RuntimeError as exc:
    print("SAID", exc)
"""


@pytest.mark.slow
def test_what_is_refused_on_two_ranks_fails_there(tmp_path):
    (tmp_path / "ranks.py").write_text(ON_TWO_RANKS)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*torchrun, "--nproc_per_node", "2", "ranks.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    for line in (line for line in done.stdout.splitlines() if line.startswith("SEEN")):
        few, few_unseeded, many, many_unseeded = map(int, line.split()[1:])
        assert (few, many) == (16, 32)
        assert few_unseeded < 16 or many_unseeded < 32
    assert done.stdout.count("SEEN") == 2, done.stderr[-2000:]
    assert "can't use batches of different size with `dispatch_batches=True`" in done.stdout
