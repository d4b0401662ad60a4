"""How fast documents become rows: ours, Axolotl's `completion`, a TRL-style map, and the limit.

    python benchmarks/encode.py [--runs 3] [--megabytes 24] [--factor 10]

All contenders read the same Parquet file with the same 32k SentencePiece-style BPE tokenizer, each
in a process of its own, one after the other in every round. The text is the documentation strings
of the installed scipy, torch, transformers and numpy, one module per document. Printed per
contender, as medians over the rounds:

    encode     tokens of text per second of the encoding stage alone (no imports, no loading)
    ratio      the same against the limit: `Tokenizer.encode_batch_fast` on all texts, all threads,
               the ids read into Python
    wall       the whole process; for ours and completion it is a real `axolotl preprocess`, which
               also filters and saves
    MiB        peak during the encoding stage, imports and workers included (Pss_Anon: a page that
               processes share counts once; memory-mapped Arrow files do not count)
    growth     that peak over what the process held when the stage began

Ours and completion run inside the host, which switches the tokenizer's threads off and uses
`dataset_num_proc` workers instead (all cores here). The last line gives the memory of our stage
at --factor times the documents.
"""

import argparse
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

CORES = len(os.sched_getaffinity(0))
CONTENDERS = ("limit", "ours", "completion", "trl")
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "AXOLOTL_DO_NOT_TRACK": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
}


def docstrings(megabytes: float) -> list[str]:
    """Real English technical text that every installation has: one document per module."""
    import numpy

    site, found, size = Path(numpy.__file__).parents[1], [], 0
    for package in ("scipy", "torch", "transformers", "numpy"):
        for file in sorted((site / package).rglob("*.py")):
            text = file.read_text(encoding="utf-8", errors="replace")
            parts = [p for p in re.findall(r'"""(.*?)"""', text, re.DOTALL) if len(p) > 200]
            if parts:
                found.append("\n\n".join(parts))
                size += len(found[-1])
            if size > megabytes * 1e6:
                return found
    return found


