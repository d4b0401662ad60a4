"""How fast documents become rows: ours, Axolotl's `completion`, a TRL-style map, and the limit.

    python benchmarks/encode.py [--runs 3] [--megabytes 40] [--factor 5] [--layouts short,long,tiny]

All contenders read the same Parquet files with the same 32k SentencePiece-style BPE tokenizer, each
in a process of its own, one after the other in every round. The text is the documentation strings
of the installed scipy, torch, transformers and numpy, as often as it takes, laid out as `short`
documents of about 2 kB, as `long` ones of 4 MB, and (a third of it) as `tiny` ones of a line or
two. Printed per layout and contender, as medians over the rounds:

    encode     tokens of text per second of the encoding stage alone (no imports, no loading)
    ratio      the same against the limit: `Tokenizer.encode_batch_fast` on the same documents, all
               threads, the ids read into Python
    CPU        tokens per second of processor time, workers included
    parent     share of that processor time that the parent process took: with several processes
               it is the part that more cores do not shorten (Amdahl)
    wall       the whole process, in the first round; for ours and completion it is a real
               `axolotl preprocess`, which also filters and saves
    MiB        peak during the encoding stage, imports and workers included (Pss_Anon: a page that
               processes share counts once; memory-mapped Arrow files do not count)
    growth     that peak over what the process held when the stage began

`ours, 1` encodes in one process whose tokenizer uses threads; `ours, N` and completion run in
`dataset_num_proc` processes, all cores here. The lines below the table say what the measured share
means for more cores (arithmetic), how long documents compare with short ones, and how the memory of
our stage grows at --factor times the documents, and over one document of 100 MB.
"""

import argparse
import contextlib
import itertools
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
CONTENDERS = ("limit", "ours-1", "ours", "completion", "trl")
LAYOUTS = {"short": 2_000, "long": 4_000_000, "tiny": 60}
"""Characters in a document."""
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "AXOLOTL_DO_NOT_TRACK": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
}


def enough_text(megabytes: float) -> list[str]:
    """Documents of so much text in all; where they run out, copies that differ in their start."""
    found, texts, size = docstrings(), [], 0
    copies = (f"Copy {n}. {text}" if n else text for n in itertools.count() for text in found)
    while size < megabytes * 1e6:
        texts.append(next(copies))
        size += len(texts[-1])
    return texts


def docstrings() -> list[str]:
    """Real English technical text that every installation has: one document per module."""
    import numpy

    site, found = Path(numpy.__file__).parents[1], []
    for package in ("scipy", "torch", "transformers", "numpy"):
        for file in sorted((site / package).rglob("*.py")):
            text = file.read_text(encoding="utf-8", errors="replace")
            parts = [p for p in re.findall(r'"""(.*?)"""', text, re.DOTALL) if len(p) > 200]
            if parts:
                found.append("\n\n".join(parts))
    return found


