"""How fast a corpus is searched for test items, and how it scales with processes.

    python benchmarks/contamination.py [--corpus FILE_OR_FOLDER] [--field text] [--items 10000]
        [--megabytes 50] [--processes 1 2] [--runs 3]

Items in the shape of the real benchmarks are made (tests/items_like.py). CORPUS is searched as
often as it takes to have `--megabytes` of text; without one, sentences are made of English words
with the frequencies of Zipf's law, which share fewer phrases with the items than real text does.

Each round searches with every number of processes in turn. Printed are medians over the rounds:
MB of text (UTF-8) per second of wall time, and per second of processor time of all processes. The
time to start processes counts; that to make the index does not, and is printed apart.
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

SENTENCES = 40  # a document


def made_texts(megabytes: float) -> list[str]:
    """Sentences of words by Zipf's law: word number k comes 1/k times as often as the first."""
    from items_like import like_real_ones

    rng = random.Random(0)
    known = sorted({word for item in like_real_ones(["x"], 500) for word in item.question.split()})
    known += [f"{rng.choice(known)}{rng.choice(['s', 'ing', 'ed', 'al'])}" for _ in range(20_000)]
    rng.shuffle(known)
    weights = [1 / place for place in range(1, len(known) + 1)]
    texts, size = [], 0
    while size < megabytes * 1e6:
        words = rng.choices(known, weights, k=15 * SENTENCES)
        rows = (" ".join(words[begin : begin + 15]) for begin in range(0, len(words), 15))
        texts.append(". ".join(rows))
        size += len(texts[-1])
    return texts


def given_texts(corpus: str, field: str, megabytes: float) -> list[str]:
    """The texts of a corpus, again and again."""
    from axolotl_cft.corpus.readers import Field, open_corpus

    parts = open_corpus(corpus, Field(field))
    texts = [text for part in parts for block in part.blocks() for text in block.texts]
    size = sum(map(len, texts))
    return texts * max(1, round(megabytes * 1e6 / size))


def processor_seconds() -> float:
    """Of this process and of those it started that have ended."""
    return sum(os.times()[:4])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus")
    parser.add_argument("--field", default="text")
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--megabytes", type=float, default=50)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()

    from items_like import like_real_ones

    from axolotl_cft.corpus.contamination import OverlapIndex, search
    from axolotl_cft.corpus.readers import Field, open_corpus

    if arguments.corpus:
        texts = given_texts(arguments.corpus, arguments.field, arguments.megabytes)
    else:
        texts = made_texts(arguments.megabytes)
    size = sum(len(text.encode()) for text in texts) / 1e6
    begin = processor_seconds()
    index = OverlapIndex(like_real_ones(texts[:200], arguments.items))
    built = processor_seconds() - begin
    print(f"{len(texts):,} documents, {size:.1f} MB; {arguments.items:,} items in {built:.1f} s")
    taken: dict[int, list[tuple[float, float]]] = {count: [] for count in arguments.processes}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "corpus.jsonl"
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        parts = open_corpus(str(path), Field())
        for _ in range(arguments.runs):
            for count, seconds in taken.items():
                wall, used = time.perf_counter(), processor_seconds()
                verdict, _ = search(parts, index, located=False, processes=count)
                seconds.append((time.perf_counter() - wall, processor_seconds() - used))
    print(f"{len(verdict.documents)} documents with items")
    print(f"{'processes':>9}{'MB/s':>8}{'MB per CPU s':>14}")
    for count, seconds in taken.items():
        wall, used = (statistics.median(column) for column in zip(*seconds, strict=True))
        print(f"{count:9}{size / wall:8.1f}{size / used:14.1f}")


if __name__ == "__main__":
    main()
