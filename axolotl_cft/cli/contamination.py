"""`axolotl-cft contamination`: benchmark items in a training corpus."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from axolotl_cft.cli.progress import Work, progress
from axolotl_cft.cli.shared_options import (
    DATA_DIR,
    EVERY_BENCHMARK,
    FIELD,
    NGRAM,
    SPLIT,
    SUBSET,
    NameList,
)
from axolotl_cft.errors import CFTError
from axolotl_cft.records import CONTAMINATION_FILE, ContaminationRecord

if TYPE_CHECKING:
    from axolotl_cft.corpus.contamination import Tally
    from axolotl_cft.corpus.readers import Part

MB = 1e6


@click.command()
@click.argument("corpus")
@click.option(
    "--tasks",
    default=EVERY_BENCHMARK,
    type=NameList(),
    show_default=True,
    help="Tasks or groups whose test items to look for, separated by commas.",
)
@DATA_DIR
@NGRAM
@FIELD
@SUBSET
@SPLIT
@click.option(
    "--remove", is_flag=True, help="Also write the corpus without the documents that overlap."
)
@click.option(
    "--output-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("contamination"),
    show_default=True,
    help=f"Receives {CONTAMINATION_FILE} and, with --remove, the cleaned corpus under its own file "
    "names.",
)
def contamination(
    corpus: str,
    tasks: list[str],
    data_dir: Path | None,
    ngram: int,
    field: str,
    subset: str | None,
    split: str,
    remove: bool,
    output_dir: Path,
) -> None:
    """Find benchmark items in a training corpus, and remove the documents that contain them.

    CORPUS is a .jsonl, .jsonl.gz, .parquet or .txt file, a folder of such files (a .txt file is one
    document), or a dataset on the hub, which is streamed. Texts are compared as normalized words;
    the same n-gram in both is an overlap. Only an item's question is looked for, not its options.
    `axolotl-cft report` shows what was found.

    \b
    Example:
      axolotl-cft contamination corpus.jsonl --tasks cft_medical \\
          --remove --output-dir clean/
    """
    from axolotl_cft.corpus.contamination import OverlapIndex, Tally, load_items
    from axolotl_cft.corpus.readers import Field, open_corpus

    parts = open_corpus(corpus, Field(field), subset=subset, split=split)
    if remove:
        _refuse_to_overwrite(Path(corpus).expanduser(), output_dir)
    with progress("Reading the test items"):
        tally = Tally(OverlapIndex.build(load_items(tasks, data_dir), ngram))
    # Its absence tells an unfinished run from a finished one.
    (output_dir / CONTAMINATION_FILE).unlink(missing_ok=True)
    sizes = [part.size for part in parts]
    total = None if None in sizes else sum(size or 0 for size in sizes) / MB
    with progress("Scanning", total, "MB") as work:
        for part in parts:
            _scan(part, tally, output_dir / part.name if remove else None, work)
    if tally.documents == 0:
        raise CFTError(f"corpus {corpus!r} holds no documents")
    summary = tally.summary(corpus, remove)
    summary.write(output_dir / CONTAMINATION_FILE)
    _print(summary, output_dir, remove)


def _refuse_to_overwrite(corpus: Path, output_dir: Path) -> None:
    """A cleaned corpus among its own source would replace it, or be taken for part of it."""
    target = output_dir.resolve()
    if (corpus.is_dir() and target.is_relative_to(corpus.resolve())) or (
        corpus.is_file() and target == corpus.resolve().parent
    ):
        raise CFTError(f"--output-dir {output_dir} lies in the corpus's own folder: choose another")


def _scan(part: "Part", tally: "Tally", target: Path | None, work: Work) -> None:
    with part.write(target) if target else contextlib.nullcontext() as write:
        position = 0
        for block in part.blocks():
            overlaps = [tally.add(*pair) for pair in zip(block.names, block.texts, strict=True)]
            if write:
                write(block, [not overlap for overlap in overlaps])
            read = block.position - position
            work.update(advance=read / MB, note=f"{tally.documents:,} documents")
            position = block.position


def _print(summary: ContaminationRecord, output_dir: Path, removed: bool) -> None:
    table = Table(title=f"Overlap with the test items, {summary.n} words in a row")
    table.add_column("task", no_wrap=True)
    for heading in ("test items", "found", "documents"):
        table.add_column(heading, justify="right")
    for task, row in summary.tasks.items():
        counts = (row.items, row.contaminated_items, row.documents)
        table.add_row(task, *(f"{count:,}" for count in counts))
    console = Console()
    console.print(table)
    found, total = summary.contaminated_documents, summary.documents
    verb = "removed" if removed else "overlap"
    path = output_dir / CONTAMINATION_FILE
    console.print(f"{found:,} of {total:,} documents {verb}: {path}", soft_wrap=True)