def write_inputs(folder: Path, megabytes: float, factor: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from axolotl_cft.demo.tiny import build_model, build_tokenizer

    texts = enough_text(megabytes)
    # Lines, for SentencePiece's BPE (Llama-2, Mistral) has no token with a newline inside either.
    lines = (line for text in texts[::8] for line in text.splitlines())
    tokenizer = build_tokenizer(lines, vocab_size=32_000)
    build_model(folder / "model", tokenizer)
    for layout, characters in LAYOUTS.items():
        used, end = (texts[::3], "\n") if layout == "tiny" else (texts, "\n\n")
        table = pa.table({"text": laid_out("\n\n".join(used), characters, end)})
        pq.write_table(table, folder / f"{layout}.parquet")
    book = "\n\n".join(texts)
    copies = -(-100_000_000 // len(book.encode()))
    pq.write_table(pa.table({"text": [book * copies]}), folder / "book.parquet")
    # The copies differ, as documents do: equal texts would be answered from caches.
    with pq.ParquetWriter(folder / "many.parquet", pa.schema({"text": pa.string()})) as writer:
        for copy in range(factor):
            writer.write_table(pa.table({"text": [f"Copy {copy}. {text}" for text in texts]}))
    for kind in ("ours-1", "ours", "completion"):
        for size in (*LAYOUTS, "many", "book"):
            path = folder / f"{kind}-{size}.json"
            path.write_text(json.dumps(host_config(folder, kind, size)))


def laid_out(text: str, size: int, separator: str) -> list[str]:
    """The text in documents of at least `size` characters that end before `separator`."""
    documents, begin = [], 0
    while begin < len(text):
        end = text.find(separator, begin + size)
        end = len(text) if end < 0 else end
        documents.append(text[begin:end])
        begin = end
    return documents


def host_config(folder: Path, kind: str, size: str) -> dict[str, Any]:
    dataset = {"path": str(folder / f"{size}.parquet"), "field": "text"}
    config = {
        "base_model": str(folder / "model"),
        "datasets": [{**dataset, "type": "completion" if kind == "completion" else "cft"}],
        "sequence_len": 4096,
        "seed": 42,
        "dataset_num_proc": 1 if kind == "ours-1" else CORES,
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
    if kind != "completion":
        config |= {"plugins": ["axolotl_cft.CFTPlugin"], "cft": {"prompts": "paper"}}
    return config


Mark = tuple[float, float, float]
"""Wall clock, and processor seconds of this process and of its children that have ended."""


def mark() -> Mark:
    used = os.times()
    return time.time(), used.user + used.system, used.children_user + used.children_system


def encode_stage(contender: str, folder: Path, size: str) -> tuple[Mark, Mark]:
    """Encode in this process; when the stage began and ended."""
    import datasets
    from transformers import AutoTokenizer

    if contender in ("ours-1", "ours", "completion"):
        return host_stage(folder / f"{contender}-{size}.json")
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    dataset = datasets.load_dataset(
        "parquet", data_files=str(folder / f"{size}.parquet"), split="train"
    )
    if contender == "limit":
        os.environ["TOKENIZERS_PARALLELISM"] = "true"
        texts = dataset["text"][:]
        start = mark()
        step = 256 if len(texts) > CORES * 256 else CORES
        for begin in range(0, len(texts), step):
            batch = texts[begin : begin + step]
            encodings = tokenizer.backend_tokenizer.encode_batch_fast(
                batch, add_special_tokens=False
            )
            _ = [encoding.ids for encoding in encodings]
        return start, mark()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    start = mark()
    dataset.map(
        trl_style,
        fn_kwargs={"tokenizer": tokenizer, "prompt": "Think about what follows.\n\n"},
        remove_columns=["text"],
        num_proc=CORES,
        load_from_cache_file=False,
    )
    return start, mark()


def trl_style(row: dict[str, Any], tokenizer: Any, prompt: str) -> dict[str, Any]:
    """What trl's SFTTrainer does with a prompt/completion row: tokenize the prompt, then both."""
    prompt_ids = tokenizer(prompt)["input_ids"]
    ids = tokenizer(prompt + row["text"])["input_ids"]
    mask = [0] * len(prompt_ids) + [1] * (len(ids) - len(prompt_ids))
    return {"input_ids": ids, "completion_mask": mask}


def host_stage(config: Path) -> tuple[Mark, Mark]:
    import datasets
    from axolotl.cli.config import load_cfg
    from axolotl.loaders import load_tokenizer
    from axolotl.utils.data.shared import load_dataset_with_config
    from axolotl.utils.data.wrappers import get_dataset_wrapper

    datasets.disable_caching()  # as `axolotl preprocess` does, or later rounds would find results
    cfg = load_cfg(str(config))
    tokenizer = load_tokenizer(cfg)
    dataset = load_dataset_with_config(cfg.datasets[0], False)
    start = mark()
    get_dataset_wrapper(cfg.datasets[0], tokenizer, cfg, cfg.datasets[0].type, dataset)
    return start, mark()


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
        wall: seconds of the whole process; for a worker also `seconds` of its stage, `cpu`, its
        processor seconds, the `parent`'s share of them, `memory`, the peak in it, and `growth`,
        that peak over what the process held when the stage began (MiB).
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
    if stage := re.search(r"^stage (.+)$", stdout.decode(), re.MULTILINE):
        begin, parent, children, end, parent_after, children_after = map(float, stage[1].split())
        parent, children = parent_after - parent, children_after - children
        result |= {"cpu": parent + children, "parent": parent / (parent + children)}
        held = [mib for when, mib in samples if begin <= when <= end]
        result |= {"seconds": end - begin, "memory": max(held), "growth": max(held) - held[0]}
    return result


def run_stage(contender: str, folder: Path, size: str) -> dict[str, float]:
    """The encoding stage in a process of its own."""
    options = ["--worker", contender, "--folder", str(folder), "--size", size]
    return measure([sys.executable, __file__, *options], folder)


def run_contender(contender: str, folder: Path, layout: str, whole: bool) -> dict[str, float]:
    """The stage, and for the host's strategies a whole `axolotl preprocess` where it is wanted."""
    result = run_stage(contender, folder, layout)
    if whole and contender in ("ours-1", "ours", "completion"):
        config = folder / f"{contender}-{layout}.json"
        # A prepared path of its own each time, or the host would reuse the last one.
        config.write_text(json.dumps(host_config(folder, contender, layout)))
        command = [sys.executable, "-m", "axolotl.cli.preprocess", str(config)]
        result["wall"] = measure(command, folder)["wall"]
    return result


def count_tokens(folder: Path, layout: str) -> tuple[int, int]:
    import pyarrow.parquet as pq
    from transformers import AutoTokenizer

    backend = AutoTokenizer.from_pretrained(folder / "model").backend_tokenizer
    texts = pq.read_table(folder / f"{layout}.parquet").column("text").to_pylist()
    encodings = (backend.encode_batch_fast([t], add_special_tokens=False)[0] for t in texts)
    return len(texts), sum(len(encoding.ids) for encoding in encodings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3, help="rounds (default 3)")
    parser.add_argument("--megabytes", type=float, default=40, help="text to use (default 40)")
    parser.add_argument("--factor", type=int, default=5, help="for the memory line (default 5)")
    parser.add_argument(
        "--layouts", default=",".join(LAYOUTS), help="which of them (default short,long,tiny)"
    )
    parser.add_argument("--worker", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--size", choices=(*LAYOUTS, "many", "book"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        begin, end = encode_stage(arguments.worker, arguments.folder, arguments.size)
        print("stage", *begin, *end)
        return
    with tempfile.TemporaryDirectory() as name:
        compare(Path(name), arguments)


def compare(folder: Path, arguments: argparse.Namespace) -> None:
    write_inputs(folder, arguments.megabytes, arguments.factor)
    results: dict[str, dict[str, list[dict[str, float]]]] = {}
    for layout in arguments.layouts.split(","):
        documents, tokens = count_tokens(folder, layout)
        print(f"{layout}: {documents:,} documents, {tokens:,} tokens, {CORES} cores")
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
        for number in range(arguments.runs):
            for contender in CONTENDERS:
                runs[contender].append(run_contender(contender, folder, layout, number == 0))
        print_table(runs, tokens)
        results[layout] = runs
    print_meaning(results)
    for what, contender, size in (
        (f"{arguments.factor}x the short documents", "ours", "many"),
        ("one document of 100 MB", "ours-1", "book"),
    ):
        result = run_stage(contender, folder, size)
        print(
            f"{contender} on {what}: {result['seconds']:.0f} s, {result['memory']:.0f} MiB, of "
            f"which the stage added {result['growth']:.0f}"
        )
        if contender == "ours":
            print_amdahl(result["parent"])


def median(runs: list[dict[str, float]], key: str) -> float:
    return statistics.median(run[key] for run in runs)


def print_table(results: dict[str, list[dict[str, float]]], tokens: int) -> None:
    heads = ("Mtok/s", "of limit", "per CPU-s", "parent", "wall s", "MiB", "growth")
    print(f"{'':12}" + "".join(f"{head:>10}" for head in heads))
    for name, runs in results.items():
        pairs = zip(results["limit"], runs, strict=True)
        ratio = statistics.median(best["seconds"] / run["seconds"] for best, run in pairs)
        shown = [
            f"{tokens / median(runs, 'seconds') / 1e6:.2f}",
            f"{ratio:.2f}",
            f"{tokens / median(runs, 'cpu') / 1e6:.2f}",
            f"{100 * median(runs, 'parent'):.1f} %",
            f"{runs[0]['wall']:.1f}",
            f"{median(runs, 'memory'):.0f}",
            f"{median(runs, 'growth'):.0f}",
        ]
        print(f"{name:12}" + "".join(f"{cell:>10}" for cell in shown))


def print_meaning(results: dict[str, dict[str, list[dict[str, float]]]]) -> None:
    for layout, runs in results.items():
        pairs = zip(runs["completion"], runs["ours"], strict=True)
        against = statistics.median(theirs["seconds"] / ours["seconds"] for theirs, ours in pairs)
        print(f"ours against completion, {layout} documents: {against:.2f} x as fast")
    if not {"short", "long"} <= results.keys():
        return
    for name in ("limit", "ours-1", "ours"):
        long, short = (median(results[layout][name], "cpu") for layout in ("long", "short"))
        print(f"{name}: processor time of long documents by that of short ones {long / short:.2f}")
    ours, raw = median(results["long"]["ours"], "cpu"), median(results["long"]["limit"], "cpu")
    print(f"long documents: ours takes {ours / raw:.2f} of the raw tokenizer's processor time")


def print_amdahl(serial: float) -> None:
    """What the parent's share of the processor time means for more cores than these."""
    gains = ", ".join(f"{1 / (serial + (1 - serial) / n):.0f} x on {n}" for n in (8, 32, 64))
    print(f"serial share {100 * serial:.1f} %: by Amdahl's law {gains} cores (arithmetic)")


if __name__ == "__main__":
    main()
