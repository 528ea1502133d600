from __future__ import annotations

import datetime
import io
import re

import openpyxl
from office_files import make_xlsx, parts_of, zipped
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont
from openpyxl.chart import BarChart, Reference
from openpyxl.comments import Comment

from longembed_index.documents.formats.xlsx import read_xlsx
from longembed_index.documents.places import place_in

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def saved(book: openpyxl.Workbook) -> bytes:
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def of_rows(*rows) -> openpyxl.Workbook:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    return book


def with_sheet(rows: str, **parts: bytes) -> bytes:
    """A workbook whose sheet has these rows as XML."""
    content = parts_of(saved(of_rows(["a"])))
    content["xl/worksheets/sheet1.xml"] = (
        f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'.encode()
    )
    return zipped(content)


def lines(data: bytes) -> list[str]:
    return [line for line in read_xlsx(data).text.split("\n") if line][1:]


def test_sheets_are_headings_and_rows_are_lines() -> None:
    sheets = {
        "Towns": [[None, "people", None, "in"], [None] * 4, ["Hill", 1200, None, "Kent"]],
        "Rivers": [["# Elbe"], ["two\nlines"]],
    }
    parsed = read_xlsx(make_xlsx("Atlas", sheets))
    assert parsed.title == "Atlas"
    assert parsed.text == (
        "## Towns\n\n| people |  | in\nHill | 1200 |  | Kent\n\n## Rivers\n\n\\# Elbe\ntwo lines\n"
    )
    assert place_in(parsed.text, parsed.text.index("Elbe"), "a.xlsx").heading == "Rivers"
    assert parsed.left_out == ()


def test_values_of_every_kind() -> None:
    book = of_rows(["NA", True, "#N/A", 0.1 + 0.2, 1234567890123456, datetime.date(2024, 1, 5)])
    book.active["A2"] = 1067
    book.active["A2"].number_format = "00000"
    book.active["B2"] = datetime.timedelta(hours=30)
    book.active["C2"] = datetime.time(13, 30)
    book.active["D2"] = CellRichText("part", TextBlock(InlineFont(b=True), "ly bold"))
    assert lines(saved(book)) == [
        "NA | TRUE | #N/A | 0.3 | 1234567890123456 | 2024-01-05",
        "01067 | 30:00:00 | 13:30:00 | partly bold",
    ]


CHANGES = [
    (rb'<dimension ref="[^"]*"', b'<dimension ref="A1"'),
    (rb' r="[A-Z]*\d+"', b""),
    (rb"<(/?)fills", rb"<\1unknown"),
    (rb'<fonts count="1">', b'<fonts count="1"><font><color rgb="zzz"/></font>'),
    (rb"<cellXfs.*</cellXfs>", b""),
    (rb"http://schemas.openxmlformats.org/(\w+)/2006/", rb"http://purl.oclc.org/ooxml/\1/"),
]


def test_workbooks_of_other_programs() -> None:
    for change, by in CHANGES:
        data = saved(of_rows(*([f"budget line {number}", number] for number in range(1, 40))))
        package = b"http://schemas.openxmlformats.org/package/"
        parts = {
            name: re.sub(change, by, content.replace(package, b"PACKAGE"), flags=re.DOTALL).replace(
                b"PACKAGE", package
            )
            for name, content in parts_of(data).items()
        }
        read = lines(zipped(parts))
        assert len(read) == 39
        assert read[-1] == "budget line 39 | 39"


def test_formulas_without_a_stored_value_are_named() -> None:
    book = of_rows(["Sum", "=A1+1", "=A2"])
    book.active.title = "Budget"
    parsed = read_xlsx(saved(book))
    assert [str(left) for left in parsed.left_out] == [
        "sheet Budget: 2 formulas without a stored value"
    ]
    rows = '<row><c><f>1+1</f><v>2</v></c><c t="str"><f>A1</f><v></v></c></row>'
    parsed = read_xlsx(with_sheet(rows))
    assert parsed.text.split() == ["##", "Sheet", "2"]
    assert parsed.left_out == ()


