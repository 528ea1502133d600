"""Limits on requests: their size, time and key, and what browsers may do with the answers."""

from __future__ import annotations

import asyncio
import hmac
import json
from contextlib import suppress
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

BODY_SECONDS = 60.0
"""How long the body of a request may take."""

BODIES_AT_ONCE = 10
"""Bodies of the largest size whose bytes are held at the same time, of all requests together."""

_MAX_STRINGS, _MAX_OUTSIDE = 50_000, 1_000_000
"""The most strings of a body, and the most bytes that are not in strings: as Python objects,
numbers and empty lists take twenty times the bytes that they have as JSON."""

_DRAINED_SECONDS = 10.0
_DRAINED_BYTES = 200_000_000
"""After a refusal the rest of a body is received and dropped, up to these limits: if the connection
were closed before, clients that are still sending would not see the answer."""


_END = {"type": "http.response.body", "body": b""}


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
        self._held = 0

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(self, receive)
        is_started = False

        async def with_headers(message: Any) -> None:
            nonlocal is_started
            if message["type"] == "http.response.start":
                is_started = True
                if scope["path"] not in self._documentation:
                    own = {name for name, _ in message["headers"]}
                    headers = [header for header in HEADERS if header[0] not in own]
                    message = {**message, "headers": [*message["headers"], *headers]}
            await send(message)

        try:
            await self._answer_or_refuse(scope, body, with_headers)
        except asyncio.CancelledError:
            # The time for the stop of the server is over.
            if not is_started:
                await _refuse(with_headers, _RefusedError(503, "the server stops"))
                await send(_END)
        finally:
            self._held -= body.held

    async def _answer_or_refuse(self, scope: Scope, body: _Body, send: Any) -> None:
        try:
            await self._answer(scope, body, send)
        except _RefusedError as refused:
            await _refuse(send, refused)
            await body.drain()
            await send(_END)

    async def _answer(self, scope: Scope, body: _Body, send: Any) -> None:
        headers = {name.lower(): value for name, value in scope["headers"]}
        if self._key is not None and scope["path"] not in OPEN:
            kind, _, key = headers.get(b"authorization", b"").partition(b" ")
            is_right = hmac.compare_digest(key.strip(), self._key.encode())
            if kind.lower() != b"bearer" or not is_right:
                raise _RefusedError(401, "give the key: Authorization: Bearer KEY")
        length = headers.get(b"content-length", b"0")
        if length.isdigit():
            self.check_length(int(length[:20]))
        try:
            await asyncio.wait_for(body.collect(), BODY_SECONDS)
        except asyncio.TimeoutError:
            raise _RefusedError(
                408, f"the body did not come within {BODY_SECONDS:.0f} s: send it quicker"
            ) from None
        if body.is_cut_off:
            # Nobody is there to be answered.
            return
        if body.has_too_many_values:
            raise _RefusedError(
                400, "the body has too many values: send texts, not tokens, and fewer at once"
            )
        if b"origin" not in headers:
            # Not from a browser: curl and others send JSON without saying so. A page of another
            # site could send other types without being asked for permission first.
            others = [pair for pair in scope["headers"] if pair[0].lower() != b"content-type"]
            scope = {**scope, "headers": [*others, (b"content-type", b"application/json")]}
        await self._app(scope, body.receive, send)

    def check_length(self, length: int) -> None:
        """Refuse a body that is too long."""
        if length > self._max_bytes:
            raise _RefusedError(
                413, f"the body is longer than {self._max_bytes:,} bytes: send fewer texts at once"
            )

    def hold(self, size: int) -> None:
        """Count bytes that are held in memory, or refuse them."""
        self._held += size
        if self._held > BODIES_AT_ONCE * self._max_bytes:
            raise _RefusedError(429, "too many long requests are here at once; try again in 5 s")


class _Body:
    """The body of a request.

    Attributes:
        held: The number of bytes that are counted as held in memory.
        is_cut_off: Whether the client left before the end.
    """

    def __init__(self, limits: Limits, receive: Any) -> None:
        self._limits, self._receive = limits, receive
        self._parts: list[bytes] = []
        self._is_complete = self._is_read = False
        self.held = 0
        self.is_cut_off = False

    async def collect(self) -> None:
        """Receive the body to its end."""
        while not self._is_complete:
            part = await self._next()
            self.held += len(part)
            self._limits.hold(len(part))
            self._limits.check_length(self.held)
            self._parts.append(part)

    @property
    def has_too_many_values(self) -> bool:
        """Return whether the body, if it is JSON, would take far more memory than it has bytes."""
        if self.held <= _MAX_OUTSIDE:
            return False
        # Quotes and backslashes in strings have a backslash before them.
        plain = b"".join(self._parts).replace(rb"\\", b"").replace(rb"\"", b"")
        if plain.count(b'"') > 2 * _MAX_STRINGS:
            return True
        return sum(map(len, plain.split(b'"')[::2])) > _MAX_OUTSIDE

    async def receive(self) -> Any:
        """Return the body as one message, and then what comes after it."""
        if self._is_read:
            return await self._receive()
        self._is_read = True
        content = b"".join(self._parts)
        self._parts.clear()
        return {"type": "http.request", "body": content, "more_body": False}

    async def drain(self) -> None:
        """Receive and drop what is left of the body, up to a limit."""
        self._parts.clear()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._drop(), _DRAINED_SECONDS)

    async def _drop(self) -> None:
        dropped = 0
        while not self._is_complete and dropped < _DRAINED_BYTES:
            dropped += len(await self._next())

    async def _next(self) -> bytes:
        """Receive a part of the body."""
        message = await self._receive()
        self.is_cut_off = message["type"] != "http.request"
        self._is_complete = self.is_cut_off or not message.get("more_body")
        part: bytes = message.get("body", b"")
        return part


class _RefusedError(Exception):
    """Raised when a request is not let in."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


async def _refuse(send: Any, refused: _RefusedError) -> None:
    """Send the answer, but not its end."""
    content = json.dumps(error_body(str(refused), refused.status)).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        (b"connection", b"close"),
    ]
    if refused.status in (429, 503):
        headers.append((b"retry-after", b"5"))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": content, "more_body": True})


def error_body(reason: str, status: int, parameter: str | None = None) -> dict[str, Any]:
    """Return an error in the form of OpenAI's API."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": reason, "type": kind, "param": parameter, "code": str(status)}}
