"""Readers of web pages, e-books and office files, which all become Markdown."""

from __future__ import annotations

import codecs
import io
import re
import zipfile
from contextlib import suppress
from typing import TYPE_CHECKING

from longembed_index.documents.parsed import PAGE_END, Parsed, clean_title, read_as
from longembed_index.documents.plain import decoded
from longembed_st.errors import InputError
from longembed_st.extras import needs_extra

if TYPE_CHECKING:
    from markitdown import DocumentConverterResult

_LIBRARIES = ("index", "bs4", "defusedxml", "markitdown", "openpyxl")
"""The extra, and what it brings to read files with."""

_ONLY_PYTHONS = ("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape")
"""Names that Python takes for encodings of text, and the Web does not."""

_PROPERTIES = "docProps/core.xml"
"""Where an office file keeps its title."""
_TITLE = "{http://purl.org/dc/elements/1.1/}title"

_SLIDE = re.compile(r"\s*<!-- Slide number: \d+ -->\n")


def read_html(data: bytes) -> Parsed:
    """Read a web page as Markdown, scripts and styles left out.

    Args:
        data: The file, in UTF-8 or in the encoding that it declares.

    Raises:
        InputError: If it cannot be read.
    """
    with needs_extra(*_LIBRARIES):
        from bs4.dammit import EncodingDetector
    try:
        page = decoded(data)
    except InputError:
        declared = EncodingDetector.find_declared_encoding(data, is_html=True)
        if declared is None:
            raise
        try:
            page = data.decode(_encoding(declared))
        # A codec may raise anything, and LookupError if there is none.
        except (LookupError, ValueError):
            raise InputError(f"is not {declared} text, as it declares") from None
    return parse_html(page)


def parse_html(page: str) -> Parsed:
    """Read a decoded web page as Markdown; see `read_html`.

    Args:
        page: The page.

    Raises:
        InputError: If it cannot be read.
    """
    converted = _convert("HtmlConverter", page.encode("utf-8", "replace"), ".html")
    return Parsed(converted.markdown, clean_title(converted.title))


def read_docx(data: bytes) -> Parsed:
    """Read a Word document as Markdown.

    Args:
        data: The file.

    Raises:
        InputError: If it cannot be read.
    """
    return Parsed(_convert("DocxConverter", data, ".docx").markdown, _office_title(data))


def read_pptx(data: bytes) -> Parsed:
    """Read a presentation as Markdown, with a form feed between two slides.

    Args:
        data: The file.

    Raises:
        InputError: If it cannot be read.
    """
    text = _convert("PptxConverter", data, ".pptx").markdown
    slides = _SLIDE.split(text)
    # A heading is the first of its line.
    return Parsed(f"{PAGE_END}\n".join(slides[1:] or slides), _office_title(data))


def read_xlsx(data: bytes) -> Parsed:
    """Read a workbook: each sheet under its name, each row as a line.

    Args:
        data: The file.

    Raises:
        InputError: If it cannot be read.
    """
    with needs_extra(*_LIBRARIES):
        import openpyxl  # type: ignore[import-untyped]
    with read_as("XLSX"):
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        lines = []
        for sheet in book.worksheets:
            lines.append(f"## {sheet.title}\n")
            for row in sheet.iter_rows(values_only=True):
                cells = ["" if value is None else str(value).strip() for value in row]
                if any(cells):
                    lines.append(" | ".join(cells).rstrip(" |"))
            lines.append("")
    # Sheets without a row have nothing to say but their name.
    return Parsed("\n".join(lines), _office_title(data))


def read_epub(data: bytes) -> Parsed:
    """Read an e-book as Markdown.

    Args:
        data: The file.

    Raises:
        InputError: If it cannot be read.
    """
    converted = _convert("EpubConverter", data, ".epub")
    return Parsed(converted.markdown, clean_title(converted.title))


def read_notebook(data: bytes) -> Parsed:
    """Read a Jupyter notebook as Markdown: its texts and its code, without the results.

    Args:
        data: The file.

    Raises:
        InputError: If it cannot be read.
    """
    converted = _convert("IpynbConverter", data, ".ipynb")
    return Parsed(converted.markdown, clean_title(converted.title))


def _convert(converter: str, data: bytes, suffix: str) -> DocumentConverterResult:
    """Return what a converter class of markitdown makes of a file."""
    with needs_extra(*_LIBRARIES):
        from markitdown import MissingDependencyException, StreamInfo, converters
    with read_as(suffix[1:].upper()):
        try:
            info = StreamInfo(extension=suffix, charset="utf-8")
            result: DocumentConverterResult = getattr(converters, converter)().convert(
                io.BytesIO(data), info
            )
            return result
        except MissingDependencyException:
            command = f'pip install "longembed-st[{_LIBRARIES[0]}]"'
            raise InputError(f"needs a library for {suffix} files: {command}") from None


def _office_title(data: bytes) -> str:
    from defusedxml.ElementTree import fromstring  # type: ignore[import-untyped]

    with suppress(Exception), zipfile.ZipFile(io.BytesIO(data)) as archive:
        return clean_title(fromstring(archive.read(_PROPERTIES)).findtext(_TITLE))
    return ""


def _encoding(declared: str) -> str:
    """Return the encoding that a page declares; `LookupError` if it is not one of the Web."""
    encoding = codecs.lookup(declared).name
    if encoding in _ONLY_PYTHONS:
        raise LookupError(declared)
    return encoding
