"""The reader of PDF: text, form values, notes and outline, by PDFium."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import pypdfium2  # type: ignore[import-untyped]
import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

from longembed_index.documents.formats.ocr import add_text_layer, read_page
from longembed_index.documents.formats.pdf_layout import insert, lines_of, paragraphs
from longembed_index.documents.formats.pdf_lines import join_hyphens, repeated_lines
from longembed_index.documents.formats.pdf_pieces import Piece, main_turns, read_rows, turned
from longembed_index.documents.parsed import (
    PAGE_END,
    SCANNED,
    LeftOut,
    Parsed,
    clean_title,
    date_field,
    read_as,
)
from longembed_st.errors import InputError

UNMAPPED = "characters without a Unicode map"

_LITTLE_TEXT = 200
"""A page with fewer letters may be a picture with a stamp or a page number."""
_DRAWING = 100
"""A page without text is a drawing, or has letters as curves, if it has so many path segments."""
_OBJECTS = 20_000
"""So many objects of a page are looked at."""

_NUMBER = re.compile(r"^(?:[\dA-Z]{1,3}(?:\.\d+)*|[IVXLC]+)[.):]?\s+")
_MARKDOWN = re.compile(r"(?m)^( {0,3})(?=#{1,6}(?:[ \t]|$)|```|~~~)")

Heading = tuple[str, int]
"""A title and its level, from 1."""


@dataclass
class _Page:
    """A page as it is read.

    Attributes:
        lines: In the order of reading.
        unmapped: How many characters have no meaning.
        is_picture: Whether a picture fills much of it, or it has a picture and no text.
        is_damaged: Whether it cannot be read at all.
    """

    lines: list[Piece] = field(default_factory=list)
    unmapped: int = 0
    is_picture: bool = False
    is_damaged: bool = False


def read_pdf(data: bytes, ocr: str = "") -> Parsed:
    """Read a PDF as Markdown, with a form feed after each page.

    Page headers and footers that are repeated stay where they come first.

    Args:
        data: The file.
        ocr: A command that reads pages without text; see `longembed_index.documents.formats.ocr`.

    Raises:
        InputError: If it cannot be read, for example because it is encrypted.
    """
    with read_as("PDF"):
        return _read(data, ocr)


def _read(data: bytes, ocr: str) -> Parsed:
    document = _opened(data)
    try:
        pages = [_read_page(document, number) for number in range(len(document))]
        if all(page.is_damaged for page in pages):
            raise InputError("cannot be read as PDF: none of its pages can be read")
        scanned = _without_text(pages)
        title = clean_title(_property(document, "Title"))
        date = date_field(_property(document, "CreationDate"))
        metadata = {"pages": len(pages), **date}
        if scanned and "{pdf}" in ocr:
            converted = _read(add_text_layer(ocr, data), "")
            # Pages that the command has found nothing on are pictures.
            left_out = [part for part in converted.left_out if part.what != SCANNED]
            return Parsed(converted.text, title, tuple(left_out), metadata)
        if scanned and ocr:
            for number in scanned:
                pages[number].lines += read_page(ocr, document, number)
                pages[number].unmapped = 0
            scanned = []
        left_out = [*_left_out(pages, scanned), *_attachments(document)]
        return Parsed(_text(pages, _outline(document)), title, tuple(left_out), metadata)
    finally:
        document.close()


def _opened(data: bytes) -> Any:
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if error.err_code == pdfium.FPDF_ERR_PASSWORD:
            raise InputError("is encrypted with a password. Save it without one") from None
        raise
    document.init_forms()
    return document


def _read_page(document: Any, number: int) -> _Page:
    try:
        page = document[number]
    except pypdfium2.PdfiumError:
        return _Page(is_damaged=True)
    try:
        text_page = page.get_textpage()
        try:
            rows, unmapped = read_rows(text_page)
        finally:
            text_page.close()
        letters = sum(len(piece.text) for row in rows for piece in row)
        turns = main_turns(rows)
        for note in _notes(page, document.formenv, turns):
            insert(rows, note)
        is_picture = letters < _LITTLE_TEXT and _is_picture(page, is_blank=not letters)
        return _Page(lines_of(rows), unmapped, is_picture)
    except pypdfium2.PdfiumError:
        return _Page(is_damaged=True)
    finally:
        page.close()


def _is_picture(page: Any, is_blank: bool) -> bool:
    segments = 0
    page_area = page.get_width() * page.get_height()
    for item in islice(page.get_objects(max_depth=5), _OBJECTS):
        if item.type == pdfium.FPDF_PAGEOBJ_IMAGE:
            left, bottom, right, top = item.get_bounds()
            if is_blank or (right - left) * (top - bottom) > 0.4 * page_area:
                return True
        elif item.type == pdfium.FPDF_PAGEOBJ_PATH:
            segments += pdfium.FPDFPath_CountSegments(item)
    return is_blank and segments >= _DRAWING


def _notes(page: Any, form: Any, turns: int) -> Iterator[Piece]:
    """Yield the values of form fields, and what people wrote on a page."""
    box = pdfium.FS_RECTF()
    for index in range(pdfium.FPDFPage_GetAnnotCount(page)):
        annotation = pdfium.FPDFPage_GetAnnot(page, index)
        if not annotation:
            continue
        try:
            kind = pdfium.FPDFAnnot_GetSubtype(annotation)
            is_hidden = pdfium.FPDFAnnot_GetFlags(annotation) & pdfium.FPDF_ANNOT_FLAG_HIDDEN
            if is_hidden or kind in (pdfium.FPDF_ANNOT_LINK, pdfium.FPDF_ANNOT_POPUP):
                text = ""
            elif kind == pdfium.FPDF_ANNOT_WIDGET:
                text = _value(annotation, form) if form else ""
            else:
                text = _string(pdfium.FPDFAnnot_GetStringValue, annotation, b"Contents")
            text = " ".join(text.replace("\0", " ").split())
            if text and pdfium.FPDFAnnot_GetRect(annotation, box):
                yield Piece(text, *turned((box.left, box.bottom, box.right, box.top), turns), turns)
        finally:
            pdfium.FPDFPage_CloseAnnot(annotation)


def _value(annotation: Any, form: Any) -> str:
    """Return what a form field is filled in with; nothing of buttons and passwords."""
    kind = pdfium.FPDFAnnot_GetFormFieldType(form, annotation)
    if kind in (pdfium.FPDF_FORMFIELD_CHECKBOX, pdfium.FPDF_FORMFIELD_RADIOBUTTON):
        return "[x]" if pdfium.FPDFAnnot_IsChecked(form, annotation) else ""
    is_text = kind in (
        pdfium.FPDF_FORMFIELD_TEXTFIELD,
        pdfium.FPDF_FORMFIELD_COMBOBOX,
        pdfium.FPDF_FORMFIELD_LISTBOX,
    )
    is_password = pdfium.FPDFAnnot_GetFormFieldFlags(form, annotation) & (1 << 13)
    if not is_text or (is_password and kind == pdfium.FPDF_FORMFIELD_TEXTFIELD):
        return ""
    return _string(pdfium.FPDFAnnot_GetFormFieldValue, form, annotation)


def _string(function: Any, *arguments: Any) -> str:
    """Return a string that PDFium writes into a buffer."""
    length = function(*arguments, None, 0)
    buffer = ctypes.create_string_buffer(length)
    function(*arguments, ctypes.cast(buffer, ctypes.POINTER(pdfium.FPDF_WCHAR)), length)
    return buffer.raw[: max(length - 2, 0)].decode("utf-16-le", "replace")


def _property(document: Any, name: str) -> str:
    # A property that cannot be decoded is not an error.
    with suppress(UnicodeError):
        return str(document.get_metadata_value(name))
    return ""


def _outline(document: Any) -> dict[int, list[Heading]]:
    """Return the entries of the outline by their page, counted from 0."""
    headings: dict[int, list[Heading]] = {}
    for entry in document.get_toc(max_depth=6):
        with suppress(pypdfium2.PdfiumError, UnicodeError):
            target = entry.get_dest()
            page = target and target.get_index()
            if page is not None:
                headings.setdefault(page, []).append((entry.get_title(), entry.level + 1))
    return headings


def _attachments(document: Any) -> Iterator[LeftOut]:
    count = document.count_attachments()
    if count:
        yield LeftOut("", "attached files", count)


def _without_text(pages: list[_Page]) -> list[int]:
    """Return the pages with pictures, or letters without meaning, and no text of their own."""
    running, _ = repeated_lines([page.lines for page in pages])
    return [
        number
        for number, page in enumerate(pages)
        if len(running[number]) == len(page.lines) and (page.is_picture or page.unmapped)
    ]


def _left_out(pages: list[_Page], scanned: list[int]) -> Iterator[LeftOut]:
    pictures = [number for number in scanned if pages[number].is_picture]
    unmapped = [number for number, page in enumerate(pages) if page.unmapped]
    damaged = [number for number, page in enumerate(pages) if page.is_damaged]
    if pictures:
        yield LeftOut(_page_list(pictures), SCANNED, len(pictures))
    if unmapped:
        count = sum(pages[number].unmapped for number in unmapped)
        yield LeftOut(_page_list(unmapped), UNMAPPED, count)
    if damaged:
        yield LeftOut(_page_list(damaged), "damaged pages", len(damaged))


def _page_list(numbers: Iterable[int]) -> str:
    """Return page numbers, counted from 1, as a person writes them: "pages 3-9, 12"."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number:
            ranges[-1][1] = number + 1
        else:
            ranges.append([number + 1, number + 1])
    listed = ", ".join(f"{first}-{last}" if last > first else f"{first}" for first, last in ranges)
    return f"page{'s' if listed.strip('0123456789') else ''} {listed}"


