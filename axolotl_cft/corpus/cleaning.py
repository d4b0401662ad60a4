"""A corpus written again without what was found in it; the new one is whole or absent."""

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from axolotl_cft.corpus.passages import Span, leftovers
from axolotl_cft.corpus.readers import Part
from axolotl_cft.corpus.scanning import checksum
from axolotl_cft.corpus.tally import Document
from axolotl_cft.errors import CFTError
from axolotl_cft.files import json_line
from axolotl_cft.records import REMOVED_FILE

CLEANED = "cleaned"
"""Folder of the new corpus. What was removed lies beside it: within, it would be trained on."""

STAGE = ".cleaned.tmp"


def cuts_of(document: Document, what: str) -> list[Span]:
    """What to take out of a document; `what` is "passages" or "documents"."""
    return document.cuts if what == "passages" else [(0, document.length)]


def write_cleaned(
    parts: Sequence[Part],
    cuts: Mapping[int, Sequence[Span]],
    documents: Mapping[int, Document],
    output_dir: Path,
    digest: int,
    count: Callable[[int], None] = lambda read: None,
) -> None:
    """Write `CLEANED` and `REMOVED_FILE` into a folder that has no `CLEANED` yet.

    Args:
        parts: the corpus.
        cuts: number of a document -> what is taken out; what is left of it are documents of their
            own, with the same other columns.
        documents: number of a document -> what was found there.
        output_dir: the folder.
        digest: `scanning.checksum` of all texts when they were searched.
        count: hears how many bytes of the corpus's files were read.

    Raises:
        CFTError: the corpus changed since, or something cannot be read or written.
    """
    with _staged(output_dir) as stage, (stage / REMOVED_FILE).open("wb") as removed:
        number = again = 0
        for part in parts:
            with part.write(stage / CLEANED / part.name) as write:
                position = 0
                for block in part.blocks():
                    again = checksum(block.texts, again)
                    kept: list[Sequence[str] | None] = []
                    for text in block.texts:
                        cut = cuts.get(number)
                        kept.append(None if cut is None else leftovers(text, cut))
                        if cut is not None:
                            _keep_removed(removed, documents[number], text, cut)
                        number += 1
                    write(block, kept)
                    count(block.position - position)
                    position = block.position
        if again != digest:
            raise CFTError("the corpus changed while it was read: run this again")


@contextlib.contextmanager
def _staged(output_dir: Path) -> Iterator[Path]:
    """A hidden folder for `CLEANED` and `REMOVED_FILE`, which move out if the block ends well."""
    stage = output_dir / STAGE
    shutil.rmtree(stage, ignore_errors=True)  # of a run that was killed
    try:
        (stage / CLEANED).mkdir(parents=True)
        yield stage
        (stage / REMOVED_FILE).replace(output_dir / REMOVED_FILE)
        (stage / CLEANED).rename(output_dir / CLEANED)
    except OSError as exc:
        raise CFTError(f"cannot write {output_dir}: {exc.strerror or exc}") from exc
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _keep_removed(file: IO[bytes], document: Document, text: str, cuts: Sequence[Span]) -> None:
    for begin, end in cuts:
        reasons: dict[tuple[str, int], float] = {}
        for item in document.items:
            if item.passage and begin <= item.passage[0] < end:
                key = item.task, item.item
                reasons[key] = max(item.score, reasons.get(key, 0.0))
        row = {
            "document": document.name,
            "text": text[begin:end],
            "reasons": [
                {"task": task, "doc_id": number, "score": round(score, 4)}
                for (task, number), score in reasons.items()
            ],
        }
        file.write(json_line(row))
