from __future__ import annotations

import pytest

from longembed_index.embedding import batches, embed_each, storable_model
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError, InputError


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


def test_one_text_at_fault_does_not_spoil_the_others(fake_model) -> None:
    model = fake_model(fails_at="bad")
    good, bad, fine = embed_each(["good", "bad", "fine one"], model)
    assert isinstance(bad, InputError)
    assert [good[1].tokens, fine[1].tokens] == [1, 2]
    assert model.calls == [["good", "bad", "fine one"], ["good"], ["bad"], ["fine one"]]
    assert embed_each([], model) == []


def test_batches_keep_the_order_and_leave_nothing_out() -> None:
    assert list(batches([1, 2, 3, 4, 5], 2)) == [[1, 2], [3, 4], [5]]
