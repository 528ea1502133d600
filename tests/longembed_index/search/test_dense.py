"""Vectors in memory and in the store give the same scores."""

from __future__ import annotations

import numpy as np
import pytest
from index_fakes import record

from longembed_index.search.dense import StoreQuery, load_vectors
from longembed_index.store.memory import MemoryStore
from longembed_index.store.protocol import StoreInfo
from longembed_st.base.provenance import Provenance
from longembed_st.base.settings import ModelSettings

X, Y, Z = np.eye(3, dtype=np.float32)
QUERY = np.array([0.6, 0.8, 0], dtype=np.float32)


class ShuffledStore(MemoryStore):
    """Gives ids and spans in an order of its own, as a store may."""

    def vectors(self, ids=None):
        ids, vectors = super().vectors(ids)
        return ids[::-1], vectors[::-1]

    def units(self, ids=None):
        return reversed(list(super().units(ids)))


@pytest.fixture
def store() -> MemoryStore:
    store = ShuffledStore(StoreInfo(Provenance(ModelSettings(model_name="some/model"), "one")))
    store.write(
        [
            record("a", "aabbcc", X, [(0, 2, Y), (2, 4, X), (4, 6, Z)]),
            record("b", "bb", Y),
            record("c", "cccc", Z, [(0, 4, Z)]),
        ]
    )
    return store


@pytest.fixture(params=["memory", "store"])
def query(request, store):
    return (
        load_vectors(store).query(QUERY, QUERY) if request.param == "memory" else StoreQuery(store, QUERY, QUERY)
    )


def test_scores_and_spans_by_hand(query) -> None:
    scores = query.scores(["c", "nobody", "a", "b"])
    assert scores.totals == pytest.approx([0, np.nan, 0.7, 0.8], nan_ok=True)
    assert scores.parts_of(2) == pytest.approx({"document_vector": 0.6, "best_span": 0.8})
    ranges, cosines = query.spans("a")
    assert ranges.tolist() == [[0, 2], [2, 4], [4, 6]]
    assert cosines == pytest.approx([0.8, 0.6, 0])
    assert query.spans("c")[1] == pytest.approx([0])
    assert query.spans("b") is None


def test_the_nearest_among_some(query) -> None:
    assert query.candidates(2, None, None) == ["b", "a"]
    where = {"id": ["c", "a", "nobody"]}
    assert query.candidates(9, ["a", "c", "nobody"], where) == ["a", "c"]


def test_vectors_beyond_the_budget_are_not_kept(store) -> None:
    size = (3 + 4) * 3 * 4 + 4 * 2 * 8
    assert load_vectors(store, size) is not None
    assert load_vectors(store, size - 1) is None
    assert load_vectors(store, 1) is None


def test_spans_of_documents_that_came_meanwhile_are_left_out(store, monkeypatch) -> None:
    ids, vectors = store.vectors()
    monkeypatch.setattr(store, "vectors", lambda: (ids[:-1], vectors[:-1]))
    memory = load_vectors(store)
    assert memory.ids == ["b", "c"]
    assert memory.query(Z, Z).spans("c")[1] == pytest.approx([1])
    assert memory.query(Z, Z).spans("a") is None


def test_an_empty_store_has_no_candidates(store) -> None:
    store.write([], delete=["a", "b", "c"])
    query = load_vectors(store).query(QUERY, QUERY)
    assert query.candidates(5, None, None) == []
    assert query.scores([]).totals.tolist() == []
