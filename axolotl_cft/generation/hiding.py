"""What no file and no message may hold: passwords and keys (pure)."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

HIDDEN = "(hidden)"

_SHORTEST = 4
"""A secret of fewer characters would take half of a sentence with it."""

# Words of a field's name. The `tokens` of `max_tokens` are none of them.
_SECRET_WORDS = frozenset(
    {"key", "apikey", "token", "secret", "password", "passwd", "passphrase", "pwd", "auth"}
    | {"authorization", "bearer", "credential", "credentials", "cookie", "signature"}
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_SECRET_VALUE = re.compile(
    r"(?i:bearer)\s+\S|(?i:basic)\s+(?=\S*[\d=])[\w+/=-]{8}|sk-[\w-]{8}|\w+://[^/\s]*@|\w+://[^\s?]*\?\S"
)


def hide_secrets(fields: Any) -> Any:
    """A copy of request fields in which secrets are replaced by `HIDDEN`, at any depth.

    A secret is a text that is known by its field's name (`api_key`, `Authorization`, `password`, …)
    or by its look (`Bearer …`, `sk-…`, a URL with a password or a query). Numbers, such as
    `stop_token_ids`, are none.

    Example:
        >>> hide_secrets({"api_key": "abc", "max_tokens": 9, "x": {"authToken": "abc"}})
        {'api_key': '(hidden)', 'max_tokens': 9, 'x': {'authToken': '(hidden)'}}
    """
    if isinstance(fields, Mapping):
        return {
            name: HIDDEN if _is_secret(str(name), value) else hide_secrets(value)
            for name, value in fields.items()
        }
    if isinstance(fields, list | tuple):
        return [hide_secrets(value) for value in fields]
    return HIDDEN if isinstance(fields, str) and _SECRET_VALUE.match(fields) else fields


def secrets_in(fields: Any) -> set[str]:
    """The texts that `hide_secrets` hides."""
    hidden = hide_secrets(fields)
    if isinstance(fields, Mapping):
        pairs = [(value, hidden[name]) for name, value in fields.items()]
    elif isinstance(fields, list | tuple):
        pairs = list(zip(fields, hidden, strict=True))
    else:
        pairs = [(fields, hidden)] if hidden == HIDDEN else []
        return {str(value) for value, _ in pairs}
    found: set[str] = set()
    for value, shown in pairs:
        found |= _texts(value) if shown == HIDDEN else secrets_in(value)
    return found


def redact(words: str, secrets: Iterable[str]) -> str:
    """The words without the secrets, which a server may have repeated."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            words = words.replace(secret, HIDDEN)
    return words


_NO_SECRETS = frozenset({"prompt_cache_key"})
"""Fields that sound like secrets and are none: OpenAI's name for texts that begin alike."""


def _is_secret(name: str, value: Any) -> bool:
    if name in _NO_SECRETS:
        return False
    words = {word.lower() for word in _WORD.findall(name)} | {name.lower()}
    return bool(words & _SECRET_WORDS) and bool(_texts(value))


def _texts(value: Any) -> set[str]:
    """Every text in a hidden value, as far down as there are any."""
    if isinstance(value, Mapping):
        return set().union(*map(_texts, value.values()))
    if isinstance(value, list | tuple):
        return set().union(*map(_texts, value))
    return {value} if isinstance(value, str) and value else set()
