from __future__ import annotations

import io
import sys
import zipfile

import pytest
from office_files import make_epub, make_pages, make_pdf

from longembed_index.documents.docx import read_docx
from longembed_index.documents.mail import read_mail
from longembed_index.documents.markup import read_epub, read_html, read_pdf
from longembed_index.documents.places import place_in
from longembed_index.documents.plain import read_json, read_json_lines, read_markdown, read_text
from longembed_index.documents.pptx import read_pptx
from longembed_index.documents.readers import READERS
from longembed_st.errors import InputError
from longembed_st.extras import MissingExtraError


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_text_is_read_unaltered_in_every_unicode_encoding(encoding) -> None:
    text = "Zwölf Boxkämpfer\n\n  日本語 🙂 שלום\n"
    assert read_text(text.encode(encoding)).text == text


def test_a_leading_mark_is_not_part_of_the_text() -> None:
    assert read_text(b"\xff\xfeh\0i\0").text == "hi"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"caf\xe9 au lait", r"not UTF-8 text \(byte 0xe9 at offset 3\)"),
        (bytes(range(256)) * 4, "binary"),
        (b"text\0with NUL", "binary.*NUL"),
        ("no mark".encode("utf-16-le"), "binary"),
        (b"\xff\xfeh", "UTF-16"),
        (b"\xed\xa0\x80", "not UTF-8"),
    ],
)
def test_what_is_not_text_is_refused_with_the_reason(data, reason) -> None:
    with pytest.raises(InputError, match=reason):
        read_text(data)


def test_html_becomes_text_without_scripts() -> None:
    page = "<html><head><style>p {}</style></head><body><h1>Größe</h1><p>one &amp; two</p>"
    text = read_html((page + "<script>alert(1)</script></body></html>").encode()).text
    assert "# Größe" in text
    assert "one & two" in text
    assert "alert" not in text
    assert "{}" not in text


def test_html_in_the_encoding_that_it_declares() -> None:
    page = '<html><head><meta charset="iso-8859-1"></head><body>Größe</body></html>'
    assert "Größe" in read_html(page.encode("iso-8859-1")).text


@pytest.mark.parametrize("charset", ["no-such-encoding", "ascii"])
def test_html_in_another_encoding_than_declared_is_refused(charset) -> None:
    page = f'<meta charset="{charset}"><body>Größe</body>'
    with pytest.raises(InputError, match=charset):
        read_html(page.encode("iso-8859-1"))


def test_utf8_html_that_is_not_ascii_at_its_very_end() -> None:
    # A guess from the first kilobytes alone takes this for ASCII.
    assert read_html(f"<p>{'a ' * 10_000}</p><p>Größe</p>".encode()).text.endswith("Größe")


def test_pdf() -> None:
    assert "The quick brown fox" in read_pdf(make_pdf("The quick brown fox")).text


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
    monkeypatch.setitem(sys.modules, "mammoth", None)
    monkeypatch.setitem(sys.modules, "pptx", None)
    for read in (read_pdf, read_docx, read_html, read_pptx, read_epub):
        with pytest.raises(MissingExtraError, match=r'pip install "longembed-st\[index\]"'):
            read(b"")


def test_a_web_page_has_the_title_of_its_head() -> None:
    page = b"<html><head><title>\n  All about\n roads </title></head><body><p>text</p></body>"
    assert read_html(page).title == "All about roads"
    assert read_html(b"<p>no title</p>").title == ""


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("---\ntitle: Roads\ntags: [a]\n---\n# Heading\n", "Roads"),
        ("---\ntitle: 'A: B'\n---\n", "A: B"),
        ("---\ntitle: 2019\n---\n", "2019"),
        ("---\ntags: [a]\n---\n", ""),
        ("---\ntitle: [\n---\n", ""),
        ("---\n- title\n---\n", ""),
        ("---\ntitle: never closed\n", ""),
        ("# title: no\n---\ntitle: late\n---\n", ""),
    ],
)
def test_markdown_is_unaltered_and_has_the_title_of_its_front_matter(text, title) -> None:
    parsed = read_markdown(text.encode())
    assert parsed.text == text
    assert parsed.title == title


def test_json_is_read_without_its_escapes() -> None:
    data = rb'{"name": "Gr\u00f6\u00dfe", "sizes": [1, {"unit": "m"}, null], "ok": true, '
    data += rb'"a": {"b": "x\ny"}}'
    assert read_json(data).text == "name: Größe\nsizes: 1\nsizes.unit: m\nok: true\na.b: x\ny"
    assert read_json(b'"alone"').text == "alone"


@pytest.mark.parametrize("text", ['{"a": 1,}', "// comment\n{}", "[" * 100_000, "", "1" * 5000])
def test_what_is_no_json_is_read_as_it_is(text) -> None:
    assert read_json(text.encode()).text == text
    assert read_json_lines(text.encode()).text == text


def test_json_lines_have_a_paragraph_each() -> None:
    data = '{"id": 1, "text": "one\u2028two"}\n\n{"id": 2, "text": "b"}\n'.encode()
    assert read_json_lines(data).text == "id: 1\ntext: one\u2028two\n\nid: 2\ntext: b"


def test_a_book_has_chapters_and_a_title() -> None:
    parsed = read_epub(
        make_epub("Öde Inseln", {"The sea": "salt water", "The shore": "white sand"})
    )
    assert parsed.title == "Öde Inseln"
    place = place_in(parsed.text, parsed.text.index("white sand"), "a.epub")
    assert place.heading == "The shore"


MAIL = """From: Ann <ann@example.org>
To: bob@example.org
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=
Date: Mon, 2 Mar 2026 10:00:00 +0100
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=x

--x
Content-Type: text/html; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

<p>See you in <b>K=F6ln</b>.</p>
--x
Content-Type: application/pdf
Content-Disposition: attachment; filename="map.pdf"
Content-Transfer-Encoding: base64

JVBERi0=
--x--
"""


def test_a_mail_has_headers_a_text_and_says_what_is_attached() -> None:
    parsed = read_mail(MAIL.encode())
    assert parsed.title == "Grüße"
    assert parsed.text.startswith("From: Ann <ann@example.org>\nTo: bob@example.org\n")
    assert "See you in **Köln**." in parsed.text
    assert "Attached, not read: map.pdf" in parsed.text


def test_what_is_no_mail_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be read as EML: it has no headers"):
        read_mail(b"\x00\x01 nothing of the kind")


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


def test_source_code_is_read_as_it_is() -> None:
    code = "def f(x):\n\treturn x  # ✓\n"
    for suffix in (".py", ".rs", ".sql", ".yaml", ".csv"):
        assert READERS[suffix](code.encode()).text == code
