"""A YAML text, changed at single places: every other character of it stays.

A file that is read and written again takes the form of its writer: other indents, lists on one
line, and comments within them gone. Here the parser says where a value stands, and text is put
there, so that comments, order, quotes, anchors, alignment, line ends and a byte order mark survive.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from axolotl_cft.errors import CFTError
from axolotl_cft.files.bounded_yaml import parse_yaml

Path = Sequence[str | int]
"""Keys of mappings and indexes of lists, from the top."""

_PROPERTIES = re.compile(r"((?:[&!]\S*\s+)*)(.*)", re.DOTALL)
"""Anchor and tag of a value, and the value itself."""


@dataclass
class _Place:
    """A value as it is written, from the character `start` up to `end`.

    Attributes:
        first: where its first key or dash stands, if it has parts.
        in_flow: whether it is written in brackets.
        pairs: places of a mapping's values by the keys written there; merges are not followed.
        keys: places of these keys.
        items: places of a list's items.
        target: what an alias stands for.
    """

    start: int
    end: int
    first: int = 0
    in_flow: bool = False
    pairs: dict[str, "_Place"] | None = None
    keys: dict[str, "_Place"] = field(default_factory=dict)
    items: list["_Place"] | None = None
    target: "_Place | None" = None

    @property
    def meant(self) -> "_Place":
        """The value itself, where this is an alias of it."""
        return self.target or self

    @property
    def parts(self) -> list["_Place"]:
        return list((self.pairs or {}).values()) or self.items or []

    def part(self, step: str | int) -> "_Place | None":
        if isinstance(step, str):
            return (self.pairs or {}).get(step)
        return self.items[step] if self.items and step < len(self.items) else None


class EditableYaml:
    """The text of a config, whose values are changed by their path.

    Attributes:
        text: the text, with all changes so far.
        data: what it holds.
    """

    def __init__(self, text: str, origin: str, behind: str) -> None:
        """Read a text.

        Args:
            text: one document, with line ends of any kind.
            origin: what to call it in messages: a file.
            behind: the key behind which new keys come to stand at the top; at the end without it.

        Raises:
            CFTError: not YAML (`bounded_yaml`), or no mapping with a key on each line.
        """
        self._origin, self._behind = origin, behind
        self._newline = "\r\n" if "\r\n" in text else "\n"
        self._read(text)
        root = self._root
        if root.in_flow:
            raise CFTError(f"{origin}: stands in braces as a whole; write each key on its own line")
        # Lists keep the form that the others in this file have.
        lists = [place for place in root.parts if place.items and not place.in_flow]
        self._dash_below_key = any(self._column(each) == self._column(root) for each in lists)

    def has(self, path: Path) -> bool:
        """Whether a key, or an item, is written at its place, not brought there by a merge."""
        return self._find(path) is not None

    def put(self, path: Path, value: Any) -> None:
        """Write a value in the place of a single one, or add it to its mapping.

        Args:
            path: its place.
            value: a mapping or list replaces only what is no such thing.
        """
        place = self._find(path)
        if place is None:
            self._add(path, value)
        elif isinstance(value, dict | list):
            self._fill(place, value, self._column(self._parent(path)))
        else:
            self._replace(place, value)

    def append(self, path: Path, item: Any) -> None:
        """Add an item to a list, or write a list of this item, as `put` does, if there is none."""
        place = self._find(path)
        if place is None or place.meant.items is None:
            self.put(path, [item])
        elif place.meant.in_flow:
            self._add_in_flow(place.meant, _in_line(item))
        else:
            self._add_lines(place.meant.end, [item], self._column(place.meant))

    def rename(self, path: Path, key: str) -> None:
        """Give the key at the end of the path another name."""
        self._replace(self._parent(path).keys[str(path[-1])], key)

    def _read(self, text: str) -> None:
        self.data = parse_yaml(text, self._origin)
        if not isinstance(self.data, dict):
            raise CFTError(f"{self._origin}: expected a mapping of options")
        self.text = text
        self._root = _read_places(text)

    def _find(self, path: Path) -> _Place | None:
        """A place; of an alias its own, not that of its target."""
        place: _Place | None = self._root
        for step in path:
            place = place.meant.part(step) if place else None
        return place

    def _parent(self, path: Path) -> _Place:
        place = self._find(path[:-1])
        assert place is not None
        return place.meant

    def _column(self, place: _Place) -> int:
        """Characters before a block's first key or dash."""
        begin = self.text.rfind("\n", 0, place.first) + 1
        return len(self.text[begin : place.first].lstrip("\ufeff"))

    def _replace(self, place: _Place, value: Any) -> None:
        written = self.text[place.start : place.end]
        match = _PROPERTIES.fullmatch(written)
        assert match is not None
        properties, body = match.groups()
        quote = body[:1] if body[:1] in ("'", '"') else ""
        new = f"{quote}{value}{quote}" if quote and isinstance(value, str) else _in_line(value)
        gap = "" if body or self.text[place.start - 1].isspace() else " "
        self._splice(place.start, place.end, properties + gap + new)

    def _fill(self, place: _Place, value: Any, column: int) -> None:
        """Write a block on the lines below a key, and nothing behind its colon."""
        start = len(self.text[: place.start].rstrip(" \t"))
        below = self._next_line(place.end)
        indent = column + (0 if isinstance(value, list) and self._dash_below_key else 2)
        between = self.text[place.end : below]
        lines = "" if between.endswith("\n") else self._newline
        self._splice(start, below, between + lines + self._block(value, indent))

    def _add(self, path: Path, value: Any) -> None:
        mapping, key = self._parent(path), str(path[-1])
        if mapping.in_flow:
            self._add_in_flow(mapping, _in_line({key: value})[1:-1])
            return
        behind = mapping.parts[-1]
        if len(path) == 1:
            behind, self._behind = mapping.part(self._behind) or behind, key
        self._add_lines(behind.end, {key: value}, self._column(mapping))

    def _add_in_flow(self, place: _Place, part: str) -> None:
        if place.parts:
            self._splice(place.parts[-1].end, place.parts[-1].end, f", {part}")
        else:
            bracket = self.text.index("{" if place.pairs is not None else "[", place.start) + 1
            self._splice(bracket, bracket, part)

    def _add_lines(self, end: int, value: Any, indent: int) -> None:
        """Write a block below the line where a value ends, and the comments that belong to it."""
        below = self._next_line(end)
        comments = re.compile(rf"(?:[ ]{{{indent + 1},}}#[^\n]*(?:\n|\Z))*")
        match = comments.match(self.text, below)
        below = match.end() if match else below
        broken = self._newline if below and self.text[below - 1] != "\n" else ""
        self._splice(below, below, broken + self._block(value, indent))

    def _next_line(self, position: int) -> int:
        """Where the line behind a position begins; the position, if one begins there."""
        if position and self.text[position - 1] == "\n":
            return position
        end = self.text.find("\n", position)
        return len(self.text) if end < 0 else end + 1

    def _block(self, value: Any, indent: int) -> str:
        writer = _FlatWriter if self._dash_below_key else _Writer
        written = yaml.dump(value, Dumper=writer, default_flow_style=False, **_AS_IS)
        lines = written.rstrip("\n").split("\n")
        return "".join(f"{' ' * indent}{line}{self._newline}" for line in lines)

    def _splice(self, start: int, end: int, new: str) -> None:
        try:
            self._read(self.text[:start] + new + self.text[end:])
        except CFTError as exc:
            line = self.text.count("\n", 0, start) + 1
            raise CFTError(
                f"{self._origin}, line {line}: cannot be changed by itself; write it on one line, "
                f"without an anchor (it would become: {exc})"
            ) from exc


