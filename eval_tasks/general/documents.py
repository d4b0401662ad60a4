"""General text for the task `cft_general_text`, in passages that every model's window takes.

    DIR/general/test.jsonl     {"text": …}, a document a line; other columns are not read

DIR is `--metadata '{"cft_data_dir": "DIR"}'`, else the environment variable CFT_DATA_DIR, as for
the other tasks. What `axolotl-cft heldout` writes is of this form, too.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

LONGEST = 1000
"""Bytes of a passage, at most. Tokens are hardly ever more than bytes, and a passage that does not
fit into the model's window would stop the harness."""

FORM = '{"text": …}, a document a line'


class GeneralTextError(RuntimeError):
    """General text that cannot be used: says which, and what is expected."""


def load(cft_data_dir: str | None = None, **metadata: Any) -> Mapping[str, Any]:
    """The harness's `custom_dataset`: the passages as a `datasets.Dataset`, `document` their line.

    Args:
        cft_data_dir: DIR.
        metadata: what the harness adds to it.

    Raises:
        GeneralTextError: no documents, or a damaged line.
    """
    import datasets

    folder = cft_data_dir or os.environ.get("CFT_DATA_DIR")
    if not folder:
        raise GeneralTextError(
            "cft_general_text: no text is named; write DIR/general/test.jsonl "
            f"({FORM}), then set CFT_DATA_DIR=DIR"
        )
    path = Path(folder).expanduser() / "general" / "test.jsonl"
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as exc:
        reason = exc.strerror or exc
        raise GeneralTextError(f"cannot read {path} ({reason}); write it: {FORM}") from exc
    rows = [
        {"document": number, "text": passage}
        for number, line in enumerate(lines, 1)
        if line.strip()
        for passage in passages(_text(line, f"{path}, line {number}"))
    ]
    if not rows:
        raise GeneralTextError(f"{path} has no text; expected {FORM}")
    return {"test": datasets.Dataset.from_list(rows)}


def passages(text: str) -> Iterator[str]:
    """A text in pieces of at most LONGEST bytes, which make the text when put together again.

    A piece ends before white space, or within what has none for so long.
    """
    piece = ""
    for part in _parts(text):
        if piece and len((piece + part).encode()) > LONGEST:
            yield piece
            piece = ""
        piece += part
    yield piece


def _parts(text: str) -> Iterator[str]:
    """Words, each with the white space before it; of a word that is too long, its characters."""
    for word in re.findall(r"\s*\S+|\s+", text):
        yield from [word] if len(word.encode()) <= LONGEST else word


def sizes(doc: Mapping[str, Any], results: list[tuple[float, bool]]) -> dict[str, Any]:
    """One passage's log-likelihood (natural logarithm) and size, by metric."""
    ((loglikelihood, _),) = results
    text = doc["text"]
    return {
        "bits_per_byte": (loglikelihood, len(text.encode())),
        "bits_per_word": (loglikelihood, max(1, len(text.split()))),
    }


def _text(line: bytes, where: str) -> str:
    try:
        text = json.loads(line)["text"]
        if isinstance(text, str) and text.strip() and text.encode():
            return text
    except (ValueError, TypeError, KeyError) as exc:
        raise GeneralTextError(f"{where}: expected {FORM} ({exc!r})") from exc
    raise GeneralTextError(f"{where}: expected {FORM}, its text not empty")
