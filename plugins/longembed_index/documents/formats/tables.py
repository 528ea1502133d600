"""A table of a web page, as it is read."""

from __future__ import annotations

from collections.abc import Mapping

_MOST_COLUMNS = 100
"""What a cell may span: a page can state any number."""


class Table:
    """Rows of a table, with cells that span several rows or columns.

    Args:
        is_layout: Whether the table only arranges the page; its cells are not collected.

    Attributes:
        is_layout: Whether the table only arranges the page, as one with a heading in a cell does.
    """

    def __init__(self, *, is_layout: bool = False) -> None:
        self.is_layout = is_layout
        self._rows: list[list[str]] = []
        self._has_header = False
        self._row: list[str] = []
        self._cell: list[str] | None = None
        self._spans = (1, 1)
        self._below: dict[int, tuple[int, str]] = {}
        """By column, for how many rows more a cell from above reaches down, and its text."""

    @property
    def is_in_cell(self) -> bool:
        """Return whether a cell is open, so that text belongs to it."""
        return self._cell is not None and not self.is_layout

    def start_cell(self, attributes: Mapping[str, str], *, is_header: bool) -> None:
        """Begin a cell, and end the one before."""
        self.end_cell()
        self._cell = []
        self._spans = (_number(attributes, "colspan"), _number(attributes, "rowspan"))
        self._has_header |= is_header and not self._rows

    def add(self, text: str) -> None:
        """Add text to the open cell."""
        if self._cell is not None and text.strip():
            self._cell.append(text.strip())

    def end_cell(self) -> None:
        """End the open cell, if there is one."""
        if self._cell is None:
            return
        text = " ".join(self._cell).replace("|", "\\|")
        columns, rows = self._spans
        self._fill_from_above()
        for number in range(columns):
            if rows > 1:
                self._below[len(self._row)] = (rows - 1, text if not number else "")
            self._row.append(text if not number else "")
        self._cell = None

    def end_row(self) -> None:
        """End the open row, if there is one."""
        self.end_cell()
        if self._row:
            self._fill_from_above()
            if any(self._row):
                self._rows.append(self._row)
        self._row = []

    def as_blocks(self) -> list[str]:
        """Return the text of all cells so far, one by one."""
        self.end_row()
        return [text.replace("\\|", "|") for row in self._rows for text in row if text]

    def as_markdown(self) -> str:
        """Return the rows as lines; those of a table of one column have no bars."""
        if self.is_layout:
            return ""
        self.end_row()
        if max(map(len, self._rows), default=0) < 2:
            return "\n\n".join(self.as_blocks())
        lines = [f"| {' | '.join(row)} |" for row in self._rows]
        if self._has_header:
            lines.insert(1, f"|{' --- |' * len(self._rows[0])}")
        return "\n".join(lines)

    def _fill_from_above(self) -> None:
        """Repeat the cells that reach down into this row at the next columns."""
        while len(self._row) in self._below:
            column = len(self._row)
            rows, text = self._below.pop(column)
            if rows > 1:
                self._below[column] = (rows - 1, text)
            self._row.append(text)


def _number(attributes: Mapping[str, str], name: str) -> int:
    value = attributes.get(name, "1").strip()
    is_number = value.isascii() and value.isdigit() and len(value) < 6
    return min(max(int(value), 1), _MOST_COLUMNS) if is_number else 1
