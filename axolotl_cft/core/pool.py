"""Pools of contextual prompts: load, validate, fill in, fingerprint.

A pool is a YAML file (schema in docs/pools.md); the built-in ones are in
`axolotl_cft/prompts/pools/`.
"""

import hashlib
import json
import re
import reprlib
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from axolotl_cft.errors import CFTError
from axolotl_cft.files.bounded_yaml import BoundedLoader, parse_yaml

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}")
_POOL_KEYS = {"name", "description", "prompts", "defaults"}
_PROMPT_KEYS = {"id", "text", "weight", "source", "strategy", "theory"}


@dataclass(frozen=True)
class Prompt:
    """One contextual prompt.

    Attributes:
        id: distinct within its pool; what the ledger counts by.
        text: the sentence(s); `{column}` stands for a row's value, `{{` and `}}` for braces.
        weight: relative frequency in sampling.
        source: where the text is from.
        strategy: the learning strategy it carries (paper, section 4).
        theory: the learning theory behind it.
    """

    id: str
    text: str
    weight: float = 1.0
    source: str = ""
    strategy: str = ""
    theory: str = ""

    @property
    def columns(self) -> frozenset[str]:
        """Names of the columns that the text refers to."""
        return frozenset(m[1] for m in _PLACEHOLDER.finditer(self.text) if m[1])

    def fill(self, values: Mapping[str, Any]) -> str:
        """The text with each `{column}` replaced by `str(values[column])`; nothing is evaluated.

        Raises:
            KeyError: a column without a value.
        """

        def replace(match: re.Match[str]) -> str:
            return str(values[match[1]]) if match[1] else match[0][0]

        return _PLACEHOLDER.sub(replace, self.text)


@dataclass(frozen=True)
class PromptPool:
    """A named set of prompts.

    Attributes:
        name: as in `cft.prompts`.
        description: a line for `prompts list`.
        prompts: at least one, with distinct ids.
        defaults: values for `{column}` where a row has none.
        origin: the file or package it came from, for messages.
        package: the installed package that provides it, empty for a user's own file.
    """

    name: str
    description: str
    prompts: tuple[Prompt, ...]
    defaults: Mapping[str, str]
    origin: str = ""
    package: str = ""

    @property
    def columns(self) -> frozenset[str]:
        """Columns that any of the prompts refers to."""
        return frozenset().union(*(prompt.columns for prompt in self.prompts))

    @property
    def fingerprint(self) -> str:
        """32 hex digits over all that sampling and encoding see: ids, texts, weights, defaults.

        Name, description, sources and the order of the prompts do not enter.
        """
        content = [sorted((p.id, p.text, p.weight) for p in self.prompts), dict(self.defaults)]
        data = json.dumps(content, sort_keys=True).encode()
        return hashlib.blake2b(data, digest_size=16).hexdigest()


@dataclass(frozen=True)
class PromptFunction:
    """A source of prompts in code: `cft.prompts: {function: NAME}`. Packages provide it by hook.

    Attributes:
        function: `function(row, seed, chunk, view)` gives the prompt, or None for none. `row`
            maps column names to values; the answer may depend on the arguments only, so that a
            run can be repeated.
        fingerprint: changed by its author whenever the same arguments would give another prompt;
            part of a prepared dataset's identity.
        columns: the columns that it reads, all of them needed; None for whatever the row has.
        package: the installed package that provides it, filled in where it is loaded.
    """

    function: Callable[[Mapping[str, Any], int, int, int], str | None]
    fingerprint: str
    columns: frozenset[str] | None = None
    package: str = ""


def read_pool(path: Path) -> PromptPool:
    """Read and check a pool file.

    Raises:
        CFTError: unreadable, not YAML or a bomb of aliases, or not a pool; names the file and the
            line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise CFTError(f"prompt pool {path} cannot be read: {exc}") from exc
    return parse_pool(parse_yaml(text, str(path), _LineLoader), origin=str(path))


def parse_pool(content: Any, origin: str) -> PromptPool:
    """Check a pool given as plain data (a mapping as in a pool file).

    Args:
        content: the mapping; `_LineLoader` leaves line numbers in it, other callers need not.
        origin: what to call it in messages.

    Raises:
        CFTError: the first thing that is wrong, where it is and what to do.
    """
    if not isinstance(content, dict):
        raise CFTError(f"{origin}: a pool is a mapping with name, description and prompts")
    _check_keys(content, _POOL_KEYS, origin)
    name = content.get("name")
    if not isinstance(name, str) or not name.strip():
        raise CFTError(f"{_where(origin, content)}: 'name' is missing; give the pool a name")
    prompts = content.get("prompts")
    if not isinstance(prompts, list) or not prompts:
        raise CFTError(f"{_where(origin, content)}: 'prompts' is empty; list at least one prompt")
    defaults = content.get("defaults") or {}
    if isinstance(defaults, dict):
        defaults = {key: value for key, value in defaults.items() if key != _LINE}
    if not isinstance(defaults, dict) or not all(
        isinstance(text, str) for pair in defaults.items() for text in pair
    ):
        raise CFTError(f"{_where(origin, content)}: 'defaults' maps column names to texts")
    parsed = tuple(_parse_prompt(prompt, origin) for prompt in prompts)
    seen: set[str] = set()
    for prompt, raw in zip(parsed, prompts, strict=True):
        if prompt.id in seen:
            raise CFTError(f"{_where(origin, raw)}: the id '{prompt.id}' is used twice; rename one")
        seen.add(prompt.id)
    description = str(content.get("description") or "")
    return PromptPool(name, " ".join(description.split()), parsed, defaults, origin)


def _parse_prompt(raw: Any, origin: str) -> Prompt:
    if not isinstance(raw, dict):
        got = reprlib.repr(raw)
        raise CFTError(f"{origin}: each prompt is a mapping with 'id' and 'text', got {got}")
    where = _where(origin, raw)
    _check_keys(raw, _PROMPT_KEYS, origin)
    texts = {key: raw.get(key, "") for key in _PROMPT_KEYS - {"weight"}}
    for key, value in texts.items():
        if not isinstance(value, str) or (key in {"id", "text"} and not value.strip()):
            state = "is not text" if key in raw else "is missing"
            raise CFTError(f"{where}: a prompt's '{key}' {state}; quote it if it looks like YAML")
    weight = raw.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < 1e9:
        raise CFTError(f"{where}: 'weight' must be a number above 0, got {weight!r}")
    texts["text"] = texts["text"].strip()
    return Prompt(weight=float(weight), **texts)


def _check_keys(mapping: Mapping[Hashable, Any], known: set[str], origin: str) -> None:
    for key in mapping:
        if key not in known and key != _LINE:
            expected = ", ".join(sorted(known))
            raise CFTError(f"{_where(origin, mapping)}: unknown key '{key}' (known: {expected})")


_LINE = "\0line"


def _where(origin: str, mapping: Mapping[Any, Any]) -> str:
    return f"{origin}, line {mapping[_LINE]}" if _LINE in mapping else origin


class _LineLoader(BoundedLoader):
    """A loader that leaves in every mapping the line it began on."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        mapping = super().construct_mapping(node, deep=deep)
        mapping[_LINE] = node.start_mark.line + 1
        return mapping
