"""Put the lines of a PDF page into the order in which a person reads them."""

from __future__ import annotations

import unicodedata
from collections import Counter
from itertools import pairwise
from statistics import median

from longembed_index.documents.formats.pdf_pieces import Piece, Row, joined, main_turns

_GUTTER = 0.4
"""The least gap between two columns, in line heights."""
_SEPARATOR = "  "
"""The separator of the pieces of a line, which are cells or columns."""
_WIDE_GUTTER = 2.0
"""The least gap between two columns of only two lines, in line heights."""
_MOST_COLUMN_ROWS = 200
"""The most rows of a page that are split into columns together."""
_MOST_UPWARDS = 0.3
"""The largest share of steps upwards between rows in a page that is drawn in reading order."""


def insert(rows: list[Row], piece: Piece) -> None:
    """Insert a text that is not part of the page's own text, such as the value of a form field.

    It is put after the text to its left, or else below the text above it.
    """
    for row in rows:
        left = [n for n, other in enumerate(row) if _is_right_of(piece, other)]
        if left:
            row.insert(max(left, key=lambda n: row[n].right) + 1, piece)
            return
    above = [
        n
        for n, row in enumerate(rows)
        if any(other.middle > piece.middle and other.is_over_or_under(piece) for other in row)
    ]
    place = min(above, key=lambda n: rows[n][0].middle) + 1 if above else len(rows)
    rows.insert(place, [piece])


def _is_right_of(piece: Piece, other: Piece) -> bool:
    center = (piece.left + piece.right) / 2
    is_level = piece.bottom - 1 < other.middle < piece.top + 1 or piece.is_beside(other)
    return piece.turns == other.turns and is_level and other.right < center


def lines_of(rows: list[Row]) -> list[Piece]:
    """Return the lines of a page in the order in which a person reads them.

    This is almost always the drawing order. Rows are sorted by position if that order jumps up and
    down on the page. Columns of prose that are drawn line by line across the page are separated.
    """
    if _is_disordered(rows):
        rows = _sorted(rows)
    lines: list[Piece] = []
    start = 0
    while start < len(rows):
        columns, end = _columns(rows, start)
        if columns:
            lines += (piece for column in columns for piece in column)
        else:
            end = start + 1
            lines.append(_merged(rows[start]))
        start = end
    return lines


def _merged(row: Row) -> Piece:
    line = row[0]
    for piece in row[1:]:
        line = joined(line, piece, _SEPARATOR)
    return line


def _is_disordered(rows: list[Row]) -> bool:
    turns = main_turns(rows)
    first_pieces = [row[0] for row in rows if row[0].turns == turns]
    steps_up = sum(
        after.middle > before.middle + before.height / 2 and after.is_over_or_under(before)
        for before, after in pairwise(first_pieces)
    )
    return steps_up > _MOST_UPWARDS * (len(first_pieces) - 1)


def _sorted(rows: list[Row]) -> list[Row]:
    """Return the rows from top to bottom, and then those that run in another direction."""
    turns = main_turns(rows)
    pieces = [piece for row in rows for piece in row]
    other_rows = [[piece] for piece in pieces if piece.turns != turns]
    level_rows: list[Row] = []
    for piece in sorted(
        (piece for piece in pieces if piece.turns == turns), key=lambda piece: -piece.middle
    ):
        if level_rows and level_rows[-1][0].is_beside(piece):
            level_rows[-1].append(piece)
        else:
            level_rows.append([piece])
    return [_in_reading_order(row) for row in level_rows] + other_rows


def _in_reading_order(row: Row) -> Row:
    from_right = _is_right_to_left(row)
    return sorted(row, key=lambda piece: -piece.right if from_right else piece.left)


def _is_right_to_left(row: Row) -> bool:
    directions = Counter(unicodedata.bidirectional(c) for piece in row for c in piece.text)
    return directions["R"] + directions["AL"] > directions["L"]


def _columns(rows: list[Row], start: int) -> tuple[list[Row], int]:
    """Return the columns of prose that begin at a row, and the number of the row after them.

    There are no columns if the rows are a table, or one column of text.
    """
    gutters = _gaps(rows[start])
    end = start + 1
    while gutters and end < min(len(rows), start + _MOST_COLUMN_ROWS):
        if rows[end][0].middle > rows[end - 1][0].middle:
            break
        narrowed = _narrowed(gutters, rows[end])
        if not narrowed:
            break
        gutters = narrowed
        end += 1
    # A table below may have the same gutters: also try to end before each wide gap between rows.
    ends = [end] + [
        n
        for n in range(end - 1, start + 1, -1)
        if rows[n - 1][0].bottom - rows[n][0].top > rows[n][0].height / 2
    ]
    for end in ends:
        columns = _split(rows[start:end], gutters)
        if columns and all(_is_prose(column) for column in columns):
            return columns[::-1] if _is_right_to_left(columns[0]) else columns, end
    return [], start


def _split(rows: list[Row], gutters: list[tuple[float, float]]) -> list[Row]:
    """Return the lines of each column, or no columns if the gaps between them are too narrow."""
    needed = (_GUTTER if len(rows) > 2 else _WIDE_GUTTER) * rows[0][0].height
    gutters = [(left, right) for left, right in gutters if right - left > needed]
    if not gutters or len(rows) < 2:
        return []
    columns: list[Row] = [[] for _ in range(len(gutters) + 1)]
    for row in rows:
        places = [sum(piece.left >= left for left, _ in gutters) for piece in row]
        for place in sorted(set(places)):
            inside = [piece for n, piece in zip(places, row, strict=True) if n == place]
            columns[place].append(_merged(inside))
    return columns


def _gaps(row: Row) -> list[tuple[float, float]]:
    pieces = sorted(row, key=lambda piece: piece.left)
    return [
        (before.right, after.left)
        for before, after in pairwise(pieces)
        if after.left - before.right > _GUTTER * before.height and before.turns == after.turns
    ]


def _narrowed(gutters: list[tuple[float, float]], row: Row) -> list[tuple[float, float]]:
    """Return the parts of the gutters in which a row has no text, if they are wide enough."""
    for piece in row:
        gutters = [
            (max(left, piece.right), right)
            if piece.left <= left
            else (left, min(right, piece.left))
            for left, right in gutters
            if piece.turns == row[0].turns
        ]
    return [(left, right) for left, right in gutters if right - left > _GUTTER * row[0].height]


def _is_prose(lines: Row) -> bool:
    """Return whether the lines of a column are running text, and not the cells of a table."""
    if len(lines) < 2:
        return False
    widths = [line.right - line.left for line in lines]
    full_lines = sum(width > 0.7 * max(widths) for width in widths[:-1])
    words = median(len(line.text.split()) for line in lines)
    letters = median(len(line.text) for line in lines)
    initials = [line.text[0] for line in lines[1:]]
    without_case = [c for c in initials if c.isalpha() and c.lower() == c.upper()]
    continuations = len(without_case) + sum(initial.islower() for initial in initials)
    is_long = words >= 3 or (len(without_case) > len(initials) / 2 and letters >= 10)
    return is_long and 2 * continuations >= len(initials) and 2 * full_lines >= len(lines) - 1


def paragraphs(lines: list[Piece]) -> list[bool]:
    """Return for each line whether a new paragraph begins with it."""
    steps = [
        before.bottom - after.top if after.is_over_or_under(before) else None
        for before, after in pairwise(lines)
    ]
    usual = median([step for step in steps if step is not None and step > -50] or [0.0])
    return [True] * bool(lines) + [
        step is not None and step > usual + before.height / 2
        for before, step in zip(lines, steps, strict=False)
    ]
