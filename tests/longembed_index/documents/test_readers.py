from __future__ import annotations

import io
import zipfile
from unittest.mock import Mock

import pytest

from longembed_index.documents.readers import READERS
from longembed_st.errors import InputError
from longembed_st.extras import MissingExtraError


def zip_of_nothing() -> bytes:
    out = io.BytesIO()
    zipfile.ZipFile(out, "w").close()
    return out.getvalue()


def test_damaged_files_are_one_line_errors() -> None:
    for suffix in [".pdf", ".docx", ".pptx", ".xlsx", ".epub"]:
        for data in (b"", b"%PDF-1.4 cut off", b"\x00\x01junk", b"PK\x03\x04", zip_of_nothing()):
            reason = f"cannot be read as {suffix[1:].upper()}: "
            with pytest.raises(InputError, match=reason) as caught:
                READERS[suffix](data)
            assert "\n" not in str(caught.value)


def test_a_missing_library_is_named_with_the_command(monkeypatch) -> None:
    for suffix, library in {".pdf": "pypdfium2", ".docx": "mammoth", ".html": "lxml"}.items():
        error = ModuleNotFoundError(f"No module named {library!r}", name=library)
        fail = Mock(side_effect=error)
        monkeypatch.setattr("longembed_index.documents.readers.import_module", fail)
        named = rf'{library}.*pip install "longembed-st\[index\]"'
        with pytest.raises(MissingExtraError, match=named):
            READERS[suffix](b"PK")
