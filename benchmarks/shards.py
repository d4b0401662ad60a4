"""What a preparation takes, whole and in shards: time, and disk at its peak and in the end.

    python benchmarks/shards.py [--megabytes 24] [--factor 2] [--shards 4] [--packed]
                                [--without-whole]

The corpus and tokenizer are those of `benchmarks/encode.py`. Each stage is a process of its own,
whose temporary files (TMPDIR) lie in a folder of their own:

    whole      what `axolotl preprocess` does
    shard      `axolotl-cft prepare --shard`, one after the other; seconds are their sum
    merge      `axolotl-cft prepare --merge`

Printed per stage: seconds of its work (no imports, no config), millions of text tokens per second,
bytes per text token of what it leaves and of the temporary files at their peak, and how often the
text itself that is.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from encode import QUIET, host_config, write_inputs

PACKED = {"sample_packing": True, "curriculum_sampling": True, "multipack_real_batches": False}


class Silent:
    """A progress display that shows nothing."""

    def update(self, **_: Any) -> None:
        """Does nothing."""


def run_stage(stage: str, config: Path) -> None:
    """Do one stage in this process, and print its seconds."""
    import axolotl.cli.config  # noqa: F401
    from axolotl.cli.args import PreprocessCliArgs
    from axolotl.cli.preprocess import do_preprocess
    from axolotl.integrations.base import PluginManager

    from axolotl_cft.host.config import load_config
    from axolotl_cft.host.merging import merge_shards
    from axolotl_cft.host.shards import Shard, prepare_shard

    cfg = load_config(config)
    PluginManager.get_instance().load_datasets(cfg, preprocess=True)
    began = time.perf_counter()
    if stage == "whole":
        os.environ["AXOLOTL_IS_PREPROCESS"] = "1"
        cfg.is_preprocess = True
        do_preprocess(cfg, PreprocessCliArgs(debug_num_examples=0, download=False))
    elif stage == "merge":
        merge_shards(cfg)
    else:
        number, count = map(int, stage.split("/"))
        list(prepare_shard(cfg, Shard(number, count), lambda *_: nullcontext(Silent())))
    print(json.dumps({"seconds": time.perf_counter() - began}))


def size(folder: Path) -> int:
    """Bytes of all files below a folder, which may be written to meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def measure(stage: str, config: Path, folder: Path) -> tuple[float, int]:
    """Seconds of a stage, and the bytes of its temporary files at their peak."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary, tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, __file__, "--stage", stage, "--config", str(config)],
            env=os.environ | QUIET | {"TMPDIR": temporary},
            stdout=said,
            stderr=subprocess.DEVNULL,
        )
        peak = 0
        while process.poll() is None:
            peak = max(peak, size(Path(temporary)))
            time.sleep(0.2)
        said.seek(0)
        lines = said.read().decode().splitlines()
        assert process.returncode == 0, lines[-5:]
        return json.loads(lines[-1])["seconds"], peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=float, default=24)
    parser.add_argument("--factor", type=int, default=2)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--packed", action="store_true")
    parser.add_argument("--without-whole", action="store_true", help="save time")
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    parser.add_argument("--config", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage:
        run_stage(arguments.stage, arguments.config)
        return
    with tempfile.TemporaryDirectory() as name:
        report(Path(name), arguments)


def report(folder: Path, arguments: argparse.Namespace) -> None:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    write_inputs(folder, arguments.megabytes, arguments.factor)
    texts = pq.read_table(folder / "many.parquet").column("text")
    text_bytes = pc.sum(pc.binary_length(texts)).as_py()
    config = host_config(folder, "ours", "many") | (PACKED if arguments.packed else {})
    rows = []
    for name, stages in {
        "whole": ["whole"],
        "shard": [f"{n}/{arguments.shards}" for n in range(1, arguments.shards + 1)],
        "merge": ["merge"],
    }.items():
        if name == "whole" and arguments.without_whole:
            continue
        prepared = folder / ("whole" if name == "whole" else "sharded")
        path = folder / f"{name}.yml"
        path.write_text(json.dumps(config | {"dataset_prepared_path": str(prepared)}))
        done = [measure(stage, path, folder) for stage in stages]
        wanted = "*.shards" if name == "shard" else "*[0-9a-f]"
        left = sum(size(found) for found in prepared.glob(wanted) if found.is_dir())
        rows.append((name, sum(s for s, _ in done), left, max(peak for _, peak in done)))
    (ledger,) = (folder / "sharded").glob("*.cft_ledger.json")
    tokens = json.loads(ledger.read_text())["datasets"][0]["ledger"]["text_tokens"]
    print(f"{text_bytes / 1e6:.1f} MB of text, {tokens / 1e6:.2f} M tokens")
    for name, seconds, left, peak in rows:
        print(
            f"{name:6} {seconds:7.1f} s {tokens / seconds / 1e6:6.2f} M tokens/s   "
            f"left {left / tokens:5.1f} B/token = {left / text_bytes:4.2f} x text   "
            f"temporary {peak / tokens:5.1f} B/token = {peak / text_bytes:4.2f} x text"
        )


if __name__ == "__main__":
    main()
