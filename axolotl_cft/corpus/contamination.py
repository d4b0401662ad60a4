"""Test items in a training corpus: found, listed, and taken out.

    index = OverlapIndex(load_items(["cft_medical"], data_dir))
    verdict, digest = search(parts, index, located=True)
    removal = planned_removal(verdict, "passages")
    refuse_large(removal, "corpus.jsonl")
    write_cleaned(parts, cuts, verdict.documents, output_dir, digest)

What counts is said in `overlap_index` (patterns and near copies) and `tally` (boilerplate); what
goes with a match, in `passages`. It is written to `contamination.json`
(`records.contamination`) and `items.jsonl`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from axolotl_cft.corpus.cleaning import CLEANED, cuts_of, write_cleaned
from axolotl_cft.corpus.overlap_index import Hit, OverlapIndex, Rules
from axolotl_cft.corpus.readers import Part, refuse_foreign, refuse_own_output
from axolotl_cft.corpus.scanning import checksum, scan
from axolotl_cft.corpus.tally import Tally, Verdict
from axolotl_cft.errors import CFTError
from axolotl_cft.evaluation.tasks import BenchmarkItem, load_items
from axolotl_cft.records import (
    CONTAMINATED_ITEMS_FILE,
    CONTAMINATION_FILE,
    REMOVED_FILE,
    ContaminationRecord,
    Removal,
    read_contaminated,
    write_contaminated,
)

__all__ = [
    "CLEANED",
    "MOST_REMOVED",
    "BenchmarkItem",
    "Hit",
    "OverlapIndex",
    "Rules",
    "TooMuchError",
    "Verdict",
    "clear_output",
    "load_items",
    "planned_removal",
    "read_contaminated",
    "refuse_large",
    "refuse_output",
    "remove",
    "search",
    "write_results",
]

MOST_REMOVED = 0.05
"""Share of a corpus's text that is removed without being asked for twice."""


class TooMuchError(CFTError):
    """More would be removed than is removed without being asked for twice."""


def refuse_output(corpus: str, output_dir: Path) -> None:
    """Refuse a folder that cannot take the results.

    Raises:
        CFTError: they would lie among the corpus's own files, where they would be taken for part of
            it, or a cleaned corpus is there already, or files that no search has left.
    """
    refuse_own_output(corpus, output_dir)
    refuse_foreign(output_dir, (CONTAMINATION_FILE,), (CONTAMINATED_ITEMS_FILE, REMOVED_FILE))
    source = Path(corpus).expanduser()
    if source.is_file() and output_dir.resolve() == source.resolve().parent:
        raise CFTError(f"--output-dir {output_dir} is the corpus's own folder: choose another")
    if (output_dir / CLEANED).exists():
        raise CFTError(
            f"{output_dir / CLEANED} is there already, from an earlier run: delete it or choose "
            "another --output-dir"
        )


def clear_output(output_dir: Path) -> None:
    """Delete what an earlier run said: it must not be taken for this one's result.

    The record goes first: its absence tells an unfinished run from a finished one.
    """
    for name in (CONTAMINATION_FILE, CONTAMINATED_ITEMS_FILE, REMOVED_FILE):
        (output_dir / name).unlink(missing_ok=True)


def search(
    parts: Sequence[Part],
    index: OverlapIndex,
    *,
    located: bool,
    processes: int = 1,
    count: Callable[[int, int], None] = lambda read, documents: None,
) -> tuple[Verdict, int]:
    """Look for test items in a corpus.

    Args:
        parts: from `readers.open_corpus`.
        index: the items.
        located: whether passages will be taken out.
        processes: how many search.
        count: hears how many bytes were read since the last time, and of how many documents in all.

    Returns:
        What was found, and the texts' `scanning.checksum`.

    Raises:
        CFTError: the corpus cannot be read, or holds no documents.
    """
    tally, digest = Tally(index), 0
    for batch, found in scan(parts, index, located=located, processes=processes):
        for name, text, matches in zip(batch.names, batch.texts, found, strict=True):
            tally.add(name, len(text), matches)
        digest = checksum(batch.texts, digest) if located else digest
        count(batch.read, tally.documents)
    if not tally.documents:
        raise CFTError("the corpus holds no documents")
    return tally.verdict(), digest


def planned_removal(verdict: Verdict, what: str) -> Removal:
    """What taking out "passages" or "documents" would take."""
    cuts = [cuts_of(document, what) for document in verdict.documents.values()]
    return Removal(
        what="documents" if what == "documents" else "passages",
        share=verdict.share_of(cuts),
        documents=len(cuts),
        passages=sum(map(len, cuts)),
    )


def refuse_large(removal: Removal, corpus: str) -> None:
    """Refuse to remove more than `MOST_REMOVED` of a corpus.

    Raises:
        TooMuchError: says how much it would be.
    """
    if removal.share > MOST_REMOVED:
        raise TooMuchError(
            f"{removal.share:.1%} of the text of {corpus} would be removed, more than "
            f"{MOST_REMOVED:.0%}, so no cleaned corpus was written: look at "
            f"{CONTAMINATED_ITEMS_FILE}, then use --force or other --tasks"
        )


def remove(
    parts: Sequence[Part],
    verdict: Verdict,
    what: str,
    output_dir: Path,
    digest: int,
    count: Callable[[int], None] = lambda read: None,
) -> None:
    """Write the corpus without what was found; see `cleaning.write_cleaned`."""
    cuts = {number: cuts_of(document, what) for number, document in verdict.documents.items()}
    write_cleaned(parts, cuts, verdict.documents, output_dir, digest, count)


def write_results(
    verdict: Verdict, corpus: str, removed: Removal | None, output_dir: Path
) -> ContaminationRecord:
    """Write the items, then the record, which says that all is done."""
    write_contaminated(output_dir / CONTAMINATED_ITEMS_FILE, verdict.rows())
    record = verdict.summary(corpus, removed)
    record.write(output_dir / CONTAMINATION_FILE)
    return record
