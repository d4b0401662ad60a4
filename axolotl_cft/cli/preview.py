"""`axolotl-cft preview`: the rows that a config will train, with the loss mask made visible."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from axolotl_cft.cli.progress import progress
from axolotl_cft.preview.collect import collect
from axolotl_cft.preview.page import to_html
from axolotl_cft.preview.terminal import render

if TYPE_CHECKING:
    from axolotl_cft.core.options import Part


@click.command(
    epilog="""\b
Examples:
  axolotl-cft preview my-cft.yml
  axolotl-cft preview my-cft.yml -n 10 --html preview.html
  axolotl-cft preview my-cft.yml --part test
"""
)
@click.argument("config", type=click.Path(path_type=Path))
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
def preview(config: Path, rows: int, part: "Part", sample: int, html_file: Path | None) -> None:
    """Show the first rows that CONFIG, an Axolotl YAML, will train.

    Masked tokens (BOS, prompt, separator or chat template) are dimmed, trained ones stand below
    them, and special tokens are highlighted. The ledger counts a sample of the documents. Only the
    tokenizer is loaded: no weights, no GPU.
    """
    from rich.console import Console

    from axolotl_cft.files import write_atomic

    console = Console(highlight=False)
    with progress("Loading the tokenizer and the first documents"):
        previews = collect(config, part, rows, sample)
    for dataset in previews:
        render(dataset, console)
    if html_file is not None:
        write_atomic(html_file, to_html(previews, str(config)))
        console.print(f"page: {html_file}", soft_wrap=True)
