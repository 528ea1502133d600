from __future__ import annotations

import numpy as np
import pytest

from longembed_index.errors import StoreError
from longembed_index.ingestion import ingest
from longembed_index.memory import MemoryStore
from longembed_index.records import Record
from longembed_index.reindexing import reindex
from longembed_index.sources import TextSource
from longembed_st.errors import ConfigError

DOCUMENTS = {
    "pets": "cats and dogs are kept as pets",
    "money": "the central bank raised interest rates again and again " * 60,
    "rain": "heavy rain is forecast for the weekend",
    "music": "a string quartet by Beethoven",
}


@pytest.fixture
def filled(store, model) -> MemoryStore:
    ingest([TextSource(*item) for item in DOCUMENTS.items()], store, model)
    return store


@pytest.fixture
def other(fake_model):
    return fake_model("two", limit=100)


def texts(store) -> dict[str, str | None]:
    return {record.name: record.text for record in store.records.values()}


def assert_made_by(model, store) -> None:
    for record in store.records.values():
        np.testing.assert_array_equal(record.vector, model.vector(record.text))


class CutError(Exception):
    """Stands for a kill."""


def cut_after(outcomes: int):
    def cut(outcome, seen=[]):  # noqa: B006 - counts the calls
        seen.append(outcome)
        if len(seen) == outcomes:
            raise CutError

    return cut


@pytest.fixture
def one_at_a_time(monkeypatch) -> None:
    monkeypatch.setattr("longembed_index.reindexing.ROWS", 1)
    monkeypatch.setattr("longembed_index.reindexing.BATCH_CHARACTERS", 1)


def test_every_document_gets_the_vector_of_the_new_settings(filled, other) -> None:
    ids = set(filled.records)
    done = reindex(filled, other, other)
    assert filled.provenance == other.provenance
    assert texts(filled) == DOCUMENTS
    assert set(filled.records) == ids
    assert_made_by(other, filled)
    assert done.report.counts == {"added": 4, "replaced": 0, "unchanged": 0, "failed": 0}
    assert [outcome.name for outcome in done.report.partly_read] == ["money"]
    (money,) = [record for record in filled.records.values() if record.name == "money"]
    assert (money.metadata["tokens"], money.metadata["read"]) == (540, 100)
    assert money.metadata["content_hash"]


def test_every_text_is_embedded_once(filled, other) -> None:
    reindex(filled, other, other)
    assert sorted(text for call in other.calls for text in call) == sorted(DOCUMENTS.values())


def test_old_vectors_are_kept_until_told_otherwise(filled, model, other) -> None:
    first = reindex(filled, other, other)
    second = reindex(filled, model, model)
    assert not [*first.dropped, *second.dropped]
    third = reindex(filled, other, other, drop_old=True)
    assert sorted(third.dropped) == sorted([first.kept_as, second.kept_as, third.kept_as])
    assert filled.drop_kept() == []
    assert texts(filled) == DOCUMENTS


@pytest.mark.usefixtures("one_at_a_time")
def test_an_interrupted_run_embeds_nothing_twice(filled, model, other) -> None:
    with pytest.raises(CutError):
        reindex(filled, other, other, on_outcome=cut_after(2))
    assert filled.provenance == model.provenance
    assert_made_by(model, filled)
    done = reindex(filled, other, other)
    assert done.report.counts == {"added": 2, "replaced": 0, "unchanged": 2, "failed": 0}
    assert sorted(text for call in other.calls for text in call) == sorted(DOCUMENTS.values())
    assert texts(filled) == DOCUMENTS
    assert_made_by(other, filled)


def test_what_others_write_meanwhile_is_taken_over(filled, model, other) -> None:
    pets, rain = (next(r for r in filled.records.values() if r.name == n) for n in ("pets", "rain"))

    def write(outcome, written=[]):  # noqa: B006 - once
        if not written:
            written.append(True)
            ingest([TextSource("late", "a late paper")], filled, model)
            filled.write([Record(pets.id, "hamsters, too", pets.vector, pets.metadata)])
            filled.delete([rain.id])

    reindex(filled, other, other, on_outcome=write)
    assert texts(filled).keys() == {"pets", "money", "music", "late"}
    assert texts(filled)["pets"] == "hamsters, too"
    assert_made_by(other, filled)


def test_a_document_that_cannot_be_embedded_prevents_the_switch(filled, model, fake_model) -> None:
    strict = fake_model("two", limit=100, refuse_longer=True)
    done = reindex(filled, strict, strict)
    assert done.kept_as is None
    ((name, reason),) = done.report.failed
    assert name == "money"
    assert "longer than the window" in reason
    assert filled.provenance == model.provenance
    done = reindex(filled, strict, strict, allow_missing=True)
    assert done.kept_as
    assert texts(filled).keys() == DOCUMENTS.keys() - {"money"}


def test_records_of_other_programs_keep_their_metadata(filled, other) -> None:
    theirs = {"tokens": "of affection", "shelf": 3}
    filled.write([Record("theirs", "their text", [0.5] * 32, theirs)])
    done = reindex(filled, other, other)
    assert done.report.counts["added"] == 5
    (record,) = filled.get(["theirs"])
    assert (record.text, record.metadata) == ("their text", theirs)
    np.testing.assert_array_equal(record.vector, other.vector("their text"))


def test_a_record_without_text_is_named(filled, other) -> None:
    filled.write([Record("bare", None, [0.5] * 32, {})])
    done = reindex(filled, other, other)
    assert done.report.failed == [("bare", "has a vector and no text")]
    assert done.kept_as is None


def test_equal_settings_are_refused(filled, fake_model) -> None:
    with pytest.raises(ConfigError, match="have these settings already"):
        reindex(filled, fake_model(), fake_model())
    assert filled.staged() is None


def test_an_unfinished_run_of_other_settings_is_not_mixed_with(filled, fake_model, other) -> None:
    filled.stage(fake_model("three", limit=50).provenance)
    with pytest.raises(ConfigError, match=r"max_seq_length is 50 in the store, 100 now.*--restart"):
        reindex(filled, other, other)
    reindex(filled, other, other, restart=True)
    assert filled.provenance == other.provenance
    assert_made_by(other, filled)


def test_an_unfinished_run_of_other_weights_is_not_mixed_with(filled, fake_model, other) -> None:
    stage = fake_model("three", limit=100).provenance
    settings = stage.settings.model_copy(
        update={"model_name": other.provenance.settings.model_name}
    )
    filled.stage(type(stage)(settings, stage.fingerprint))
    with pytest.raises(ConfigError, match=r"other settings \(other weights\)"):
        reindex(filled, other, other)


def test_a_store_that_loses_what_is_written_is_noticed(filled, model, other) -> None:
    filled.stage(other.provenance).write = lambda records: None
    with pytest.raises(StoreError, match=r"still differ .* Run again; nothing is lost"):
        reindex(filled, other, other)
    assert filled.provenance == model.provenance
    assert texts(filled) == DOCUMENTS
