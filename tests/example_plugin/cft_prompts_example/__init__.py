"""Two pools and a prompt function for axolotl-cft."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from axolotl_cft.hooks import hookimpl
from axolotl_cft.prompts import PromptFunction

SOCRATIC = {
    "description": "Questions a teacher would ask.",
    "defaults": {"topic": "the subject"},
    "prompts": [
        {"id": "why", "text": "What about {topic} would surprise a beginner, and why is it so?"},
        {"id": "how", "text": "How would you explain {topic} to a friend?"},
    ],
}

OPENINGS = ("Read closely", "Take your time", "Look for causes")


def announce(row: Mapping[str, Any], seed: int, chunk: int, view: int) -> str | None:
    """A prompt that names the row's topic; none for a row without one."""
    if not row.get("topic"):
        return None
    state = f"{row['topic']}/{seed}/{chunk}/{view}"
    digest = hashlib.blake2b(state.encode(), digest_size=2).digest()
    return f"{OPENINGS[digest[0] % len(OPENINGS)]}: this is about {row['topic']}."


@hookimpl
def cft_pools():
    """A pool from a file beside this module, and one in plain data."""
    return {"bedside": Path(__file__).with_name("bedside.yaml"), "socratic": SOCRATIC}


@hookimpl
def cft_prompt_functions():
    """`announce` reads one column, and says by its fingerprint when it has changed."""
    return {"announce": PromptFunction(announce, "announce-1", columns=frozenset({"topic"}))}
