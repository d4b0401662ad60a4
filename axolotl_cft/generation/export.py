"""Training rows for the vendors' tuning services: the prompt as user turn, the text as model turn.

The limits are the vendors' published ones (docs/generate.md names the pages).
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from axolotl_cft.errors import CFTError


@dataclass(frozen=True)
class Service:
    """One tuning service's rows and limits.

    Attributes:
        name: as in the file name `chat.<name>.jsonl`.
        row: (prompt, text) -> the JSON object of a row.
        row_tokens: most tokens in a row, both turns together.
        file_bytes: largest file it takes.
        min_rows: fewest rows it takes.
    """

    name: str
    row: Callable[[str, str], dict[str, Any]]
    row_tokens: int
    file_bytes: int
    min_rows: int


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


SERVICES = (
    Service("openai", _openai, row_tokens=65_536, file_bytes=512 * 10**6, min_rows=10),
    Service("gemini", _gemini, row_tokens=131_072, file_bytes=10**9, min_rows=1),
)


def chat_jsonl(
    service: Service, pairs: Sequence[tuple[str, str]], count: Callable[[str], int]
) -> str:
    """The (prompt, text) pairs as the JSON lines that a service takes.

    Args:
        service: whose format and limits hold.
        pairs: prompt and text of each row.
        count: tokens of a text, or a bound.

    Raises:
        CFTError: a row or the whole exceeds a limit, or there are too few rows; nothing is cut.
    """
    for number, (prompt, text) in enumerate(pairs, 1):
        if (tokens := count(prompt) + count(text)) > service.row_tokens:
            raise CFTError(
                f"row {number} of the chat export has about {tokens} tokens where {service.name} "
                f"takes {service.row_tokens}: shorten its text, or leave it out"
            )
    if len(pairs) < service.min_rows:
        raise CFTError(
            f"{service.name} tunes on {service.min_rows} rows or more and the chat export has "
            f"{len(pairs)}: give more items, or leave --export out"
        )
    rows = (json.dumps(service.row(*pair), ensure_ascii=False) for pair in pairs)
    content = "".join(f"{row}\n" for row in rows)
    if (size := len(content.encode())) > service.file_bytes:
        raise CFTError(
            f"the chat export has {size} bytes where {service.name} takes {service.file_bytes} in "
            "a file: split the items"
        )
    return content
