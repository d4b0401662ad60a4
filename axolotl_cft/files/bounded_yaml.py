"""YAML that people write, read so that no file can mislead or do harm by its form.

On top of PyYAML's safe types, four things are refused, each in a sentence with its line:

* a key that stands twice in a mapping, of which the later one would silently win;
* nesting that is deeper than anybody writes, since readers call themselves for every level;
* aliases that repeat too much ("billion laughs": a kilobyte that stands for a gigabyte);
* numbers that are longer than any (`1:1:1…` is one, to the base of 60, and takes minutes).

Anchors, aliases and merge keys (`<<: *base`) are welcome otherwise, and what a merge brings may be
overridden.
"""

import reprlib
from typing import Any

import yaml

from axolotl_cft.errors import CFTError

MOST_LEVELS = 50

MOST_REPEATED = 10_000_000
"""Characters that all aliases of a file may stand for, each time they are used."""

LONGEST_NUMBER = 1000
"""Characters."""

_NODE = 10
"""Characters that every value counts beside its own: an empty one costs memory too."""

_MERGE = "tag:yaml.org,2002:merge"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_LONGEST_MESSAGE = 200


class _RefusedError(yaml.MarkedYAMLError):
    """Valid YAML that is refused all the same."""

    def __init__(self, problem: str, mark: Any) -> None:
        super().__init__(problem=problem, problem_mark=mark)


class BoundedLoader(yaml.SafeLoader):
    """PyYAML's SafeLoader with bounds, and with every key once."""

    keys_once = True

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._level = self._repeated = 0
        self._sizes: dict[Any, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        """The next value of the file; of an alias, the one that it names."""
        event: Any = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            node = super().compose_node(parent, index)
            self._count_alias(node, event)
            return node
        self._level += 1
        if self._level > MOST_LEVELS:
            raise _RefusedError(
                f"nested more than {MOST_LEVELS} levels deep; flatten it", event.start_mark
            )
        node = super().compose_node(parent, index)
        self._level -= 1
        self._sizes[node] = _NODE + self._length(node)
        return node

    def _length(self, node: Any) -> int:
        """Characters of a value, its aliases written out."""
        if isinstance(node, yaml.ScalarNode):
            return len(node.value)
        if isinstance(node, yaml.MappingNode):
            return sum(self._sizes[key] + self._sizes[value] for key, value in node.value)
        return sum(self._sizes[value] for value in node.value)

    def _count_alias(self, node: Any, event: Any) -> None:
        if node not in self._sizes:  # not read to its end
            raise _RefusedError(
                f"*{event.anchor} stands within what it names; write it out", event.start_mark
            )
        self._repeated += self._sizes[node]
        if self._repeated > MOST_REPEATED:
            raise _RefusedError(
                f"the aliases up to *{event.anchor} stand for more than {MOST_REPEATED:,} "
                "characters; use fewer",
                event.start_mark,
            )

    def compose_scalar_node(self, anchor: Any) -> Any:
        """A text, a number, or another value without parts."""
        node = super().compose_scalar_node(anchor)
        if node.tag in _NUMBERS and len(node.value) > LONGEST_NUMBER:
            raise _RefusedError(
                f"a number of {len(node.value):,} characters; quote it if it is a text",
                node.start_mark,
            )
        return node

    def compose_mapping_node(self, anchor: Any) -> Any:
        """A mapping as it is written: what it merges comes later, and may be overridden."""
        node = super().compose_mapping_node(anchor)
        first: dict[Any, int] = {}
        for key, _ in node.value if self.keys_once else ():
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            # By value: `1` and `0x1` are one key.
            name, line = self.construct_object(key), key.start_mark.line + 1
            if name in first:
                shown = reprlib.repr(key.value)
                raise _RefusedError(
                    f"the key {shown} stands on line {first[name]} already, and only one of the "
                    "two could count; remove one",
                    key.start_mark,
                )
            first[name] = line
        return node


class BoundedTextLoader(BoundedLoader):
    """The same, where every value is the text that stands there: `24:00:00` is no number."""

    yaml_implicit_resolvers = {"<": BoundedLoader.yaml_implicit_resolvers["<"]}  # noqa: RUF012


def parse_yaml(text: str, origin: str, loader: type[BoundedLoader] = BoundedLoader) -> Any:
    """What a YAML text holds.

    Args:
        text: one document.
        origin: what to call it in messages: a file.
        loader: which types its values may have.

    Raises:
        CFTError: not YAML, or one of the forms above; names the origin, and the line where it is
            known.
    """
    try:
        return yaml.load(text, loader)
    except yaml.MarkedYAMLError as exc:
        mark, what = exc.problem_mark or exc.context_mark, str(exc.problem or exc.context)
        where = f"{origin}, line {mark.line + 1}" if mark else origin
        if not isinstance(exc, _RefusedError):
            what = f"not valid YAML ({what[:_LONGEST_MESSAGE]})"
        raise CFTError(f"{where}: {what}") from exc
    except (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, ValueError) as exc:
        # The latter are what PyYAML makes of values such as `!!bool maybe` and 2026-13-01.
        what = " ".join(str(exc).split())
        raise CFTError(f"{origin}: not valid YAML ({what[:_LONGEST_MESSAGE]})") from exc
