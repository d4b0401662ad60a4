"""The counts of a corpus as Markdown, and its dataset card with the hub's front matter."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import yaml

from axolotl_cft.core.density import FEWEST_BYTES, MEASURED_BYTES
from axolotl_cft.corpus.building.stats import CorpusStats
from axolotl_cft.corpus.building.sums import Sum
from axolotl_cft.files import write_atomic
from axolotl_cft.records import CorpusManifest

CARD = "README.md"
BEGIN, END = "<!-- counted by axolotl-cft: begin -->", "<!-- counted by axolotl-cft: end -->"
"""What stands between them is written anew; the rest of a card is its owner's."""

_ROWS = 20
"""Lines of a table; the others are one line."""

_BAR = 40
"""Characters of the longest bar."""

_SIZES = [(10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M")]


def stats_in_markdown(stats: CorpusStats, manifest: CorpusManifest) -> str:
    """All counts, as Markdown that reads well in a terminal too."""
    parts = [_overview(stats, manifest), _lengths(stats.lengths), _density(stats)]
    for name, heading in (("licence", "Licences"), ("topic", "Topics"), ("source", "Sources")):
        if stats.by[name]:
            parts.append(_sums(heading, name, stats.by[name], bool(stats.counted_with)))
    if stats.languages:
        total = stats.languages.total()
        rows = [(code, f"{n:,}", f"{n / total:.1%}") for code, n in stats.languages.most_common()]
        parts.append("## Languages\n\n" + _table(("language", "documents", "share"), _short(rows)))
    if manifest.left_out:
        reasons = [(why, f"{n:,}") for why, n in manifest.left_out.items()]
        parts.append("## Left out\n\n" + _table(("reason", "documents"), _short(reasons)))
    lines = [f"- `{e.doc_id}`: {_plain(e.text)} …" for e in stats.excerpts]
    parts.append("## Ten documents drawn at random\n\n" + "\n".join(lines))
    return "\n\n".join(part for part in parts if part) + "\n"


def _overview(stats: CorpusStats, manifest: CorpusManifest) -> str:
    total = stats.total
    rows = [
        ("documents", f"{total.documents:,}"),
        ("characters", f"{total.characters:,}"),
        ("characters a document, on average", f"{total.characters / max(1, total.documents):,.0f}"),
        ("documents whose text another one has too", f"{stats.doubles:,}"),
        ("shards", f"{len(manifest.shards):,}"),
    ]
    if stats.counted_with:
        rows.insert(2, (f"tokens ({stats.counted_with})", f"{total.tokens:,}"))
    return "## In all\n\n" + _table(("", ""), rows)


def _lengths(lengths: Mapping[int, int]) -> str:
    most = max(lengths.values(), default=1)
    span = range(min(lengths).bit_length() - 1, max(lengths).bit_length()) if lengths else range(0)
    lines = [
        f"{1 << power:>12,}  {'█' * round(_BAR * lengths[1 << power] / most):<{_BAR}} "
        f"{lengths[1 << power]:,}"
        for power in span
    ]
    head = f"{'characters':>12}  documents of so many, and fewer than twice that"
    return "## Lengths\n\n```\n" + "\n".join([head, *lines]) + "\n```"


def _density(stats: CorpusStats) -> str:
    if not stats.density:
        return ""
    rows = [(f"{share} %", f"{ratio:.3f}") for share, ratio in stats.density.items()]
    what = (
        f"What zlib leaves of the first {MEASURED_BYTES:,} bytes of a document, of the "
        f"{stats.with_density:,} documents with {FEWEST_BYTES} bytes or more: the lower, the more "
        "repeats itself."
    )
    head = ("documents", "compress to this share or less")
    return f"## Density\n\n{what}\n\n" + _table(head, rows)


def _sums(heading: str, name: str, sums: Mapping[str, Sum], with_tokens: bool) -> str:
    ordered = sorted(sums.items(), key=lambda item: (-item[1].documents, item[0]))
    rows = [
        (_plain(key), f"{s.documents:,}", f"{s.characters:,}", *([f"{s.tokens:,}"] * with_tokens))
        for key, s in ordered
    ]
    head = (name, "documents", "characters", *(["tokens"] * with_tokens))
    return f"## {heading}\n\n" + _table(head, _short(rows))


def _short(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The first rows, and how many more there are."""
    if len(rows) <= _ROWS:
        return list(rows)
    return [*rows[: _ROWS - 1], (f"… {len(rows) - _ROWS + 1:,} more", *[""] * (len(rows[0]) - 1))]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """Text that no Markdown takes for its own."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "'")


def front_matter(name: str, stats: CorpusStats) -> str:
    """What the hub reads at the head of a card: name, licences, languages, size, files."""
    known = sorted(s.lower() for s in stats.by["licence"] if s.startswith(("CC", "MIT", "Apache")))
    others = [s for s in stats.by["licence"] if s.lower() not in known]
    size = next((s for most, s in _SIZES if stats.total.documents < most), "n>1M")
    content = {
        "pretty_name": name,
        "license": [*known, *(["other"] if others else [])],
        "language": [
            code for code, n in stats.languages.most_common() if n * 100 >= stats.total.documents
        ],
        "task_categories": ["text-generation"],
        "size_categories": [size],
        "configs": [{"config_name": "default", "data_files": "data/*.parquet"}],
    }
    head = {key: value for key, value in content.items() if value}
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---\n"


def write_card(folder: Path, stats: CorpusStats, manifest: CorpusManifest) -> Path:
    """Write the counts into the card beside the shards; what somebody wrote around them stays.

    Raises:
        CFTError: the folder cannot be written.
    """
    path = folder / CARD
    counted = f"{BEGIN}\n\n{stats_in_markdown(stats, manifest)}\n{END}"
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    if BEGIN in before and END in before:
        head, _, rest = before.partition(BEGIN)
        content = head + counted + rest.partition(END)[2]
    elif before:
        content = f"{before.rstrip()}\n\n{counted}\n"
    else:
        name = folder.resolve().name
        content = f"{front_matter(name, stats)}\n# {name}\n\n{counted}\n"
    write_atomic(path, content)
    return path
