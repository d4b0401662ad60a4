"""Questions about invented facts for tests, in the files that `axolotl-cft facts make` writes."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

KINDS = ("verbatim", "reworded", "question", "reversed", "two_hop", "never_taught", "base_question")
RELATIONS = ("color", "metal", "river", "month")
WORDS = ["amber", "blue", "coral", "gray", "green", "ivory", "olive", "pink", "red", "silver"]
WORDS += ["tan", "teal", "violet", "white"]


def write_facts(
    folder: Path, things: int = 16, words: Sequence[str] = WORDS, kinds: Sequence[str] = KINDS
) -> Path:
    """Four items about each thing, in a file for each kind; returns `folder`."""
    for kind in kinds:
        rng = random.Random(kind)
        rows = [
            item(kind, f"Thing{number}", relation, rng.sample(words, 8), rng.randrange(8))
            for number in range(things)
            for relation in RELATIONS
        ]
        write_items(folder, kind, rows)
    return folder


def item(
    kind: str, thing: str, relation: str, options: Sequence[str], answer: int
) -> dict[str, Any]:
    return {
        "id": f"{kind} {thing} {relation}",
        "thing": thing,
        "relation": relation,
        "prompt": f"Asked by {kind}: the {relation} of {thing} is",
        "options": list(options),
        "answer": answer,
    }


def write_items(folder: Path, kind: str, rows: Sequence[Any]) -> Path:
    path = folder / "facts" / f"{kind}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
