"""The lines of a PDF page, in the order in which a person reads them."""

from __future__ import annotations

import ctypes
import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

_WIDE_GAP = 0.9
"""A gap of so many line heights parts the pieces of a line: cells, or columns."""
_GUTTER = 0.4
"""A gap between two columns is at least so many line heights wide."""
_WIDE_GUTTER = 2.0
"""The same of columns of two lines only."""
_ROWS_OF_COLUMNS = 200
_DISORDER = 0.3
"""With a larger share of steps upwards, the order of drawing is not an order of reading."""

_HYPHEN, _NOT_A_CHARACTER = 0x02, 0xFFFE
"""What PDFium gives for the hyphen of a word that goes on in the next line."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Words without a wide gap between them, and where they stand.

    Attributes:
        text: The words, parted by single spaces.
        left: In points, like the other three; as if the page were turned so that the text is
            upright.
        bottom: Of the line, not of its letters.
        right: See `left`.
        top: See `bottom`.
        turns: By how many quarters of a circle the text is turned.
    """

    text: str
    left: float
    bottom: float
    right: float
    top: float
    turns: int = 0

    @property
    def height(self) -> float:
        return max(self.top - self.bottom, 1.0)

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2

    def is_beside(self, other: Piece) -> bool:
        return self.turns == other.turns and abs(self.middle - other.middle) < self.height / 2

    def is_over_or_under(self, other: Piece) -> bool:
        return (
            self.turns == other.turns and self.left < other.right and other.left < self.right
        )


Row = list[Piece]
"""What stands beside one another."""


def read_rows(text_page: Any) -> tuple[list[Row], int]:
    """Return the text of a page in the order in which it is drawn.

    Args:
        text_page: A `pypdfium2.PdfTextPage`.

    Returns:
        The rows, and the number of characters left out because nothing tells what they mean.
    """
    rows: list[Row] = []
    unmapped = 0
    for words, count in _lines_of_words(text_page.raw):
        unmapped += count
        row: Row = []
        for word in words:
            if row and _belongs_to(row[-1], word):
                row[-1] = _joined(row[-1], word)
            else:
                row.append(word)
        if row:
            rows.append(row)
    return rows, unmapped


def _lines_of_words(page: Any) -> Iterator[tuple[list[Piece], int]]:
    """Yield the words of each line, and how many of its characters have no meaning."""
    import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

    codes = [
        pdfium.FPDFText_GetUnicode(page, index) for index in range(pdfium.FPDFText_CountChars(page))
    ]
    without_meaning = _without_meaning(page, codes)
    words: list[Piece] = []
    letters: list[str] = []
    first = last = unmapped = 0

    def end_word() -> None:
        text = _cleaned("".join(letters))
        letters.clear()
        if text:
            # PDFium measures the angle clockwise.
            turns = -round(pdfium.FPDFText_GetCharAngle(page, first) / (math.pi / 2)) % 4
            boxes = [turned(_box(page, index), turns) for index in (first, last)]
            lefts, bottoms, rights, tops = zip(*boxes, strict=True)
            words.append(Piece(text, min(lefts), min(bottoms), max(rights), max(tops), turns))

    for index, code in enumerate(codes):
        if index in without_meaning:
            unmapped += 1
            continue
        if code in (_HYPHEN, _NOT_A_CHARACTER):
            letters.append("-")
        elif not chr(code).isspace():
            if not letters:
                first = index
            last = index
            letters.append(chr(code))
            continue
        end_word()
        if code in (_HYPHEN, _NOT_A_CHARACTER, 0x0A, 0x0D):
            yield words, unmapped
            words, unmapped = [], 0
    end_word()
    yield words, unmapped


