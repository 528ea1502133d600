from __future__ import annotations

import io
import sys
import zipfile

import pytest
from longembed_index.documents.formats.docx import read_docx
from longembed_index.documents.formats.epub import read_epub
from longembed_index.documents.formats.html import read_html
from longembed_index.documents.formats.pdf import read_pdf
from longembed_index.documents.formats.pptx import read_pptx
from longembed_index.documents.readers import READERS
from longembed_st.errors import InputError
from longembed_st.extras import MissingExtraError


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
    for library in ("lxml.etree", "mammoth", "pptx", "pypdfium2"):
        monkeypatch.setitem(sys.modules, library, None)
    for read in (read_pdf, read_docx, read_html, read_pptx, read_epub):
        with pytest.raises(MissingExtraError, match=r'pip install "longembed-st\[index\]"'):
            read(b"")

