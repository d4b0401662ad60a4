"""Tables as lines that each stand by themselves."""

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


class Hanging(NamedTuple):
    """What a cell says in a column of the rows below it."""

    text: str
    rows: int


def table_lines(table: etree._Element, texts: Mapping[etree._Element, str]) -> list[str]:
    """A line for each row, cells apart by " | ".

    A cell over several rows or columns stands in each of them. Rows without any text are left out.

    Args:
        table: `<table>` or `<array>`.
        texts: what each `<td>` and `<th>` says.
    """
    sections = [[[_cell(cell, texts) for cell in row] for row in rows] for rows in _sections(table)]
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
            yield list(child.iterchildren("{*}tr"))
    yield bare


def _cell(cell: etree._Element, texts: Mapping[etree._Element, str]) -> Cell:
    across = min(max(_number(cell.get("colspan")), 1), MAX_COLUMNS)
    return Cell(texts.get(cell, ""), across, _number(cell.get("rowspan")))


def _number(value: str | None) -> int:
    value = (value or "").strip()
    return int(value) if value.isascii() and value.isdigit() and len(value) < 6 else 1


class Budget:
    """Counts down the characters that spanned cells add to a table."""

    def __init__(self, characters: int):
        self.left = characters

    def allows(self, cell: Cell, column: int) -> bool:
        """Whether the cell may be repeated; takes what that costs."""
        columns_before = 3 * column * (cell.down - 1)
        cost = (cell.across * cell.down - 1) * (len(cell.text) + 3) + columns_before
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
                cell = cell._replace(across=1, down=1)
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
