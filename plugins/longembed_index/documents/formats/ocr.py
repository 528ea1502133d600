"""Pages without text, read by a command of the user."""

from __future__ import annotations

import shlex
import struct
import subprocess
import tempfile
import zlib
from pathlib import Path
from typing import Any

from longembed_index.documents.formats.pdf_pieces import Piece
from longembed_index.documents.parsed import first_line
from longembed_st.errors import InputError

_DOTS_PER_INCH = 300
_PIXELS = 60_000_000
"""A larger page is drawn smaller."""
_LINE_HEIGHT = 12.0


def read_page(command: str, document: Any, number: int) -> list[Piece]:
    """Return the lines that a command reads on a page.

    Args:
        command: With `{image}`.
        document: A `pypdfium2.PdfDocument`.
        number: The number of the page, counted from 0.

    Raises:
        InputError: If the command fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "page.png")
        image.write_bytes(_as_png(document, number))
        text = _run(command, f"page {number + 1}", image=image)
    lines = text.replace("\f", "\n").split("\n")
    # Below one another, so that blank lines are seen.
    return [
        Piece(" ".join(line.split()), 0, -_LINE_HEIGHT * (at + 1), 100, -_LINE_HEIGHT * at)
        for at, line in enumerate(lines)
        if line.strip()
    ]


def convert_file(command: str, data: bytes) -> bytes:
    """Return the file with text that a command makes of a PDF.

    Args:
        command: With `{pdf}` and `{output}`.
        data: The file.

    Raises:
        InputError: If the command fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        file, output = Path(folder, "input.pdf"), Path(folder, "output.pdf")
        file.write_bytes(data)
        _run(command, "the file", pdf=file, output=output)
        try:
            return output.read_bytes()
        except OSError:
            raise InputError("has no text: the command of --ocr wrote no file") from None


def _run(command: str, what: str, **files: Path) -> str:
    words = shlex.split(command)
    for name, path in files.items():
        words = [word.replace(f"{{{name}}}", str(path)) for word in words]
    try:
        done = subprocess.run(words, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise InputError(f"has no text: --ocr cannot run {words[0]!r}: {error.strerror}") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        reason = f": {first_line(ValueError(said))}" if said else ""
        raise InputError(
            f"has no text: the command of --ocr fails on {what} "
            f"(exit status {done.returncode}){reason}"
        )
    return done.stdout.decode(errors="replace")


def _as_png(document: Any, number: int) -> bytes:
    page = document[number]
    try:
        inches = page.get_width() * page.get_height() / 72**2
        scale = min(_DOTS_PER_INCH, (_PIXELS / max(inches, 0.01)) ** 0.5) / 72
        bitmap = page.render(scale=scale, grayscale=True, may_draw_forms=True)
        try:
            width, height, stride = bitmap.width, bitmap.height, bitmap.stride
            pixels = bytes(bitmap.buffer)
        finally:
            bitmap.close()
    finally:
        page.close()
    rows = b"".join(b"\0" + pixels[row * stride : row * stride + width] for row in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    resolution = round(scale * 72 / 0.0254)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in (
            (b"IHDR", header),
            (b"pHYs", struct.pack(">IIB", resolution, resolution, 1)),
            (b"IDAT", zlib.compress(rows, 1)),
            (b"IEND", b""),
        )
    )
