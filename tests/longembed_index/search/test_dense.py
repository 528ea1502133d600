"""Vectors in memory and in the store give the same similarities."""

from __future__ import annotations

import numpy as np
import pytest
from index_fakes import record

from longembed_index.search.dense import MemoryQuery, StoreQuery, load_vectors
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


def test_similarities_and_the_nearest_by_hand(store) -> None:
    for query in (MemoryQuery(load_vectors(store), QUERY), StoreQuery(store, QUERY)):
        cosines = query.cosines(["c", "nobody", "a", "b"])
        assert cosines == pytest.approx([0, np.nan, 0.6, 0.8], nan_ok=True)
        assert query.candidates(2, None, None) == ["b", "a"]
        where = {"id": ["c", "a", "nobody"]}
        among = dict.fromkeys(["a", "c", "nobody"]).keys()
        assert query.candidates(9, among, where) == ["a", "c"]


def test_vectors_beyond_the_budget_are_not_kept(store) -> None:
    size = 3 * 3 * 4
    assert load_vectors(store, size) is not None
    assert load_vectors(store, size - 1) is None


def test_an_empty_store_has_no_candidates(store) -> None:
    store.write([], delete=["a", "b", "c"])
    query = MemoryQuery(load_vectors(store), QUERY)
    assert query.candidates(5, None, None) == []
    assert len(query.cosines([])) == 0
