"""`axolotl-cft contamination`: benchmark items in a training corpus."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from axolotl_cft.cli.progress import Work, progress
from axolotl_cft.cli.shared_options import (
    AS_JSON,
    DATA_DIR,
    EVERY_BENCHMARK,
    FIELD,
    MIN_WORDS,
    NGRAM,
    SPLIT,
    SUBSET,
    NameList,
    complete_files,
    output_folder,
)
from axolotl_cft.records import (
    CONTAMINATED_ITEMS_FILE,
    CONTAMINATION_FILE,
    REMOVED_FILE,
    ContaminationRecord,
)

if TYPE_CHECKING:
    from axolotl_cft.corpus.readers import Part

MB = 1e6


@click.command()
@click.argument("corpus", shell_complete=complete_files)
@click.option(
    "--tasks",
    default=EVERY_BENCHMARK,
    type=NameList(),
    show_default=True,
    help="Tasks or groups whose test items to look for, separated by commas.",
)
@DATA_DIR
@NGRAM
@MIN_WORDS
@click.option(
    "--partial",
    default=0.6,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True),
    help="Share of an item's words that makes it found where not enough stand in a row, for items "
    "of 20 words or more.",
)
@FIELD
@SUBSET
@SPLIT
@click.option(
    "--remove",
    is_flag=False,
    flag_value="passages",
    type=click.Choice(["passages", "documents"]),
    help="Also write the corpus without what was found, to cleaned/ in the output folder: "
    "`--remove` takes out passages (a match, 200 characters on each side, and the rest of the "
    "sentence), `--remove documents` the documents they stand in.",
)
@click.option(
    "--force", is_flag=True, help="Remove even if more than 5 % of the corpus's text would go."
)
@click.option(
    "--num-proc",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Processes that search while this one reads. Worth it from some 100 MB on; the result is "
    "the same.",
)
@output_folder(
    f"{CONTAMINATION_FILE} and {CONTAMINATED_ITEMS_FILE} and, with --remove, cleaned/ and "
    f"{REMOVED_FILE}",
    Path("contamination"),
)
@AS_JSON
def contamination(
    corpus: str,
    tasks: list[str],
    data_dir: Path | None,
    ngram: int,
    min_words: int,
    partial: float,
    field: str,
    subset: str | None,
    split: str,
    remove: str | None,
    force: bool,
    num_proc: int,
    output_dir: Path,
    as_json: bool,
) -> None:
    """Find benchmark items in a training corpus, and take them out.

    CORPUS is a .jsonl, .jsonl.gz, .jsonl.zst, .json, .csv, .parquet or .txt file, a folder of such
    files (a .txt file is one document), or a dataset on the hub, which is streamed.

    Texts are compared as words, without case, punctuation and invisible characters. An item is
    found where

    \b
      * 13 words in a row are the same (--ngram), or all of an item of 8 to 12;
      * of an item of 20 words or more, 60 % (--partial) stand in one place of the
        document, in runs of 4 or more: a copy with typos, or words left out.

    A question of fewer than 20 words is also looked for together with its options, and an option
    of 13 words or more alone. Items of fewer than 8 words (--min-words) cannot be told from
    ordinary text: they are counted, not looked for. Words in a row that stand in more than 10
    documents are boilerplate, and those of more than 20 items stock phrases: neither counts. A
    paraphrase or a translation is not found.

    items.jsonl lists every item found; --json prints the counts of contamination.json.
    `axolotl-cft report` shows what was done.

    \b
    Examples:
      axolotl-cft contamination corpus.jsonl --tasks cft_medical
      axolotl-cft contamination corpus/ --remove --num-proc 4 --output-dir clean/
      axolotl-cft contamination someone/corpus --remove documents
    """
    from axolotl_cft.corpus import contamination as work
    from axolotl_cft.corpus.readers import Field, open_corpus

    parts = open_corpus(corpus, Field(field), subset=subset, split=split)
    work.refuse_output(corpus, output_dir)
    with progress("Reading the test items"):
        rules = work.Rules(ngram, min_words, partial)
        index = work.OverlapIndex(work.load_items(tasks, data_dir), rules)
    work.clear_output(output_dir)
    with progress("Scanning", _megabytes(parts), "MB") as scanning:
        verdict, digest = work.search(
            parts,
            index,
            located=remove is not None,
            processes=num_proc,
            count=lambda read, documents: _show(scanning, read, documents),
        )
    removal = work.planned_removal(verdict, remove) if remove else None
    try:
        if remove and removal:
            if not force:
                work.refuse_large(removal, corpus)
            with progress("Writing", _megabytes(parts), "MB") as writing:
                work.remove(
                    parts, verdict, remove, output_dir, digest, lambda read: _show(writing, read)
                )
    except work.TooMuchError:
        _print(work.write_results(verdict, corpus, None, output_dir), output_dir, as_json)
        raise
    _print(work.write_results(verdict, corpus, removal, output_dir), output_dir, as_json)


def _megabytes(parts: "list[Part]") -> float | None:
    sizes = [part.size for part in parts]
    return None if None in sizes else sum(size or 0 for size in sizes) / MB


def _show(work: Work, read: int, documents: int | None = None) -> None:
    work.update(advance=read / MB, note=None if documents is None else f"{documents:,} documents")


def _print(record: ContaminationRecord, output_dir: Path, as_json: bool) -> None:
    if as_json:
        # The texts of examples are left to the file: they are no counts.
        counts = {name: each for name, each in record.content().items() if name != "examples"}
        click.echo(json.dumps(counts, **record.layout))
        return
    console = Console()
    console.print(_table(record))
    if record.boilerplate and record.boilerplate.patterns:
        console.print(
            f"Ignored as boilerplate: {record.boilerplate.patterns:,} runs of words that stand in "
            f"more than {record.boilerplate.documents} documents each",
            soft_wrap=True,
        )
    found = f"{record.contaminated_documents:,} of {record.documents:,} documents"
    console.print(f"{found} overlap: {output_dir / CONTAMINATED_ITEMS_FILE}", soft_wrap=True)
    if record.removal:
        gone = f"{record.removal.passages:,} passages" if record.removed == "passages" else found
        console.print(
            f"{gone}, {record.removal.share:.2%} of the text, removed: {output_dir / 'cleaned'}",
            soft_wrap=True,
        )


def _table(record: ContaminationRecord) -> Table:
    table = Table(title="Test items in the corpus")
    table.add_column("task", no_wrap=True)
    for heading in ("items", "short", "found", "in part", "docs"):
        table.add_column(heading, justify="right")
    for task, row in record.tasks.items():
        counts = (
            row.items,
            row.too_short or 0,
            row.contaminated_items,
            row.partial_items,
            row.documents,
        )
        table.add_row(task, *(f"{count:,}" for count in counts))
    return table
