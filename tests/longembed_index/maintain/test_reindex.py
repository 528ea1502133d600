from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from index_fakes import FakeModel, LossyStore, embed_with, records_of, sources, texts_of

from longembed_index.document import Document
from longembed_index.documents.parsed import LeftOut
from longembed_index.errors import StoreError
from longembed_index.maintain import reindex as reindexing
from longembed_index.maintain.ingest import ingest
from longembed_index.store.memory import MemoryStore
from longembed_index.store.protocol import StoreInfo
from longembed_st.base.provenance import Provenance
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError

DOCUMENTS = {
    "pets": "cats and dogs are kept as pets",
    "money": "the central bank raised interest rates again and again " * 60,
    "rain": "heavy rain is forecast for the weekend",
    "music": "a string quartet by Beethoven",
}


@pytest.fixture
def filled(store, model) -> MemoryStore:
    ingest(sources(**DOCUMENTS), store, embed_with(model))
    return store


def other_model(name: str = "some/two", limit: int = 100, policy: str = "truncate") -> FakeModel:
    return FakeModel(ModelSettings(model_name=name, max_seq_length=limit, on_overflow=policy))


@pytest.fixture
def other() -> FakeModel:
    return other_model()


def reindex(store, model: FakeModel, *, units: bool = False, **options):
    embed = embed_with(model, units=units)
    return reindexing.reindex(store, model, embed, units=units, **options)


def assert_made_by(model: FakeModel, store: MemoryStore) -> None:
    assert store.info.provenance.fingerprint == model.fingerprint
    for record in records_of(store).values():
        np.testing.assert_allclose(record.vector, model.vector(record.document.text), atol=1e-6)


class CutError(Exception):
    """Stands for a kill."""


def cut_after(outcomes: int):
    seen = []

    def cut(outcome):
        seen.append(outcome)
        if len(seen) == outcomes:
            raise CutError

    return cut


@pytest.fixture
def one_at_a_time(monkeypatch) -> None:
    monkeypatch.setattr(reindexing, "RECORDS_AT_ONCE", 1)
    monkeypatch.setattr(reindexing, "BATCH_CHARACTERS", 1)


def test_what_was_left_out_of_a_file_stays_with_its_document(filled, other) -> None:
    parts = (LeftOut("page 3", "pictures", 2),)
    filled.write([replace(record, left_out=parts) for record in filled.get(["rain"])])
    report = reindex(filled, other).report
    assert not report.is_complete
    assert report.to_dict()["left_out"] == [
        {"document": "rain", "where": "page 3", "what": "pictures", "count": 2}
    ]
    assert filled.get(["rain"])[0].left_out == parts
    assert filled.get(["pets"])[0].left_out == ()


def test_every_document_gets_the_vector_of_the_new_settings(filled, other) -> None:
    before = records_of(filled)
    result = reindex(filled, other)
    assert_made_by(other, filled)
    assert texts_of(filled) == DOCUMENTS
    assert result.report.counts == {"added": 4, "replaced": 0, "unchanged": 0, "failed": 0}
    assert [outcome.id for outcome in result.report.partly_read] == ["money"]
    after = records_of(filled)
    assert (after["money"].coverage.tokens, after["money"].coverage.read) == (540, 100)
    assert all(after[key].content_hash == before[key].content_hash for key in DOCUMENTS)
    assert sorted(other.embedded) == sorted(DOCUMENTS.values())
    plain = result.to_dict()
    assert (plain["in_store"], plain["replaced"], plain["dropped"]) == (4, result.replaced, [])


def test_old_vectors_are_kept_until_they_are_dropped(filled, model, other) -> None:
    first = reindex(filled, other)
    second = reindex(filled, model)
    assert not [*first.dropped, *second.dropped]
    third = reindex(filled, other, drop_old=True)
    assert sorted(third.dropped) == sorted([first.replaced, second.replaced, third.replaced])
    assert filled.drop_replaced() == []
    assert texts_of(filled) == DOCUMENTS


