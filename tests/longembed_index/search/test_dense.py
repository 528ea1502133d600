"""Vectors in memory and in the store give the same similarities."""

from __future__ import annotations

import numpy as np
import pytest
from index_fakes import record

from longembed_index.search import dense
from longembed_index.search.dense import StoreQuery, VectorsInMemory, load_vectors
from longembed_index.store.memory import MemoryStore
from longembed_index.store.protocol import StoreInfo
from longembed_st.base.provenance import Provenance
from longembed_st.base.settings import ModelSettings

X, Y, Z = np.eye(3, dtype=np.float32)
QUERY = np.array([0.6, 0.8, 0], dtype=np.float32)


class ShuffledStore(MemoryStore):
    """Gives ids in an order of its own, as a store may."""

    def vectors(self, ids=None):
        ids, vectors = super().vectors(ids)
        return ids[::-1], vectors[::-1]


@pytest.fixture
def store() -> MemoryStore:
    store = ShuffledStore(StoreInfo(Provenance(ModelSettings(model_name="some/model"), "one")))
    store.write([record("a", "aabbcc", X), record("b", "bb", Y), record("c", "cccc", Z)])
    return store


@pytest.fixture(params=["memory", "store"])
def query(request, store):
    if request.param == "memory":
        return load_vectors(store).query(QUERY)
    return StoreQuery(store, QUERY)


def test_cosines_by_hand(query) -> None:
    cosines = query.cosines(["c", "nobody", "a", "b"])
    assert cosines == pytest.approx([0, np.nan, 0.6, 0.8], nan_ok=True)


def test_the_nearest_among_some(query) -> None:
    assert query.candidates(2, None, None) == ["b", "a"]
    where = {"id": ["c", "a", "nobody"]}
    assert query.candidates(9, dict.fromkeys(["a", "c", "nobody"]).keys(), where) == ["a", "c"]


@pytest.mark.parametrize("selected", [1, 3, 20, 40])
def test_the_nearest_of_many_that_meet_a_filter(monkeypatch, selected) -> None:
    draw = np.random.default_rng(0)
    vectors = draw.standard_normal((40, 3)).astype(np.float32)
    ids = [f"{number:02}" for number in range(40)]
    query = VectorsInMemory(ids, vectors).query(QUERY)
    among = dict.fromkeys(sorted(draw.choice(ids, selected, replace=False).tolist())).keys()
    expected = query.candidates(5, among, None)
    monkeypatch.setattr(dense, "MANY", 0)
    assert query.candidates(5, among, None) == expected
    assert len(expected) == min(5, selected)


def test_vectors_beyond_the_budget_are_not_kept(store) -> None:
    size = 3 * 3 * 4
    assert load_vectors(store, size) is not None
    assert load_vectors(store, size - 1) is None


def test_an_empty_store_has_no_candidates(store) -> None:
    store.write([], delete=["a", "b", "c"])
    query = load_vectors(store).query(QUERY)
    assert query.candidates(5, None, None) == []
    assert len(query.cosines([])) == 0
