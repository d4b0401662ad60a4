"""How fast a corpus is packed, cleaned and counted, and in how much memory.

    python benchmarks/corpus.py [--files 127707] [--small 12000] [--words 400] [--num-proc 1]

The corpus is made up (tests/corpus_twin.py): so many files in the tree of OpenMedText, with
doubles, near duplicates and debris among them. Each command runs in a process of its own, first on
--small files, then on --files. Printed for each: seconds, MB of text per second of processor time,
the peak of memory of the process and its children (Pss_Anon: a page that processes share counts
once), and what that is more for each document of the larger corpus.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from corpus_twin import build

PROGRAM = [sys.executable, "-c", "from axolotl_cft.cli import main; main()", "--quiet", "corpus"]
HUGE = 1 << 20


def anonymous(process: psutil.Process) -> int:
    """Bytes of a process and its children that are in no file."""
    total = 0
    for one in (process, *process.children(recursive=True)):
        try:
            lines = Path(f"/proc/{one.pid}/smaps_rollup").read_text().splitlines()
        except (OSError, psutil.Error):
            continue
        total += sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss_Anon"))
    return total


def measure(command: list[str]) -> tuple[float, float, int]:
    """Seconds, seconds of processor time, and peak bytes of a command."""
    begun, peak = time.perf_counter(), 0
    process = psutil.Popen([*PROGRAM, *command], stdout=subprocess.DEVNULL)

    def watch() -> None:
        nonlocal peak
        while process.poll() is None:
            peak = max(peak, anonymous(process))
            time.sleep(0.02)

    before = psutil.Process().cpu_times()
    watcher = threading.Thread(target=watch)
    watcher.start()
    watcher.join()
    assert process.wait() == 0, command
    after = psutil.Process().cpu_times()
    used = after.children_user + after.children_system
    used -= before.children_user + before.children_system
    return time.perf_counter() - begun, used, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--files", type=int, default=127_707)
    parser.add_argument("--small", type=int, default=12_000)
    parser.add_argument("--words", type=int, default=400, help="median of a file's words")
    parser.add_argument("--num-proc", type=int, default=1)
    options = parser.parse_args()
    table = Table(title="A corpus packed, cleaned and counted")
    headings = ("command", "files", "MB", "seconds", "MB per CPU second", "MiB", "bytes a document")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "command" else "right")
    peaks: dict[str, int] = {}
    processes = ["--num-proc", str(options.num_proc)]
    for files in (options.small, options.files):
        with tempfile.TemporaryDirectory() as folder:
            root, raw, out = (Path(folder) / name for name in ("twin", "raw", "clean"))
            build(root, files, [], words=options.words, huge_bytes=HUGE)
            size = sum(path.stat().st_size for path in root.rglob("*.txt")) / 1e6
            commands = {
                "pack": ["pack", str(root), "--output-dir", str(raw), *processes],
                "clean": ["clean", str(raw), "--output-dir", str(out), *processes],
                "stats": ["stats", str(out)],
            }
            for name, command in commands.items():
                seconds, used, peak = measure(command)
                more = (peak - peaks[name]) / (files - options.small) if name in peaks else None
                peaks.setdefault(name, peak)
                table.add_row(
                    name,
                    f"{files:,}",
                    f"{size:,.0f}",
                    f"{seconds:.1f}",
                    f"{size / used:.1f}",
                    f"{peak / 2**20:,.0f}",
                    "" if more is None else f"{more:,.0f}",
                )
            shutil.rmtree(root)
    Console().print(table)


if __name__ == "__main__":
    main()
