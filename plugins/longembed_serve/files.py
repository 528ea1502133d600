"""Files of documents as answers that browsers show, and in which nothing is run."""

from __future__ import annotations

from pathlib import PurePath
from urllib.parse import quote

from fastapi.responses import Response

from longembed_index.documents.readers import is_parsed

_PDF, _TEXT = "application/pdf", "text/plain; charset=utf-8"

_SANDBOX = "default-src 'none'; frame-ancestors 'none'; sandbox"
_FOR_PDF = (
    "default-src 'none'; frame-ancestors 'none'; object-src 'self'; style-src 'unsafe-inline'"
)
"""Browsers do not show PDF in a sandbox. Their viewers run nothing as a script of the page."""


def file_response(name: str, content: bytes) -> Response:
    """Return a file as an answer: PDF and plain text are shown, everything else is saved.

    Web pages and source code are shown as text.
    """
    suffix = PurePath(name).suffix.lower()
    kind = _kind(suffix)
    disposition = "inline" if kind in (_PDF, _TEXT) else "attachment"
    headers = {
        "content-disposition": f"{disposition}; filename*=utf-8''{quote(name, errors='replace')}",
        "content-security-policy": _FOR_PDF if kind == _PDF else _SANDBOX,
        "cache-control": "private, no-cache",
    }
    return Response(content, headers=headers, media_type=kind)


def _kind(suffix: str) -> str:
    if suffix == ".pdf":
        return _PDF
    is_text = suffix in (".html", ".htm") or not is_parsed(suffix)
    return _TEXT if is_text else "application/octet-stream"
