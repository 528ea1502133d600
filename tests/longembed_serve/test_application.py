"""The API: what it answers, and what it refuses."""

from __future__ import annotations

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
from integrations.answering import ANSWERS, QUESTIONS

from longembed_serve.service import Service

FORM = "application/x-www-form-urlencoded"
"""What curl and urllib say of a body if they are told nothing."""

LONG = "The committee spoke of the harbour, of the orchard and of the railway. " * 200


def embed(client: httpx.Client, texts, **more):
    return client.post("/v1/embeddings", json={"input": texts, **more})


def test_vectors_are_those_of_the_model_and_say_what_was_read(client, server) -> None:
    model = server[1].index.model.model
    texts = ["a short text", LONG]
    answer = embed(client, texts).json()
    found = np.array([one["embedding"] for one in answer["data"]], dtype=np.float32)
    np.testing.assert_allclose(found, model.encode(texts), atol=1e-6)
    assert [one["index"] for one in answer["data"]] == [0, 1]
    short, long = (one["coverage"] for one in answer["data"])
    assert short["passes"] == 1 < long["passes"]
    assert long["read"] == long["tokens"] > 2_000
    assert answer["usage"]["prompt_tokens"] == short["read"] + long["read"]
    (one,) = embed(client, "a short text").json()["data"]
    np.testing.assert_allclose(one["embedding"], found[0], atol=1e-6)


def test_base64_and_fewer_dimensions(client, server) -> None:
    whole = np.array(embed(client, "a").json()["data"][0]["embedding"])
    answer = embed(client, "a", encoding_format="base64", dimensions=64).json()
    numbers = np.frombuffer(base64.b64decode(answer["data"][0]["embedding"]), dtype="<f4")
    np.testing.assert_allclose(numbers, whole[:64] / np.linalg.norm(whole[:64]), atol=1e-6)
    refused = embed(client, "a", dimensions=385)
    assert (refused.status_code, "384" in refused.text) == (400, True)


def test_what_cannot_be_embedded_is_refused_with_the_reason(client) -> None:
    for body, status, reason in (
        ({"input": "a", "model": "gpt-9"}, 404, "there is no model 'gpt-9' here"),
        ({"input": [[1, 2], [3]]}, 400, "check_embedding_ctx_length=False"),
        ({"input": []}, 400, "input"),
        ({"input": ["a"] * 2049}, 400, "2,048"),
        ({"input": "\ud800"}, 400, "lone surrogate"),
        ({"input": None}, 400, "input: Field required"),
        ({"input": "a", "dimensions": 12.5}, 400, "dimensions"),
        ({"input": "a", "dimensions": True}, 400, "give a number"),
        ({"input": "a", "input_type": "image"}, 400, "give 'query' or 'document'"),
    ):
        answer = client.post("/v1/embeddings", content=json.dumps(body).encode())
        assert answer.status_code == status, body
        error = answer.json()["error"]
        assert reason in error["message"]
        assert error["type"] == "invalid_request_error"


def test_fields_of_other_services_are_accepted(client) -> None:
    plain = embed(client, "a short text").json()
    for fields in (
        {"encoding_format": None, "model": None, "user": None, "dimensions": None},
        {"model": "", "user": 17},
        {"input_type": "search_document", "embedding_types": ["float"], "truncate": "END"},
        {"task": "retrieval.passage", "late_chunking": False, "normalized": True},
        {"input_type": "classification", "truncate_prompt_tokens": -1, "keep_alive": "5m"},
    ):
        assert embed(client, "a short text", **fields).json() == plain, fields


def test_numbers_may_be_text(client) -> None:
    for name, number in (
        ("dimensions", 128.0),
        ("dimensions", " 128 "),
        ("output_dimension", "128.0"),
    ):
        (item,) = embed(client, "a", **{name: number}).json()["data"]
        assert len(item["embedding"]) == 128


def test_names_of_roles_choose_the_prompt(server, client, monkeypatch) -> None:
    batcher, roles = server[1].batcher, []
    submit = batcher.submit
    monkeypatch.setattr(
        batcher, "submit", lambda texts, role: roles.append(role) or submit(texts, role)
    )
    for fields in (
        {"input_type": "QUERY"},
        {"task": "retrieval.query"},
        {"input_type": "passage"},
        {"input_type": "clustering"},
        {},
    ):
        assert embed(client, "a", **fields).status_code == 200
    assert roles == ["query", "query", "document", None, None]