@pytest.mark.usefixtures("one_at_a_time")
def test_an_interrupted_run_embeds_nothing_twice(filled, model, other) -> None:
    with pytest.raises(CutError):
        reindex(filled, other, on_outcome=cut_after(2))
    assert_made_by(model, filled)
    result = reindex(filled, other)
    assert result.report.counts == {"added": 2, "replaced": 0, "unchanged": 2, "failed": 0}
    assert sorted(other.embedded) == sorted(DOCUMENTS.values())
    assert texts_of(filled) == DOCUMENTS
    assert_made_by(other, filled)


@pytest.mark.usefixtures("one_at_a_time")
def test_what_is_read_in_another_way_between_two_runs_is_embedded_again(filled, other) -> None:
    (rain,) = filled.get(["rain"])
    filled.write([replace(rain, left_out=(LeftOut("page 2", "pages without text"),))])
    with pytest.raises(CutError):
        reindex(filled, other, on_outcome=cut_after(4))
    filled.write([replace(rain, document=Document("rain", "sun, as page 2 says"))])
    reindex(filled, other)
    assert texts_of(filled)["rain"] == "sun, as page 2 says"
    assert_made_by(other, filled)


def test_what_others_write_meanwhile_is_taken_over(filled, model, other) -> None:
    written = []

    def write(outcome) -> None:
        if not written:
            written.append(outcome)
            ingest(sources(late="a late paper", pets="hamsters, too"), filled, embed_with(model))
            filled.write([], delete=["rain"])

    reindex(filled, other, on_outcome=write)
    assert texts_of(filled).keys() == {"pets", "money", "music", "late"}
    assert texts_of(filled)["pets"] == "hamsters, too"
    assert_made_by(other, filled)


def test_a_document_that_cannot_be_embedded_prevents_the_switch(filled, model) -> None:
    strict = other_model(policy="error")
    result = reindex(filled, strict)
    assert result.replaced is None
    ((document_id, reason),) = result.report.failed
    assert document_id == "money"
    assert "longer than the window" in reason
    assert_made_by(model, filled)
    result = reindex(filled, strict, allow_missing=True)
    assert result.replaced
    assert texts_of(filled).keys() == DOCUMENTS.keys() - {"money"}


def test_units_come_and_go(filled, model, other) -> None:
    reindex(filled, model, units=True)
    assert filled.info.units
    assert dict(filled.units()).keys() == DOCUMENTS.keys()
    reindex(filled, model, units=False)
    assert not filled.info.units
    assert list(filled.units()) == []


def test_equal_settings_are_refused(filled) -> None:
    with pytest.raises(ConfigError, match="have these settings already"):
        reindex(filled, FakeModel())
    assert filled.staged() is None


def test_an_unfinished_run_of_other_settings_is_not_mixed_with(filled, other) -> None:
    filled.stage(StoreInfo(other_model(limit=50).provenance))
    with pytest.raises(ConfigError, match=r"max_seq_length is 50 in the store, 100 now.*--restart"):
        reindex(filled, other)
    filled.stage(StoreInfo(Provenance(other.settings, "other weights")))
    with pytest.raises(ConfigError, match=r"other settings \(other weights\)"):
        reindex(filled, other)
    filled.stage(StoreInfo(other.provenance, units=True))
    with pytest.raises(ConfigError, match="units is True in the store, False now"):
        reindex(filled, other)
    reindex(filled, other, restart=True)
    assert_made_by(other, filled)


def test_what_the_store_is_told_besides_stays(model, other) -> None:
    store = MemoryStore(StoreInfo(model.provenance, language="german"))
    ingest(sources(**DOCUMENTS), store, embed_with(model))
    reindex(store, other)
    assert store.info.language == "german"


def test_a_store_that_loses_what_is_written_is_noticed(filled, model, other, monkeypatch) -> None:
    monkeypatch.setattr(filled, "stage", LossyStore)
    with pytest.raises(StoreError, match=r"still differ .* Run again; nothing is lost"):
        reindex(filled, other)
    assert_made_by(model, filled)
    assert texts_of(filled) == DOCUMENTS
