"""A preview as an HTML page.

Not by rich's `Console.export_html`: it breaks lines at a fixed number of characters, so that a row
cannot be copied as it is or read on a narrow screen, and its page is light alone.
"""

import html
from collections.abc import Sequence

from axolotl_cft.preview.collect import DatasetPreview, Span
from axolotl_cft.preview.terminal import show_line_ends


def to_html(previews: Sequence[DatasetPreview], name: str) -> str:
    """A page of its own, for light and dark screens, with every row at full length."""
    parts = []
    for dataset in previews:
        parts.append(f"<h2>{html.escape(dataset.title)}</h2>")
        for row in dataset.rows:
            text = "".join(
                _html_spans(spans)
                if is_trained
                else f"<span class=masked>{_html_spans(show_line_ends(spans))}</span>"
                for is_trained, spans in row.segments
            )
            parts.append(f"<h3>{html.escape(row.heading)}</h3>\n<pre>{text}</pre>")
        ledger = html.escape("\n".join(dataset.ledger))
        parts.append(f"<h3>Ledger of the sample</h3>\n<pre class=ledger>{ledger}</pre>")
    return _PAGE.format(name=html.escape(name), body="\n".join(parts))


def _html_spans(spans: list[Span]) -> str:
    return "".join(
        f"<b>{html.escape(text)}</b>" if special else html.escape(text) for text, special in spans
    )


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Training rows of {name}</title>
<style>
:root {{ color-scheme: light dark; --text: #1b1b1b; --page: #fff; --dim: #767676;
  --token: #a3158b }}
@media (prefers-color-scheme: dark) {{
  :root {{ --text: #e8e8e8; --page: #161616; --dim: #8b8b8b; --token: #f08be0 }}
}}
body {{ max-width: 52rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif;
  color: var(--text); background: var(--page) }}
h2 {{ margin-top: 3rem }}
h3 {{ font-size: 1rem; margin: 2rem 0 .3rem }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; padding-left: 1rem;
  border-left: 3px solid var(--dim); font: .9rem/1.5 ui-monospace, monospace }}
.masked, p .masked {{ color: var(--dim) }}
b {{ color: var(--token) }}
</style>
<h1>Training rows of {name}</h1>
<p><span class="masked">Dimmed</span>: masked, bears no loss. Plain: trained.
<b>&lt;token&gt;</b>: a special token.</p>
{body}
</html>
"""