def _without_meaning(page: Any, codes: list[int]) -> set[int]:
    """Return the characters of a page that nothing tells the meaning of.

    PDFium takes the code of a glyph for its character where a font has no map. That is right for
    fonts with a usual encoding, and wrong for those with an order of their own.
    """
    import pypdfium2.raw as pdfium

    strange = {code for code in set(codes) if not _is_text(code)}
    without = {index for index, code in enumerate(codes) if code in strange}
    of_font: dict[bytes, list[int]] = {}
    name = ctypes.create_string_buffer(200)
    for index, code in enumerate(codes):
        if pdfium.FPDFText_HasUnicodeMapError(page, index):
            pdfium.FPDFText_GetFontInfo(page, index, name, len(name), None)
            of_font.setdefault(name.value, []).append(index)
    for indices in of_font.values():
        used = [chr(codes[index]) for index in indices]
        capitals = sum(letter.isupper() for letter in used)
        if capitals > len(used) / 2 or any(unicodedata.category(letter) == "Cc" for letter in used):
            without.update(indices)
    return without


def _is_text(code: int) -> bool:
    if code in (_HYPHEN, _NOT_A_CHARACTER) or 0xD800 <= code < 0xE000:
        return True
    return (
        0 < code < 0x110000
        and code != 0xFFFD
        and (chr(code).isspace() or unicodedata.category(chr(code)) not in ("Cc", "Cn", "Co"))
    )


def _cleaned(text: str) -> str:
    """Return a word with ligatures, contextual forms and mathematical letters as plain letters."""
    if text.isascii():
        return text
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return "".join(
        unicodedata.normalize("NFKC", letter)
        if "\ufb00" <= letter <= "\ufefc" or "\U0001d400" <= letter <= "\U0001d7ff"
        else letter
        for letter in text
    )


def _box(page: Any, index: int) -> tuple[float, float, float, float]:
    import pypdfium2.raw as pdfium

    rectangle = pdfium.FS_RECTF()
    pdfium.FPDFText_GetLooseCharBox(page, index, rectangle)
    return rectangle.left, rectangle.bottom, rectangle.right, rectangle.top


def turned(
    box: tuple[float, float, float, float], turns: int
) -> tuple[float, float, float, float]:
    """Return a box on a page that is turned back by some quarters of a circle."""
    left, bottom, right, top = box
    for _ in range(turns):
        left, bottom, right, top = bottom, -right, top, -left
    return left, bottom, right, top


def _belongs_to(piece: Piece, word: Piece) -> bool:
    # In a line from right to left, the next word stands left of the last.
    gap = max(word.left - piece.right, piece.left - word.right)
    return piece.turns == word.turns and gap < _WIDE_GAP * min(piece.height, word.height)


def _joined(piece: Piece, word: Piece) -> Piece:
    return Piece(
        f"{piece.text} {word.text}",
        min(piece.left, word.left),
        min(piece.bottom, word.bottom),
        max(piece.right, word.right),
        max(piece.top, word.top),
        piece.turns,
    )


def main_turns(rows: Iterable[Row]) -> int:
    """Return how most text of a page is turned; see `Piece.turns`."""
    letters: Counter[int] = Counter()
    for row in rows:
        for piece in row:
            letters[piece.turns] += len(piece.text)
    return max(letters, key=letters.__getitem__, default=0)


