"""The words of a PDF page and where they stand, in the order in which they are drawn."""

from __future__ import annotations

import ctypes
import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

_WIDE_GAP = 0.9
"""A gap of so many line heights parts the pieces of a line: cells, or columns."""
_HYPHEN, _NOT_A_CHARACTER = 0x02, 0xFFFE
"""What PDFium gives for the hyphen of a word that goes on in the next line."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Words without a wide gap between them, and where they stand.

    Attributes:
        text: The words, parted by single spaces.
        left: In points, like the other three; as if the page were turned so that the text is
            upright.
        bottom: The lower edge of the line, not of its letters.
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
        """Return the height of the line."""
        return max(self.top - self.bottom, 1.0)

    @property
    def middle(self) -> float:
        """Return the height at which the line stands."""
        return (self.top + self.bottom) / 2

    def is_beside(self, other: Piece) -> bool:
        """Return whether another piece stands on the same line."""
        return self.turns == other.turns and abs(self.middle - other.middle) < self.height / 2

    def is_over_or_under(self, other: Piece) -> bool:
        """Return whether another piece stands somewhere above or below."""
        return self.turns == other.turns and self.left < other.right and other.left < self.right


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
                row[-1] = joined(row[-1], word)
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
    for index in range(len(codes)):
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


def turned(box: tuple[float, float, float, float], turns: int) -> tuple[float, float, float, float]:
    """Return a box on a page that is turned back by some quarters of a circle."""
    left, bottom, right, top = box
    for _ in range(turns):
        left, bottom, right, top = bottom, -right, top, -left
    return left, bottom, right, top


def _belongs_to(piece: Piece, word: Piece) -> bool:
    # In a line from right to left, the next word stands left of the last.
    gap = max(word.left - piece.right, piece.left - word.right)
    return piece.turns == word.turns and gap < _WIDE_GAP * min(piece.height, word.height)


def joined(piece: Piece, word: Piece, space: str = " ") -> Piece:
    """Return two pieces as one."""
    return Piece(
        f"{piece.text}{space}{word.text}",
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
