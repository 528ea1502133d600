from __future__ import annotations

import pypdfium2
from pdf_files import at, column, mapped_font, pdf_of

from longembed_index.documents.formats.pdf_layout import lines_of, paragraphs
from longembed_index.documents.formats.pdf_pieces import read_rows

LEFT = ["The council met in May to", "approve the budget of the", "harbour for two years."]
RIGHT = ["A second column stands at", "the right of the first and", "is read when it is over."]


def texts_of(data: bytes) -> list[str]:
    document = pypdfium2.PdfDocument(data)
    rows, _ = read_rows(document[0].get_textpage())
    return [" ".join(line.text.split()) for line in lines_of(rows)]


def across(*columns: list[str], step: float = 240) -> bytes:
    """Columns that are drawn line by line, over the whole page."""
    return b"".join(
        at(72 + step * x, 720 - 12 * y, line)
        for y, lines in enumerate(zip(*columns, strict=True))
        for x, line in enumerate(lines)
    )


def test_columns_that_are_drawn_one_by_one() -> None:
    assert texts_of(pdf_of(column(72, LEFT) + column(312, RIGHT))) == LEFT + RIGHT


def test_columns_that_are_drawn_across() -> None:
    for step in (140, 240):
        assert texts_of(pdf_of(across(LEFT, RIGHT, step=step))) == LEFT + RIGHT


def test_columns_under_a_title_and_over_a_table() -> None:
    title = at(72, 750, "A title over both of the columns of this page, as papers have them")
    table = across(["name", "Ann", "Bob"], ["town", "Hull", "Leith"], ["dues", "1", "2"], step=150)
    moved = table.replace(b" 720 Tm", b" 640 Tm").replace(b" 708 Tm", b" 628 Tm")
    data = pdf_of(title + across(LEFT, RIGHT) + moved.replace(b" 696 Tm", b" 616 Tm"))
    assert texts_of(data)[1:] == [*LEFT, *RIGHT, "name town dues", "Ann Hull 1", "Bob Leith 2"]


def test_rows_of_a_table_with_long_cells_stay_together() -> None:
    cells = (["Budget of the year", "Dues of the port"], ["Approved in May", "Raised in June"])
    assert texts_of(pdf_of(across(*cells))) == [
        "Budget of the year Approved in May",
        "Dues of the port Raised in June",
    ]


def test_lines_that_are_drawn_from_the_bottom_up() -> None:
    content = b"".join(at(72, 720 - 14 * n, LEFT[n]) for n in (2, 1, 0))
    assert texts_of(pdf_of(content)) == LEFT


def test_turned_text() -> None:
    for degrees, (right, up) in {90: (14, 0), 180: (0, 14), 270: (-14, 0)}.items():
        content = b"".join(
            at(300 + right * n, 400 + up * n, line, degrees=degrees) for n, line in enumerate(LEFT)
        )
        assert texts_of(pdf_of(content)) == LEFT, degrees


def test_columns_from_right_to_left_begin_at_the_right() -> None:
    font, to_unicode = mapped_font("A", "Z", 0x05D0)
    left, right = ["CBA FED IHG LKJ"] * 3, ["LKJ IHG FED CBA"] * 3
    lines = texts_of(pdf_of(across(left, right), font=font, extra=[to_unicode]))
    assert len(lines) == 6
    assert lines[:3] == ["אבג דהו זחט יךכ"] * 3


def test_a_wide_gap_begins_a_paragraph() -> None:
    content = column(72, LEFT) + column(72, RIGHT, top=660)
    document = pypdfium2.PdfDocument(pdf_of(content))
    rows, _ = read_rows(document[0].get_textpage())
    assert paragraphs(lines_of(rows)) == [True, False, False, True, False, False]
