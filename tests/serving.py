"""Serve an application in a thread of the tests, and an index without a model."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi")

import uvicorn

from longembed_index.search.ranking import Ranking
from longembed_serve.application import server_config


@contextmanager
def running(app: Any, **settings: Any) -> Iterator[str]:
    """The address of an application while it is served.

    Args:
        app: The application.
        **settings: `grace`, as for `server_config`.
    """
    server = uvicorn.Server(server_config(app, "127.0.0.1", 0, **settings))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=300)
        assert not thread.is_alive()


class FakeIndex:
    """An index without documents whose searches wait for permission.

    Attributes:
        searched: The queries that were searched for.
        begun: Set when a search has begun.
        may: Searches wait until it is set.
    """

    def __init__(self) -> None:
        self.searched: list[str] = []
        self.begun, self.may = threading.Event(), threading.Event()
        self.may.set()
        settings = SimpleNamespace(model_name="fake")
        self.model = SimpleNamespace(model=self, settings=settings)
        self.ranking = Ranking()

    def search(self, query: str, k: int, **options: Any) -> list[Any]:
        """Find nothing."""
        self.searched.append(query)
        self.begun.set()
        assert self.may.wait(60)
        return []

    def encode_with_coverage(self, texts: list[str], role: Any = None) -> Any:
        """Give each text the vector (1, 1)."""
        coverage = SimpleNamespace(tokens=1, read=1, passes=1)
        return SimpleNamespace(vectors=np.ones((len(texts), 2)), coverages=[coverage] * len(texts))

    def get_embedding_dimension(self) -> int:
        """The length of a vector."""
        return 2

    def __len__(self) -> int:
        return 0

    def close(self) -> None:
        """Nothing is open."""
