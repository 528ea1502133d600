"""Small PDF files, office files and books with a text of one's own."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import openpyxl
import pptx
from pdf_files import written


def make_pdf(*lines: str) -> bytes:
    """A PDF of one page with some lines of text.

    Args:
        *lines: In Latin-1, without parentheses and backslashes.
    """
    return make_pages(lines)


def make_pages(*pages: Sequence[str]) -> bytes:
    """A PDF with some lines of text on each page.

    Args:
        *pages: Lines in Latin-1, without parentheses and backslashes.
    """
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for lines in pages:
        shown = " ".join(f"({line}) Tj 0 -14 Td" for line in lines)
        stream = f"BT /F1 12 Tf 72 720 Td {shown} ET".encode("latin-1")
        objects += [
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R >> >> >>" % (len(objects) + 2),
            b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        ]
    return written(objects)


PACKAGE = "http://schemas.openxmlformats.org/package/2006"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def make_docx(*paragraphs: str) -> bytes:
    """A Word document of some paragraphs.

    Args:
        *paragraphs: Without characters that XML has to escape.
    """
    return make_word("".join(map(word_paragraph, paragraphs)))


def word_paragraph(text: str) -> str:
    """The XML of a paragraph."""
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def make_word(body: str, parts: Mapping[str, str] | None = None, external: str = "") -> bytes:
    """A Word document of any XML.

    Args:
        body: XML with the prefixes w, r, m, mc and wps.
        parts: The XML of other parts by "KIND FILE", the kind of relation and the name in the
            folder `word`, where "FILE" is the relation's id, too.
        external: An address, with the relation id "link".
    """
    names = {f"word/{key.split()[1]}": xml for key, xml in (parts or {}).items()}
    relations = "".join(
        f'<Relationship Id="{key.split()[1]}" Type="{RELATIONS}/{key.split()[0]}" '
        f'Target="{key.split()[1]}"/>'
        for key in parts or ()
    )
    relations += (
        f'<Relationship Id="link" Type="{RELATIONS}/hyperlink" Target="{external}" '
        'TargetMode="External"/>'
    )
    return zipped(
        {
            "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types">'
            '<Default Extension="xml" ContentType="application/xml"/></Types>',
            "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship '
            f'Id="rId1" Type="{RELATIONS}/officeDocument" Target="word/document.xml"/>'
            "</Relationships>",
            "word/_rels/document.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">'
            f"{relations}</Relationships>",
            "word/document.xml": f'<w:document xmlns:w="{WORD}" xmlns:r="{RELATIONS}" '
            'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math" '
            'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
            'xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape">'
            f"<w:body>{body}</w:body></w:document>",
            **names,
        }
    )


def zipped(parts: Mapping[str, Any]) -> bytes:
    """An archive.

    Args:
        parts: By name; XML without its declaration.
    """
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return out.getvalue()


def parts_of(data: bytes) -> dict[str, bytes]:
    """The parts of an archive, by name."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def make_pptx(title: str, slides: Mapping[str, str]) -> bytes:
    """A presentation.

    Args:
        title: In its properties.
        slides: The text of each, by its title.
    """
    presentation = pptx.Presentation()
    presentation.core_properties.title = title
    for heading, text in slides.items():
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = heading
        slide.placeholders[1].text = text
    out = io.BytesIO()
    presentation.save(out)
    return out.getvalue()


def make_xlsx(title: str, sheets: Mapping[str, Sequence[Sequence[Any]]]) -> bytes:
    """A workbook.

    Args:
        title: In its properties.
        sheets: Rows of cells, by the sheet's name.
    """
    book = openpyxl.Workbook()
    book.properties.title = title
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def make_epub(title: str, chapters: Mapping[str, str]) -> bytes:
    """An e-book.

    Args:
        title: In its metadata.
        chapters: The text of each, by its heading.
    """
    numbers = range(len(chapters))
    items = "".join(
        f'<item id="c{n}" href="{n}.xhtml" media-type="application/xhtml+xml"/>' for n in numbers
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in numbers)
    parts = {
        "META-INF/container.xml": '<container version="1.0" '
        'xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OPS/book.opf" media-type="application/oebps-package+xml"/>'
        "</rootfiles></container>",
        "OPS/book.opf": '<package xmlns="http://www.idpf.org/2007/opf" version="3.0" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<metadata><dc:title>{title}</dc:title></metadata>"
        f"<manifest>{items}</manifest><spine>{spine}</spine></package>",
    }
    for number, (heading, text) in enumerate(chapters.items()):
        parts[f"OPS/{number}.xhtml"] = (
            '<html xmlns="http://www.w3.org/1999/xhtml"><head><meta charset="utf-8"/></head>'
            f"<body><h1>{heading}</h1><p>{text}</p></body></html>"
        )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, '<?xml version="1.0" encoding="UTF-8"?>' + text)
    return out.getvalue()