def test_the_content_type_may_be_missing_but_not_in_requests_of_browsers(client) -> None:
    form, text = ({"content-type": kind} for kind in (FORM, "text/plain"))
    for headers in ({}, form, text):
        answer = client.post("/v1/embeddings", content=b'{"input": "a"}', headers=headers)
        assert answer.status_code == 200, (headers, answer.text)
    headers = {**form, "origin": "https://evil.example"}
    answer = client.post("/v1/embeddings", content=b'{"input": "a"}', headers=headers)
    assert answer.status_code == 400


def test_searches_and_contexts_take_nulls_and_numbers_as_text_but_no_unknown_field(client) -> None:
    question = {"query": QUESTIONS["harbour"], "weight": "0.5", "where": None, "mode": None}
    for path, more in (
        ("/search", {"k": None, "passages": "1"}),
        ("/context", {"max_words": "80"}),
    ):
        answer = client.post(path, json={**question, **more})
        assert "harbour.txt" in answer.text
        refused = client.post(path, json={**question, "filter": {"title": "orchard.txt"}})
        assert refused.status_code == 400
        assert "filter" in refused.json()["error"]["message"]


def test_a_search_gives_the_passage_and_the_document_its_text(client) -> None:
    for topic, question in QUESTIONS.items():
        best = client.post("/search", json={"query": question, "k": 2}).json()["hits"][0]
        assert best["title"] == f"{topic}.txt"
        (passage,) = best["passages"]
        text = client.post("/document", json={"source": best["source"]}).json()["text"]
        assert text == Path(best["source"]).read_text()
        assert best["characters"] == len(text)
        start, end = passage["sentence"]
        assert ANSWERS[topic] in text[start:end]


def test_searches_can_be_told_how_and_reranked(client) -> None:
    question = {"query": QUESTIONS["harbour"], "k": 3}
    words = client.post("/search", json={**question, "mode": "lexical"}).json()["hits"]
    assert "document_vector" not in words[0]["scores"]
    one = {**question, "k": 1, "rerank": True, "candidates": 1}
    again = client.post("/search", json=one).json()
    assert "search" in again["hits"][0]["scores"]
    few = client.post("/search", json={**question, "where": {"title": "orch*"}}).json()["hits"]
    assert [hit["title"] for hit in few] == ["orchard.txt"]


def test_a_context_has_the_answer_within_its_budget(client) -> None:
    body = {"query": QUESTIONS["railway"], "max_words": 80}
    context = client.post("/context", json=body).json()
    assert ANSWERS["railway"] in context["text"]
    assert context["size"] <= 80
    assert context["is_answered"] is True
    assert context["citations"][0]["title"] == "railway.txt"
    assert client.post("/context", json={**body, "max_words": 0}).status_code == 400


def test_documents_are_reranked(client) -> None:
    documents = ["The sea is wide.", "The widow of a captain paid for the crane.", "Bread."]
    asked = {"query": QUESTIONS["harbour"], "documents": documents, "top_n": 2}
    found = client.post("/v1/rerank", json={**asked, "return_documents": True}).json()["results"]
    assert len(found) == 2
    assert found[0]["index"] == 1
    assert found[0]["document"]["text"] == documents[1]
    assert found[0]["window"] == {"start": 0, "end": len(documents[1])}
    assert found[0]["relevance_score"] > found[1]["relevance_score"]


def test_a_reranking_takes_what_other_clients_send(client) -> None:
    documents = [{"text": "Bread.", "title": "A"}, {"text": "The widow paid for the crane."}]
    asked = {"query": QUESTIONS["harbour"], "documents": documents, "max_tokens_per_doc": 99}
    asked |= {"top_k": "1", "return_documents": True, "truncation": True, "model": "rerank-2"}
    (result,) = client.post("/v1/rerank", json=asked).json()["results"]
    assert (result["index"], result["document"]) == (1, documents[1])
    for body, reason in (
        ({"query": "a", "documents": [{"title": "A"}]}, "'text'"),
        ({"query": "a" * 20_001, "documents": ["a"] * 2_000}, "at most 20000 characters"),
    ):
        refused = client.post("/v1/rerank", json=body)
        assert refused.status_code == 400
        assert reason in refused.json()["error"]["message"]


def test_only_documents_of_the_store_can_be_read(client, store) -> None:
    for source in ("/etc/passwd", "../../etc/passwd", "", "*", str(store)):
        answer = client.post("/document", json={"source": source})
        assert answer.status_code == 404, source
        assert "no document" in answer.json()["error"]["message"]
    long = client.post("/document", json={"source": "a" * 20_001})
    assert (long.status_code, "at most 20000 characters" in long.text) == (400, True)


