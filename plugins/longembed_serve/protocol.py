"""HTTP connections that slow clients cannot hold for ever."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 10.0
"""How long the headers of a request may take, from the beginning of the connection or from their
first byte."""

READER_SECONDS = 30.0
"""How long a client may read nothing of an answer that does not fit into the buffers."""


class TimedProtocol(H11Protocol):
    """uvicorn's protocol, which has no time limits of these kinds, with limits."""

    _headers: asyncio.TimerHandle | None = None
    _reader: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Expect the headers of the first request."""
        super().connection_made(transport)
        self._headers = self.loop.call_later(HEADER_SECONDS, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        if self._headers is None and self.conn.their_state is h11.IDLE:
            self._headers = self.loop.call_later(HEADER_SECONDS, self.transport.abort)
        super().data_received(data)
        if self._headers is not None and self.conn.their_state is not h11.IDLE:
            self._headers.cancel()
            self._headers = None

    def pause_writing(self) -> None:
        """Expect the client to read."""
        super().pause_writing()
        self._reader = self.loop.call_later(READER_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on writing."""
        super().resume_writing()
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None

    def connection_lost(self, exc: Exception | None) -> None:
        """End the limits."""
        for timer in (self._headers, self._reader):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
