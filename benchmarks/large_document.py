"""What one document of 20 MB costs `axolotl-cft generate`: memory, and the time of other requests.

    python benchmarks/large_document.py [--megabytes 20] [--others 400]

The command runs twice against an endpoint on 127.0.0.1 that answers after 0.2 s, with a tokenizer
made on the spot: on short documents alone, and with the large one among them. Printed for each: the
peak of memory of the process (Pss_Anon), the longest time between two requests for short documents,
and how many of them were asked for while the command ran.
"""

import argparse
import itertools
import json
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from corpus import anonymous
from loopback_llm import Loopback, serve

from axolotl_cft.demo.tiny import build_tokenizer

PROGRAM = [sys.executable, "-c", "from axolotl_cft.cli import main; main()", "--quiet", "generate"]
WORDS = Path(__file__).read_text().split()


def text_of(characters: int, seed: int) -> str:
    draw = random.Random(seed)
    return f"Document {seed}. " + " ".join(draw.choices(WORDS, k=characters // 8))


def measure(folder: Path, documents: list[str]) -> tuple[int, float, int]:
    """Peak bytes, longest seconds between two requests for short documents, how many there were."""
    corpus = folder / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
    times: list[float] = []

    def note(text: str) -> None:
        if len(text) < 5000:
            times.append(time.perf_counter())

    with serve(Loopback(latency=0.2, on_request=note)) as server:
        process = psutil.Popen(
            [
                *(*PROGRAM, str(corpus), "--output-dir", str(folder / "out")),
                *("--base-url", server.url, "--model", "m", "--tokenizer", str(folder / "tok")),
                *("--per", "document", "--concurrency", "8"),
            ]
        )
        peak = 0

        def watch() -> None:
            nonlocal peak
            while process.poll() is None:
                peak = max(peak, anonymous(process))
                time.sleep(0.01)

        watcher = threading.Thread(target=watch)
        watcher.start()
        watcher.join()
        assert process.wait() == 0
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    return peak, max(gaps), len(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--megabytes", type=int, default=20)
    parser.add_argument("--others", type=int, default=400)
    options = parser.parse_args()
    short = [text_of(2000, seed) for seed in range(options.others)]
    large = text_of(options.megabytes * 1_100_000, -1)
    table = Table(title=f"{options.others} short documents, and one of {len(large) / 1e6:.0f} MB")
    for heading in ("corpus", "peak, MiB", "longest wait, s", "requests"):
        table.add_column(heading, justify="left" if heading == "corpus" else "right")
    peaks = []
    for name, documents in (
        ("short alone", short),
        ("with the large one", [*short[:40], large, *short[40:]]),
    ):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            build_tokenizer(short[:50]).save_pretrained(folder / "tok")
            peak, gap, requests = measure(folder, documents)
        peaks.append(peak)
        table.add_row(name, f"{peak / 2**20:.0f}", f"{gap:.2f}", f"{requests:,}")
    Console().print(table)
    print(f"The large document takes {(peaks[1] - peaks[0]) / 2**20:.0f} MiB more.")


if __name__ == "__main__":
    main()
