"""A conversation as one text, for a reader that is shown texts."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class TurnKeys(NamedTuple):
    """What a turn calls who speaks and what is said."""

    role: str = "role"
    content: str = "content"


_COMMON = (TurnKeys(), TurnKeys("from", "value"))


def conversation_text(turns: Any, keys: TurnKeys | None = None) -> str:
    r"""What is said in a conversation: a paragraph for each turn, which begins with its role.

    Roles stand as they are in the data, and calls of tools as JSON. A turn that says nothing is a
    role alone, so that only a conversation without turns, which is not trained, is the empty text.

    Args:
        turns: a list of mappings, or its JSON; nothing where there is no conversation.
        keys: of the turns; None for the common ones, whichever the first turn has.

    Raises:
        ValueError: it is no conversation; says what it is, to be read behind the column's name.

    Example:
        >>> conversation_text([{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "So."}])
        'Human: Why?\n\nGpt: So.'
    """
    if isinstance(turns, str):
        turns = _parsed(turns)
    if not turns:
        return ""
    if not isinstance(turns, list):
        raise ValueError(f"holds {type(turns).__name__}, and a conversation is a list of turns")
    keys = keys or _keys_of(turns[0])
    return "\n\n".join(_paragraph(turn, keys) for turn in turns)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError as exc:
        raise ValueError(f"holds a text that is not JSON ({exc})") from exc


def _keys_of(turn: Any) -> TurnKeys:
    found = [keys for keys in _COMMON if isinstance(_checked(turn).get(keys.role), str)]
    if not found:
        raise ValueError(
            f"holds a turn with neither 'role' nor 'from' (it has {', '.join(turn)}): say in the "
            "`message_property_mappings` of a config's `type: cft.chat` dataset what its keys are, "
            "and name that config"
        )
    return found[0]


def _paragraph(turn: Any, keys: TurnKeys) -> str:
    role, content = _checked(turn).get(keys.role), turn.get(keys.content)
    if not isinstance(role, str):
        raise ValueError(f"holds a turn without '{keys.role}' (it has {', '.join(turn)})")
    if isinstance(content, list):
        content = "".join(map(_text_of_part, content))
    if not isinstance(content, str | None):
        raise ValueError(f"holds a turn whose '{keys.content}' is {type(content).__name__}")
    calls = turn.get("tool_calls")
    shown = json.dumps(calls, ensure_ascii=False, default=str) if calls else None
    said = "\n".join(filter(None, (content, shown)))
    return f"{role[:1].upper()}{role[1:]}: {said}".rstrip()


def _checked(turn: Any) -> Mapping[str, Any]:
    if not isinstance(turn, Mapping):
        raise ValueError(f"holds a list of {type(turn).__name__}, and a turn is a mapping")
    return turn


def _text_of_part(part: Any) -> str:
    """What one of several pieces of a message says; nothing for an image.

    As the host reads it (axolotl/prompt_strategies/chat_template.py::_convert_content_parts).
    """
    names: Sequence[str] = ("text", "content", "value") if isinstance(part, Mapping) else ()
    texts = (part.get(name) for name in names)
    return next((text for text in texts if text and isinstance(text, str)), "")
