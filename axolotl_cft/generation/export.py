"""Training rows for the vendors' tuning services: the prompt as user turn, the text as model turn.

What a service takes in a row or in a file is its own affair and changes with the model; it checks
that itself on upload.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Service:
    """One tuning service's rows.

    Attributes:
        name: as in the file name `chat.<name>.jsonl`.
        row: (prompt, text) -> the JSON object of a row.
    """

    name: str
    row: Callable[[str, str], dict[str, Any]]


def _openai(prompt: str, text: str) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "user", "content": prompt},
            {"role": "assistant", "content": text},
        ]
    }


def _gemini(prompt: str, text: str) -> dict[str, Any]:
    return {
        "contents": [
            {"role": "user", "parts": [{"text": prompt}]},
            {"role": "model", "parts": [{"text": text}]},
        ]
    }


SERVICES = (Service("openai", _openai), Service("gemini", _gemini))


def chat_jsonl(service: Service, pairs: Iterable[tuple[str, str]]) -> str:
    """The (prompt, text) pairs as JSON lines in the form of a service; nothing is cut."""
    rows = (json.dumps(service.row(*pair), ensure_ascii=False) for pair in pairs)
    return "".join(f"{row}\n" for row in rows)
