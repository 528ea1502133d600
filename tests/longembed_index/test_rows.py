"""Documents as rows of any vector store, and the rows that it finds as documents again."""

from __future__ import annotations

import numpy as np
import pytest
from small_models import WORDS

import longembed_st as le
from longembed_index.document import Passage
from longembed_index.rows import DOCUMENT, PASSAGE, encode_passages, grouped, rows_of


@pytest.fixture(scope="module")
def model(small_model) -> le.LongSentenceTransformer:
    return le.load(str(small_model("bert", positions=64)), "pcw")


def test_a_row_a_passage_and_one_for_the_document(model) -> None:
    draw = np.random.default_rng(0)
    documents = {name: " ".join(draw.choice(WORDS, 200)) for name in ("one", "two")}
    rows = list(rows_of(model, documents))
    assert len({row.id for row in rows}) == len(rows)
    for name, text in documents.items():
        own, *passages = [row for row in rows if row.metadata["document"] == name]
        assert (own.id, own.text, own.metadata["part"]) == (name, "", DOCUMENT)
        np.testing.assert_allclose(own.vector, model.encode_document(text), atol=1e-6)
        assert passages[0].metadata["start"] == 0
        assert passages[-1].metadata["end"] == len(text)
        for passage in passages:
            assert passage.metadata["part"] == PASSAGE
            assert passage.text == text[passage.metadata["start"] : passage.metadata["end"]]
    again = list(rows_of(model, documents, whole_texts=True))
    assert [row.id for row in again] == [row.id for row in rows]
    assert again[0].text == documents["one"]
    assert len(list(rows_of(model, documents, passage_tokens=80))) > len(rows)


def test_rows_are_grouped_by_hand() -> None:
    def passage(name: str, start: int) -> dict:
        return {"document": name, "part": PASSAGE, "start": start, "end": start + 3}

    own = {"document": "one", "part": DOCUMENT}
    rows = [
        (passage("one", 0), 0.2),
        (own, 0.5),
        (passage("two", 0), 0.6),
        (passage("one", 3), 0.9),
    ]
    one, two = grouped(rows, {"one": "abcdef"})
    assert (one.document.id, one.document.text) == ("one", "abcdef")
    assert one.score == pytest.approx(0.7)
    assert one.scores == {"document_vector": 0.5, "best_passage": 0.9}
    assert one.passages == (Passage(3, 6, "def", 0.9), Passage(0, 3, "abc", 0.2))
    assert (two.document.text, two.score, two.scores) == ("", 0.6, {"best_passage": 0.6})
    assert two.passages == (Passage(0, 3, "", 0.6),)
    assert [hit.document.id for hit in grouped(rows, k=1)] == ["one"]
    assert grouped([]) == []


def test_a_store_of_rows_finds_what_ours_does(model) -> None:
    """Every row is compared, as any vector store would do it."""
    draw = np.random.default_rng(1)
    documents = {f"d{n}": " ".join(draw.choice(WORDS, 150)) for n in range(6)}
    query = model.encode_query(documents["d3"][100:200])
    rows = [(row.metadata, float(row.vector @ query)) for row in rows_of(model, documents)]
    expected = {}
    for name, text in documents.items():
        encoded = encode_passages(model, text)
        expected[name] = (encoded.document @ query + (encoded.vectors @ query).max()) / 2
    scores = {hit.document.id: hit.score for hit in grouped(rows, k=6)}
    assert scores == pytest.approx(expected, abs=1e-5)
