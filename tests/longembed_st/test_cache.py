"""One load for equal settings, and nothing held that nobody uses."""

from __future__ import annotations

import copy
import gc
import pickle
import shutil
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from compare import difference
from small_models import WORDS

import longembed_st as le
from longembed_st import cache
from longembed_st.cache import MOST_IDLE, cached_model


@pytest.fixture
def bert(small_model) -> str:
    return str(small_model("bert"))


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_models", weakref.WeakValueDictionary())
    monkeypatch.setattr(cache, "_recent", type(cache._recent)(maxlen=MOST_IDLE))


def test_equal_settings_are_loaded_once(bert) -> None:
    plain = cached_model(bert, method="pcw")
    assert cached_model(bert, method="pcw") is plain
    spelled_out = {"logn_scaling": False, "max_seq_length": None, "device": None, "prompts": None}
    assert cached_model(bert, method="pcw", **spelled_out) is plain


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "gp"},
        {"method": "pcw", "window_size": 16},
        {"method": "pcw", "on_overflow": "error"},
        {"method": "pcw", "token_budget": 100},
        {"method": "pcw", "truncate_dim": 8},
        {"method": "pcw", "prompts": {"query": "query "}},
        {"method": "pcw", "model_kwargs": {"dtype": torch.bfloat16}},
    ],
)
def test_other_settings_are_another_model(bert, changes) -> None:
    assert cached_model(bert, **changes) is not cached_model(bert, method="pcw")


def test_the_resolved_settings_find_the_model_again(bert) -> None:
    chosen = cached_model(bert, max_seq_length=128)
    assert chosen.settings["method"] != "auto"
    assert chosen.settings["original_max_seq_length"] is not None
    assert cached_model(**chosen.settings) is chosen


def test_an_object_that_cannot_be_compared_is_only_equal_to_itself() -> None:
    one, other = bytearray(b"a"), bytearray(b"a")
    assert cache._frozen([one]) == cache._frozen([one])
    assert cache._frozen([one]) != cache._frozen([other])
    assert len({cache._frozen(1), cache._frozen(1.0), cache._frozen(True)}) == 3


def test_a_folder_whose_files_changed_is_another_model(bert, tmp_path) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "model"))
    before = cached_model(str(folder), method="pcw")
    config = folder / "config_sentence_transformers.json"
    config.write_text(config.read_text() + "\n")
    assert cached_model(str(folder), method="pcw") is not before


def test_copies_and_pickles_carry_settings_and_no_weights(bert) -> None:
    loaded = cached_model(bert, method="pcw")
    assert copy.deepcopy(loaded) is loaded
    pickled = pickle.dumps(loaded)
    assert len(pickled) < 1000
    assert pickle.loads(pickled) is loaded


def test_only_a_few_unused_models_are_kept(bert) -> None:
    models = [cached_model(bert, method="pcw", window_size=n) for n in range(8, 12 + MOST_IDLE)]
    last = id(models[-1])
    alive = [weakref.ref(model) for model in models]
    del models
    gc.collect()
    assert sum(model() is not None for model in alive) == MOST_IDLE
    assert id(cached_model(bert, method="pcw", window_size=11 + MOST_IDLE)) == last


def test_threads_share_one_load_and_embed_side_by_side(bert, monkeypatch) -> None:
    loads = []
    original = cache.load
    monkeypatch.setattr(cache, "load", lambda *a, **k: loads.append(a) or original(*a, **k))
    texts = [" ".join(WORDS[i : i + 7] * 40) for i in range(16)]

    def embed(text: str) -> object:
        return cached_model(bert, method="gp", max_seq_length=1024).model.encode(text)

    with ThreadPoolExecutor(8) as threads:
        vectors = list(threads.map(embed, texts))
    assert len(loads) == 1
    expected = le.load(bert, "gp", max_seq_length=1024).encode(texts)
    assert difference(np.stack(vectors), expected) < 1e-6


def test_the_fingerprint_is_that_of_the_model(bert) -> None:
    loaded = cached_model(bert, method="pcw")
    assert loaded.fingerprint == le.fingerprint(loaded.model)
