"""The routes of the server."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from functools import partial
from importlib.resources import files
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Route

from longembed_index.errors import StoreError
from longembed_serve.files import file_response
from longembed_serve.limits import Limits, error_body
from longembed_serve.mcp_server import http_sessions
from longembed_serve.metrics import Metrics, Observed
from longembed_serve.protocol import TimedProtocol
from longembed_serve.queues import BusyError
from longembed_serve.schemas import (
    MAX_TEXTS,
    ContextRequest,
    DocumentRequest,
    EmbeddingsRequest,
    RerankRequest,
    SearchRequest,
    Text,
)
from longembed_serve.service import FILE_COST, NotFoundError, Service, texts_of
from longembed_st.errors import LongEmbedError, ModelError

_MAX_HEADERS = 64_000
"""The size limit of a request's headers, in bytes."""

_MAX_CONNECTIONS = 512
"""The most connections at the same time; beyond, requests get 503."""

GRACE_SECONDS = 8
"""How long requests may go on when the server is to stop: `docker stop` waits for 10 seconds."""

CLIENT_LEFT = 499
"""The status that nginx logs when a client closes its connection before the answer."""

_PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}


class ClientLeftError(Exception):
    """Raised when a client closes its connection before the answer."""


def application(service: Service, *, max_bytes: int, key: str | None, hosts: Sequence[str]) -> Any:
    """Return the server as an ASGI application.

    Args:
        service: The service that answers the requests.
        max_bytes: The size limit of a request's body, in bytes.
        key: The API key that requests must send; None if they need none.
        hosts: The host names that requests may use; "*" for any.
    """
    metrics = Metrics(service)
    sessions = http_sessions(service.index, hosts, max_bytes, metrics.count_tool)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with sessions.run():
            yield
        await run_in_threadpool(service.close)

    app = FastAPI(
        title="longembed",
        description="Embeddings of long texts, search in an index, reranking.",
        lifespan=lifespan,
    )
    _answer_errors(app)
    _routes(app, service, metrics)
    app.router.routes.append(Route("/mcp", StreamableHTTPASGIApp(sessions)))
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    documentation = tuple(str(path) for path in (app.docs_url, app.redoc_url) if path)
    paths = {path for route in app.routes if "{" not in (path := getattr(route, "path", "{"))}
    return Observed(Limits(app, max_bytes, key, documentation), metrics, paths)


