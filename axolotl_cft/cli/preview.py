"""`axolotl-cft preview`: the rows that a config will train, with the loss mask made visible."""

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import click

from axolotl_cft.cli.progress import progress
from axolotl_cft.cli.shared_options import AS_JSON, complete_files
from axolotl_cft.preview.collect import collect
from axolotl_cft.preview.page import to_html
from axolotl_cft.preview.terminal import render

if TYPE_CHECKING:
    from axolotl_cft.core.options import Part


@click.command(
    context_settings={"ignore_unknown_options": True},
    epilog="""\b
Examples:
  axolotl-cft preview my-cft.yml
  axolotl-cft preview my-cft.yml -n 10 --html preview.html
  axolotl-cft preview my-cft.yml --part test
  axolotl-cft preview my-cft.yml --cft__prompts none --sequence_len=1024
  axolotl-cft preview my-cft.yml --json > ledger.json
""",
)
@click.argument(
    "words",
    shell_complete=complete_files,
    metavar="CONFIG [--KEY VALUE]...",
    nargs=-1,
    required=True,
    type=click.UNPROCESSED,
)
@click.option(
    "-n",
    "--rows",
    default=3,
    show_default=True,
    type=click.IntRange(min=1),
    help="Rows to show from each dataset.",
)
@click.option(
    "--part",
    type=click.Choice(["train", "test"]),
    default="train",
    show_default=True,
    help="`datasets` or `test_datasets`.",
)
@click.option(
    "--sample",
    default=1000,
    show_default=True,
    type=click.IntRange(min=1),
    help="Documents to read from each dataset for the ledger.",
)
@click.option(
    "--html",
    "html_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the rows, at full length, to a page that can be shared.",
)
@AS_JSON
def preview(
    words: tuple[str, ...],
    rows: int,
    part: "Part",
    sample: int,
    html_file: Path | None,
    as_json: bool,
) -> None:
    """Show the first rows that CONFIG, an Axolotl YAML, will train.

    Keys of the config can be overridden as `python -m axolotl.cli.train CONFIG --KEY VALUE` does.

    Masked tokens (BOS, prompt, separator or chat template) are dimmed, trained ones stand below
    them, and special tokens are highlighted. The ledger counts a sample of the documents; --json
    prints it alone. Only the tokenizer is loaded: no weights, no GPU.
    """
    from rich.console import Console

    from axolotl_cft.files import write_atomic
    from axolotl_cft.host.overrides import read_words

    config, overrides = read_words(words)
    console = Console(highlight=False)
    # The host logs to stdout, which is for the rows or the ledger.
    with progress("Loading the tokenizer and the first documents"), redirect_stdout(sys.stderr):
        previews = collect(Path(config), part, rows, sample, overrides)
    if html_file is not None:
        write_atomic(html_file, to_html(previews, " ".join(words)))
    if as_json:
        click.echo(json.dumps([dict(dataset.counts) for dataset in previews], indent=2))
        return
    for dataset in previews:
        render(dataset, console)
    if html_file is not None:
        console.print(f"page: {html_file}", soft_wrap=True)
