"""Which licence a document is under: as it says itself, as rules say of its place, or unknown.

Licences go by their SPDX ids (https://spdx.org/licenses), such as `CC-BY-NC-SA-4.0`. What cannot be
read as one is `UNKNOWN`; two different statements of one rank are a `CONFLICT`. Neither is ever
taken for a permission.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

from axolotl_cft.errors import CFTError
from axolotl_cft.files import read_yaml

UNKNOWN = "unknown"
CONFLICT = "conflict"
FROM_FOLDER = "from-folder"
"""In place of a licence in a rule: the folder of the path whose name is one."""

_URL = re.compile(r"creativecommons\.org/(licenses|publicdomain)/([a-z-]+)(?:/(\d\.\d))?", re.I)
_WORDS = re.compile(
    r"\bCC[ _-]?BY((?:[ _-](?:NC|ND|SA))*)(?:[ _-]?v?(\d\.\d))?\b(?![ _-]*(?:NC|ND|SA)\b)", re.I
)
_SPELLED = re.compile(
    r"creative commons attribution((?:[\s,–-]+(?:non[\s-]?commercial|no[\s-]?deriv\w*|"
    r"share[\s-]?alike))*)(?:\s+(?:international|unported|generic|licen[cs]e|version|v))*"
    r"\s*\(?(?:CC BY[\w\s-]*)?\)?\s*(\d\.\d)?",
    re.I,
)
_ZERO = re.compile(r"\bCC[ _-]?0\b|creative commons zero", re.I)
_PUBLIC = re.compile(r"\bpublic domain\b", re.I)
_SPDX = re.compile(
    r"(?:CC-BY(?:-(?:NC|ND|SA)){0,2}-\d\.\d|CC0-1\.0|MIT|Apache-2\.0|LicenseRef-\S+)"
)
_PARTS = {"noncommercial": "NC", "noderivatives": "ND", "noderivs": "ND", "sharealike": "SA"}
_LATEST = "4.0"


def read_licence(said: str) -> str | None:
    """The licence that a URL or words name; None where they name none.

    A Creative Commons licence without a version is taken as 4.0; two different ones are a
    `CONFLICT`.

    Example:
        >>> read_licence("https://creativecommons.org/licenses/by-nc/3.0/")
        'CC-BY-NC-3.0'
        >>> read_licence("distributed under the Creative Commons Attribution 4.0 International")
        'CC-BY-4.0'
        >>> read_licence("All rights reserved.") is None
        True
    """
    said = said.strip()
    if _SPDX.fullmatch(said):
        return said
    urls = {_of_url(*match.groups()) for match in _URL.finditer(said)}
    found = urls or {
        *(_attribution(match[1], match[2]) for match in _WORDS.finditer(said)),
        *(_attribution(match[1], match[2]) for match in _SPELLED.finditer(said)),
        *(["CC0-1.0"] if _ZERO.search(said) else []),
    }
    # "(CC BY 4.0)" after the name in full says it with the version that the name left out.
    versioned = {name for name in found if not name.endswith("-?")}
    found = {
        name
        for name in found
        if name in versioned or not any(other.startswith(name[:-1]) for other in versioned)
    }
    if not found and _PUBLIC.search(said):
        return "LicenseRef-public-domain"
    if len(found) > 1:
        return CONFLICT
    return next(iter(found)).replace("-?", f"-{_LATEST}") if found else None


def _of_url(kind: str, name: str, version: str | None) -> str:
    if kind.lower() == "publicdomain":
        return "CC0-1.0" if name.lower() == "zero" else "LicenseRef-public-domain"
    return f"CC-{name.upper()}-{version or '?'}"


def _attribution(more: str, version: str | None) -> str:
    words = re.sub(r"non[\s-]?commercial", "noncommercial", more.lower())
    words = re.sub(r"no[\s-]?deriv\w*", "noderivs", words)
    words = re.sub(r"share[\s-]?alike", "sharealike", words)
    kinds = [_PARTS.get(word, word.upper()) for word in re.findall(r"[a-z]+", words)]
    return "-".join(["CC-BY", *sorted(kinds, key="NC ND SA".find), version or "?"])


@dataclass(frozen=True)
class Rule:
    """A licence for the documents of a place, or with some words in a column.

    Attributes:
        licence: SPDX id, `UNKNOWN`, or `FROM_FOLDER`.
        path: pattern of the whole path in its source, `*` for any characters; case does not matter.
        column: a metadata column (`journal`, …), whose text must match `is_`.
        is_: pattern of that text.
    """

    licence: str
    path: str = "*"
    column: str | None = None
    is_: str = "*"

    def applies(self, path: str, row: Mapping[str, Any]) -> bool:
        """Whether it says something about a document."""
        said = "" if self.column is None else str(row.get(self.column) or "")
        return fnmatchcase(path.lower(), self.path.lower()) and fnmatchcase(
            said.lower(), self.is_.lower()
        )


@dataclass(frozen=True)
class Rules:
    """What is known of the licences of a source.

    Attributes:
        rules: what they say; those that apply to a document and differ are a `CONFLICT`.
        default: where none applies.
        topic_part: which part of the path is the topic, from 1; None for none.
    """

    rules: Sequence[Rule] = ()
    default: str = UNKNOWN
    topic_part: int | None = None

    def licence_of(self, path: str, row: Mapping[str, Any]) -> str:
        """The licence of a document: its own statement, else a rule's, else the default.

        Args:
            path: in its source, parts apart by `/`.
            row: its columns; `licence` is its own statement.
        """
        if said := row.get("licence"):
            return read_licence(str(said)) or UNKNOWN
        found = {self._of(rule, path) for rule in self.rules if rule.applies(path, row)}
        if len(found) > 1:
            return CONFLICT
        return next(iter(found), self.default)

    def _of(self, rule: Rule, path: str) -> str:
        if rule.licence != FROM_FOLDER:
            return rule.licence
        parts = PurePosixPath(path).parts[:-1]
        found = {licence for part in parts if (licence := read_licence(part))}
        return CONFLICT if len(found) > 1 else next(iter(found), UNKNOWN)

    def topic_of(self, path: str) -> str | None:
        """The part of the path that is the topic."""
        parts = PurePosixPath(path).parts[:-1]
        place = self.topic_part
        return parts[place - 1] if place is not None and 1 <= place <= len(parts) else None


@dataclass(frozen=True)
class Kept:
    """Which licences are kept.

    Attributes:
        patterns: SPDX ids; `*` stands for a version: `CC-BY-*` is no `CC-BY-NC-4.0`. Empty for all.
    """

    patterns: Sequence[str] = ()

    def keeps(self, licence: str) -> bool:
        """Whether documents under it are kept."""
        versions = (re.escape(pattern).replace(r"\*", r"[\d.]+") for pattern in self.patterns)
        return not self.patterns or any(re.fullmatch(v, licence, re.I) for v in versions)


def shipped_rules() -> list[str]:
    """Names of the rules that come with the package."""
    folder = resources.files("axolotl_cft.corpus.building") / "rules"
    return sorted(Path(str(file)).stem for file in folder.iterdir() if str(file).endswith(".yml"))


def load_rules(name: str | None) -> Rules:
    """The rules of a name that comes with the package, or of a file.

    Raises:
        CFTError: there is no such file, or a rule is none.
    """
    if name is None:
        return Rules()
    path = Path(name)
    if name in shipped_rules():
        path = Path(str(resources.files("axolotl_cft.corpus.building") / "rules" / f"{name}.yml"))
    elif not path.is_file():
        raise CFTError(
            f"there are no licence rules {name!r}: name a file, or one of "
            f"{', '.join(shipped_rules())}"
        )
    raw = read_yaml(path)
    _refuse_others(path, raw, {"rules", "default", "topic_part"})
    given = raw.get("rules") or []
    rules = [_read_rule(path, number, rule) for number, rule in enumerate(given, 1)]
    default, part = raw.get("default", UNKNOWN), raw.get("topic_part")
    if part is not None and (type(part) is not int or part < 1):
        raise CFTError(f"{path}: topic_part is a place in the path, from 1; not {part!r}")
    return Rules(rules, _spdx(path, "default", default), part)


def _read_rule(path: Path, number: int, rule: Any) -> Rule:
    place = f"rules[{number}]"
    if not isinstance(rule, Mapping):
        raise CFTError(f"{path}: {place} maps path or column to a licence, such as {{path: …}}")
    _refuse_others(path, rule, {"path", "column", "is", "licence"}, place)
    if not ({"path", "column"} & rule.keys()):
        raise CFTError(f"{path}: {place} needs a path or a column; `default` is for all others")
    texts = {name: rule.get(name) for name in ("path", "column", "is")}
    if wrong := [n for n, value in texts.items() if value is not None and type(value) is not str]:
        raise CFTError(f"{path}: {place}.{wrong[0]} is no text")
    licence = _spdx(path, f"{place}.licence", rule.get("licence"), (FROM_FOLDER,))
    return Rule(licence, rule.get("path", "*"), rule.get("column"), rule.get("is", "*"))


def _spdx(path: Path, place: str, said: Any, more: tuple[str, ...] = ()) -> str:
    if said in (UNKNOWN, *more):
        return str(said)
    if not isinstance(said, str) or not re.fullmatch(r"[A-Za-z][\w.+-]*", said):
        raise CFTError(f"{path}: {place} is an SPDX id such as CC-BY-4.0, not {said!r}")
    return said


def _refuse_others(
    path: Path, given: Mapping[str, Any], known: Iterable[str], place: str = ""
) -> None:
    if others := sorted(map(str, given.keys() - set(known))):
        where = f"{place}." if place else ""
        raise CFTError(
            f"{path}: {where}{others[0]} is no key of licence rules ({', '.join(sorted(known))})"
        )
