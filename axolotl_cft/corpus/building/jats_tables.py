"""Tables as lines that each stand by themselves: as in HTML, and as OASIS has them (CALS)."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from lxml import etree

MAX_REPEATED = 200_000
"""Characters per table that spanned cells may always add, and four times the table's own beyond:
a few bytes of markup can ask for millions."""

MAX_COLUMNS = 1000  # of one cell: HTML's own limit


class Cell(NamedTuple):
    """A cell as it stands in the file."""

    text: str
    across: int
    down: int
    column: int = 0
    """The first that it may stand in."""


class Columns:
    """The names by which the cells of an OASIS table find their columns."""

    def __init__(self, group: etree._Element):
        names = [spec.get("colname") for spec in group.iterchildren("{*}colspec")]
        self._places = {name: place for place, name in enumerate(names[:MAX_COLUMNS]) if name}
        self._spans = {
            spec.get("spanname"): (spec.get("namest"), spec.get("nameend"))
            for spec in group.iterchildren("{*}spanspec")
        }

    def cell(self, entry: etree._Element, text: str) -> Cell:
        """An `<entry>`."""
        names = self._spans.get(entry.get("spanname"))
        first, last = names or (entry.get("namest") or entry.get("colname"), entry.get("nameend"))
        column = self._places.get(first, 0)
        across = max(self._places.get(last, column) - column + 1, 1)
        return Cell(text, across, 1 + _number(entry.get("morerows"), 0), column)


class Hanging(NamedTuple):
    """What a cell says in a column of the rows below it."""

    text: str
    rows: int


def table_lines(table: etree._Element, texts: Mapping[etree._Element, str]) -> list[str]:
    """A line for each row, cells apart by " | ".

    A cell over several rows or columns stands in each of them. Rows without any text are left out.

    Args:
        table: `<table>` or `<array>`.
        texts: what each `<td>`, `<th>` and `<entry>` says.
    """
    sections = [
        [[_cell(cell, texts, columns) for cell in row] for row in rows]
        for group in table.findall("{*}tgroup") or [table]
        for columns in [Columns(group)]
        for rows in _sections(group)
    ]
    own = sum(len(cell.text) + 3 for rows in sections for row in rows for cell in row)
    budget = Budget(MAX_REPEATED + 4 * own)
    return [" | ".join(row) for rows in sections for row in _spread(rows, budget) if any(row)]


def _sections(table: etree._Element) -> Iterator[list[etree._Element]]:
    """The rows of the head, the bodies and the foot; no cell reaches from one into another."""
    bare: list[etree._Element] = []
    for child in table.iterchildren("{*}thead", "{*}tbody", "{*}tfoot", "{*}tr"):
        if child.tag.endswith("tr"):
            bare.append(child)
        else:
            yield list(child.iterchildren("{*}tr", "{*}row"))
    yield bare


def _cell(cell: etree._Element, texts: Mapping[etree._Element, str], columns: Columns) -> Cell:
    if isinstance(cell.tag, str) and cell.tag.endswith("entry"):
        return columns.cell(cell, texts.get(cell, ""))
    across = min(max(_number(cell.get("colspan")), 1), MAX_COLUMNS)
    return Cell(texts.get(cell, ""), across, _number(cell.get("rowspan")))


def _number(value: str | None, default: int = 1) -> int:
    value = (value or "").strip()
    return int(value) if value.isascii() and value.isdigit() and len(value) < 6 else default


class Budget:
    """Counts down the characters that spanned cells add to a table."""

    def __init__(self, characters: int):
        self.left = characters

    def allows(self, cell: Cell, column: int) -> bool:
        """Whether the cell may be repeated; takes what that costs."""
        columns_before = 3 * column * (cell.down - 1)
        cost = (cell.across * cell.down - 1) * (len(cell.text) + 3) + columns_before
        cost += 3 * max(cell.column - column, 0)
        if cost > self.left:
            return False
        self.left -= cost
        return True


def _spread(rows: list[list[Cell]], budget: Budget) -> Iterator[list[str]]:
    """The rows with a text in every column."""
    above: dict[int, Hanging] = {}  # by column
    for number, row in enumerate(rows):
        line: list[str] = []
        below: dict[int, Hanging] = {}
        for cell in row:
            while len(line) in above:
                _place(above.pop(len(line)), line, below)
            down = min(cell.down or len(rows), len(rows) - number)  # 0: to the last row
            cell = cell._replace(down=down)
            if not budget.allows(cell, len(line)):
                cell = cell._replace(across=1, down=1, column=0)
            for column in range(len(line), cell.column):
                _place(above.pop(column, Hanging("", 1)), line, below)
            for _ in range(cell.across):
                above.pop(len(line), None)  # two cells in one place: the file is wrong
                _place(Hanging(cell.text, cell.down), line, below)
        for column in sorted(above):
            line += [""] * (column - len(line))
            _place(above[column], line, below)
        yield line
        above = below


def _place(text: Hanging, line: list[str], below: dict[int, Hanging]) -> None:
    if text.rows > 1:
        below[len(line)] = Hanging(text.text, text.rows - 1)
    line.append(text.text)