def test_health_models_and_the_description_of_the_api(client, minilm_folder) -> None:
    health = client.get("/healthz").json()
    assert (health["status"], health["documents"], health["dimensions"]) == ("ok", 3, 384)
    name = client.get("/v1/models").json()["data"][0]["id"]
    assert name == health["model"]
    # The folder is called "model", which says nothing, but is an alias.
    assert name == minilm_folder.parent.name
    assert embed(client, "a", model=minilm_folder.name).json()["model"] == name
    assert embed(client, "a", model=name).json()["model"] == name
    described = client.get(f"/v1/models/{name}").json()
    assert described == client.get("/v1/models").json()["data"][0]
    missing = client.get("/v1/models/gpt-9")
    assert missing.status_code == 404
    assert name in missing.json()["error"]["message"]
    assert "/v1/embeddings" in client.get("/openapi.json").json()["paths"]
    assert client.get("/docs").status_code == 200


def test_a_model_has_the_name_of_the_hub_its_last_part_and_one_that_is_chosen(
    serve, monkeypatch
) -> None:
    with serve() as (address, service), httpx.Client(base_url=address, timeout=120) as client:
        monkeypatch.setattr(Service, "_own_name", "sentence-transformers/all-MiniLM-L6-v2")
        (described,) = client.get("/v1/models").json()["data"]
        assert described["id"] == "sentence-transformers/all-MiniLM-L6-v2"
        for name in (
            "all-MiniLM-L6-v2",
            "sentence-transformers/all-MiniLM-L6-v2",
            "sentence-transformers%2Fall-MiniLM-L6-v2",
        ):
            assert client.get(f"/v1/models/{name}").json() == described
        for name in ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"):
            assert embed(client, "a", model=name).status_code == 200
        monkeypatch.setattr(service, "_name", "text-embedding-3-small")
        assert embed(client, "a", model="text-embedding-3-small").status_code == 200
        assert client.get("/v1/models").json()["data"][0]["id"] == "text-embedding-3-small"


def test_requests_at_the_same_time_get_their_own_vectors(client, server) -> None:
    texts = [f"number {n} " * (1 + n % 40) for n in range(60)]
    expected = server[1].index.model.model.encode(texts)
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda text: embed(client, text).json(), texts))
    found = np.array([one["data"][0]["embedding"] for one in answers])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_too_much_waiting_is_refused_with_the_time_to_wait(serve, monkeypatch) -> None:
    with serve(max_waiting=100) as (address, service):
        begun, may = threading.Event(), threading.Event()
        encode = service.index.model.model.encode_with_coverage

        def slow(texts, **kwargs):
            begun.set()
            may.wait(30)
            return encode(texts, **kwargs)

        monkeypatch.setattr(service.index.model.model, "encode_with_coverage", slow)
        with httpx.Client(base_url=address, timeout=60) as one, ThreadPoolExecutor(2) as threads:
            first = threads.submit(embed, one, "first")
            assert begun.wait(30)
            second = threads.submit(embed, one, "x" * 90)
            while service.batcher.waiting != 1:
                pass
            refused = embed(one, "y" * 90)
            assert refused.status_code == 429
            assert int(refused.headers["retry-after"]) >= 1
            may.set()
            assert first.result().status_code == second.result().status_code == 200


def test_a_key_is_asked_for_everywhere_but_at_the_door(serve) -> None:
    with serve(key="secret") as (address, _), httpx.Client(base_url=address) as one:
        for path in ("/", "/page.js", "/page.css", "/healthz"):
            assert one.get(path).status_code == 200
        assert one.get("/healthz", headers={"host": "evil.example"}).status_code == 400
        for key in ("", "Bearer wrong", "Bearer Secret", "Bearer secre", "secret"):
            header = {"authorization": key} if key else {}
            for path in ("/search", "/v1/embeddings", "/document", "/v1/rerank"):
                assert one.post(path, json={}, headers=header).status_code == 401
        for kind in ("Bearer", "bearer", "BEARER"):
            header = {"authorization": f"{kind} secret"}
            assert one.post("/search", json={"query": "crane"}, headers=header).status_code == 200


def test_browsers_are_told_to_run_nothing_from_elsewhere(client) -> None:
    for path in ("/", "/page.js", "/healthz"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
