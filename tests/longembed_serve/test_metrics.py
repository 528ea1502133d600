"""Metrics as Prometheus reads them, ids of requests, and the log."""

from __future__ import annotations

import io
import json
import logging
import re
from functools import partial
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from docs_snippets import ROOT

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from prometheus_client.parser import text_string_to_metric_families
from serving import FakeIndex, running

from longembed_serve.application import application
from longembed_serve.metrics import log_to
from longembed_serve.schemas import SearchRequest
from longembed_serve.service import _QUICK_THREADS, Service


@pytest.fixture
def client():
    app = application(Service(FakeIndex()), max_bytes=10_000, key=None, hosts=["*"])
    with running(app) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield client


@pytest.fixture
def log():
    """What is logged of requests."""
    logger, stream = logging.getLogger("longembed.requests"), io.StringIO()
    before = logger.level, logger.propagate, list(logger.handlers)
    log_to(stream)
    yield stream
    logger.level, logger.propagate, logger.handlers[:] = before


def values(client) -> dict[tuple[str, ...], float]:
    """All values by name and labels."""
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_work_is_counted(client) -> None:
    assert client.post("/v1/embeddings", json={"input": ["a", "b"]}).status_code == 200
    for mode in ("lexical", "lexical", None):
        assert client.post("/search", json={"query": "a", "mode": mode}).status_code == 200
    assert client.post("/search", content=b"x" * 20_000).status_code == 413
    for name in range(3):
        assert client.get(f"/v1/models/none{name}").status_code == 404
    # A request is counted when its answer was sent.
    while ("longembed_request_seconds_count", "/search", "413") not in values(client):
        pass
    counted = values(client)
    assert counted["longembed_texts_total",] == counted["longembed_tokens_read_total",] == 2
    assert counted["longembed_tokens_not_read_total",] == 0
    assert counted["longembed_searches_total", "lexical"] == 2
    assert counted["longembed_searches_total", "hybrid"] == 1
    for queue in ("texts", "quick requests", "slow requests"):
        assert counted["longembed_waiting", queue] == 0
    assert counted["longembed_documents",] == 0
    assert counted["longembed_request_seconds_count", "/search", "200"] == 3
    assert counted["longembed_request_seconds_count", "/search", "413"] == 1
    assert counted["longembed_request_seconds_count", "other", "404"] == 3


def test_tokens_that_were_not_read_are_counted(client, monkeypatch) -> None:
    coverage = SimpleNamespace(tokens=100, read=60, passes=1)
    encoded = SimpleNamespace(vectors=np.ones((1, 2)), coverages=[coverage])
    monkeypatch.setattr(FakeIndex, "encode_with_coverage", lambda *args, **options: encoded)
    assert client.post("/v1/embeddings", json={"input": "a long text"}).status_code == 200
    counted = values(client)
    assert counted["longembed_tokens_read_total",] == 60
    assert counted["longembed_tokens_not_read_total",] == 40


def test_what_waits_is_shown_by_queue() -> None:
    index = FakeIndex()
    index.may.clear()
    service = Service(index)
    request = SearchRequest(query="a")
    try:
        with running(application(service, max_bytes=10_000, key=None, hosts=["*"])) as address:
            # As many as there are threads are searching, and three wait.
            search = partial(service.search, request)
            jobs = [service.queued(search, request.cost) for _ in range(_QUICK_THREADS + 3)]
            while service.waiting > 3:
                pass
            with httpx.Client(base_url=address, timeout=60) as client:
                counted = values(client)
            assert counted["longembed_waiting", "quick requests"] == 3
            assert counted["longembed_waiting", "texts"] == 0
            index.may.set()
            assert [job.result(60) for job in jobs] == [[]] * len(jobs)
    finally:
        index.may.set()


def test_calls_of_agents_are_counted(client) -> None:
    headers = {"accept": "application/json, text/event-stream"}
    for tool in ("search", "get_context", "list_documents"):
        params = {"name": tool, "arguments": {"query": "a"}}
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        assert client.post("/mcp", json=call, headers=headers).status_code == 200
    counted = values(client)
    assert counted["longembed_tool_calls_total", "search"] == 1
    assert counted["longembed_tool_calls_total", "list_documents"] == 1
    assert counted["longembed_searches_total", "hybrid"] == 2


def test_the_dashboards_of_the_page_ask_for_numbers_that_exist(client) -> None:
    """Every name in the queries of docs/MONITORING.md is one that the server gives."""
    client.post("/v1/embeddings", json={"input": ["a"]})
    client.post("/search", json={"query": "a"})
    while ("longembed_request_seconds_count", "/search", "200") not in values(client):
        pass
    given = {name for name, *_ in values(client)}
    page = (ROOT / "docs/MONITORING.md").read_text("utf8").split("Queries for a dashboard")[1]
    asked = set(re.findall(r"\b(?:longembed|process)_\w+", page)) - {"longembed_serve"}
    assert len(asked) >= 6
    assert asked <= given


def test_requests_have_ids_and_a_line_in_the_log_without_their_texts(client, log) -> None:
    asked = {"query": "a secret question"}
    answer = client.post("/search", json=asked, headers={"x-request-id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    forged = client.get("/a/secret/path", headers={"x-request-id": "a b"})
    assert len(forged.headers["x-request-id"]) == 32
    while log.getvalue().count("\n") < 2:
        pass
    first, second = map(json.loads, log.getvalue().splitlines())
    assert first["seconds"] >= 0
    assert {**first, "seconds": 0} == {
        **{"request": "mine-1", "method": "POST", "path": "/search", "status": 200},
        "seconds": 0,
    }
    assert (second["path"], second["status"]) == ("other", 404)
    assert "secret" not in log.getvalue()
