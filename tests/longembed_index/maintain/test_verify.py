from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from index_fakes import FakeModel, embed_with, records_of, sources

from longembed_index.document import Units
from longembed_index.errors import StoreError
from longembed_index.maintain.ingest import ingest
from longembed_index.maintain.verify import verify
from longembed_index.store.memory import MemoryStore
from longembed_index.store.protocol import StoreInfo

TEXTS = {name: f"{name} and some more words of a document " * 9 for name in ("one", "two")}


@pytest.fixture
def filled(model) -> MemoryStore:
    store = MemoryStore(StoreInfo(model.provenance, units=True))
    ingest(sources(**TEXTS), store, embed_with(model, units=True))
    return store


def change(store: MemoryStore, **changes: object) -> None:
    store.write([replace(records_of(store)["two"], **changes)])


def test_the_vectors_of_the_model_are_verified(filled, model) -> None:
    assert verify(filled, embed_with(model, units=True)) == 2


def test_what_the_model_did_not_make_is_found(filled, model) -> None:
    embed = embed_with(model, units=True)
    record = records_of(filled)["two"]
    change(filled, vector=model.vector("another text"))
    with pytest.raises(StoreError, match=r"stored vector of two .*cosine .*reindex"):
        verify(filled, embed)
    units = record.units
    change(filled, vector=record.vector, units=replace(units, vectors=units.vectors[::-1]))
    with pytest.raises(StoreError, match="stored units of two are not those"):
        verify(filled, embed)
    change(filled, units=Units(np.array([[0, 5]]), units.counts[:1], units.vectors[:1]))
    with pytest.raises(StoreError, match="stored units of two are not those"):
        verify(filled, embed)
    change(filled, units=None)
    with pytest.raises(StoreError, match="meant to have units, and two has none"):
        verify(filled, embed)


def test_a_sample_is_spread_over_the_store(store, model) -> None:
    ingest(sources(**{f"d{i:02}": f"document {i}" for i in range(20)}), store, embed_with(model))
    again = FakeModel()
    assert verify(store, embed_with(again), size=4) == 4
    assert again.embedded == ["document 0", "document 5", "document 10", "document 15"]
    assert verify(store, embed_with(again), size=100) == 20