def write_inputs(folder: Path, megabytes: float, factor: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from axolotl_cft.demo.tiny import build_model, build_tokenizer

    texts = docstrings(megabytes)
    tokenizer = build_tokenizer(texts[::8], vocab_size=32_000)
    build_model(folder / "model", tokenizer)
    pq.write_table(pa.table({"text": texts}), folder / "once.parquet")
    # The copies differ, as documents do: equal texts would be answered from caches.
    with pq.ParquetWriter(folder / "many.parquet", pa.schema({"text": pa.string()})) as writer:
        for copy in range(factor):
            writer.write_table(pa.table({"text": [f"Copy {copy}. {text}" for text in texts]}))
    for kind in ("ours", "completion"):
        for size in ("once", "many"):
            path = folder / f"{kind}-{size}.json"
            path.write_text(json.dumps(host_config(folder, kind, size)))


def host_config(folder: Path, kind: str, size: str) -> dict[str, Any]:
    dataset = {"path": str(folder / f"{size}.parquet"), "field": "text"}
    config = {
        "base_model": str(folder / "model"),
        "datasets": [{**dataset, "type": "cft" if kind == "ours" else "completion"}],
        "sequence_len": 4096,
        "seed": 42,
        "dataset_num_proc": CORES,
        "micro_batch_size": 1,
        "gradient_accumulation_steps": 1,
        "num_epochs": 1,
        "learning_rate": 1e-5,
        "optimizer": "adamw_torch",
        "bf16": False,
        "fp16": False,
        "tf32": False,
        "attn_implementation": "sdpa",
        "special_tokens": {"pad_token": "</s>"},
        "output_dir": str(folder / "out"),
        "dataset_prepared_path": str(folder / f"prepared-{kind}-{size}-{time.time_ns()}"),
    }
    if kind == "ours":
        config |= {"plugins": ["axolotl_cft.CFTPlugin"], "cft": {"prompts": "paper"}}
    return config


def encode_stage(contender: str, folder: Path, size: str) -> tuple[float, float]:
    """Encode in this process; when the stage began and ended (time.time)."""
    import datasets
    from transformers import AutoTokenizer

    if contender in ("ours", "completion"):
        return host_stage(folder / f"{contender}-{size}.json")
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    dataset = datasets.load_dataset(
        "parquet", data_files=str(folder / f"{size}.parquet"), split="train"
    )
    if contender == "limit":
        os.environ["TOKENIZERS_PARALLELISM"] = "true"
        texts = dataset["text"][:]
        start = time.time()
        for begin in range(0, len(texts), 256):
            batch = texts[begin : begin + 256]
            encodings = tokenizer.backend_tokenizer.encode_batch_fast(
                batch, add_special_tokens=False
            )
            _ = [encoding.ids for encoding in encodings]
        return start, time.time()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    start = time.time()
    dataset.map(
        trl_style,
        fn_kwargs={"tokenizer": tokenizer, "prompt": "Think about what follows.\n\n"},
        remove_columns=["text"],
        num_proc=CORES,
        load_from_cache_file=False,
    )
    return start, time.time()


def trl_style(row: dict[str, Any], tokenizer: Any, prompt: str) -> dict[str, Any]:
    """What trl's SFTTrainer does with a prompt/completion row: tokenize the prompt, then both."""
    prompt_ids = tokenizer(prompt)["input_ids"]
    ids = tokenizer(prompt + row["text"])["input_ids"]
    mask = [0] * len(prompt_ids) + [1] * (len(ids) - len(prompt_ids))
    return {"input_ids": ids, "completion_mask": mask}


def host_stage(config: Path) -> tuple[float, float]:
    import datasets
    from axolotl.cli.config import load_cfg
    from axolotl.loaders import load_tokenizer
    from axolotl.utils.data.shared import load_dataset_with_config
    from axolotl.utils.data.wrappers import get_dataset_wrapper

    datasets.disable_caching()  # as `axolotl preprocess` does, or later rounds would find results
    cfg = load_cfg(str(config))
    tokenizer = load_tokenizer(cfg)
    dataset = load_dataset_with_config(cfg.datasets[0], False)
    start = time.time()
    get_dataset_wrapper(cfg.datasets[0], tokenizer, cfg, cfg.datasets[0].type, dataset)
    return start, time.time()


def private_memory(pid: int) -> int:
    """Bytes of a process and its descendants that no file backs, now; shared pages count once."""
    import psutil

    total = 0
    try:
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            with contextlib.suppress(OSError):  # it may have just ended
                rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
                if match := re.search(r"Pss_Anon:\s+(\d+) kB", rollup):
                    total += int(match[1]) * 1024
    except psutil.NoSuchProcess:
        pass
    return total


def measure(command: list[str], folder: Path) -> dict[str, float]:
    """Run a command to its end.

    Returns:
        wall: seconds of the whole process; for a worker also `seconds` of its stage, `memory`, the
        peak in it, and `growth`, that peak over what the process held when the stage began (MiB).
    """
    environment = {**os.environ, **QUIET, "HF_HOME": str(folder / "hf")}
    start = time.time()
    process = subprocess.Popen(
        command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    samples: list[tuple[float, float]] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            samples.append((time.time(), private_memory(process.pid) / 2**20))

    watcher = threading.Thread(target=watch)
    watcher.start()
    stdout, stderr = process.communicate()
    result = {"wall": time.time() - start}
    done.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(stderr.decode()[-3000:])
    if stage := re.search(r"^stage (\S+) (\S+)$", stdout.decode(), re.MULTILINE):
        begin, end = float(stage[1]), float(stage[2])
        held = [mib for when, mib in samples if begin <= when <= end]
        result |= {"seconds": end - begin, "memory": max(held), "growth": max(held) - held[0]}
    return result


def run_stage(contender: str, folder: Path, size: str = "once") -> dict[str, float]:
    """The encoding stage in a process of its own."""
    options = ["--worker", contender, "--folder", str(folder), "--size", size]
    return measure([sys.executable, __file__, *options], folder)


def run_contender(contender: str, folder: Path) -> dict[str, float]:
    """The stage, and for the host's strategies a whole `axolotl preprocess`."""
    result = run_stage(contender, folder)
    if contender in ("ours", "completion"):
        config = folder / f"{contender}-once.json"
        # A prepared path of its own each time, or the host would reuse the last one.
        config.write_text(json.dumps(host_config(folder, contender, "once")))
        command = [sys.executable, "-m", "axolotl.cli.preprocess", str(config)]
        result["wall"] = measure(command, folder)["wall"]
    return result


def count_tokens(folder: Path) -> tuple[int, int]:
    import pyarrow.parquet as pq
    from transformers import AutoTokenizer

    backend = AutoTokenizer.from_pretrained(folder / "model").backend_tokenizer
    texts = pq.read_table(folder / "once.parquet").column("text").to_pylist()
    encodings = backend.encode_batch_fast(texts, add_special_tokens=False)
    return len(texts), sum(len(encoding.ids) for encoding in encodings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3, help="rounds (default 3)")
    parser.add_argument("--megabytes", type=float, default=24, help="text to use (default 24)")
    parser.add_argument("--factor", type=int, default=10, help="for the memory line (default 10)")
    parser.add_argument("--worker", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--size", choices=("once", "many"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print("stage", *encode_stage(arguments.worker, arguments.folder, arguments.size))
        return
    with tempfile.TemporaryDirectory() as name:
        compare(Path(name), arguments)


def compare(folder: Path, arguments: argparse.Namespace) -> None:
    write_inputs(folder, arguments.megabytes, arguments.factor)
    documents, tokens = count_tokens(folder)
    print(f"{documents:,} documents, {tokens:,} tokens, {CORES} cores, {arguments.runs} rounds")
    results: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    for _ in range(arguments.runs):
        for contender in CONTENDERS:
            results[contender].append(run_contender(contender, folder))
    print(f"{'':12}{'Mtok/s':>8}{'of limit':>10}{'wall s':>8}{'MiB':>8}{'growth':>8}")
    for name, runs in results.items():
        seconds = statistics.median(run["seconds"] for run in runs)
        pairs = zip(results["limit"], runs, strict=True)
        ratio = statistics.median(limit["seconds"] / run["seconds"] for limit, run in pairs)
        wall = statistics.median(run["wall"] for run in runs)
        memory, growth = (
            statistics.median(run[key] for run in runs) for key in ("memory", "growth")
        )
        speed = tokens / seconds / 1e6
        print(f"{name:12}{speed:8.2f}{ratio:10.2f}{wall:8.1f}{memory:8.0f}{growth:8.0f}")
    pairs = zip(results["completion"], results["ours"], strict=True)
    against = statistics.median(theirs["seconds"] / ours["seconds"] for theirs, ours in pairs)
    print(f"ours against completion, encoding stage: {against:.2f}x")
    many = run_stage("ours", folder, "many")
    print(
        f"ours at {arguments.factor}x the documents: {many['memory']:.0f} MiB, "
        f"of which the stage added {many['growth']:.0f}"
    )


if __name__ == "__main__":
    main()
