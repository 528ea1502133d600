"""A server over a small store of long documents, in a thread of the tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("fastapi")

from serving import running

from longembed_index import Index
from longembed_serve.application import application
from longembed_serve.service import Service


@pytest.fixture(scope="session")
def store(tmp_path_factory, minilm_folder) -> Path:
    from integrations.answering import indexed

    return indexed(tmp_path_factory.mktemp("served"), minilm_folder)


@pytest.fixture(scope="session")
def serve(store, minilm_folder) -> Callable[..., Any]:
    """Serves the store, with a reranker, under some limits."""

    from class_models import late_minilm

    import longembed_st as le

    @contextmanager
    def serving(max_bytes: int = 20_000_000, key: str | None = None, **settings: Any):
        reranker = le.reranker_of(late_minilm(minilm_folder))
        service = Service(Index.open(store), reranker=reranker, **settings)
        app = application(service, max_bytes=max_bytes, key=key, hosts=["localhost", "127.0.0.1"])
        with running(app) as address:
            yield address, service

    return serving


@pytest.fixture(scope="module")
def server(serve) -> Iterator[tuple[str, Service]]:
    with serve() as one:
        yield one


@pytest.fixture
def client(server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server[0], timeout=300) as one:
        yield one
