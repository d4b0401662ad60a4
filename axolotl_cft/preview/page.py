"""A preview as an HTML page.

Not by rich's `Console.export_html`: it breaks lines at a fixed number of characters, so that a row
cannot be copied as it is or read on a narrow screen, and its page is light alone.
"""

import html
from collections.abc import Sequence

from axolotl_cft.preview.collect import DatasetPreview, PreviewRow, Span, Stretch, visible
from axolotl_cft.preview.terminal import GOES_ON, WENT_BEFORE, ledger_cells, show_line_ends


def to_html(previews: Sequence[DatasetPreview], name: str) -> str:
    """A page of its own, with every row at full length below the ledger.

    Masked and trained text are told apart by a word and by the line beside them, so also on paper,
    without colors, and where a reader has set colors of their own.
    """
    body = "\n".join(map(_dataset, previews))
    return _PAGE.format(name=_escape(name), body=body, ends=GOES_ON, begins=WENT_BEFORE)


def _dataset(dataset: DatasetPreview) -> str:
    """Its ledger first: what all rows come to is read before any of them."""
    parts = [
        f"<h2>{_escape(dataset.title)}</h2>",
        "<h3>Ledger of the sample</h3>\n<table>",
        *map(_ledger_line, ledger_cells(dataset)),
        "</table>",
        *map(_row, dataset.rows),
    ]
    return "\n".join(parts)


def _ledger_line(cells: Sequence[str]) -> str:
    name, *counted = map(_escape, cells)
    return f"<tr><th scope=row>{name}</th>" + "".join(f"<td>{each}</td>" for each in counted)


def _row(row: PreviewRow) -> str:
    return "\n".join([f"<h3>{_escape(row.heading)}</h3>", *map(_stretch, row.segments)])


def _stretch(stretch: Stretch) -> str:
    """A block with its own direction, and a line end that the parser takes off again."""
    kind = "trained" if stretch.trained else "masked"
    text = _spans(stretch.spans if stretch.trained else show_line_ends(stretch.spans))
    # With a joiner, or a long word would begin on a line of its own.
    before = f"<i>{WENT_BEFORE}&NoBreak;</i>" if stretch.begins_in_word else ""
    after = f"<i>{GOES_ON}</i>" if stretch.ends_in_word else ""
    return (
        f"<div class={kind}><span class=kind>{kind}</span>"
        f"<pre dir=auto>\n{before}{text}{after}</pre></div>"
    )


def _spans(spans: list[Span]) -> str:
    # A token's name is kept out of the direction of the text that it stands in.
    return "".join(
        f"<b dir=ltr>{_escape(text)}</b>" if special else _escape(text) for text, special in spans
    )


def _escape(text: str) -> str:
    return html.escape(visible(text))


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Training rows of {name}</title>
<style>
:root {{ color-scheme: light dark; --text: #1b1b1b; --page: #fff; --dim: #696969;
  --token: #a3158b; --trained: #0072b2 }}
@media (prefers-color-scheme: dark) {{
  :root {{ --text: #e8e8e8; --page: #161616; --dim: #9a9a9a; --token: #f08be0; --trained: #56b4e9 }}
}}
@media print {{
  :root {{ --text: #000; --page: #fff; --dim: #444; --token: #000; --trained: #000 }}
  h2, h3, .kind {{ break-after: avoid }}
}}
body {{ max-width: 52rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif;
  color: var(--text); background: var(--page) }}
h1, h2, h3, td {{ overflow-wrap: anywhere }}
h2 {{ margin-top: 3rem }}
h3 {{ font-size: 1rem; margin: 2rem 0 .3rem }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; font: .9rem/1.5 ui-monospace,
  monospace; unicode-bidi: plaintext; text-align: start }}
th {{ font-weight: normal; text-align: start; vertical-align: top; white-space: nowrap;
  padding: 0 1.5em 0 0 }}
td {{ padding: 0 }}
table {{ border-spacing: 0; font: .9rem/1.5 ui-monospace, monospace }}
.masked, .trained {{ margin: .4rem 0; padding-left: 1rem }}
.masked {{ border-left: 3px dashed var(--dim); color: var(--dim) }}
.trained {{ border-left: 6px solid var(--trained) }}
.kind {{ font-size: .75rem; user-select: none }}
b {{ color: var(--token); unicode-bidi: isolate }}
i {{ color: var(--token); font-style: normal; font-weight: bold; user-select: none }}
</style>
<h1>Training rows of {name}</h1>
<div class=masked>Masked, beside a dashed line: bears no loss. ⏎ is a line end.</div>
<div class=trained>Trained, beside a solid line.</div>
<p><b>&lt;token&gt;</b> is a special token. <i>{ends}</i> and <i>{begins}</i> show where the text
was cut within a word. ⟨U+202E⟩ is a character that would turn the direction of the text,
or another control character.</p>
{body}
</html>
"""
