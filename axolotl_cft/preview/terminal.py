"""A preview on the terminal."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

from axolotl_cft.preview.collect import DatasetPreview, Span, Stretch

GOES_ON, WENT_BEFORE = "…|", "|…"
"""Where a text was cut within a word: what ends one chunk, and what begins the next."""

CUT_EXPLAINED = f"{GOES_ON}, {WENT_BEFORE}: the text was cut here, within a word."

SHOWN_HEAD, SHOWN_TAIL = 700, 200
"""Characters of a long stretch that the terminal shows; the HTML page shows all of them."""


def render(dataset: DatasetPreview, console: "Console") -> None:
    """Print one dataset's rows and ledger."""
    from rich.markup import escape
    from rich.padding import Padding
    from rich.table import Table

    console.rule(escape(dataset.title), align="left", style="dim")
    for row in dataset.rows:
        console.print(f"\n[bold]{escape(row.heading)}[/bold]", soft_wrap=True)
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim")
        grid.add_column(overflow="fold")
        for stretch in row.segments:
            grid.add_row("trained" if stretch.trained else "masked", _text_of(stretch))
        console.print(Padding(grid, (0, 0, 0, 2)))
    if is_cut_in_word(dataset):
        console.print(f"\n{CUT_EXPLAINED}", style="dim")
    console.print("\n[bold]Ledger of the sample[/bold]")
    ledger = Table.grid(padding=(0, 2))
    for cells in ledger_cells(dataset):
        ledger.add_row(*map(escape, cells))
    console.print(Padding(ledger, (0, 0, 1, 2)))


def ledger_cells(dataset: DatasetPreview) -> list[list[str]]:
    """The ledger's lines, of which each is what is counted and how much of it there is."""
    return [re.split(" {2,}", line, maxsplit=1) for line in dataset.ledger]


def is_cut_in_word(dataset: DatasetPreview) -> bool:
    """Whether a row that is shown begins or ends within a word."""
    stretches = [stretch for row in dataset.rows for stretch in row.segments]
    return any(stretch.begins_in_word or stretch.ends_in_word for stretch in stretches)


def _text_of(stretch: Stretch) -> "Text":
    from rich.text import Text

    spans = stretch.spans if stretch.trained else show_line_ends(stretch.spans)
    text = Text()
    if stretch.begins_in_word:
        text.append(WENT_BEFORE, style="bold cyan")
    for content, is_special in _abridge(spans):
        plain = "" if stretch.trained else "dim"
        text.append(content, style="bold magenta" if is_special else plain)
    if stretch.ends_in_word:
        text.append(GOES_ON, style="bold cyan")
    return text


def show_line_ends(spans: list[Span]) -> list[Span]:
    """Make line ends visible: in a context they are part of what the model is given."""
    shown = [(text if special else text.replace("\n", "⏎\n"), special) for text, special in spans]
    if shown and shown[-1][0].endswith("⏎\n"):
        body = shown[-1][0]
        end = len(body.rstrip("⏎\n"))
        shown[-1] = (body[:end] + body[end:].replace("\n", ""), shown[-1][1])
    return shown


def _abridge(spans: list[Span]) -> list[Span]:
    """Leave out the middle of long stretches of text."""
    limit = SHOWN_HEAD + SHOWN_TAIL
    return [
        (
            text
            if len(text) <= limit
            else f"{text[:SHOWN_HEAD]} […{len(text) - limit:,} characters…] {text[-SHOWN_TAIL:]}",
            special,
        )
        for text, special in spans
    ]
