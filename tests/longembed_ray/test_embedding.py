"""The actor by itself: rows in, rows out, and one bad document fails no batch."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from longembed_index.maintain.embedding import embedder_of, storable_model
from longembed_ray import EmbedDocuments
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError


@pytest.fixture(scope="module")
def settings(small_model) -> ModelSettings:
    return ModelSettings(model_name=str(small_model("bert")), method="pcw")


@pytest.fixture(scope="module")
def actor(settings) -> EmbedDocuments:
    return EmbedDocuments(settings, units=True)


def rows(*texts: str | None, **columns: list[object]) -> pa.Table:
    ids = [str(n) for n in range(len(texts))]
    return pa.table({"id": ids, "text": pa.array(texts, pa.string()), **columns})


def test_rows_have_what_the_model_gives(actor, settings) -> None:
    texts = ["a short one", "a much longer one that goes on " * 40, "the last"]
    table = actor(rows(*texts))
    assert table["id"].to_pylist() == ["0", "1", "2"]
    assert table["error"].to_pylist() == [None] * 3
    expected = embedder_of(storable_model(settings), units=True)(texts)
    for row, embedded in zip(table.to_pylist(), expected, strict=True):
        np.testing.assert_allclose(row["vector"], embedded.vector, atol=1e-6)
        coverage = embedded.coverage
        assert (row["tokens"], row["read"]) == (coverage.tokens, coverage.read)
        assert row["windows"] == coverage.passes
        assert row["unit_ranges"] == embedded.units.ranges.reshape(-1).tolist()
        assert row["unit_counts"] == embedded.units.counts.tolist()
        np.testing.assert_allclose(row["unit_vectors"], embedded.units.vectors, atol=1e-3)


def test_a_bad_document_fails_alone(small_model) -> None:
    name = str(small_model("bert"))
    short = EmbedDocuments({"model_name": name, "method": "none", "on_overflow": "error"})
    fine, long, empty = short(rows("fine", "far too long " * 500, None)).to_pylist()
    assert fine["vector"] is not None
    assert (long["vector"], long["tokens"]) == (None, None)
    assert "tokens" in long["error"]
    assert (empty["vector"], empty["error"]) == (None, None)


def test_rows_with_an_error_are_left_alone_and_columns_are_passed_on(actor) -> None:
    table = actor(rows("one", "two", error=["is broken", None], shelf=[1, 2])).to_pylist()
    assert (table[0]["error"], table[0]["vector"], table[0]["shelf"]) == ("is broken", None, 1)
    assert (table[1]["error"], table[1]["shelf"]) == (None, 2)
    assert table[1]["vector"] is not None


def test_an_empty_batch_has_the_columns(actor) -> None:
    table = actor(rows())
    assert len(table) == 0
    assert {"vector", "tokens", "error", "unit_vectors"} <= set(table.column_names)


def test_other_weights_are_refused(settings) -> None:
    with pytest.raises(ConfigError, match="not sha256:other"):
        EmbedDocuments(settings, fingerprint="sha256:other")
