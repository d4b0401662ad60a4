"""How a run ends: the rows, the rejects file, and the ledger `generation.json`."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from axolotl_cft.corpus.writers import Corpus, write_rows
from axolotl_cft.errors import CFTError
from axolotl_cft.files import digest_file, write_atomic
from axolotl_cft.generation.journal import Entry
from axolotl_cft.generation.likeness import likeness_in_words, likeness_of
from axolotl_cft.records import GENERATION_FILE, AnswerCounts, GenerationLedger

REJECTS = "rejects.jsonl"


class RejectsError(CFTError):
    """Rows have no usable answer, and nothing was said about what becomes of them.

    Attributes:
        reasons: what was wrong with the answers.
    """

    def __init__(self, sentence: str, reasons: Iterable[str]) -> None:
        super().__init__(sentence)
        self.reasons = frozenset(reasons)


def count_answers(entries: Iterable[Entry]) -> AnswerCounts:
    """Counts over journal entries."""
    entries = list(entries)
    rejected = sum("reject" in entry for entry in entries)
    return AnswerCounts(
        accepted=len(entries) - rejected,
        rejected=rejected,
        asked_again=sum(entry["attempts"] - 1 for entry in entries),
        cut_texts=sum("cut" in entry for entry in entries),
        tokens_in=sum(entry["tokens_in"] for entry in entries),
        tokens_out=sum(entry["tokens_out"] for entry in entries),
        retries=sum(entry["retries"] for entry in entries),
        answered_by=dict(sorted(Counter(entry["by"] for entry in entries).items())),
    )


def _usable_prompts(entries: Mapping[str, Entry]) -> list[str]:
    return [
        entry["answer"]
        for key, entry in entries.items()
        if key.startswith("prompt:") and "reject" not in entry
    ]


def write_rejects(path: Path, keys: Sequence[Collection[str]], entries: Mapping[str, Entry]) -> int:
    """List the answers that were given up, each with its rows (from 0), reason and last answer.

    Args:
        path: the file; removed where nothing was rejected.
        keys: each row's keys, none for a row that needs no answer.
        entries: the journal's.

    Returns:
        The number of rows without a usable answer.
    """
    rows: dict[str, list[int]] = {}
    for row, its_keys in enumerate(keys):
        for key in dict.fromkeys(its_keys):
            if "reject" in entries.get(key, ()):
                rows.setdefault(key, []).append(row)
    if not rows:
        path.unlink(missing_ok=True)
        return 0
    lines = [
        {
            "rows": rows[key],
            "reason": entries[key]["reject"],
            "attempts": entries[key]["attempts"],
            "answer": entries[key]["answer"],
            "key": key,
        }
        for key in rows
    ]
    write_atomic(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return len({row for its_rows in rows.values() for row in its_rows})


def finish(
    corpus: Corpus,
    path: Path,
    columns: Mapping[str, Sequence[Any]],
    keys: Sequence[Collection[str]],
    keep: Sequence[bool],
    entries: Mapping[str, Entry],
    *,
    beside: Mapping[str, Sequence[Any]] | None = None,
    drop_rejects: bool,
    described: Mapping[str, Any],
) -> str:
    """Write rejects, rows and ledger.

    Args:
        corpus: the rows that came in.
        path: the rows that go out, beside which the other two files stand.
        columns: the new columns; a row with a key and without a value in one of them is unusable.
        keys: for each row, the keys of the answers that decide about it; none where it needs none.
        keep: for each row, whether it is wanted at all.
        entries: the journal's.
        beside: more new columns, which decide nothing.
        drop_rejects: leave unusable rows out; otherwise one of them prevents the writing.
        described: the run, for the ledger.

    Returns:
        A sentence about what was written, and one about prompts that are nearly all alike.

    Raises:
        RejectsError: rows are unusable and must not be dropped.
    """
    rejected = write_rejects(path.parent / REJECTS, keys, entries)
    values = zip(*columns.values(), strict=True)
    unusable = [bool(k) and None in row for k, row in zip(keys, values, strict=True)]
    likeness = likeness_of(_usable_prompts(entries))
    ledger = partial(
        GenerationLedger,
        **described,
        rows_in=len(keys),
        rows_rejected=rejected,
        rows_dropped=len(keys) - sum(keep) + sum(unusable),
        answers=count_answers(entries.values()),
        likeness=likeness,
    )
    if any(unusable) and not drop_rejects:
        ledger(output=None).write(path.parent / GENERATION_FILE)
        raise RejectsError(
            f"{sum(unusable)} of {len(keys)} rows got no usable answer, so {path} was not written "
            f"({path.parent / REJECTS} gives the reasons)",
            (entry["reject"] for entry in entries.values() if "reject" in entry),
        )
    kept = [wanted and not bad for wanted, bad in zip(keep, unusable, strict=True)]
    write_rows(corpus, path, {**columns, **(beside or {})}, kept)
    whole = ledger(output=path.name, sha256=digest_file(path))
    whole.write(path.parent / GENERATION_FILE)
    dropped = f", {len(keys) - sum(kept):,} left out" if not all(kept) else ""
    stand_ins = rejected - sum(unusable)
    from_pool = f", {stand_ins:,} with a prompt of the pool" if stand_ins else ""
    alike = likeness_in_words(likeness)
    warning = f"\n{alike}." if alike else ""
    return f"{sum(kept):,} rows written{from_pool}{dropped}: {path}{warning}"