class _Writer(yaml.SafeDumper):
    """Lists two spaces further in than their key, and no aliases."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


class _FlatWriter(_Writer):
    """Lists right below their key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super(_Writer, self).increase_indent(flow, indentless)


_AS_IS: dict[str, Any] = {"sort_keys": False, "allow_unicode": True, "width": 10**9}


def _in_line(value: Any) -> str:
    """A value on one line."""
    written = yaml.dump(value, Dumper=_Writer, default_flow_style=True, **_AS_IS)
    return written.removesuffix("...\n").rstrip("\n")


def _read_places(text: str) -> _Place:
    """Where everything in a document stands that `parse_yaml` has read."""
    events: Iterator[Any] = iter(yaml.parse(text, yaml.SafeLoader))
    anchors: dict[str, _Place] = {}

    def read(event: Any) -> _Place:
        place = _Place(event.start_mark.index, event.end_mark.index)
        if isinstance(event, yaml.AliasEvent):
            place.target = anchors[str(event.anchor)]
        elif isinstance(event, yaml.CollectionStartEvent):
            read_parts(event, place)
        if not isinstance(event, yaml.AliasEvent) and event.anchor:
            anchors[str(event.anchor)] = place
        return place

    def read_parts(event: Any, place: _Place) -> None:
        place.in_flow, place.first = bool(event.flow_style), event.end_mark.index
        if isinstance(event, yaml.MappingStartEvent):
            place.pairs = {}
            while not isinstance(event := next(events), yaml.MappingEndEvent):
                name, key = str(getattr(event, "value", None)), read(event)
                place.first = place.first if place.pairs else key.start
                place.keys[name] = key
                place.pairs[name] = read(next(events))
        else:
            # Where a list is as far in as its key, its event ends behind the first dash.
            place.first -= 0 if text.startswith("-", place.first) else 1
            place.items = []
            while not isinstance(event := next(events), yaml.SequenceEndEvent):
                place.items.append(read(event))
        # A block's own end lies behind the comments that follow it.
        place.end = event.end_mark.index if place.in_flow else place.parts[-1].end

    next(event for event in events if isinstance(event, yaml.DocumentStartEvent))
    return read(next(events))
