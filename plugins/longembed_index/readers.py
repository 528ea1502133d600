"""From the bytes of a file to its text: one reader per format, and nothing is guessed."""

from __future__ import annotations

import codecs
import io
import logging
from collections.abc import Callable
from pathlib import PurePath
from typing import TYPE_CHECKING

from longembed_st.errors import InputError
from longembed_st.extras import needs_extra

if TYPE_CHECKING:
    from markitdown import DocumentConverter

_LIBRARIES = ("index", "bs4", "markitdown")
"""The extra, and what it brings to read files with."""

_ONLY_PYTHONS = ("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape")
"""Names that Python takes for encodings of text, and the Web does not."""

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    # Before UTF-16, whose little-endian mark is the beginning of this one.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(data: bytes) -> str:
    """Plain text and Markdown: UTF-8, or what its byte order mark says.

    Args:
        data: The file.

    Returns:
        The text, without the mark.

    Raises:
        InputError: If it is binary or in another encoding.
    """
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if b"\0" in data:
            raise InputError("is binary, not text") from None
        raise InputError(
            f"is not {encoding.upper()} text (byte {data[error.start]:#04x} at offset "
            f"{error.start}). Save it as UTF-8"
        ) from None
    if "\0" in text:
        raise InputError("is binary, not text: it has NUL characters")
    return text


def read_html(data: bytes) -> str:
    """A web page as Markdown, scripts and styles left out.

    Args:
        data: The file, in UTF-8 or in the encoding that it declares.

    Returns:
        Its text.

    Raises:
        InputError: If it cannot be read.
    """
    with needs_extra(*_LIBRARIES):
        from bs4.dammit import EncodingDetector
        from markitdown.converters import HtmlConverter
    try:
        page = read_text(data)
    except InputError:
        declared = EncodingDetector.find_declared_encoding(data, is_html=True)
        if declared is None:
            raise
        try:
            page = data.decode(_encoding(declared))
        # A codec may raise anything, and LookupError if there is none.
        except (LookupError, ValueError):
            raise InputError(f"is not {declared} text, as it declares") from None
    return _convert(HtmlConverter(), page.encode("utf-8"), ".html")


def read_pdf(data: bytes) -> str:
    """The text layer of a PDF.

    Args:
        data: The file.

    Returns:
        Its text; empty if the pages are pictures.

    Raises:
        InputError: If it cannot be read, for example because it is encrypted.
    """
    with needs_extra(*_LIBRARIES):
        from markitdown.converters import PdfConverter
    # It warns of every oddity in a font, hundreds of times a file.
    logging.getLogger("pdfminer").setLevel(logging.ERROR)
    return _convert(PdfConverter(), data, ".pdf")


def read_docx(data: bytes) -> str:
    """A Word document as Markdown.

    Args:
        data: The file.

    Returns:
        Its text.

    Raises:
        InputError: If it cannot be read.
    """
    with needs_extra(*_LIBRARIES):
        from markitdown.converters import DocxConverter
    return _convert(DocxConverter(), data, ".docx")


READERS: dict[str, Callable[[bytes], str]] = {
    "": read_text,
    ".txt": read_text,
    ".text": read_text,
    ".md": read_text,
    ".markdown": read_text,
    ".rst": read_text,
    ".html": read_html,
    ".htm": read_html,
    ".xhtml": read_html,
    ".pdf": read_pdf,
    ".docx": read_docx,
}
"""The reader of each file name suffix, in lower case. LICENSE and README have none."""

MARKDOWN = frozenset(
    {".md", ".markdown"} | {s for s, reader in READERS.items() if reader in (read_html, read_docx)}
)
"""The suffixes whose texts are Markdown."""


def is_parsed(suffix: str) -> bool:
    """Whether files of a suffix go through a parser, which may take any time and memory.

    Args:
        suffix: In lower case, with its dot. What nobody knows is taken for plain text.
    """
    return READERS.get(suffix, read_text) is not read_text


def suffix_of(path: PurePath) -> str:
    """The suffix by which a file's reader is found."""
    return path.suffix.lower()


def _convert(converter: DocumentConverter, data: bytes, suffix: str) -> str:
    from markitdown import MissingDependencyException, StreamInfo

    try:
        result = converter.convert(io.BytesIO(data), StreamInfo(extension=suffix, charset="utf-8"))
    except MissingDependencyException:
        command = f'pip install "longembed-st[{_LIBRARIES[0]}]"'
        raise InputError(f"needs a library for {suffix} files: {command}") from None
    except MemoryError:
        raise
    # The converters let through whatever their parsers raise on a damaged file.
    except Exception as error:
        raise InputError(f"cannot be read as {suffix[1:].upper()}: {first_line(error)}") from error
    return result.markdown


def first_line(error: BaseException) -> str:
    """An error in one short line.

    Args:
        error: The error.
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _encoding(declared: str) -> str:
    """The encoding that a page declares; `LookupError` if no page is written in it."""
    encoding = codecs.lookup(declared).name
    if encoding in _ONLY_PYTHONS:
        raise LookupError(declared)
    return encoding
