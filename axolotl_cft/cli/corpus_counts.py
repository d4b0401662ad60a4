"""What the corpus commands share: a tokenizer to count with, and how counts are printed."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from axolotl_cft.corpus.building.sums import TokenCounter
    from axolotl_cft.records import CorpusManifest


def read_tokenizer(name: str | None) -> "TokenCounter | None":
    """What counts tokens, if they are to be counted."""
    from axolotl_cft.host.token_counter import NamedTokenizer

    return NamedTokenizer(name) if name else None


def say_licences(manifest: "CorpusManifest") -> None:
    """Print documents by licence, and tokens where they were counted."""
    for licence, entry in manifest.licences.items():
        tokens = "" if entry.tokens is None else f", {entry.tokens:,} tokens"
        click.echo(f"  {licence}: {entry.documents:,}{tokens}")
