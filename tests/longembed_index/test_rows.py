"""Rows for stores that we do not know, and their hits as documents again."""

from __future__ import annotations

import numpy as np
import pytest
from small_models import WORDS

import longembed_st as le
from longembed_index.rows import DOCUMENT, SPAN, Group, grouped, rows_of


@pytest.fixture(scope="module")
def model(small_model) -> le.LongSentenceTransformer:
    return le.load(str(small_model("bert", positions=64)), "pcw")


def test_a_row_a_span_and_one_for_the_document(model) -> None:
    draw = np.random.default_rng(0)
    documents = {name: " ".join(draw.choice(WORDS, 200)) for name in ("one", "two")}
    rows = list(rows_of(model, documents))
    assert len({row.id for row in rows}) == len(rows)
    for name, text in documents.items():
        own, *spans = [row for row in rows if row.metadata["document"] == name]
        assert (own.id, own.text, own.metadata["part"]) == (name, "", DOCUMENT)
        np.testing.assert_allclose(own.vector, model.encode_document(text), atol=1e-6)
        assert spans[0].metadata["start"] == 0
        assert spans[-1].metadata["end"] == len(text)
        for span in spans:
            assert span.metadata["part"] == SPAN
            assert span.text == text[span.metadata["start"] : span.metadata["end"]]
    again = list(rows_of(model, documents, whole_texts=True))
    assert [row.id for row in again] == [row.id for row in rows]
    assert again[0].text == documents["one"]
    assert len(list(rows_of(model, documents, span_tokens=16))) > len(rows)


def test_hits_are_grouped_by_hand() -> None:
    def span(name: str, start: int) -> dict:
        return {"document": name, "part": SPAN, "start": start, "end": start + 10}

    own = {"document": "one", "part": DOCUMENT}
    hits = [(span("one", 0), 0.2), (own, 0.5), (span("two", 0), 0.6), (span("one", 10), 0.9)]
    assert grouped(hits) == [
        Group("one", 0.7, 0.5, 0.9, [(10, 20, 0.9), (0, 10, 0.2)]),
        Group("two", 0.6, None, 0.6, [(0, 10, 0.6)]),
    ]
    assert [group.document for group in grouped(hits, k=1)] == ["one"]
    assert grouped([]) == []


def test_a_store_of_rows_finds_what_ours_does(model) -> None:
    """Brute force over the rows, as any vector store would do it."""
    draw = np.random.default_rng(1)
    documents = {f"d{n}": " ".join(draw.choice(WORDS, 150)) for n in range(6)}
    rows = list(rows_of(model, documents))
    query = model.encode_query(documents["d3"][100:200])
    hits = [(row.metadata, float(row.vector @ query)) for row in rows]
    expected = {}
    for name, text in documents.items():
        (spans,) = model.encode_spans([text])
        expected[name] = (spans.document @ query + (spans.vectors @ query).max()) / 2
    assert {g.document: pytest.approx(g.score, abs=1e-5) for g in grouped(hits, 6)} == expected