def test_cells_far_from_the_others_cost_nothing() -> None:
    book = of_rows(["first"])
    book.active["XFD1048576"] = "last"
    book.active["A1048576"] = "begin"
    read = lines(saved(book))
    assert read[0] == "first"
    assert read[1].split() == ["begin", *["|"] * 20, "last"]


def test_comments_stand_below_their_rows() -> None:
    book = of_rows(["Harbour"], ["Quay"])
    book.active["A1"].comment = Comment("The council's\nremark", "Ann")
    book.active["C9"].comment = Comment("On nothing", "Bob")
    parsed = read_xlsx(saved(book))
    assert parsed.text.split("\n")[2:6] == [
        "Harbour",
        "Comment on A1 (Ann): The council's remark",
        "Quay",
        "Comment on C9 (Bob): On nothing",
    ]
    assert parsed.left_out == ()


def test_threaded_comments_replace_the_text_that_old_programs_show() -> None:
    book = of_rows(["Harbour"])
    book.active["A1"].comment = Comment("[Threaded comment]\n\nYour version allows you", "tc=1")
    parts = parts_of(saved(book))
    name = "xl/worksheets/_rels/sheet1.xml.rels"
    link = (
        '<Relationship Id="t" Type="http://schemas.microsoft.com/office/2017/10/relationships/'
        'threadedComment" Target="../threadedComments/threadedComment1.xml"/></Relationships>'
    )
    parts[name] = parts[name].replace(b"</Relationships>", link.encode())
    parts["xl/threadedComments/threadedComment1.xml"] = (
        b'<ThreadedComments xmlns="urn:any"><threadedComment ref="A1" personId="{1}">'
        b"<text>Too high</text></threadedComment></ThreadedComments>"
    )
    parsed = read_xlsx(zipped(parts))
    assert parsed.text.split("\n")[2:4] == ["Harbour", "Comment on A1: Too high"]
    assert parsed.left_out == ()


def test_hidden_sheets_merged_cells_margins_and_charts() -> None:
    book = of_rows(["Harbour", "x"], [3, 4])
    book.active.oddHeader.center.text = "Draft"
    book.active.oddFooter.center.text = "Seite &P"
    hidden = book.create_sheet("Second")
    hidden.sheet_state = "veryHidden"
    hidden["A1"] = "Quay"
    hidden.merge_cells("A1:C3")
    chart = BarChart()
    chart.title = "What it costs"
    chart.add_data(Reference(book.active, min_col=1, min_row=1, max_row=2), titles_from_data=True)
    book.create_chartsheet("Picture").add_chart(chart)
    parsed = read_xlsx(saved(book))
    for text in ("Draft", "## Second\n\nQuay\n", "## Picture\n\nWhat it costs"):
        assert text in parsed.text
    assert "Seite" not in parsed.text
    assert parsed.left_out == ()


def test_text_is_read_without_escapes_and_pronunciation() -> None:
    text = "<is><r><t>東京_x000D_</t></r><rPh><t>トウキョウ</t></rPh></is>"
    rows = f'<row><c t="inlineStr">{text}</c><c t="d"><v>2024-01-05T00:00:00</v></c></row>'
    assert lines(with_sheet(rows)) == ["東京 | 2024-01-05"]


def test_what_cannot_be_had_is_named() -> None:
    data = make_xlsx("", {"One": [["first"]], "Two": [["second"]], "Three": [["third"]]})
    parts = parts_of(data)
    del parts["xl/worksheets/sheet1.xml"]
    parts["xl/worksheets/sheet2.xml"] = parts["xl/worksheets/sheet2.xml"][:-30]
    parts["xl/worksheets/sheet9.xml"] = b"<worksheet/>"
    parsed = read_xlsx(zipped(parts))
    assert "third" in parsed.text
    assert [str(left) for left in parsed.left_out] == [
        "sheet One: sheets that the file does not have",
        "xl/worksheets/sheet2.xml: damaged parts, read as far as they go",
        "xl/worksheets/sheet9.xml: sheets that the workbook does not list",
    ]
