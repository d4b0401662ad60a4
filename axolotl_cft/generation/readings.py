"""How Active Reading ends: a row for each text, the rejects file, and the ledger."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from axolotl_cft.core.sampling import text_key
from axolotl_cft.corpus.writers import Corpus, RepeatedRows, write_rows
from axolotl_cft.files import digest_file
from axolotl_cft.generation.answers import Answer
from axolotl_cft.generation.finish import (
    REJECTS,
    Outcome,
    RejectsError,
    count_answers,
    write_rejects,
)
from axolotl_cft.generation.portions import Portions
from axolotl_cft.generation.run import Closing
from axolotl_cft.records import GENERATION_FILE, GenerationLedger, ReadingCounts

TEXT, STRATEGY, DOCUMENT = "text", "strategy", "document"
"""The columns of what is written: a text, the strategy that it applies, and 32 hex digits that
stand for the document's own text."""

_OF_PROMPTS = {"strategies", "seed", "prompt_budget", "format", "separator", "rules"}
"""What a plan says about prompts, of which there are none."""


class Reading(NamedTuple):
    """A text that is wanted.

    Attributes:
        row: of its document in the corpus, from 0.
        strategy: what is applied.
        key: what it is stored under.
    """

    row: int
    strategy: str
    key: str


def finish_readings(
    corpus: Corpus,
    field: str,
    folder: Path,
    rows: Sequence[Portions],
    readings: Sequence[Reading],
    found: Mapping[str, Answer],
    closing: Closing,
    described: Mapping[str, Any],
    said: Sequence[str],
) -> Outcome:
    """Write rejects, rows and ledger.

    Args:
        corpus: the documents.
        field: their column, which the texts replace.
        folder: receives the three files.
        rows: what was asked about each document.
        readings: the texts, in the order of their documents.
        found: all answers, by key.
        closing: what becomes of those that were given up.
        described: the run, for the ledger.
        said: what there is to say already.

    Raises:
        RejectsError: answers were given up and must not be left out.
    """
    path = folder / f"corpus.{closing.format_ or corpus.format}"
    usable = [reading for reading in readings if found[reading.key].usable]
    times = Counter(reading.row for reading in usable)
    by_row = [row.asked for row in rows]
    for reading in readings:
        by_row[reading.row].append(reading.key)
    rejected = write_rejects(folder / REJECTS, by_row, found)
    counts = count_answers(found.values(), sum(row.cut for row in rows))
    ledger = partial(
        GenerationLedger,
        **{name: value for name, value in described.items() if name not in _OF_PROMPTS},
        rows_in=len(rows),
        rows_rejected=rejected,
        rows_dropped=sum(bool(row.asked) and not times[i] for i, row in enumerate(rows)),
        answers=counts,
        readings=_counts(rows, readings, found),
        cost=closing.cost(counts.tokens_in, counts.tokens_out),
    )
    if rejected and not closing.drop_rejects:
        ledger(output=None).write(folder / GENERATION_FILE)
        raise RejectsError(
            f"{counts.rejected:,} of {len(found):,} answers cannot be used, so {path} was not "
            f"written ({folder / REJECTS} gives the reasons)",
            (answer.reject for answer in found.values() if answer.reject is not None),
            folder,
        )
    documents = [text_key(text).hex() for text in corpus.texts()]
    columns = {
        TEXT: [found[reading.key].text for reading in usable],
        STRATEGY: [reading.strategy for reading in usable],
        DOCUMENT: [documents[reading.row] for reading in usable],
    }
    repeated = RepeatedRows(corpus, [times[i] for i in range(len(rows))], field)
    write_rows(repeated, path, columns, [True] * len(usable))
    ledger(output=path.name, sha256=digest_file(path)).write(folder / GENERATION_FILE)
    done = f"{len(usable):,} texts of {len(times):,} documents written: {path}"
    return Outcome("\n".join(filter(None, [*said, done])), path)


def _counts(
    rows: Sequence[Portions], readings: Sequence[Reading], found: Mapping[str, Answer]
) -> ReadingCounts:
    reasons = (answer.reject for answer in found.values() if answer.reject is not None)
    alike = Counter(re.sub(r"\d[\d,.]*", "#", reason) for reason in reasons)
    return ReadingCounts(
        documents=sum(len(row.asked) for row in rows),
        strategies=len(readings),
        texts=sum(found[reading.key].usable for reading in readings),
        rejects=dict(alike.most_common()),
    )
