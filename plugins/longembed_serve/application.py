"""The routes of the server."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from longembed_index.errors import StoreError
from longembed_serve.batching import BusyError, Read
from longembed_serve.limits import Limits, error_body
from longembed_serve.schemas import (
    MOST_TEXTS,
    DocumentRequest,
    EmbeddingsRequest,
    RerankRequest,
    SearchRequest,
)
from longembed_serve.service import NotThereError, Service, whole
from longembed_st.errors import LongEmbedError, ModelError

_MOST_HEADERS = 64_000
"""Bytes."""

CLIENT_LEFT = 499

_PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}


class ClientLeftError(Exception):
    """Nobody waits for the answer any more."""


def application(service: Service, *, most_bytes: int, key: str | None, hosts: Sequence[str]) -> Any:
    """The server as an ASGI application.

    Args:
        service: What answers.
        most_bytes: Of a request's body.
        key: That requests must bring; None for none.
        hosts: Names by which the server may be called; "*" for any.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(service.close)

    app = FastAPI(
        title="longembed",
        description="Embeddings of long texts, search in a store, reranking.",
        lifespan=lifespan,
    )
    _answer_errors(app)
    _routes(app, service)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    documentation = tuple(str(path) for path in (app.docs_url, app.redoc_url) if path)
    return Limits(app, most_bytes, key, documentation)


def server_config(app: Any, host: str, port: int) -> uvicorn.Config:
    """How the application is served.

    Args:
        app: Of `application`.
        host: Address to listen at.
        port: 0 for any free one.
    """
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        # The parser that limits headers.
        http="h11",
        h11_max_incomplete_event_size=_MOST_HEADERS,
        log_level="warning",
        server_header=False,
    )


def _routes(app: FastAPI, service: Service) -> None:
    @app.post("/v1/embeddings")
    async def embeddings(request: Request, body: EmbeddingsRequest) -> Response:
        """Vectors of texts of any length, with what was read of each."""
        texts = whole(body.input)
        _refuse_model(body.model, service)
        width = service.dimensions if body.dimensions is None else body.dimensions
        if width > service.dimensions:
            raise HTTPException(400, f"dimensions: the model has {service.dimensions}")
        if not texts or len(texts) > MOST_TEXTS:
            raise HTTPException(400, f"input: give 1 to {MOST_TEXTS:,} texts")
        futures = service.batcher.submit(texts, body.input_type)
        read = await _while_there(request, futures)
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
        """The one model, as OpenAI's clients list models."""
        one = {"id": service.model_name, "object": "model", "owned_by": "longembed-st"}
        return {"object": "list", "data": [one]}

    @app.post("/search")
    async def search(body: SearchRequest) -> Response:
        """Documents of the store, with the passages that answer."""
        hits = await run_in_threadpool(lambda: service.search(body))
        return JSONResponse({"hits": hits})

    @app.post("/document")
    async def document(body: DocumentRequest) -> Response:
        """The text of a document of the store."""
        return JSONResponse(await run_in_threadpool(lambda: service.document(body.source)))

    @app.post("/v1/rerank")
    async def rerank(body: RerankRequest) -> Response:
        """Documents in the order of their scores for a query."""
        results = await run_in_threadpool(lambda: service.rerank(body))
        return JSONResponse({"results": results, "model": "reranker"})

    @app.get("/healthz")
    async def healthz() -> Response:
        """Whether the store can be read, and what waits."""
        documents = await run_in_threadpool(service.count)
        return JSONResponse(
            {
                "status": "ok",
                "model": service.model_name,
                "dimensions": service.dimensions,
                "documents": documents,
                "waiting": service.batcher.waiting,
                "reranker": service.reranker is not None,
            }
        )

    for path, (name, kind) in _PAGE.items():
        content = (files("longembed_serve") / "page" / name).read_bytes()
        app.add_api_route(path, _constant(content, kind), include_in_schema=False)


def _constant(content: bytes, kind: str) -> Callable[[], Any]:
    async def give() -> Response:
        return Response(content, media_type=kind)

    return give


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

    @app.exception_handler(NotThereError)
    async def missing(request: Request, error: NotThereError) -> Response:
        return answer(404, str(error))

    @app.exception_handler(ClientLeftError)
    async def left(request: Request, error: ClientLeftError) -> Response:
        return Response(status_code=CLIENT_LEFT)

    @app.exception_handler(LongEmbedError)
    async def failed(request: Request, error: LongEmbedError) -> Response:
        ours = isinstance(error, StoreError | ModelError)
        return answer(500 if ours else 400, str(error))


def _refuse_model(asked: str | None, service: Service) -> None:
    if asked is not None and asked != service.model_name:
        raise HTTPException(
            404, f"there is no model {asked!r} here; there is {service.model_name!r}"
        )


def _encoded(vector: Any, width: int, as_base64: bool) -> str | list[float]:
    chosen = np.asarray(vector[:width], dtype="<f4")
    if width < len(vector):
        chosen = chosen / max(float(np.linalg.norm(chosen)), np.finfo(np.float32).tiny)
    if as_base64:
        return base64.b64encode(chosen.astype("<f4").tobytes()).decode()
    numbers: list[float] = chosen.astype(float).tolist()
    return numbers


async def _while_there(request: Request, futures: Sequence[Future[Read]]) -> list[Read]:
    """The results of some futures, which are given up when the client leaves."""
    results = asyncio.gather(*(asyncio.wrap_future(future) for future in futures))
    leaving = asyncio.ensure_future(_left(request))
    either: list[asyncio.Future[Any]] = [results, leaving]
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not results.done():
            raise ClientLeftError
        return list(results.result())
    finally:
        for future in futures:
            future.cancel()
        results.cancel()
        leaving.cancel()


async def _left(request: Request) -> None:
    """Ends when the client has gone; all else that it sends, after its body, is nothing."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
