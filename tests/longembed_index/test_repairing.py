from __future__ import annotations

import pytest
from faulty import LossyStore

from longembed_index.errors import LostVectorsError
from longembed_index.ingestion import ingest
from longembed_index.memory import MemoryStore
from longembed_index.records import Record
from longembed_index.repairing import refuse_lost, repair
from longembed_index.searching import search
from longembed_index.sources import TextSource

TEXTS = {f"d{number}": f"document number {number}" for number in range(40)}


@pytest.fixture(params=[False, True], ids=["no copies", "copies"])
def store(request, model) -> LossyStore:
    store = LossyStore(model.provenance, max_batch=7, has_copies=request.param)
    ingest([TextSource(*item) for item in TEXTS.items()], store, model)
    model.calls.clear()
    return store


def test_a_sound_store_is_left_alone(store, model) -> None:
    before = dict(store.records)
    report = repair(store, model)
    assert set(report.counts.values()) == {0}
    assert store.records == before
    assert not model.calls


def test_only_what_is_lost_is_written_and_only_what_has_no_copy_embedded(store, model) -> None:
    lost = [TEXTS["d3"], TEXTS["d30"]]
    before = {key: r.vector.tolist() for key, r in store.records.items()}
    store.lose(*lost)
    outcomes = []
    report = repair(store, model, on_outcome=outcomes.append)
    assert store.lost() == []
    assert {key: r.vector.tolist() for key, r in store.records.items()} == before
    assert sorted(text for call in model.calls for text in call) == (
        [] if store.has_copies else lost
    )
    assert report.counts["unchanged" if store.has_copies else "added"] == 2
    assert sorted(outcome.name for outcome in outcomes) == ["d3", "d30"]
    assert report.read == report.tokens == (0 if store.has_copies else 6)


def test_all_can_be_lost(store, model) -> None:
    store.lose(*TEXTS.values())
    repair(store, model)
    assert search(store, model.vector(TEXTS["d9"]), 1)[0].source == "d9"
    assert len(search(store, model.vector("x"), 100)) == 40


def test_a_repair_that_was_cut_off_is_finished_by_the_next(model, monkeypatch) -> None:
    monkeypatch.setattr("longembed_index.repairing.BATCH_CHARACTERS", 50)
    store = LossyStore(model.provenance)
    ingest([TextSource(*item) for item in TEXTS.items()], store, model)
    store.lose(*TEXTS.values())

    def interrupted(texts):
        if len(store.lost()) < 20:
            raise KeyboardInterrupt
        return model(texts)

    with pytest.raises(KeyboardInterrupt):
        repair(store, interrupted)
    left = len(store.lost())
    assert 0 < left < 20
    model.calls.clear()
    repair(store, model)
    assert sum(map(len, model.calls)) == left
    assert store.lost() == []


def test_what_cannot_be_embedded_is_named_and_removed_if_asked(fake_model) -> None:
    model = fake_model(fails_at="number 5")
    store = LossyStore(model.provenance)
    ingest([TextSource(*item) for item in TEXTS.items() if item[0] != "d5"], store, model)
    store.write([Record("bare", None, model.vector("x"), {})])
    store.write([Record("bad", TEXTS["d5"], model.vector("y"), {})])
    store.lose(None, TEXTS["d5"], TEXTS["d6"])
    report = repair(store, model)
    assert sorted(report.failed) == [
        ("bad", "no vector for this one"),
        ("bare", "has no text to embed"),
    ]
    assert store.lost() == ["bad", "bare"]
    with pytest.raises(LostVectorsError, match="2 of the 41 documents"):
        refuse_lost(store)
    report = repair(store, model, remove_lost=True)
    assert sorted(report.gone) == ["bad", "bare"]
    assert store.lost() == []
    assert len(store) == 39


def test_a_search_that_finds_too_few_looks_into_it(store, model) -> None:
    """An index that does not lead everywhere is made up for; a lost vector is an error."""
    whole = [hit.source for hit in search(store, model.vector("x"), 40)]

    def lead_astray(vector, k):
        return MemoryStore.search(store, vector, k)[: k // 2]

    store.search = lead_astray
    assert [hit.source for hit in search(store, model.vector("x"), 40)] == whole
    store.lose(TEXTS["d3"])
    with pytest.raises(LostVectorsError, match="1 of the 40 documents"):
        search(store, model.vector("x"), 40)
