"""`axolotl-cft corpus`: from folders of papers and books to shards that can be trained on."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from axolotl_cft.cli.corpus_clean import clean
from axolotl_cft.cli.corpus_counts import read_tokenizer, say_licences
from axolotl_cft.cli.corpus_make import make
from axolotl_cft.cli.corpus_plan import plan
from axolotl_cft.cli.progress import progress
from axolotl_cft.cli.shared_options import FIELD, NUM_PROC, NameList, complete_files, output_folder

if TYPE_CHECKING:
    from axolotl_cft.records import CorpusManifest


@click.group()
def corpus() -> None:
    """Build a corpus: pack files into shards, clean them, count them, plan a training."""


@corpus.command()
@click.argument(
    "sources", nargs=-1, required=True, metavar="SOURCE…", shell_complete=complete_files
)
@output_folder("data/ with the shards, manifest.json, left_out.jsonl and attribution.jsonl")
@click.option(
    "--rules",
    help="What is known of licences and topics by a file's place: openmedtext, pmc, or a file of "
    "your own. What a document says of itself counts first.",
)
@click.option(
    "--licence",
    "licences",
    type=NameList(),
    help="Keep these licences alone, by SPDX id, such as 'CC-BY-*,CC0-1.0'; * stands for a "
    "version, so that CC-BY-* is no CC-BY-NC-4.0. Name `unknown` or `conflict` to keep those too.",
)
@FIELD
@click.option("--encoding", help="Of .txt and .md files, such as latin-1. Default: UTF-8.")
@click.option(
    "--tokenizer",
    help="Count tokens too, by licence and topic, with this tokenizer (name or folder).",
)
@NUM_PROC
def pack(
    sources: tuple[str, ...],
    output_dir: Path,
    rules: str | None,
    licences: list[str] | None,
    field: str,
    encoding: str | None,
    tokenizer: str | None,
    num_proc: int,
) -> None:
    """Pack documents into Parquet shards, one a row, with where each is from and its licence.

    SOURCE is a folder, a file, an archive (.tar, .tar.gz, .zip, …) or a dataset of the hub, with
    .txt, .md, .html and JATS .xml or .nxml files (a document each) or .jsonl, .json, .csv and
    .parquet files (a document a row). NAME=SOURCE names its documents. Killed at any moment, the
    same command goes on; what cannot be read is left out and listed.

    \b
    Examples:
      axolotl-cft corpus pack papers/ book.md --output-dir data/raw
      axolotl-cft corpus pack OpenMedText/ --rules openmedtext --licence 'CC-BY-*,CC-BY-SA-*' \\
          --num-proc 8 --output-dir data/openmedtext-raw
    """
    from axolotl_cft.corpus.building.inputs import read_sources
    from axolotl_cft.corpus.building.licences import Kept, load_rules
    from axolotl_cft.corpus.building.pack import PackOptions
    from axolotl_cft.corpus.building.pack import pack as run
    from axolotl_cft.corpus.readers import refuse_own_output

    options = PackOptions(
        *(load_rules(rules), Kept(tuple(licences or ())), field, encoding),
        tokenizer=read_tokenizer(tokenizer),
    )
    found = read_sources(sources)
    for source in found:
        refuse_own_output(str(source.path), output_dir)
    with ExitStack() as stack:

        def started(total: int, done: int) -> Callable[[int], None]:
            work = stack.enter_context(progress("Packing", total >> 20, "MiB", done=done >> 20))
            return lambda size: work.update(advance=size / 2**20)

        manifest = run(found, output_dir, options, num_proc, started)
    _say(manifest, output_dir, filtered=bool(licences))


def _say(manifest: "CorpusManifest", output_dir: Path, filtered: bool) -> None:
    click.echo(
        f"{manifest.documents:,} documents of {manifest.characters / 1e6:,.1f} M characters in "
        f"{len(manifest.shards)} shards: {output_dir / 'data'}"
    )
    say_licences(manifest)
    if manifest.left_out:
        reasons = ", ".join(f"{count:,} {why}" for why, count in manifest.left_out.items())
        click.secho(
            f"Left out: {reasons} (left_out.jsonl lists them)", fg="yellow", bold=True, err=True
        )
    doubtful = {name: manifest.licences.get(name) for name in ("unknown", "conflict")}
    said = [f"{entry.documents:,} {name}" for name, entry in doubtful.items() if entry]
    if said and not filtered:
        click.secho(
            f"Kept without a licence that is known: {', '.join(said)}. --licence keeps those you "
            "name alone.",
            fg="red",
            bold=True,
            err=True,
        )


@corpus.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--tokenizer", help="Count tokens too, with this tokenizer (name or folder).")
@click.option("--seed", default=42, show_default=True, help="Of the excerpts.")
def stats(folder: Path, tokenizer: str | None, seed: int) -> None:
    """Count a packed corpus: lengths, density, licences, topics, languages, doubles, ten excerpts.

    Prints the counts and writes them into README.md beside the shards, a dataset card as the hub
    takes it. In a card that is there already, only the part between the two comments changes.
    """
    from rich.console import Console
    from rich.markdown import Markdown

    from axolotl_cft.corpus.building.card import stats_in_markdown, write_card
    from axolotl_cft.corpus.building.packed import give_memory_back, read_manifest
    from axolotl_cft.corpus.building.stats import collect
    from axolotl_cft.corpus.language import document_language

    give_memory_back()
    manifest, count_tokens = read_manifest(folder), read_tokenizer(tokenizer)
    with progress("Counting", manifest.documents, "documents") as work:
        found = collect(
            folder,
            count_tokens=count_tokens,
            language_of=document_language,
            seed=seed,
            told=lambda documents: work.update(advance=documents),
        )
    found.counted_with = tokenizer
    Console().print(Markdown(stats_in_markdown(found, manifest)))
    click.echo(f"Written to {write_card(folder, found, manifest)}")


corpus.add_command(clean)
corpus.add_command(make)
corpus.add_command(plan)
