"""Limits on every request: its size, its key, and what browsers may do with the answer."""

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
"""With these, browsers load and run nothing from elsewhere, whatever a document says."""

OPEN = ("/", "/page.js", "/page.css", "/healthz")
"""Paths that need no key: they tell nothing of the documents."""


class Limits:
    """Wrap an ASGI application in limits.

    Args:
        app: The application.
        max_bytes: The longest body of a request.
        key: The key that requests must bring; None for none.
        api_documentation: Paths of the API's pages, which bring scripts of their own.
    """

    def __init__(
        self, app: Any, max_bytes: int, key: str | None, api_documentation: tuple[str, ...] = ()
    ) -> None:
        self._app, self._max_bytes, self._key = app, max_bytes, key
        self._documentation = api_documentation

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Handle a request.

        Args:
            scope: The request's scope.
            receive: Returns its body.
            send: Takes the response.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        if self._key is not None and scope["path"] not in OPEN:
            header = headers.get(b"authorization", b"")
            expected = b"Bearer " + self._key.encode()
            if not hmac.compare_digest(header, expected):
                await _refuse(send, 401, "give the key: Authorization: Bearer KEY")
                return
        length = headers.get(b"content-length", b"0")
        too_long = f"the body is longer than {self._max_bytes:,} bytes: send fewer texts at once"
        if length.isdigit() and int(length) > self._max_bytes:
            await _refuse(send, 413, too_long)
            return
        body = await _collect(receive, self._max_bytes)
        if body is None:
            await _refuse(send, 413, too_long)
            return
        if b"origin" not in headers:
            # Not from a browser: curl and others send JSON without saying so. A page of another
            # site could send other types without being asked for permission first.
            others = [pair for pair in scope["headers"] if pair[0].lower() != b"content-type"]
            scope = {**scope, "headers": [*others, (b"content-type", b"application/json")]}
        is_documentation = scope["path"] in self._documentation

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start" and not is_documentation:
                message = {**message, "headers": [*message["headers"], *HEADERS]}
            await send(message)

        await self._app(scope, _replay(body, receive), with_headers)


async def _collect(receive: Any, max_bytes: int) -> bytes | None:
    """Return the body; None if it is too long, or if the client has gone."""
    parts = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size > max_bytes:
            return None
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def _replay(body: bytes, receive: Any) -> Any:
    is_sent = False

    async def replay() -> Any:
        nonlocal is_sent
        if is_sent:
            return await receive()
        is_sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _refuse(send: Any, status: int, reason: str) -> None:
    content = json.dumps(error_body(reason, status)).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close"), *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def error_body(reason: str, status: int, parameter: str | None = None) -> dict[str, Any]:
    """Return an error in the form of OpenAI's API.

    Args:
        reason: What is wrong, and what to do.
        status: The status code.
        parameter: The part of the request that is wrong.
    """
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": reason, "type": kind, "param": parameter, "code": str(status)}}
