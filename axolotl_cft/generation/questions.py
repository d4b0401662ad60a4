"""Question-answer items: which columns hold them, what is asked for, names that say "test"."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from axolotl_cft.errors import CFTError
from axolotl_cft.generation.answers import Keys
from axolotl_cft.generation.instructions import fill
from axolotl_cft.generation.verdicts import judge_text
from axolotl_cft.generation.workers import Job

TEXT = "text"
"""The column that the educational texts come in."""

MEDQA_QUESTION = "sent1"
"""The question's column in GBaker/MedQA-USMLE-4-options-hf; `ending0`… and `label` answer it."""


@dataclass(frozen=True)
class Item:
    """A question, the text of its correct answer, and the answer options if they are to be shown.

    The correct answer is mostly among the options.
    """

    question: str
    answer: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class ItemColumns:
    """Where an item stands in a row.

    Attributes:
        question: the question's column; for MedQA's `sent1`, `sent2` follows it.
        answer: the column of the correct answer's text; None for MedQA's `ending<label>`.
        show_options: whether the item has its options, too.
        options: their column, with a list of texts or a mapping to them (`{"A": …}`); None for
            MedQA's `ending0`, `ending1`, ….
        named_with: what the user names the three columns with, for messages.
    """

    question: str = MEDQA_QUESTION
    answer: str | None = None
    show_options: bool = False
    options: str | None = None
    named_with: tuple[str, str, str] = ("question", "answer", "options")


def read_item(row: Mapping[str, Any], place: str, columns: ItemColumns) -> Item:
    """Read an item from a row.

    Args:
        row: column -> value.
        place: what to call the row in messages.
        columns: where it stands.

    Raises:
        CFTError: a column is missing, empty or not text.
    """
    question = columns.question
    _check_column(row, place, question, "the question's", columns.named_with[0])
    asked = row[question]
    if question == MEDQA_QUESTION and isinstance(asked, str) and row.get("sent2"):
        asked = f"{asked} {row['sent2']}"
    answer = columns.answer or f"ending{row.get('label')}"
    _check_column(
        row, place, answer, "the column of the correct answer's text", columns.named_with[1]
    )
    return Item(
        _text(asked, place, question),
        _text(row[answer], place, answer),
        _options(row, place, columns) if columns.show_options else (),
    )


def _check_column(row: Mapping[str, Any], place: str, column: str, what: str, option: str) -> None:
    if column not in row:
        raise CFTError(
            f"{place}: no column '{column}' (columns: {', '.join(row)}); name {what} with {option}"
        )


def _options(row: Mapping[str, Any], place: str, columns: ItemColumns) -> tuple[str, ...]:
    """The texts of the answer options."""
    column = columns.options or "ending0"
    _check_column(row, place, column, "the column of the answer options", columns.named_with[2])
    if columns.options is None:
        numbers = sorted(int(name[6:]) for name in row if re.fullmatch(r"ending\d+", name))
        given = [row[f"ending{number}"] for number in numbers]
    else:
        given = row[column]
        given = list(given.values()) if isinstance(given, Mapping) else given
    # In Parquet a mapping has the letters of all rows: another row's are null in this one.
    found = [option for option in given if option is not None] if isinstance(given, list) else []
    if not found or not all(isinstance(option, str) and option.strip() for option in found):
        named = f"column '{column}' holds" if columns.options else "columns 'ending0' … hold"
        raise CFTError(f"{place}: {named} no answer options, or one that is no text")
    return tuple(" ".join(option.split()) for option in found)


def _text(value: Any, place: str, column: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise CFTError(f"{place}: column '{column}' holds no text; an item needs both texts")
    return value.strip()


def named_test(name: str) -> bool:
    """Whether the name of a split or file says that it is a test set.

    Example:
        >>> [named_test(n) for n in ("test[:50%]", "medqa_test.jsonl", "train", "contest.jsonl")]
        [True, True, False, False]
    """
    return bool({"test", "tests", "testset"} & set(re.split(r"[^a-z]+", name.lower())))


def text_job(keys: Keys, item: Item, instruction: str) -> Job:
    """The job that has the educational text behind an item written; equal items share one."""
    fields = {"question": item.question, "answer": item.answer}
    if item.options:
        fields["options"] = "\n".join(f"- {option}" for option in item.options)
    message = fill(instruction, **fields)
    words = fill(instruction, **dict.fromkeys(fields, ""))
    judge = partial(judge_text, instruction=words, question=item.question, options=item.options)
    return Job(keys.of(message), message, judge)