def server_config(app: Any, host: str, port: int, grace: int = GRACE_SECONDS) -> uvicorn.Config:
    """Return the configuration of uvicorn."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=TimedProtocol,
        ws="none",
        h11_max_incomplete_event_size=_MAX_HEADERS,
        limit_concurrency=_MAX_CONNECTIONS,
        timeout_graceful_shutdown=grace,
        log_level="warning",
        server_header=False,
    )


def _routes(app: FastAPI, service: Service, metrics: Metrics) -> None:
    async def in_turn(request: Request, work: Callable[[], Any], cost: int = 1_000) -> Any:
        (result,) = await _results(request, [service.queued(work, cost)])
        return result

    @app.post("/v1/embeddings")
    async def embeddings(request: Request, body: EmbeddingsRequest) -> Response:
        """Embed texts of any length, and return how much of each was read."""
        texts = texts_of(body.input)
        _check_model_name(body.model, service)
        width = service.dimensions if body.dimensions is None else body.dimensions
        if width > service.dimensions:
            raise HTTPException(
                400, f"dimensions: at most {service.dimensions} with this model, not {width}"
            )
        if not texts or len(texts) > MAX_TEXTS:
            raise HTTPException(400, f"input: give 1 to {MAX_TEXTS:,} texts, not {len(texts):,}")
        futures = service.batcher.submit(texts, body.input_type)
        read = await _results(request, futures)
        metrics.count_texts(coverage for _, coverage in read)
        as_base64 = body.encoding_format == "base64"
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": _encoded(vector, width, as_base64),
                "coverage": {
                    "tokens": coverage.tokens,
                    "read": coverage.read,
                    "passes": coverage.passes,
                },
            }
            for index, (vector, coverage) in enumerate(read)
        ]
        tokens = sum(coverage.read for _, coverage in read)
        return JSONResponse(
            {
                "object": "list",
                "data": data,
                "model": service.model_name,
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            }
        )

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        """List the model of the server, in the format of OpenAI's API."""
        return {"object": "list", "data": [_described(service)]}

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> dict[str, Any]:
        """Describe the model of the server, in the format of OpenAI's API."""
        _check_model_name(name, service)
        return _described(service)

    @app.post("/search")
    async def search(request: Request, body: SearchRequest) -> Response:
        """Return the best documents for a question, with their best passages."""
        metrics.count_search(body.mode)
        hits = await in_turn(request, partial(service.search, body), body.cost)
        return JSONResponse({"hits": hits})

    @app.post("/context")
    async def context(request: Request, body: ContextRequest) -> Response:
        """Return the passages that answer a question, as one text for a prompt."""
        metrics.count_search(body.mode)
        return JSONResponse(await in_turn(request, partial(service.context, body), body.cost))

    @app.post("/document")
    async def document(request: Request, body: DocumentRequest) -> Response:
        """Return the text of a document of the index."""
        return JSONResponse(await in_turn(request, partial(service.document, body.source)))

    @app.post("/v1/rerank")
    async def rerank(request: Request, body: RerankRequest) -> Response:
        """Order documents by their scores for a query."""
        results = await in_turn(request, partial(service.rerank, body), body.cost)
        return JSONResponse({"results": results, "model": "reranker"})

    @app.get("/metrics")
    async def numbers() -> Response:
        """Return counts and times in the text format of Prometheus."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/healthz")
    async def healthz() -> Response:
        """Return the state of the server: its model, its documents and the waiting texts."""
        documents = await run_in_threadpool(lambda: len(service.index))
        return JSONResponse(
            {
                "status": "ok",
                "model": service.model_name,
                "dimensions": service.dimensions,
                "documents": documents,
                "waiting": service.waiting,
                "reranker": service.reranker is not None,
                "files": service.serve_files,
            }
        )

    if service.serve_files:

        @app.get("/file")
        async def file(request: Request, source: Text) -> Response:
            """Return the file that a document of the index was read from."""
            return file_response(*await in_turn(request, partial(service.file, source), FILE_COST))

    for path, (name, kind) in _PAGE.items():
        content = (files("longembed_serve") / "page" / name).read_bytes()
        app.add_api_route(path, _constant(content, kind), include_in_schema=False)


def _constant(content: bytes, kind: str) -> Callable[[], Any]:
    async def answer() -> Response:
        return Response(content, media_type=kind)

    return answer


def _answer_errors(app: FastAPI) -> None:
    def answer(status: int, reason: str, parameter: str | None = None) -> JSONResponse:
        return JSONResponse(error_body(reason, status, parameter), status)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        return answer(400, f"{where or 'body'}: {first['msg']}", where or None)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        return answer(error.status_code, str(error.detail))

    @app.exception_handler(BusyError)
    async def busy(request: Request, error: BusyError) -> Response:
        response = answer(429, str(error))
        response.headers["retry-after"] = str(error.seconds)
        return response

    @app.exception_handler(NotFoundError)
    async def missing(request: Request, error: NotFoundError) -> Response:
        return answer(404, str(error))

    @app.exception_handler(ClientLeftError)
    async def left(request: Request, error: ClientLeftError) -> Response:
        return Response(status_code=CLIENT_LEFT)

    @app.exception_handler(LongEmbedError)
    async def failed(request: Request, error: LongEmbedError) -> Response:
        is_server_error = isinstance(error, StoreError | ModelError)
        return answer(500 if is_server_error else 400, str(error))


def _described(service: Service) -> dict[str, Any]:
    model = {"id": service.model_name, "object": "model", "created": service.started}
    return {**model, "owned_by": "longembed-st"}


def _check_model_name(name: str | None, service: Service) -> None:
    if name and name not in service.model_names:
        raise HTTPException(404, f"there is no model {name!r} here; use {service.model_name!r}")


def _encoded(vector: Any, width: int, as_base64: bool) -> str | list[float]:
    chosen = np.asarray(vector[:width], dtype="<f4")
    if width < len(vector):
        chosen = chosen / max(float(np.linalg.norm(chosen)), np.finfo(np.float32).tiny)
    if as_base64:
        return base64.b64encode(chosen.astype("<f4").tobytes()).decode()
    numbers: list[float] = chosen.astype(float).tolist()
    return numbers


async def _results(request: Request, futures: Sequence[Future[Any]]) -> list[Any]:
    """Return the results of futures; cancel them if the client disconnects, or the server stops."""
    # With the errors as results: nobody may come to ask for them.
    results = asyncio.gather(*map(asyncio.wrap_future, futures), return_exceptions=True)
    disconnect = asyncio.ensure_future(_disconnected(request))
    awaited: list[asyncio.Future[Any]] = [results, disconnect]
    try:
        await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        if not results.done():
            raise ClientLeftError
        for result in results.result():
            if isinstance(result, BaseException):
                raise result
        return list(results.result())
    finally:
        for future in futures:
            future.cancel()
        disconnect.cancel()


async def _disconnected(request: Request) -> None:
    """Wait until the client disconnects, and ignore anything that it sends after the body."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
