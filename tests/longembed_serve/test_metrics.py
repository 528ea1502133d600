"""Metrics as Prometheus reads them, ids of requests, and the log."""

from __future__ import annotations

import io
import json
import logging

import httpx
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from prometheus_client.parser import text_string_to_metric_families
from serving import FakeIndex, running

from longembed_serve.application import application
from longembed_serve.metrics import log_to
from longembed_serve.service import Service


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
    assert counted["longembed_searches_total", "default"] == 1
    assert counted["longembed_waiting",] == 0
    assert counted["longembed_request_seconds_count", "/search", "200"] == 3
    assert counted["longembed_request_seconds_count", "/search", "413"] == 1
    assert counted["longembed_request_seconds_count", "other", "404"] == 3


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
