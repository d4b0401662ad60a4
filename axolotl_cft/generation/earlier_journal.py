"""The journal of version 0.1, whose answers are taken over into a file of answers.

JSON lines: the first is the run's identity, every further one a settled answer under a key made of
its text alone. A line counts once it is complete; if several have one key, the last one counts.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from axolotl_cft.core.sampling import text_key
from axolotl_cft.errors import CFTError
from axolotl_cft.generation.answers import Answer, Answers
from axolotl_cft.generation.hiding import hide_secrets
from axolotl_cft.records import JournalHeader

JOURNAL = "journal.jsonl"
TAKEN_OVER = "journal.taken-over.jsonl"

Entry = dict[str, Any]


def prompt_key(text: str, before: str = "") -> str:
    """What the prompt of a text was stored under."""
    shown = f"{before}\0{text}" if before else text
    return f"prompt:{text_key(shown).hex()}"


def item_key(question: str, answer: str) -> str:
    """What the educational text behind an item was stored under."""
    both = f"{question}\0{answer}"
    return f"text:{text_key(both).hex()}"


def take_over(
    folder: Path,
    answers: Answers,
    identity: Mapping[str, Any],
    keys: Callable[[Mapping[str, Entry]], Iterable[tuple[str, str]]],
    judged_by: str = "",
    done_with: bool = True,
) -> None:
    """Take the answers of a folder's journal over, if it has one.

    Args:
        folder: the run's output folder; its journal is renamed to `TAKEN_OVER` once that is done.
        answers: where they go.
        identity: what decides this run's answers, as the journal's first line has it; its `input`
            does not matter.
        keys: makes pairs of the key that an answer has now and the one it had, given the journal's.
        judged_by: see `Answer`.
        done_with: whether all that can be found in it was looked for.

    Raises:
        CFTError: the journal is damaged, or is of a run that asked otherwise.
    """
    path = folder / JOURNAL
    if not path.is_file():
        return
    began, entries = _read(path)
    _refuse_others(path, len(entries), began, identity)
    found = [
        _answer(new, entries[old], judged_by)
        for new, old in dict(keys(entries)).items()
        if old in entries
    ]
    there = answers.read(answer.key for answer in found)
    answers.store([answer for answer in found if answer.key not in there])
    if done_with:
        # Never over another: what was not found in it is there alone.
        names = (TAKEN_OVER, *(f"journal.taken-over-{n}.jsonl" for n in range(2, 1000)))
        path.rename(next(folder / name for name in names if not (folder / name).exists()))


def _answer(key: str, entry: Entry, judged_by: str) -> Answer:
    return Answer(
        key,
        entry["answer"],
        entry.get("reject"),
        judged_by=judged_by,
        attempts=entry["attempts"],
        tokens_in=entry["tokens_in"],
        tokens_out=entry["tokens_out"],
        retries=entry["retries"],
        answered_by=entry["by"],
    )


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Entry]]:
    content = path.read_bytes()
    lines = content[: content.rfind(b"\n") + 1].splitlines()
    if not lines:
        return {}, {}
    header, *entries = [_parse(path, number, line) for number, line in enumerate(lines, start=1)]
    began = dict(JournalHeader.parse(header, f"{path}, line 1,").identity)
    if "request" in began:  # the earliest wrote keys among its fields
        began["request"] = hide_secrets(began["request"])
    return began, {entry["key"]: entry for entry in entries}


def _parse(path: Path, number: int, line: bytes) -> Entry:
    """The JSON object of a line; all but the first have a key."""
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    if not isinstance(entry, dict) or not (number == 1 or isinstance(entry.get("key"), str)):
        raise CFTError(
            f"{path} is damaged in line {number} and cannot be continued: use another output folder"
        )
    return entry


def _refuse_others(
    path: Path, answers: int, began: Mapping[str, Any], identity: Mapping[str, Any]
) -> None:
    # Through JSON, so that a tuple equals the list it was written as.
    now = json.loads(json.dumps(dict(identity)))
    idle = {"input"} if now.get("strategies") else {"input", "seed"}
    changed = [
        f"{name} (then {_short(began.get(name))}, now {_short(now.get(name))})"
        for name in {**began, **now}
        if began.get(name) != now.get(name) and name not in idle
    ]
    if answers and changed:
        raise CFTError(
            f"{path} holds {answers} answers of a run that differs in {'; '.join(changed)}: "
            "restore that to use them, or use another output folder"
        )


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"