def _text(pages: list[_Page], outline: dict[int, list[Heading]]) -> str:
    _, repeats = repeated_lines([page.lines for page in pages])
    kept = [
        [line for place, line in enumerate(page.lines) if place not in again]
        for page, again in zip(pages, repeats, strict=True)
    ]
    begins = [paragraphs(lines) for lines in kept]
    texts = join_hyphens([[line.text for line in lines] for lines in kept], begins)
    written = [
        _markdown(lines, starts, outline.get(number, []))
        for number, (lines, starts) in enumerate(zip(texts, begins, strict=True))
    ]
    if not any(written):
        return ""
    return "\n".join(page + PAGE_END for page in written)


def _markdown(lines: list[str], starts: list[bool], headings: list[Heading]) -> str:
    """Return a page with its headings marked, and nothing else that could be taken for one."""
    rest = [" ".join(line.split()) for line in lines]
    blocks = [_MARKDOWN.sub(r"\1\\", line) for line in rest]
    begins = [*starts, False]
    for title, level in headings:
        start, end = _place_of(title, rest)
        if start < end:
            blocks[start:end] = [f"{'#' * level} {' '.join(rest[start:end])}"] + [""] * (
                end - start - 1
            )
            rest[start:end] = [""] * (end - start)
            begins[start] = begins[end] = True
    written = [
        ("\n" if begin else "") + block + "\n"
        for block, begin in zip(blocks, begins, strict=False)
        if block
    ]
    return "".join(written).strip("\n")


def _place_of(title: str, lines: list[str]) -> tuple[int, int]:
    """Return the lines that are a title, whole, with or without its number; none as (0, 0)."""
    wanted = _letters(title)
    for start in range(len(lines) if wanted else 0):
        text = ""
        for end in range(start, min(start + 3, len(lines))):
            if not lines[end]:
                break
            text += lines[end] if end == start else f" {lines[end]}"
            if wanted in (_letters(text), _letters(_NUMBER.sub("", text))):
                return start, end + 1
    return 0, 0


def _letters(text: str) -> str:
    return re.sub(r"\W+", "", text).casefold()
