"""What a request for a chat completion holds, and what comes back (pure)."""

import json
from collections.abc import Mapping
from typing import Any

from axolotl_cft.errors import CFTError
from axolotl_cft.generation.verdicts import Reply
from axolotl_cft.host.tokens import well_formed


def messages_of(message: str) -> list[dict[str, str]]:
    """The conversation that a user message begins."""
    return [{"role": "user", "content": well_formed(message)}]


def further_fields(request: Mapping[str, Any], most: int, official: bool) -> dict[str, Any]:
    """The fields of a request beside the model and the messages.

    Args:
        request: the user's; they win over ours.
        most: bound on an answer in tokens, reasoning included.
        official: whether OpenAI itself is asked: its models reject the older name of the bound,
            and most other servers know only that one.

    Raises:
        CFTError: the user's cannot be sent.
    """
    try:
        json.dumps(dict(request), allow_nan=False)
    except (TypeError, ValueError) as exc:
        raise CFTError(f"the further fields of a request cannot be sent as JSON: {exc}") from exc
    if {"max_tokens", "max_completion_tokens"} & request.keys():
        return dict(request)
    return {"max_completion_tokens" if official else "max_tokens": most, **request}


def read_completion(completion: Any) -> Reply | None:
    """The first choice of a chat completion; None if the object is not one."""
    try:
        choice = completion.choices[0]
        content, refusal = choice.message.content, getattr(choice.message, "refusal", None)
    except (AttributeError, LookupError, TypeError):
        return None
    usage, refused = getattr(completion, "usage", None), isinstance(refusal, str) and refusal
    text = refusal if refused else content
    return Reply(
        text=well_formed(text) if isinstance(text, str) else "",
        finish="refusal" if refused else _text(choice, "finish_reason") or "stop",
        tokens_in=_count(usage, "prompt_tokens"),
        tokens_out=_count(usage, "completion_tokens"),
        model=_text(completion, "model"),
    )


def _text(holder: Any, name: str) -> str:
    value = getattr(holder, name, None)
    return well_formed(value) if isinstance(value, str) else ""


def _count(usage: Any, name: str) -> int:
    """A number of tokens; 0 where a server puts anything else in its place."""
    value = usage.get(name) if isinstance(usage, dict) else getattr(usage, name, None)
    return value if type(value) is int and 0 < value < 1 << 40 else 0
