from __future__ import annotations

import io
import sys
import zipfile

import pytest
from office_files import make_docx, make_pages, make_pdf, make_pptx, make_xlsx

from longembed_index.documents.markup import (
    read_docx,
    read_pptx,
    read_xlsx,
)
from longembed_index.documents.pdf import read_pdf
from longembed_index.documents.places import place_in
from longembed_index.documents.readers import READERS
from longembed_st.errors import InputError
from longembed_st.extras import MissingExtraError


def test_pdf() -> None:
    assert "The quick brown fox" in read_pdf(make_pdf("The quick brown fox")).text


def test_docx() -> None:
    assert read_docx(make_docx("Zw\u00f6lf Boxk\u00e4mpfer")).text.strip() == "Zwölf Boxkämpfer"


def zip_of_nothing() -> bytes:
    out = io.BytesIO()
    zipfile.ZipFile(out, "w").close()
    return out.getvalue()


@pytest.mark.parametrize(
    "data", [b"%PDF-1.4 cut off", b"\x00\x01junk", b"PK\x03\x04", zip_of_nothing()]
)
@pytest.mark.parametrize("suffix", [".pdf", ".docx", ".pptx", ".xlsx", ".epub"])
def test_damaged_files_are_one_line_errors(suffix, data) -> None:
    with pytest.raises(InputError, match=f"cannot be read as {suffix[1:].upper()}: ") as caught:
        READERS[suffix](data)
    assert "\n" not in str(caught.value)


def test_a_missing_library_is_named_with_the_command(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "markitdown", None)
    monkeypatch.setitem(sys.modules, "markitdown.converters", None)
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    for read in (read_pdf, read_docx, read_pptx, read_xlsx):
        with pytest.raises(MissingExtraError, match=r'pip install "longembed-st\[index\]"'):
            read(b"")


def test_a_presentation_has_slides_and_headings() -> None:
    parsed = read_pptx(make_pptx("Year in review", {"Sales": "they rose", "Staff": "two left"}))
    assert parsed.title == "Year in review"
    place = place_in(parsed.text, parsed.text.index("two left"), "a.pptx")
    assert (place.page, place.heading) == (2, "Staff")
    assert place_in(parsed.text, parsed.text.index("they rose"), "a.pptx").page == 1


def test_a_workbook_has_its_sheets_as_headings() -> None:
    sheets = {"Towns": [["name", "people"], ["Hill", 1200], [None, None]], "Rivers": [["Elbe"]]}
    parsed = read_xlsx(make_xlsx("Atlas", sheets))
    assert parsed.title == "Atlas"
    assert "name | people\nHill | 1200\n" in parsed.text
    assert place_in(parsed.text, parsed.text.index("Elbe"), "a.xlsx").heading == "Rivers"


def test_pages_of_a_pdf_are_known_where_one_has_a_table(monkeypatch) -> None:
    from markitdown.converters import PdfConverter

    data = make_pages(["first page"], ["a table"], ["third page"])
    plain = PdfConverter.convert

    def joined(self, stream, info):
        """As the converter does when one of several pages has a table."""
        made = plain(self, stream, info)
        if made.markdown.count("\f") > 1:
            made.markdown = made.markdown.replace("\f", "\n\n").strip()
        return made

    monkeypatch.setattr(PdfConverter, "convert", joined)
    text = read_pdf(data).text
    assert [place_in(text, text.index(w), "a.pdf").page for w in ("first", "table", "third")] == [
        1,
        2,
        3,
    ]


def test_the_title_of_a_pdf() -> None:
    assert read_pdf(make_pdf("text")).title == ""
    titled = make_pdf("text").replace(
        b"trailer << ", b"trailer << /Info << /Title (Microsoft Word - Road plan) >> "
    )
    assert read_pdf(titled).title == "Road plan"
