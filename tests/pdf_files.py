"""Small PDF files with what a test draws on their pages."""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Sequence

HELVETICA = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
PICTURE = b"q 400 0 0 600 100 100 cm BI /W 1 /H 1 /BPC 8 /CS /G ID \x80 EI Q"
_FIRST_FREE = 4
"""Behind the catalog, the page tree and the font."""


def at(x: float, y: float, text: str, *, size: int = 10, degrees: int = 0) -> bytes:
    """A text in Latin-1 at a place of a page, which is 612 points wide and 792 high."""
    escaped = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)").encode("latin-1")
    cos, sin = round(math.cos(math.radians(degrees))), round(math.sin(math.radians(degrees)))
    matrix = b"%d %d %d %d %g %g Tm" % (cos, sin, -sin, cos, x, y)
    return b"BT /F1 %d Tf %s (%s) Tj ET " % (size, matrix, escaped)


def column(x: float, lines: Sequence[str], top: float = 720) -> bytes:
    """Lines below one another."""
    return b"".join(at(x, top - 12 * n, line) for n, line in enumerate(lines))


def pdf_of(
    *pages: bytes,
    font: bytes = HELVETICA,
    extra: Sequence[bytes] = (),
    annotations: bytes = b"",
    root: bytes = b"",
    trailer: bytes = b"",
) -> bytes:
    """A PDF.

    Args:
        *pages: What is drawn on each.
        font: Its object.
        extra: Objects from number 4 on.
        annotations: References to those of the first page.
        root: More of the catalog.
        trailer: More of the trailer.
    """
    first = _FIRST_FREE + len(extra)
    kids = b" ".join(b"%d 0 R" % (first + 2 * number) for number in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R %s >>" % root,
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(pages)),
        font,
        *extra,
    ]
    for number, content in enumerate(pages):
        notes = b"/Annots [%s]" % annotations if annotations and not number else b""
        packed = zlib.compress(content)
        objects += [
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R %s"
            b" /Resources << /Font << /F1 3 0 R >> >> >>" % (len(objects) + 2, notes),
            b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed),
        ]
    return written(objects, trailer)


def written(objects: Sequence[bytes], trailer: bytes = b"") -> bytes:
    """A PDF file of objects, numbered from 1; the first is the catalog."""
    out = io.BytesIO(b"%PDF-1.7\n")
    out.seek(0, io.SEEK_END)
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    table = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.writelines(b"%010d 00000 n \n" % offset for offset in offsets)
    out.write(
        b"trailer << /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF"
        % (len(objects) + 1, trailer, table)
    )
    return out.getvalue()


def mapped_font(first: str, last: str, target: int) -> tuple[bytes, bytes]:
    """A font whose letters from first to last mean those from a code point on, and its map."""
    lines = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def "
        "1 begincodespacerange <00> <FF> endcodespacerange "
        f"1 beginbfrange <{ord(first):02X}> <{ord(last):02X}> <{target:04X}> endbfrange "
        "endcmap end end"
    ).encode()
    font = HELVETICA.replace(b">>", b"/ToUnicode %d 0 R >>" % _FIRST_FREE)
    return font, b"<< /Length %d >>\nstream\n%s\nendstream" % (len(lines), lines)
