"""One load for equal settings, nothing held that nobody uses, and nobody waiting for others."""

from __future__ import annotations

import copy
import gc
import pickle
import shutil
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch
from compare import difference
from small_models import WORDS

import longembed_st as le
from longembed_st.loading import cache
from longembed_st.loading.cache import MAX_IDLE_MODELS, CachedModel, cached_model


@pytest.fixture
def bert(small_model) -> str:
    return str(small_model("bert"))


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_models", weakref.WeakValueDictionary())
    monkeypatch.setattr(cache, "_recent", type(cache._recent)(maxlen=MAX_IDLE_MODELS))
    monkeypatch.setattr(cache, "_loading", {})


def cached(name: str, **keywords: object) -> CachedModel:
    return cached_model(le.ModelSettings.from_keywords(model_name=name, **keywords))


def test_equal_settings_are_loaded_once(bert) -> None:
    plain = cached(bert, method="pcw")
    assert cached(bert, method="pcw") is plain
    spelled_out = {"logn_scaling": False, "max_seq_length": None, "device": None, "prompts": None}
    assert cached(bert, method="pcw", **spelled_out) is plain


def test_other_settings_are_another_model(bert) -> None:
    plain = cached(bert, method="pcw")
    for changes in (
        {"window_size": 16},
        {"token_budget": 100},
        {"prompts": {"query": "query "}},
        {"model_kwargs": {"dtype": torch.bfloat16}},
    ):
        assert cached(bert, method="pcw", **changes) is not plain


def test_the_resolved_settings_find_the_model_again(bert) -> None:
    chosen = cached(bert, max_seq_length=128)
    assert chosen.settings.is_resolved
    assert chosen.settings.method == "pcw"
    assert chosen.settings.method_options == {"overlap": 0, "window_size": 64}
    assert cached_model(chosen.settings) is chosen


def test_an_explicit_default_is_another_model_than_what_was_saved(bert, tmp_path) -> None:
    folder = str(tmp_path / "saved")
    le.load(bert, "pi", max_seq_length=128, logn_scaling=True).save_pretrained(folder)
    saved, plain = cached(folder), cached(folder, logn_scaling=False)
    assert saved is not plain
    assert [loaded.settings.logn_scaling for loaded in (saved, plain)] == [True, False]
    assert cached_model(plain.settings) is plain
    assert cached_model(saved.settings) is saved


def test_a_folder_whose_files_changed_is_another_model(bert, tmp_path) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "model"))
    before = cached(str(folder), method="pcw")
    config = folder / "config_sentence_transformers.json"
    config.write_text(config.read_text() + "\n")
    assert cached(str(folder), method="pcw") is not before


# Keys.


def test_an_object_that_cannot_be_compared_is_only_equal_to_itself() -> None:
    class Unhashable:
        __hash__ = None

    first = Unhashable()
    key = cache._frozen([first])
    assert key == cache._frozen([first])
    assert key != cache._frozen([Unhashable()])
    # It is kept alive, so that no other is made at its address and taken for it.
    alive = weakref.ref(first)
    del first
    assert alive() is not None
    assert cache._frozen({"a": [1, (2,)]}) == cache._frozen({"a": (1, [2])})
    assert len({cache._frozen(1), cache._frozen(1.0), cache._frozen(True)}) == 3


# Copies, and what is kept.


def test_copies_and_pickles_carry_settings_and_no_weights(bert) -> None:
    loaded = cached(bert, method="pcw")
    assert copy.deepcopy(loaded) is loaded
    pickled = pickle.dumps(loaded)
    assert len(pickled) < 1000
    assert pickle.loads(pickled) is loaded


def test_only_a_few_unused_models_are_kept(bert, monkeypatch) -> None:
    model = le.load(bert, method="pcw")
    monkeypatch.setattr(
        cache, "load_settings", lambda s: le.extend(model, "pcw", token_budget=s.token_budget)
    )
    models = [cached(bert, method="pcw", token_budget=n) for n in range(8, 12 + MAX_IDLE_MODELS)]
    last = id(models[-1])
    alive = [weakref.ref(model) for model in models]
    del models
    gc.collect()
    assert sum(model() is not None for model in alive) == MAX_IDLE_MODELS
    assert id(cached(bert, method="pcw", token_budget=11 + MAX_IDLE_MODELS)) == last


# Threads.


def test_threads_share_one_load_and_embed_side_by_side(bert, monkeypatch) -> None:
    loads = []
    original = cache.load_settings
    monkeypatch.setattr(cache, "load_settings", lambda s: loads.append(s) or original(s))
    texts = [" ".join(WORDS[i : i + 7] * 40) for i in range(16)]

    def embed(text: str) -> object:
        return cached(bert, method="gp", max_seq_length=1024).model.encode(text)

    with ThreadPoolExecutor(8) as threads:
        vectors = list(threads.map(embed, texts))
    assert len(loads) == 1
    expected = le.load(bert, "gp", max_seq_length=1024).encode(texts)
    assert difference(np.stack(vectors), expected) < 1e-6


def test_a_slow_load_makes_nobody_wait_for_another_model(bert, monkeypatch) -> None:
    original, slow_has_begun, may_end = cache.load_settings, Event(), Event()
    loads = []

    def slowly(settings: le.ModelSettings) -> le.LongSentenceTransformer:
        loads.append(settings.method)
        if settings.method == "pi":
            slow_has_begun.set()
            assert may_end.wait(300)
        return original(settings)

    monkeypatch.setattr(cache, "load_settings", slowly)
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(cached, bert, method="pi")
        assert slow_has_begun.wait(300)
        try:
            other = threads.submit(cached, bert, method="pcw").result(300)
            same = threads.submit(cached, bert, method="pi")
        finally:
            may_end.set()
        assert first.result(300) is same.result(300)
    assert other.settings.method == "pcw"
    assert loads == ["pi", "pcw"]
    assert cache._loading == {}


def test_a_load_that_fails_can_be_tried_again(bert, monkeypatch) -> None:
    def fail(_: le.ModelSettings) -> None:
        raise le.ModelError("out of luck")

    with monkeypatch.context() as patch:
        patch.setattr(cache, "load_settings", fail)
        for _ in range(2):
            with pytest.raises(le.ModelError, match="out of luck"):
                cached(bert, method="pcw")
    assert cached(bert, method="pcw").settings.method == "pcw"


# Its vectors.


def test_vectors_are_let_in_by_their_fingerprint(bert) -> None:
    loaded = cached(bert, method="pcw")
    assert loaded.provenance == le.Provenance(loaded.settings, le.fingerprint(loaded.model))
    loaded.refuse_incompatible(cached(bert, method="pcw", overlap=0).provenance, "the store")
    for other in (cached(bert, method="pcw", window_size=32), cached(bert, method="gp")):
        assert not loaded.is_compatible(other.provenance)
        assert not other.is_compatible(loaded.provenance)
        with pytest.raises(le.ConfigError, match=r"the store.*window_size|the store.*method"):
            loaded.refuse_incompatible(other.provenance, "the store")


def test_without_a_fingerprint_nothing_is_known(bert) -> None:
    loaded = cached(bert, method="pcw")
    assert not loaded.is_compatible(le.Provenance(loaded.settings, None))
