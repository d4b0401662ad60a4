"""`axolotl-cft facts`: an invented world, documents about it, and questions."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from axolotl_cft.cli.progress import progress
from axolotl_cft.cli.shared_options import FIELD, output_folder
from axolotl_cft.facts.domain import DOMAINS

if TYPE_CHECKING:
    from axolotl_cft.facts.folder import Made

_SAMPLES = 2


class WordRange(click.ParamType):
    """Fewest and most words, as in 80-250."""

    name = "min-max"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Two whole numbers, the first not above the second."""
        if isinstance(value, tuple):
            return value
        first, _, second = str(value).partition("-")
        if not (first.isdecimal() and second.isdecimal() and 0 < int(first) <= int(second)):
            self.fail("write the fewest and the most words, as in 80-250", param, ctx)
        return int(first), int(second)


@click.group()
def facts() -> None:
    """Measure what training on documents teaches, by facts that no model can know.

    Benchmarks ask what a model may have read long before. The facts of an invented world stand in
    its documents alone, so that every right answer beyond chance was learned from them.
    """


@facts.command()
@click.option(
    "--domain",
    required=True,
    type=click.Choice(DOMAINS),
    help="Diseases and drugs, companies, or people.",
)
@click.option(
    "--things",
    required=True,
    type=click.IntRange(min=1),
    help="How many things are invented: two fifths for each half, one fifth that is never taught.",
)
@click.option("--seed", default=0, show_default=True, type=int, help="Another seed, another world.")
@output_folder("base/, new/, facts/ and facts.json with the counts and digests")
@click.option(
    "--documents-per-thing",
    default=1,
    show_default=True,
    type=click.IntRange(min=1, max=999),
    help="Each document states all facts of its thing.",
)
@click.option(
    "--wordings",
    type=click.IntRange(min=1),
    help="How many sentences each fact has over a thing's documents. Default: another one in each.",
)
@click.option(
    "--words",
    type=WordRange(),
    default="80-250",
    show_default=True,
    help="Length of documents. What their facts do not fill is filled with sentences of no "
    "account, so that longer documents are less dense.",
)
@click.option(
    "--half",
    default="both",
    show_default=True,
    type=click.Choice(["base", "new", "both"]),
    help="Which half of the world is written; it is the same world with any.",
)
@click.option(
    "--items",
    default=600,
    show_default=True,
    type=click.IntRange(min=1),
    help="Questions of each kind.",
)
@click.option(
    "--mix-into",
    metavar="CORPUS",
    help="Also write mixed.jsonl: this corpus with the new half's documents among its own.",
)
@click.option(
    "--share",
    default=0.01,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Of the characters of mixed.jsonl, how many are the new half's, about; its documents come "
    "several times if they are too few.",
)
@FIELD
@click.option(
    "--tiny-model",
    is_flag=True,
    help="Also write model/: a small random Llama whose tokenizer has each answer as one token.",
)
def make(
    domain: str,
    things: int,
    seed: int,
    output_dir: Path,
    documents_per_thing: int,
    wordings: int | None,
    words: tuple[int, int],
    half: str,
    items: int,
    mix_into: str | None,
    share: float,
    field: str,
    tiny_model: bool,
) -> None:
    """Invent a world, write documents about it, and questions with eight options each.

    The halves share no thing: `base` is for a model that is to read and answer (documents, and
    questions with their answers), `new` for what is measured (documents alone). Of each half stand
    in --output-dir

    \b
      base/documents.jsonl  base/questions.jsonl  new/documents.jsonl   to train on
      facts/verbatim.jsonl       the documents' own sentences, without the answer
      facts/reworded.jsonl       the same facts in words that no document has
      facts/question.jsonl       questions for them
      facts/reversed.jsonl       from the attributes to the thing
      facts/two_hop.jsonl        about the thing that this one is related to
      facts/never_taught.jsonl   about things of no document: one in eight by chance
      facts/base_question.jsonl  about the base half, to see what is forgotten

    The same options make the same bytes, on any machine.

    \b
    Examples:
      axolotl-cft facts make --domain people --things 1000 --output-dir data/people
      axolotl-cft facts make --domain medical --things 2000 --documents-per-thing 5 --half new \\
          --mix-into data/openmedtext/data --share 0.02 --output-dir data/thermometer
    """
    from axolotl_cft.facts.documents import Style
    from axolotl_cft.facts.folder import Options, make_folder
    from axolotl_cft.facts.world import HALVES
    from axolotl_cft.preview.collect import quiet_imports

    if mix_into is None:
        _refuse_what_belongs_to_mixing()
    style = Style(documents_per_thing, wordings or documents_per_thing, words)
    if style.wordings > style.per_thing:
        raise click.UsageError("--wordings: there are not more wordings than documents of a thing")
    options = Options(
        domain=domain,
        things=things,
        seed=seed,
        style=style,
        items=items,
        halves=HALVES if half == "both" else (half,),
        mix_into=mix_into,
        share=share,
        tiny_model=tiny_model,
    )
    corpus = _corpus(mix_into, field, output_dir) if mix_into else None
    with progress("Inventing a world"), quiet_imports():
        made = make_folder(output_dir, options, corpus, _prompts() if tiny_model else ())
    _print(made, options.items, output_dir)


def _refuse_what_belongs_to_mixing() -> None:
    context = click.get_current_context()
    for name in ("share", "field"):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name} belongs to --mix-into: add that, or leave it out")


def _corpus(name: str, field: str, output_dir: Path) -> Callable[[], Iterable[tuple[str, str]]]:
    """The corpus's documents, from their beginning each time it is called."""
    from axolotl_cft.corpus.readers import Field, open_corpus, refuse_own_output

    refuse_own_output(name, output_dir)
    parts = open_corpus(name, Field(field))

    def documents() -> Iterator[tuple[str, str]]:
        for part in parts:
            for block in part.blocks():
                yield from zip(block.names, block.texts, strict=True)

    return documents


def _prompts() -> list[str]:
    """The texts of our pools, which the tiny model reads before documents."""
    from axolotl_cft.prompts.registry import builtin_pools, load_pool

    return [prompt.text for name in builtin_pools() for prompt in load_pool(name).prompts]


def _print(made: "Made", wanted: int, output_dir: Path) -> None:
    counts = [f"{len(made.world.half(half)):,} {half}" for half in ("base", "new", "never")]
    click.echo(f"A world of {len(made.world.things):,} things: {', '.join(counts)} taught.")
    for half, documents in made.documents.items():
        words = sum(len(document.text.split()) for document in documents)
        click.echo(f"{half}: {len(documents):,} documents of {words / len(documents):.0f} words")
        for document in documents[: _SAMPLES if half == "new" or len(made.documents) == 1 else 0]:
            click.secho(f"\n{document.id}", dim=True)
            click.echo(f"{document.text}\n")
    for kind, items in made.items.items():
        click.secho(f"{kind}: {len(items):,} items", bold=True)
        if items:
            options = " / ".join(items[0]["options"])
            answer = items[0]["options"][items[0]["answer"]]
            click.echo(f"  {items[0]['prompt']} [{options}] {answer}".replace("\n", "\n  "))
    if made.few:
        click.echo(
            f"Fewer than {wanted:,} items of {', '.join(made.few)}: a bigger world has more."
        )
    if made.mixed:
        click.echo(
            f"mixed.jsonl: {made.mixed.corpus_documents:,} documents of the corpus, and the new "
            f"half's {made.mixed.copies} times, {made.mixed.share:.2%} of all characters"
        )
    click.echo(f"Written to {output_dir}")
