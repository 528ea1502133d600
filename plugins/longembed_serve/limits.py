"""What stands before every request: how large it may be, whose it is, and what browsers may do."""

from __future__ import annotations

import hmac
import json
from typing import Any

Scope = dict[str, Any]

HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        b"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
]
"""Nothing from elsewhere is loaded or run, whatever a document says."""

OPEN = ("/", "/page.js", "/page.css", "/healthz")
"""What needs no key: none of it tells anything of documents."""


class Limits:
    """An ASGI application around another one.

    Args:
        app: The other one.
        most_bytes: Of a request's body.
        key: That requests must bring; None for none.
        api_documentation: Paths of the pages of the API, which bring scripts of their own.
    """

    def __init__(
        self, app: Any, most_bytes: int, key: str | None, api_documentation: tuple[str, ...] = ()
    ) -> None:
        self._app, self._most, self._key = app, most_bytes, key
        self._documentation = api_documentation

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Handle a request.

        Args:
            scope: Of the request.
            receive: Gives its body.
            send: Takes the response.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        if self._key is not None and scope["path"] not in OPEN:
            given = headers.get(b"authorization", b"")
            wanted = b"Bearer " + self._key.encode()
            if not hmac.compare_digest(given, wanted):
                await _refuse(send, 401, "give the key: Authorization: Bearer KEY")
                return
        length = headers.get(b"content-length", b"0")
        too_long = f"the body is longer than {self._most:,} bytes: send fewer texts at once"
        if length.isdigit() and int(length) > self._most:
            await _refuse(send, 413, too_long)
            return
        body = await _collected(receive, self._most)
        if body is None:
            await _refuse(send, 413, too_long)
            return
        is_documentation = scope["path"] in self._documentation

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start" and not is_documentation:
                message = {**message, "headers": [*message["headers"], *HEADERS]}
            await send(message)

        await self._app(scope, _replayed(body, receive), with_headers)


async def _collected(receive: Any, most: int) -> bytes | None:
    """The body; None if it is too long, or whoever sent it has gone."""
    parts = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            return None
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def _replayed(body: bytes, receive: Any) -> Any:
    given = False

    async def replay() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _refuse(send: Any, status: int, reason: str) -> None:
    content = json.dumps(error_body(reason, status)).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close"), *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def error_body(reason: str, status: int, parameter: str | None = None) -> dict[str, Any]:
    """An error as OpenAI's clients know it.

    Args:
        reason: What is wrong, and the way out.
        status: The status code.
        parameter: What of the request is wrong.
    """
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": reason, "type": kind, "param": parameter, "code": str(status)}}