def insert(rows: list[Row], piece: Piece) -> None:
    """Insert a text that stands on a page but is not drawn with it, as the value of a form field.

    It goes behind what stands left of it, or else below what stands above it.
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

    The order of drawing is that order almost always. It is not kept where it goes up and down on
    the page, and where columns of prose are drawn across.

    Args:
        rows: In the order of drawing.
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
        line = _joined(line, piece)
    return line


def _is_disordered(rows: list[Row]) -> bool:
    turns = main_turns(rows)
    firsts = [row[0] for row in rows if row[0].turns == turns]
    ups = sum(
        after.middle > before.middle + before.height / 2 and after.is_over_or_under(before)
        for before, after in zip(firsts, firsts[1:], strict=False)
    )
    return ups > _DISORDER * (len(firsts) - 1)


def _sorted(rows: list[Row]) -> list[Row]:
    """Return the rows from top to bottom; what is turned otherwise than most comes last."""
    turns = main_turns(rows)
    pieces = [piece for row in rows for piece in row]
    aside = [[piece] for piece in pieces if piece.turns != turns]
    by_height: list[Row] = []
    for piece in sorted(
        (piece for piece in pieces if piece.turns == turns), key=lambda piece: -piece.middle
    ):
        if by_height and by_height[-1][0].is_beside(piece):
            by_height[-1].append(piece)
        else:
            by_height.append([piece])
    return [_along(row) for row in by_height] + aside


def _along(row: Row) -> Row:
    is_leftward = _is_leftward(row)
    return sorted(row, key=lambda piece: -piece.right if is_leftward else piece.left)


def _is_leftward(row: Row) -> bool:
    directions = Counter(unicodedata.bidirectional(c) for piece in row for c in piece.text)
    return directions["R"] + directions["AL"] > directions["L"]


def _columns(rows: list[Row], start: int) -> tuple[list[Row], int]:
    """Return the columns of prose that some rows are drawn across, and the row behind them.

    There are none if the rows are those of a table, or of one column.
    """
    gutters = _gaps(rows[start])
    end = start + 1
    while gutters and end < min(len(rows), start + _ROWS_OF_COLUMNS):
        if rows[end][0].middle > rows[end - 1][0].middle:
            break
        narrowed = _narrowed(gutters, rows[end])
        if not narrowed:
            break
        gutters = narrowed
        end += 1
    # A table below may share the gutter: the columns end before a wide step at the latest.
    ends = [end] + [
        n
        for n in range(end - 1, start + 1, -1)
        if rows[n - 1][0].bottom - rows[n][0].top > rows[n][0].height / 2
    ]
    for end in ends:
        columns = _split(rows[start:end], gutters)
        if columns and all(_is_prose(column) for column in columns):
            return columns[::-1] if _is_leftward(columns[0]) else columns, end
    return [], start


def _split(rows: list[Row], gutters: list[tuple[float, float]]) -> list[Row]:
    """Return the lines of each column; no columns if there is too little between them."""
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
        for before, after in zip(pieces, pieces[1:], strict=False)
        if after.left - before.right > _GUTTER * before.height and before.turns == after.turns
    ]


def _narrowed(gutters: list[tuple[float, float]], row: Row) -> list[tuple[float, float]]:
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
    """Return whether lines below one another are one running text, not the cells of a table."""
    if len(lines) < 2:
        return False
    widths = [line.right - line.left for line in lines]
    full = sum(width > 0.7 * max(widths) for width in widths[:-1])
    words = median(len(line.text.split()) for line in lines)
    letters = median(len(line.text) for line in lines)
    begins = [line.text[0] for line in lines[1:]]
    without_case = [b for b in begins if b.isalpha() and b.lower() == b.upper()]
    goes_on = len(without_case) + sum(begin.islower() for begin in begins)
    is_long = words >= 3 or (len(without_case) > len(begins) / 2 and letters >= 10)
    return is_long and 2 * goes_on >= len(begins) and 2 * full >= len(lines) - 1


def paragraphs(lines: list[Piece]) -> list[bool]:
    """Return for each line whether a new paragraph begins with it.

    Args:
        lines: Of a page, in the order of reading.
    """
    steps = [
        before.bottom - after.top if after.is_over_or_under(before) else None
        for before, after in zip(lines, lines[1:], strict=False)
    ]
    usual = median([step for step in steps if step is not None and step > -50] or [0.0])
    return [True] * bool(lines) + [
        step is not None and step > usual + before.height / 2
        for before, step in zip(lines, steps, strict=False)
    ]


def with_text(line: Piece, text: str) -> Piece:
    """Return a line at the same place with another text."""
    return replace(line, text=text)
