"""`axolotl-cft comprehension`: texts with exercises made of them by rules."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from axolotl_cft.cli.progress import progress
from axolotl_cft.cli.shared_options import (
    FIELD,
    NUM_PROC,
    ROW_FORMAT,
    SPLIT,
    SUBSET,
    complete_files,
    output_folder,
)
from axolotl_cft.errors import CFTError
from axolotl_cft.records import COMPREHENSION_FILE, ComprehensionRecord

if TYPE_CHECKING:
    from axolotl_cft.corpus.comprehension.run import Example, Options, Told
    from axolotl_cft.corpus.writers import Corpus

_CHARACTERS = 7500

_SAID = {
    "entail": "inference: it follows",
    "contradict": "inference: it does not",
    "neutral": "inference: a further point",
    "cause_to_effect": "cause → effect",
    "effect_to_cause": "effect → cause",
    "restatement": "in other words",
    "parallel": "a similar case",
    "contrast": "a contrast",
    "word_to_text": "words ↔ sentence",
    "definition": "definition",
    "topic": "topic",
    "title": "title",
    "completion": "completion",
}


@click.command()
@click.argument("corpus", shell_complete=complete_files)
@output_folder(
    f"corpus.jsonl or corpus.parquet, and {COMPREHENSION_FILE} with the counts",
    "required unless you --show",
)
@click.option(
    "--tokenizer",
    help="The base model's (name or folder). Words of ten letters or more that are common in the "
    "corpus and no piece of it are the domain's, and exercises are made of those; without it, "
    "none are.",
)
@click.option(
    "--section-characters",
    default=_CHARACTERS,
    show_default=True,
    type=click.IntRange(min=500),
    help="Most characters of a section; 7500 are some 1,850 tokens of English. A longer document "
    "is cut, at a heading if one is near, else between paragraphs or sentences.",
)
@FIELD
@click.option(
    "--title-field",
    default="title",
    show_default=True,
    help="Column with the documents' titles. Where there is none, a first line that looks like a "
    "title is the title.",
)
@SUBSET
@SPLIT
@ROW_FORMAT
@click.option(
    "--show",
    type=click.IntRange(min=1),
    help="Print so many exercises with the sentences they are from, and write nothing.",
)
@NUM_PROC
def comprehension(
    corpus: str,
    output_dir: Path | None,
    tokenizer: str | None,
    section_characters: int,
    field: str,
    title_field: str,
    subset: str | None,
    split: str,
    format_: str | None,
    show: int | None,
    num_proc: int,
) -> None:
    """Follow every text with exercises made of it by rules: AdaptLLM, without an LLM.

    CORPUS is a .jsonl, .jsonl.gz, .jsonl.zst, .json, .csv, .parquet or .txt file, a folder of such
    files (a .txt file is one document), or a dataset on the hub. A row comes out for each section
    of a document, with the other columns and `document`, `section` and `exercises`.

    "… Thus, …" becomes a question about what follows, "… However, …" one about a contrast, "… due
    to …" one about a cause; titles, missing halves and the domain's words are asked for as well.
    All of it is drawn from the texts alone: order, processes and machine change nothing. The rules
    are English: documents in other languages stay as they are.

    Train on the result as on any corpus, with `type: cft` and `prompts: none`.

    \b
    Examples:
      axolotl-cft comprehension textbook.jsonl --show 20
      axolotl-cft comprehension data/openmedtext/data --tokenizer meta-llama/Llama-2-7b-chat-hf \\
          --num-proc 8 --output-dir data/comprehension
    """
    from axolotl_cft.corpus.comprehension.run import Options, look, write_comprehension
    from axolotl_cft.corpus.comprehension.transform import Transformation
    from axolotl_cft.corpus.readers import Field, open_corpus, refuse_own_output
    from axolotl_cft.corpus.writers import Corpus

    if output_dir is None and show is None:
        raise click.UsageError("name --output-dir, or look first with --show 20")
    if output_dir is not None:
        refuse_own_output(corpus, output_dir)
        _refuse_others(corpus, output_dir)
    parts = open_corpus(corpus, Field(field), subset=subset, split=split, streamed=not tokenizer)
    read = Corpus(corpus, parts)
    options = Options(field, title_field, Transformation(section_characters))
    if tokenizer:
        options = _knowing(options, read, tokenizer)
    with _reading(read) as told:
        if show is None and output_dir is not None:
            record = write_comprehension(
                read, output_dir, options, format_=format_, processes=num_proc, told=told
            )
            examples: list[Example] = []
        else:
            examples, record = look(read, options, show or 0, processes=num_proc, told=told)
    for example in examples:
        _print_example(example)
    _print(record, output_dir)


def _knowing(options: "Options", corpus: "Corpus", tokenizer: str) -> "Options":
    from axolotl_cft.host.tokens import load_tokenizer

    pieces = load_tokenizer(tokenizer).get_vocab()
    with progress("Learning the domain's words"):
        return options.knowing(corpus, tokenizer, pieces)


@contextmanager
def _reading(corpus: "Corpus") -> "Iterator[Told]":
    sizes = [part.size for part in corpus.parts]
    total = None if None in sizes else sum(size or 0 for size in sizes) / 1e6
    with progress("Making exercises", total, "MB") as work:
        yield lambda read: work.update(advance=read / 1e6)


def _print_example(example: "Example") -> None:
    mined = example.exercise.mined
    click.secho(f"{_SAID[mined.kind]} ({example.document})", bold=True)
    click.secho(f"Source: {' '.join(mined.source.split())}", dim=True)
    click.echo(f"{example.exercise.text}\n")


def _refuse_others(corpus: str, output_dir: Path) -> None:
    """Refuse a folder with texts that were made of another corpus, or by nothing of ours."""
    from axolotl_cft.corpus.readers import refuse_foreign
    from axolotl_cft.corpus.writers import ROW_FILES

    refuse_foreign(output_dir, (COMPREHENSION_FILE,), ROW_FILES)
    if not (output_dir / COMPREHENSION_FILE).exists():
        return
    before = ComprehensionRecord.read(output_dir / COMPREHENSION_FILE).corpus
    if before != corpus and Path(before).resolve() != Path(corpus).resolve():
        raise CFTError(
            f"{output_dir} holds the texts of {before}: use another output folder for {corpus}"
        )


def _print(record: ComprehensionRecord, output_dir: Path | None) -> None:
    console = Console()
    table = Table(title="Exercises")
    table.add_column("kind", no_wrap=True)
    for heading in ("found", "left out", "written", "documents"):
        table.add_column(heading, justify="right")
    for kind, row in record.exercises.items():
        counts = (row.mined, row.left_out, row.written, row.documents)
        table.add_row(_SAID[kind], *(f"{count:,}" for count in counts))
    console.print(table)
    share = record.characters_added / max(1, record.characters_out)
    said = [
        f"{record.documents:,} documents of {record.characters_in / 1e6:,.1f} M characters became "
        f"{record.sections:,} texts of {record.characters_out / 1e6:,.1f} M, {share:.1%} of them "
        f"exercises; {record.documents_with_exercises:,} documents have any."
    ]
    if record.other_language:
        said.append(
            f"{record.other_language:,} documents are not English and stay as they are: the rules "
            "know English only."
        )
    if record.tokenizer is None:
        said.append(
            "No exercises are made of the domain's words: --tokenizer tells which those are."
        )
    none_of = [kind for kind in record.none_of if kind != "word_to_text" or record.tokenizer]
    if none_of:
        said.append(f"Of these kinds there are none: {'; '.join(_SAID[k] for k in none_of)}.")
    if record.output and output_dir:
        said.append(f"Written to {output_dir / record.output}")
    console.print("\n".join(said), soft_wrap=True, markup=False, highlight=False)
