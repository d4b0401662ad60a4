"""`axolotl-cft corpus clean`: a packed corpus without doubles, debris and test items."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from axolotl_cft.cli.corpus_counts import read_tokenizer, say_licences
from axolotl_cft.cli.progress import progress
from axolotl_cft.cli.shared_options import (
    DATA_DIR,
    MIN_WORDS,
    NGRAM,
    NUM_PROC,
    NameList,
    output_folder,
)

if TYPE_CHECKING:
    from axolotl_cft.corpus.building.clean import Search
    from axolotl_cft.corpus.building.filters import Limits
    from axolotl_cft.corpus.contamination import Rules, Verdict
    from axolotl_cft.records import CorpusManifest


def _checked(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """What a filter, a language or a task is told by, before anything is read."""
    from axolotl_cft.evaluation.tasks import task_benchmarks

    match param.name:
        case "off":
            read_limits(value, (), None)
        case "given":
            read_limits((), value, None)
        case "language":
            read_limits((), (), value)
        case "tasks" if value:
            task_benchmarks(value)
    return value


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@output_folder(
    "data/ with the shards that are left, manifest.json, left_out.jsonl (every document that went, "
    "and why), near_duplicates.jsonl and attribution.jsonl"
)
@click.option(
    "--language",
    callback=_checked,
    help="Leave out prose in other languages than this one, such as en.",
)
@click.option(
    "--off",
    multiple=True,
    metavar="FILTER",
    callback=_checked,
    help="Switch a filter off, by the name of its limit.",
)
@click.option(
    "--set",
    "given",
    multiple=True,
    metavar="FILTER=LIMIT",
    callback=_checked,
    help="Another limit for a filter, such as min_words=50 or max_duplicate_ngrams=5:0.15,10:0.1.",
)
@click.option("--keep-doubles", is_flag=True, help="Keep documents with the same text.")
@click.option("--keep-near", is_flag=True, help="Keep documents with nearly the same text.")
@click.option(
    "--tasks",
    type=NameList(),
    callback=_checked,
    help="Take the items of these evaluation tasks out, such as cft_medical, as `axolotl-cft "
    "contamination --remove` does. Nothing is compared without it.",
)
@DATA_DIR
@NGRAM
@MIN_WORDS
@click.option(
    "--force", is_flag=True, help="Take test items out even if more than 5 % of the text would go."
)
@click.option(
    "--tokenizer",
    help="Count what is left with this tokenizer (name or folder). Default: the one that the "
    "corpus was packed with, if it was with any.",
)
@NUM_PROC
def clean(
    folder: Path,
    output_dir: Path,
    language: str | None,
    off: tuple[str, ...],
    given: tuple[str, ...],
    keep_doubles: bool,
    keep_near: bool,
    tasks: list[str] | None,
    data_dir: Path | None,
    ngram: int,
    min_words: int,
    force: bool,
    tokenizer: str | None,
    num_proc: int,
) -> None:
    """Write a packed corpus again without doubles, without debris, without test items.

    FOLDER is what `corpus pack` made. The filters are Gopher's and C4's, with limits that spare
    tables, formulas, code and poems (docs/corpora.md lists them). Near duplicates have 80 % of
    their runs of words in common; the first by id stays. Every document that goes is listed.

    \b
    Examples:
      axolotl-cft corpus clean data/raw --output-dir data/clean --language en --num-proc 8
      axolotl-cft corpus clean data/raw --output-dir data/clean --tasks cft_medical
      axolotl-cft corpus clean data/raw --output-dir data/clean --off max_top_ngrams \\
          --set min_words=50
    """
    from axolotl_cft.corpus.building.clean import CleanOptions
    from axolotl_cft.corpus.building.clean import clean as run
    from axolotl_cft.corpus.building.packed import read_manifest
    from axolotl_cft.corpus.contamination import Rules
    from axolotl_cft.corpus.readers import refuse_own_output

    refuse_own_output(str(folder), output_dir)
    rules = Rules(ngram, min_words)
    compared = {"tasks": tasks, **dataclasses.asdict(rules)} if tasks else {}
    options = CleanOptions(
        *(read_limits(off, given, language), not keep_doubles, not keep_near, compared),
        tokenizer=read_tokenizer(tokenizer or read_manifest(folder).tokenizer),
    )
    search = _search(tasks, data_dir, rules, force, num_proc) if tasks else None
    manifest, verdict = run(folder, output_dir, options, _watch, search, num_proc)
    _say(manifest, output_dir)
    if verdict is not None:
        click.echo(f"Test items were found in {len(verdict.documents):,} documents.")
    elif not tasks:
        click.echo("Nothing was compared with test items: --tasks cft_medical does that.")


def _search(
    tasks: list[str], data_dir: Path | None, rules: "Rules", force: bool, processes: int
) -> "Search":
    """What looks for test items; it refuses to take out much unless it is forced to."""
    from axolotl_cft.corpus import contamination as work

    with progress("Reading the test items"):
        index = work.OverlapIndex(work.load_items(tasks, data_dir), rules)

    def search(parts: Any, told: Callable[[int], None]) -> "tuple[Verdict, int]":
        seen = 0

        def count(read: int, documents: int) -> None:
            nonlocal seen
            told(documents - seen)
            seen = documents

        found, digest = work.search(parts, index, located=True, processes=processes, count=count)
        if not force:
            work.refuse_large(work.planned_removal(found, "passages"), "the corpus")
        return found, digest

    return search


@contextmanager
def _watch(step: str, documents: int) -> Iterator[Callable[[int], None]]:
    with progress(step, documents, "documents") as work:
        yield lambda count: work.update(advance=count)


def read_limits(off: tuple[str, ...], given: tuple[str, ...], language: str | None) -> "Limits":
    """The limits that the options make.

    Raises:
        click.UsageError: there is no such filter, or its limit is none.
    """
    from axolotl_cft.corpus.building.filters import Limits

    known = {field.name: field for field in dataclasses.fields(Limits) if field.name != "language"}
    changes: dict[str, Any] = {}
    for text in (*(f"{name}=" for name in off), *given):
        name, _, value = text.partition("=")
        if name not in known:
            raise click.UsageError(f"{name} is no filter: it is one of {', '.join(known)}")
        shares = isinstance(known[name].default, tuple)
        try:
            if text not in given:
                changes[name] = () if shares else None
            else:
                changes[name] = _read_shares(value) if shares else _read_number(value)
        except ValueError as exc:
            raise click.UsageError(
                f"{text}: write it like min_words=50 or max_duplicate_ngrams=5:0.15,10:0.1"
            ) from exc
    return Limits(**changes, language=language)


def _read_number(text: str) -> float:
    return int(text) if text.isdigit() else float(text)


def _read_shares(text: str) -> tuple[tuple[int, float], ...]:
    pairs = (part.split(":") for part in text.split(","))
    return tuple((int(words), float(share)) for words, share in pairs)


def _say(manifest: "CorpusManifest", output_dir: Path) -> None:
    click.echo(
        f"{manifest.documents:,} of {manifest.documents_in:,} documents, "
        f"{manifest.characters / 1e6:,.1f} M characters, in {len(manifest.shards)} shards: "
        f"{output_dir / 'data'}"
    )
    say_licences(manifest)
    for reason, count in manifest.left_out.items():
        click.echo(f"  left out: {count:,} {reason}")
    for what, count in manifest.skipped.items():
        click.echo(f"  {what}: {count:,}")
