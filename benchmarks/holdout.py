"""What a hold-out costs: preparing both parts of a corpus, with near duplicates looked for or not.

    python benchmarks/holdout.py CORPUS [--field text] [--holdout 0.1] [--runs 5]

CORPUS is a file of documents that `datasets` reads (JSON lines, Parquet; may be compressed). A 32k
SentencePiece-style BPE is trained on it. In every round each contender makes its rows as the host
would have them made (`CFTStrategy.wrap_dataset`), one after the other in one process:

    whole      every document is trained, nothing is held out
    held out   the training part and the test part, near duplicates not looked for
    searched   the same, with the held-out documents looked for in the training part

Printed are medians over the rounds, in seconds of wall time and of processor time, all threads,
and each divided by that of `whole`. The text column is read from a file mapped into memory.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

CONTENDERS = ("whole", "held out", "searched")


def strategy(tokenizer: Any, field: str, part: Any, holdout: float, searched: bool) -> Any:
    from axolotl_cft.core.documents import DocumentEncoder
    from axolotl_cft.core.options import CFTConfig
    from axolotl_cft.host.documents import CFTStrategy
    from axolotl_cft.host.plan import make_plan
    from axolotl_cft.host.preparing import Preparation

    top = CFTConfig(holdout=holdout, seed=42)
    plan = make_plan("datasets[0]", part, {"path": "corpus", "type": "cft"}, top, 42)
    encoder = DocumentEncoder(tokenizer, plan, sequence_len=4096)
    made = CFTStrategy(encoder, field, Preparation(plan, 4096, plan.path))
    if not searched:
        made.search_for_near_duplicates = lambda: None
    return made


def prepare(contender: str, tokenizer: Any, documents: Any, field: str, holdout: float) -> Any:
    """(seconds, processor seconds, ledger of the last part) of one preparation."""
    parts = ("train",) if contender == "whole" else ("train", "test")
    share = 0.0 if contender == "whole" else holdout
    begin = time.perf_counter(), time.process_time()
    for part in parts:
        made = strategy(tokenizer, field, part, share, contender == "searched")
        made.wrap_dataset(documents)
    return time.perf_counter() - begin[0], time.process_time() - begin[1], made.encoder.ledger


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--field", default="text")
    parser.add_argument("--holdout", type=float, default=0.1)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()

    import datasets

    from axolotl_cft.demo.tiny import build_tokenizer

    datasets.disable_progress_bars()
    kind = "parquet" if ".parquet" in arguments.corpus.suffixes else "json"
    with tempfile.TemporaryDirectory() as folder:
        documents = datasets.load_dataset(
            kind, data_files=str(arguments.corpus), split="train", cache_dir=folder
        )
        texts = documents[arguments.field]
        tokenizer = build_tokenizer(texts, vocab_size=32_000)
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in CONTENDERS}
        for _ in range(arguments.runs):
            for name in CONTENDERS:
                *seconds, ledger = prepare(
                    name, tokenizer, documents, arguments.field, arguments.holdout
                )
                taken[name].append((seconds[0], seconds[1]))
    print(f"{len(texts):,} documents, {sum(map(len, texts)) / 1e6:.1f} M characters")
    print(f"{ledger.held_out:,} held out, {ledger.near_duplicates} of {ledger.compared} compared")
    print(f"{'':10}{'wall s':>8}{'ratio':>7}{'cpu s':>8}{'ratio':>7}")
    medians = {
        name: [statistics.median(column) for column in zip(*rows, strict=True)]
        for name, rows in taken.items()
    }
    for name, (wall, cpu) in medians.items():
        whole_wall, whole_cpu = medians["whole"]
        print(f"{name:10}{wall:8.3f}{wall / whole_wall:7.2f}{cpu:8.3f}{cpu / whole_cpu:7.2f}")


if __name__ == "__main__":
    main()
