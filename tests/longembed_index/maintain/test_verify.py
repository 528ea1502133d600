from __future__ import annotations

from dataclasses import replace

import pytest

from longembed_index.errors import StoreError
from longembed_index.ingestion import ingest
from longembed_index.records import Record
from longembed_index.sources import TextSource
from longembed_index.verify import sample, verify


@pytest.fixture
def filled(store, model):
    ingest([TextSource("a", "one"), TextSource("b", "two")], store, model)
    return store


def test_the_vectors_of_the_model_are_verified(filled, model) -> None:
    assert verify(filled, model) == 2


@pytest.mark.parametrize("change", ["text", "vector"])
def test_a_vector_that_the_model_did_not_make_is_found(filled, model, change) -> None:
    (found,) = [record for record in filled.records.values() if record.name == "b"]
    changes = {"text": "another text", "vector": [float("nan")] * 32}
    filled.write([replace(found, **{change: changes[change]})])
    with pytest.raises(StoreError, match="stored vector of 'b'"):
        verify(filled, model)


@pytest.mark.parametrize("text", [None, "", " \n"])
def test_a_record_without_text_cannot_be_compared(filled, model, text) -> None:
    filled.write([Record("theirs", text, [0.5] * 32, {})])
    assert verify(filled, model) == 2


def test_a_vector_of_another_program_is_named_by_its_id(filled, model) -> None:
    filled.write([Record("theirs", "some text", [0.5] * 32, {})])
    with pytest.raises(StoreError, match="stored vector of 'theirs'"):
        verify(filled, model)


def test_a_sample_is_spread_over_the_store(store, model) -> None:
    ingest([TextSource(f"d{i}", f"document {i}") for i in range(20)], store, model)
    ids = sorted(store.records)
    assert sorted(record.id for record in sample(store, 4)) == ids[::5]
    assert len(sample(store, 100)) == 20
