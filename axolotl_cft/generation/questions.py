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
    """A question and the text of its correct answer."""

    question: str
    answer: str


def read_item(
    row: Mapping[str, Any],
    place: str,
    question: str,
    answer: str | None,
    options: tuple[str, str] = ("question", "answer"),
) -> Item:
    """Read an item from a row.

    Args:
        row: column -> value.
        place: what to call the row in messages.
        question: the question's column; for MedQA's `sent1`, `sent2` follows it.
        answer: the column of the correct answer's text; None for MedQA's `ending<label>`.
        options: what the user names the two columns with, for messages.

    Raises:
        CFTError: a column is missing, empty or not text.
    """
    if question not in row:
        raise CFTError(
            f"{place}: no column '{question}' (columns: {', '.join(row)}); name the question's "
            f"with {options[0]}"
        )
    asked = row[question]
    if question == MEDQA_QUESTION and isinstance(asked, str) and row.get("sent2"):
        asked = f"{asked} {row['sent2']}"
    column = answer or f"ending{row.get('label')}"
    if column not in row:
        raise CFTError(
            f"{place}: no column '{column}' (columns: {', '.join(row)}); name the column of the "
            f"correct answer's text with {options[1]}"
        )
    return Item(_text(asked, place, question), _text(row[column], place, column))


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
    message = fill(instruction, question=item.question, answer=item.answer)
    words = fill(instruction, question="", answer="")
    judge = partial(judge_text, instruction=words, question=item.question)
    return Job(keys.of(message), message, judge)
