"""What a search for test items leaves: its record, and the items that it found."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from axolotl_cft.errors import CFTError
from axolotl_cft.files import write_atomic
from axolotl_cft.records.base import Record, RecordPart

CONTAMINATION_FILE = "contamination.json"
CONTAMINATED_ITEMS_FILE = "items.jsonl"
REMOVED_FILE = "removed.jsonl"


class TaskOverlap(RecordPart):
    """How far one task's test items occur in a corpus.

    Attributes:
        items: test items; in files of 0.1 those with a word.
        too_short: of these, too short to be looked for; None in files of 0.1.
        contaminated_items: found in the corpus.
        partial_items: of the contaminated ones, found in part only.
        boilerplate_items: found in words that too many documents share, and nowhere else; these
            are not among the contaminated ones.
        documents: documents that overlap with the task.
    """

    items: int
    contaminated_items: int
    documents: int
    too_short: int | None = None
    partial_items: int = 0
    boilerplate_items: int = 0


class OverlapExample(RecordPart):
    """A test item that was met in a document.

    Attributes:
        document: its name in the corpus.
        task: whose item it is.
        item: the row in the test split (lm-eval's `doc_id`).
        words: the normalized words in common; `…` stands where some are left out.
        score: 1 where words in a row are the same, else the share in shared runs.
        matched: "question", "question with options" or "option".
    """

    document: str
    task: str
    item: int | str
    words: str
    score: float = 1.0
    matched: str = "question"


class PartialMatch(RecordPart):
    """What makes an item found in part.

    Attributes:
        share: of its words in shared runs, from which on it counts.
        run: words in the shortest run.
        min_words: words that an item needs to be found in part.
    """

    share: float
    run: int
    min_words: int


class Boilerplate(RecordPart):
    """What was ignored because too many documents share it.

    Attributes:
        documents: documents in which words may occur and still count.
        patterns: n-grams and items that occur in more.
        hits: their occurrences, each document counted once for each.
        items: items that may share words in a row which still count.
    """

    documents: int
    items: int
    patterns: int
    hits: int


class Removal(RecordPart):
    """What was taken out of a copy of the corpus.

    Attributes:
        what: passages around the matches, or whole documents.
        share: of the corpus's characters.
        documents: documents that lost something.
        passages: passages taken out of them.
    """

    what: Literal["passages", "documents"]
    share: float
    documents: int
    passages: int


class ContaminationRecord(Record):
    """`contamination.json`: benchmark items in a corpus.

    Attributes:
        corpus: as it was named.
        n: words in a row that make an overlap.
        min_words: words below which nothing is looked for; None in files of 0.1, which looked for
            items of a single word.
        partial: what makes an item found in part; None where only words in a row counted.
        boilerplate: what was ignored; None in files of 0.1, which ignored nothing.
        removed: what was left out of a copy; True in files of 0.1 for documents.
        removal: how much that was; None if nothing was removed, and in files of 0.1.
        documents: documents read.
        contaminated_documents: of these, with an overlap.
        tasks: task -> counts.
        examples: the first overlaps only.
    """

    kind = "a contamination record"
    advice = "run `axolotl-cft contamination` again"
    schema_number = 2
    layout: ClassVar[dict[str, Any]] = {"indent": 1, "ensure_ascii": False}

    corpus: str
    n: int
    min_words: int | None = None
    partial: PartialMatch | None = None
    boilerplate: Boilerplate | None = None
    removed: Literal["passages", "documents"] | bool
    removal: Removal | None = None
    documents: int
    contaminated_documents: int
    tasks: dict[str, TaskOverlap]
    examples: list[OverlapExample] = Field(default_factory=list)


def write_contaminated(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write `CONTAMINATED_ITEMS_FILE`: a line for each contaminated item, whole or not at all.

    Args:
        path: the file.
        rows: `task`, `doc_id` (lm-eval's), `score` (1 for words in a row), `document` (where it
            was found best), `words` (in common), `matched` (what of the item).

    Raises:
        CFTError: it cannot be written.
    """
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_atomic(path, "".join(lines).encode("utf-8", "backslashreplace"))


def read_contaminated(path: Path) -> dict[str, set[int]]:
    """The contaminated items in a file of `write_contaminated`: task -> lm-eval's `doc_id`s.

    A task without contaminated items is not in it.

    Raises:
        CFTError: the file cannot be read, or a line (named) is not such an item.
    """
    items: dict[str, set[int]] = {}
    advice = ContaminationRecord.advice
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise CFTError(f"cannot read {path}: {exc}; {advice}") from exc
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            task, item = row["task"], row["doc_id"]
        except (ValueError, KeyError, TypeError) as exc:
            found = f"{type(exc).__name__} ({exc})"
            raise CFTError(f"{path}:{number} is no contaminated item: {found}; {advice}") from exc
        if not isinstance(task, str) or type(item) is not int:
            found = f"task is {task!r} and doc_id {item!r}"
            raise CFTError(f"{path}:{number} is no contaminated item: {found}; {advice}")
        items.setdefault(task, set()).add(item)
    return items
