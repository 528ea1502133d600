"""Readers of web pages, PDF, e-books and office files, which all become Markdown."""

from __future__ import annotations

import io
import logging
import re
import zipfile
from contextlib import suppress
from typing import TYPE_CHECKING

from longembed_index.documents.parsed import PAGE_END, Parsed, clean_title, read_as
from longembed_st.errors import InputError
from longembed_st.extras import needs_extra

if TYPE_CHECKING:
    from markitdown import DocumentConverterResult

_LIBRARIES = ("index", "bs4", "defusedxml", "markitdown", "openpyxl", "pdfminer", "pypdfium2")
"""The extra, and what it brings to read files with."""

_PROPERTIES = "docProps/core.xml"
"""Where an office file keeps its title."""
_TITLE = "{http://purl.org/dc/elements/1.1/}title"

_SLIDE = re.compile(r"\s*<!-- Slide number: \d+ -->\n")


def read_pdf(data: bytes) -> Parsed:
    """Read the text layer of a PDF, with a form feed after each page.

    Args:
        data: The file.

    Returns:
        Its text; empty if the pages are pictures.

    Raises:
        InputError: If it cannot be read, for example because it is encrypted.
    """
    # It warns of every oddity in a font, hundreds of times a file.
    logging.getLogger("pdfminer").setLevel(logging.ERROR)
    text = _convert("PdfConverter", data, ".pdf").markdown
    if text.strip() and PAGE_END not in text:
        # A page with a table makes the converter join all of them.
        text = _by_pages(data) or text
    return Parsed(text, _pdf_title(data))


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


def _by_pages(data: bytes) -> str | None:
    """Return the text of a PDF, read page by page; None if it cannot be split."""
    import pypdfium2  # type: ignore[import-untyped]

    try:
        with pypdfium2.PdfDocument(data) as document:
            pages = []
            for number in range(len(document)):
                with pypdfium2.PdfDocument.new() as single:
                    single.import_pages(document, [number])
                    file = io.BytesIO()
                    single.save(file)
                converted = _convert("PdfConverter", file.getvalue(), ".pdf")
                pages.append(converted.markdown.rstrip(PAGE_END))
    except (pypdfium2.PdfiumError, InputError):
        return None
    return "".join(page + PAGE_END for page in pages)


def _pdf_title(data: bytes) -> str:
    from pdfminer.pdfdocument import PDFDocument
    from pdfminer.pdfparser import PDFParser
    from pdfminer.pdftypes import resolve1
    from pdfminer.utils import decode_text

    # A title that cannot be read is not an error.
    with suppress(Exception):
        infos = PDFDocument(PDFParser(io.BytesIO(data))).info
        titles = [resolve1(info.get("Title")) for info in infos]
        return clean_title(next((decode_text(title) for title in titles if title), None))
    return ""


def _office_title(data: bytes) -> str:
    from defusedxml.ElementTree import fromstring  # type: ignore[import-untyped]

    with suppress(Exception), zipfile.ZipFile(io.BytesIO(data)) as archive:
        return clean_title(fromstring(archive.read(_PROPERTIES)).findtext(_TITLE))
    return ""
