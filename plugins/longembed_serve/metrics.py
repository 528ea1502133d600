"""What the server tells of its work: metrics for Prometheus, ids of requests, and a log."""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from collections.abc import Collection, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

if TYPE_CHECKING:
    from longembed_serve.service import Service
    from longembed_st.base.coverage import Coverage

logger = logging.getLogger("longembed.requests")
"""Gets one line of JSON for each request, without its texts."""

_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
_ID = re.compile(r"[\w.:-]{1,100}", re.ASCII)


def log_to(stream: TextIO) -> None:
    """Write the log of requests to a stream."""
    logger.addHandler(logging.StreamHandler(stream))
    logger.setLevel(logging.INFO)
    logger.propagate = False


class Metrics:
    """The numbers of a server."""

    def __init__(self, service: Service) -> None:
        self._registry = registry = CollectorRegistry()
        self._seconds = Histogram(
            "longembed_request_seconds",
            "The time of requests, with that in queues.",
            ("path", "status"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._texts = Counter("longembed_texts", "Texts that were embedded.", registry=registry)
        self._read = Counter("longembed_tokens_read", "Tokens that were read.", registry=registry)
        self._not_read = Counter(
            "longembed_tokens_not_read", "Tokens beyond what was read.", registry=registry
        )
        self._searches = Counter(
            "longembed_searches",
            "Searches and contexts, those of agents among them.",
            ("mode",),
            registry=registry,
        )
        self._tools = Counter(
            "longembed_tool_calls", "Calls of tools by agents.", ("tool",), registry=registry
        )

        def waiting_in(queue: str) -> int:
            return service.waiting_by_queue[queue]

        waiting = Gauge(
            "longembed_waiting",
            "Texts and requests that wait for their turns.",
            ("queue",),
            registry=registry,
        )
        for queue in service.waiting_by_queue:
            waiting.labels(queue).set_function(partial(waiting_in, queue))
        documents = Gauge("longembed_documents", "Documents in the store.", registry=registry)
        documents.set_function(lambda: len(service.index))
        # Memory, processor time and open files; nothing where the system does not tell.
        ProcessCollector(registry=registry)
        self._mode = service.index.ranking.mode

    def count_texts(self, coverages: Iterable[Coverage]) -> None:
        """Count texts that were embedded."""
        for coverage in coverages:
            self._texts.inc()
            self._read.inc(coverage.read)
            self._not_read.inc(coverage.tokens - coverage.read)

    def count_search(self, mode: str | None) -> None:
        """Count a search; the mode is None for that of the index."""
        self._searches.labels(mode or self._mode).inc()

    def count_tool(self, tool: str) -> None:
        """Count a call of a tool by an agent."""
        self._tools.labels(tool).inc()
        if tool in ("search", "get_context"):
            self.count_search(None)

    def count_request(self, path: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self._seconds.labels(path, str(status)).observe(seconds)

    def text(self) -> bytes:
        """Return all in the text format of Prometheus."""
        return generate_latest(self._registry)


class Observed:
    """Wrap an ASGI application: give each request an id, count it, and log it.

    The id is that of the request's header `X-Request-ID`, if it has one; the answer has it, too.

    Args:
        app: The application.
        metrics: Where requests are counted.
        paths: The paths that are counted by name.
    """

    def __init__(self, app: Any, metrics: Metrics, paths: Collection[str]) -> None:
        self._app, self._metrics, self._paths = app, metrics, paths

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, status = time.perf_counter(), 0
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        request_id = given if _ID.fullmatch(given) else uuid.uuid4().hex

        async def with_id(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                header = (b"x-request-id", request_id.encode())
                message = {**message, "headers": [*message["headers"], header]}
            await send(message)

        try:
            await self._app(scope, receive, with_id)
        finally:
            path = scope["path"] if scope["path"] in self._paths else "other"
            seconds = time.perf_counter() - begin
            self._metrics.count_request(path, status, seconds)
            line = {"request": request_id, "method": scope["method"], "path": path}
            logger.info(json.dumps({**line, "status": status, "seconds": round(seconds, 4)}))
