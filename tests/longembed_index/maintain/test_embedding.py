from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from index_fakes import FakeModel, embed_with

from longembed_index.maintain.embedding import (
    Embedded,
    embedder_of,
    encode_query,
    makes_units_cheaply,
    merged_settings,
    record_new_place,
    storable_model,
    warn_of_query,
    with_whitening_in_folder,
)
from longembed_index.store.memory import MemoryStore
from longembed_index.store.protocol import StoreInfo
from longembed_st.base.provenance import Provenance
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError, InputError, ModelError, TextNotReadWarning


def test_a_model_folder_is_stored_by_its_absolute_path(minilm, minilm_folder, monkeypatch) -> None:
    monkeypatch.chdir(minilm_folder.parent)
    relative = ModelSettings(model_name=minilm_folder.name, method="pcw")
    loaded = storable_model(relative)
    assert loaded.settings.model_name == str(minilm_folder.resolve())
    assert loaded.model is minilm.model


def test_what_must_not_be_stored_is_refused_before_anything_is_loaded() -> None:
    settings = ModelSettings(model_name="no/model", model_kwargs={"trust_remote_code": True})
    with pytest.raises(ConfigError, match="trust_remote_code"):
        storable_model(settings)


def test_one_text_at_fault_does_not_spoil_the_others() -> None:
    model = FakeModel(fails_at="bad")
    good, bad, fine = embed_with(model)(["good", "bad", "fine one"])
    assert isinstance(bad, InputError)
    assert [good.coverage.tokens, fine.coverage.tokens] == [1, 2]
    np.testing.assert_allclose(good.vector, model.vector("good"), atol=1e-6)
    assert model.calls == [["good", "bad", "fine one"], ["good"], ["bad"], ["fine one"]]
    assert embed_with(model)([]) == []


@pytest.mark.parametrize("units", [False, True])
def test_a_vector_that_is_not_finite_is_an_error(units, monkeypatch) -> None:
    model = FakeModel()
    vector = model.vector
    monkeypatch.setattr(model, "vector", lambda t: vector(t) * (np.nan if t == "bad" else 1))
    good, bad = embed_with(model, units=units)(["good", "bad"])
    assert isinstance(good, Embedded)
    assert isinstance(bad, ModelError)
    assert "not finite" in str(bad)


def test_units_come_with_the_vector_of_their_document(minilm) -> None:
    text = "The council met. It talked about the bridge. " * 40
    (alone,) = embedder_of(minilm, units=False)([text])
    (result,) = embedder_of(minilm, units=True)([text])
    np.testing.assert_allclose(result.vector, alone.vector, atol=1e-5)
    assert alone.units is None
    units = result.units
    assert len(units.ranges) == len(units.counts) == len(units.vectors) > 1
    assert (units.ranges[0, 0], units.ranges[-1, 1]) == (0, len(text.rstrip()))
    mean = (units.counts[:, None] * units.vectors).sum(axis=0)
    # All but for the special tokens.
    assert mean / np.linalg.norm(mean) @ result.vector > 0.95


def test_a_model_without_offsets_makes_no_units() -> None:
    model = FakeModel(has_offsets=False)
    assert not makes_units_cheaply(model)
    with pytest.raises(ConfigError, match=r"some/one cannot make units.*--no-units"):
        embed_with(model, units=True)
    assert makes_units_cheaply(FakeModel())
    assert not makes_units_cheaply(FakeModel(ModelSettings(model_name="a", max_seq_length=100)))


def test_a_question_that_is_cut_is_warned_of(short_minilm) -> None:
    text = "who approved the budget? " * 100
    question = encode_query(short_minilm, text)
    assert np.linalg.norm(question.vector) == pytest.approx(1, abs=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # The policy of this model is "truncate".
        warn_of_query(short_minilm, text, question.coverage, 1)
        warn_of_query(short_minilm, "who?", encode_query(short_minilm, "who?").coverage, 1)
    text = "a question of five words"
    cut = FakeModel(ModelSettings(model_name="a", max_seq_length=4, on_overflow="warn"))
    with pytest.warns(TextNotReadWarning, match="1 tokens of 1 text were not read") as caught:
        warn_of_query(cut, text, encode_query(cut, text).coverage, 1)
    assert caught[0].filename == __file__


def test_settings_on_top_must_not_change_vectors() -> None:
    stored = Provenance(ModelSettings(model_name="a", max_seq_length=100), "f")
    moved = merged_settings(stored, ModelSettings(model_name="b", device="cpu", method="auto"))
    assert (moved.model_name, moved.device, moved.max_seq_length) == ("b", "cpu", 100)
    with pytest.raises(ConfigError, match="max_seq_length is 100 in the store, 50 now"):
        merged_settings(stored, ModelSettings(max_seq_length=50))


def test_a_model_that_was_moved_is_noted() -> None:
    model = FakeModel(ModelSettings(model_name="old/model"))
    store = MemoryStore(StoreInfo(model.provenance))
    record_new_place(store, model)
    assert store.generation == 0
    record_new_place(store, FakeModel(ModelSettings(model_name="new/model", device="cpu")))
    settings = store.info.provenance.settings
    assert (settings.model_name, settings.device) == ("new/model", None)


def test_a_whitening_is_looked_for_beside_its_store(tmp_path) -> None:
    settings = ModelSettings(model_name="a", whitening="/old/place/whitening-1.safetensors")
    stored = Provenance(settings, "f")
    assert with_whitening_in_folder(stored, tmp_path) == stored
    file = tmp_path / "whitening-1.safetensors"
    file.write_bytes(b"")
    assert with_whitening_in_folder(stored, tmp_path).settings.whitening == str(file.resolve())
    plain = replace(stored, settings=ModelSettings(model_name="a"))
    assert with_whitening_in_folder(plain, tmp_path) == plain
