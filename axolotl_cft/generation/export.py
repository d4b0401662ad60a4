"""Training rows for the vendors' tuning services, in two arms that differ in the user turn alone.

    chat.openai.cft.jsonl   the contextual prompt as the user turn, the text as the model's
    chat.openai.cpt.jsonl   `NEUTRAL_TURN` as the user turn, the same text as the model's

What a service takes in a row or in a file is its own affair and changes with the model; it checks
that itself on upload.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axolotl_cft.files import digest_file, write_atomic
from axolotl_cft.records import GENERATION_FILE, ChatExport, GenerationLedger

NEUTRAL_TURN = "The following is a text."
"""The user turn of the arm without prompts: both formats want one in every row. It is true of every
text, asks for nothing and names no subject, so that what a prompt says is all that it lacks."""


@dataclass(frozen=True)
class Service:
    """One tuning service's rows.

    Attributes:
        name: as in the file name `chat.<name>.<arm>.jsonl`.
        row: (user turn, model turn) -> the JSON object of a row.
    """

    name: str
    row: Callable[[str, str], dict[str, Any]]


def _openai(user: str, model: str) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "user", "content": user},
            {"role": "assistant", "content": model},
        ]
    }


def _gemini(user: str, model: str) -> dict[str, Any]:
    return {
        "contents": [
            {"role": "user", "parts": [{"text": user}]},
            {"role": "model", "parts": [{"text": model}]},
        ]
    }


SERVICES = (Service("openai", _openai), Service("gemini", _gemini))

ARMS: dict[str, Callable[[str], str]] = {
    "cft": lambda prompt: prompt,
    "cpt": lambda prompt: NEUTRAL_TURN,
}
"""Arm -> the user turn that a row has in it, given its prompt."""


def export_chats(folder: Path, pairs: Sequence[tuple[str, str]]) -> ChatExport:
    """Write the rows of every arm for every service, and say so in the folder's ledger.

    Args:
        folder: with the `generation.json` of the run.
        pairs: prompt and text of each row; both arms hold all of them, in this order.

    Raises:
        CFTError: the ledger cannot be read.
    """
    ledger = GenerationLedger.read(folder / GENERATION_FILE)
    files = {}
    for service in SERVICES:
        for arm, turn_for in ARMS.items():
            path = folder / f"chat.{service.name}.{arm}.jsonl"
            rows = ((turn_for(prompt), text) for prompt, text in pairs)
            # A lone surrogate has no UTF-8 form, but JSON's own escape has.
            write_atomic(path, chat_jsonl(service, rows).encode("utf-8", "backslashreplace"))
            files[path.name] = digest_file(path)
    export = ChatExport(
        rows=len(pairs),
        neutral_turn=NEUTRAL_TURN,
        targets_digest=targets_digest(text for _, text in pairs),
        files=files,
    )
    ledger.model_copy(update={"chat_rows": export}).write(folder / GENERATION_FILE)
    return export


def chat_jsonl(service: Service, turns: Iterable[tuple[str, str]]) -> str:
    """The (user turn, model turn) pairs as JSON lines in the form of a service; nothing is cut."""
    rows = (json.dumps(service.row(*pair), ensure_ascii=False) for pair in turns)
    return "".join(f"{row}\n" for row in rows)


def targets_digest(texts: Iterable[str]) -> str:
    """32 hex digits for model turns in their order: equal for arms that train the same."""
    digest = hashlib.blake2b(digest_size=16)
    for text in texts:
        digest.update(json.dumps(text).encode() + b"\n")
    return digest.hexdigest()
