"""Pages without text, read by a command of the user."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from longembed_index.documents.formats.pdf_pieces import Piece
from longembed_index.documents.parsed import first_line
from longembed_st.errors import InputError

_DOTS_PER_INCH = 300
_MOST_PIXELS = 60_000_000
"""A larger page is drawn smaller."""
_LINE_HEIGHT = 12.0


def read_page(command: str, document: Any, number: int) -> list[Piece]:
    """Return the lines that a command reads on a page.

    Args:
        command: The command line; it contains `{image}`.
        document: A `pypdfium2.PdfDocument`.
        number: The number of the page, counted from 0.

    Raises:
        InputError: If the command fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "page.png")
        _draw(document, number, image)
        text = _run(command, f"page {number + 1}", image=image)
    lines = text.replace("\f", "\n").split("\n")
    # Each line has its own height, so blank lines stay gaps.
    return [
        Piece(" ".join(line.split()), 0, -_LINE_HEIGHT * (at + 1), 100, -_LINE_HEIGHT * at)
        for at, line in enumerate(lines)
        if line.strip()
    ]


def add_text_layer(command: str, data: bytes) -> bytes:
    """Return the file with text that a command makes of a PDF.

    Args:
        command: The command line; it contains `{pdf}` and `{output}`.
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


def _run(command: str, part: str, **files: Path) -> str:
    words = shlex.split(command)
    for name, path in files.items():
        words = [word.replace(f"{{{name}}}", str(path)) for word in words]
    try:
        process = subprocess.run(words, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise InputError(f"has no text: --ocr cannot run {words[0]!r}: {error.strerror}") from None
    if process.returncode:
        error_text = process.stderr.decode(errors="replace").strip()
        reason = f": {first_line(ValueError(error_text))}" if error_text else ""
        raise InputError(
            f"has no text: the command of --ocr fails on {part} "
            f"(exit status {process.returncode}){reason}"
        )
    return process.stdout.decode(errors="replace")


def _draw(document: Any, number: int, file: Path) -> None:
    """Draw a page as a picture in shades of grey."""
    page = document[number]
    try:
        inches = page.get_width() * page.get_height() / 72**2
        dots_per_inch = min(_DOTS_PER_INCH, (_MOST_PIXELS / max(inches, 0.01)) ** 0.5)
        bitmap = page.render(scale=dots_per_inch / 72, grayscale=True, may_draw_forms=True)
        try:
            bitmap.to_pil().save(file, dpi=(dots_per_inch, dots_per_inch), compress_level=1)
        finally:
            bitmap.close()
    finally:
        page.close()
