from __future__ import annotations

import io
import zipfile

import pytest

from longembed_index.documents.readers import READERS
from longembed_st.errors import InputError
from longembed_st.extras import MissingExtraError


def zip_of_nothing() -> bytes:
    out = io.BytesIO()
    zipfile.ZipFile(out, "w").close()
    return out.getvalue()


@pytest.mark.parametrize("suffix", [".pdf", ".docx", ".pptx", ".xlsx", ".epub"])
def test_damaged_files_are_one_line_errors(suffix) -> None:
    for data in (b"", b"%PDF-1.4 cut off", b"\x00\x01junk", b"PK\x03\x04", zip_of_nothing()):
        with pytest.raises(InputError, match=f"cannot be read as {suffix[1:].upper()}: ") as caught:
            READERS[suffix](data)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("suffix", "library"),
    [(".pdf", "pypdfium2"), (".docx", "mammoth"), (".pptx", "pptx"), (".html", "lxml")],
)
def test_a_missing_library_is_named_with_the_command(suffix, library, monkeypatch) -> None:
    def fail(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {library!r}", name=library)

    monkeypatch.setattr("longembed_index.documents.readers.import_module", fail)
    with pytest.raises(MissingExtraError, match=rf'{library}.*pip install "longembed-st\[index\]"'):
        READERS[suffix](b"PK")
