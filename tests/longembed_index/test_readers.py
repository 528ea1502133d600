from __future__ import annotations

import io
import sys
import zipfile

import pytest
from office_files import make_docx, make_pdf

from longembed_index.readers import READERS, read_docx, read_html, read_pdf, read_text
from longembed_st.errors import InputError
from longembed_st.extras import MissingExtraError


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_text_is_read_unaltered_in_every_unicode_encoding(encoding) -> None:
    text = "Zwölf Boxkämpfer\n\n  日本語 🙂 שלום\n"
    assert read_text(text.encode(encoding)) == text


def test_a_leading_mark_is_not_part_of_the_text() -> None:
    assert read_text(b"\xff\xfeh\0i\0") == "hi"


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
    text = read_html((page + "<script>alert(1)</script></body></html>").encode())
    assert "# Größe" in text
    assert "one & two" in text
    assert "alert" not in text
    assert "{}" not in text


def test_html_in_the_encoding_that_it_declares() -> None:
    page = '<html><head><meta charset="iso-8859-1"></head><body>Größe</body></html>'
    assert "Größe" in read_html(page.encode("iso-8859-1"))


@pytest.mark.parametrize("charset", ["no-such-encoding", "ascii"])
def test_html_in_another_encoding_than_declared_is_refused(charset) -> None:
    page = f'<meta charset="{charset}"><body>Größe</body>'
    with pytest.raises(InputError, match=charset):
        read_html(page.encode("iso-8859-1"))


def test_utf8_html_that_is_not_ascii_at_its_very_end() -> None:
    # A guess from the first kilobytes alone takes this for ASCII.
    assert read_html(f"<p>{'a ' * 10_000}</p><p>Größe</p>".encode()).endswith("Größe")


def test_pdf() -> None:
    assert "The quick brown fox" in read_pdf(make_pdf("The quick brown fox"))


def test_docx() -> None:
    assert read_docx(make_docx("Zw\u00f6lf Boxk\u00e4mpfer")).strip() == "Zwölf Boxkämpfer"


def zip_of_nothing() -> bytes:
    out = io.BytesIO()
    zipfile.ZipFile(out, "w").close()
    return out.getvalue()


@pytest.mark.parametrize(
    "data", [b"%PDF-1.4 cut off", b"\x00\x01junk", b"PK\x03\x04", zip_of_nothing()]
)
@pytest.mark.parametrize("suffix", [".pdf", ".docx"])
def test_damaged_files_are_one_line_errors(suffix, data) -> None:
    with pytest.raises(InputError, match=f"cannot be read as {suffix[1:].upper()}: ") as caught:
        READERS[suffix](data)
    assert "\n" not in str(caught.value)


def test_a_missing_library_is_named_with_the_command(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "markitdown", None)
    monkeypatch.setitem(sys.modules, "markitdown.converters", None)
    for read in (read_pdf, read_docx, read_html):
        with pytest.raises(MissingExtraError, match=r'pip install "longembed-st\[index\]"'):
            read(b"")
