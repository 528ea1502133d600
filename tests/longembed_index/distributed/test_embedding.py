"""The actor by itself: rows in, rows out, and one bad document fails no batch."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from longembed_index.distributed import EmbedDocuments
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError

TEXTS = ["a short one", "a much longer one that goes on " * 40, None, "\ud83d", "the last"]


@pytest.fixture(scope="module")
def settings(small_model) -> ModelSettings:
    return ModelSettings(model_name=str(small_model("bert")), method="pcw")


@pytest.fixture(scope="module")
def actor(settings) -> EmbedDocuments:
    return EmbedDocuments(settings, spans=True)


def rows(*texts: str | None, **columns: list[object]) -> pa.Table:
    keys = [str(n) for n in range(len(texts))]
    return pa.table({"id": keys, "text": pa.array(texts, pa.string()), **columns})


def test_rows_have_what_the_model_gives(actor, settings) -> None:
    from longembed_index.embedding import storable_model

    model = storable_model(settings).model
    texts = [text for text in TEXTS if text and text.isascii()]
    found = actor(rows(*texts))
    expected = model.encode_spans(texts)
    assert found["id"].to_pylist() == ["0", "1", "2"]
    assert found["error"].to_pylist() == [None] * 3
    for row, one in zip(found.to_pylist(), expected, strict=True):
        np.testing.assert_allclose(row["vector"], one.document, atol=1e-6)
        assert (row["tokens"], row["read"]) == (one.coverage.tokens, one.coverage.read)
        assert np.array(row["span_ranges"]).reshape(-1, 2).tolist() == [list(s) for s in one.spans]
        assert len(row["span_vectors"]) == len(one.spans)
        unit = one.vectors / np.linalg.norm(one.vectors, axis=1, keepdims=True)
        np.testing.assert_allclose(np.array(row["span_vectors"], dtype=float), unit, atol=1e-3)


def test_texts_that_are_one_have_one_vector_each(actor) -> None:
    found = actor(rows("the same", "the same", "another"))
    assert found["span_vectors"].null_count == 0
    first, second, third = found["vector"].to_pylist()
    np.testing.assert_allclose(first, second, atol=1e-6)
    assert np.abs(np.subtract(first, third)).max() > 0.01


def test_a_bad_document_fails_alone(small_model) -> None:
    name = str(small_model("bert"))
    short = EmbedDocuments({"model_name": name, "method": "none", "on_overflow": "error"})
    found = short(rows("fine", "far too long " * 500, None)).to_pylist()
    assert found[0]["vector"] is not None
    assert found[1]["vector"] is None
    assert "tokens" in found[1]["error"]
    assert (found[1]["tokens"], found[2]["vector"], found[2]["error"]) == (None, None, None)


def test_what_failed_before_is_left_alone_and_columns_are_passed_on(actor) -> None:
    found = actor(rows("one", "two", error=["is broken", None], shelf=[1, 2])).to_pylist()
    assert (found[0]["error"], found[0]["vector"], found[0]["shelf"]) == ("is broken", None, 1)
    assert found[1]["error"] is None
    assert found[1]["vector"] is not None


def test_an_empty_batch_has_the_columns(actor) -> None:
    found = actor(rows())
    assert len(found) == 0
    assert {"vector", "tokens", "error", "span_vectors"} <= set(found.column_names)


def test_other_weights_are_refused(settings) -> None:
    with pytest.raises(ConfigError, match="not sha256:other"):
        EmbedDocuments(settings, fingerprint="sha256:other")
