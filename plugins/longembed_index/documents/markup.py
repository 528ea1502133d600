"""Readers of web pages, PDF and e-books, which all become Markdown."""

from __future__ import annotations

import codecs
import io
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from longembed_index.documents.parsed import PAGE_END, Parsed, clean_title, read_as
from longembed_index.documents.plain import decoded
from longembed_st.errors import InputError
from longembed_st.extras import needs_extra

if TYPE_CHECKING:
    from markitdown import DocumentConverterResult

_LIBRARIES = ("index", "bs4", "markitdown", "pdfminer", "pypdfium2")
"""The extra, and what it brings to read files with."""

_ONLY_PYTHONS = ("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape")
"""Names that Python takes for encodings of text, and the Web does not."""


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


def _encoding(declared: str) -> str:
    """Return the encoding that a page declares; `LookupError` if it is not one of the Web."""
    encoding = codecs.lookup(declared).name
    if encoding in _ONLY_PYTHONS:
        raise LookupError(declared)
    return encoding
