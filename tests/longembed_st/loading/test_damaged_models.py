"""A damaged model ends in one of our errors, and none of its code runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from damaged_models import DAMAGES, MARK, damaged
from fuzzing import check
from hypothesis import strategies as st

import longembed_st as le
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import LongEmbedError, ModelError
from longembed_st.loading import cache

TEXTS = ["ban bar bast den der " * 40, "fast den"]

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def plain(small_model) -> Path:
    return small_model("bert")


@pytest.fixture(scope="module")
def saved(plain, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    le.load(str(plain), method="pcw").save(str(folder))
    return folder


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_model_is_refused_and_what_is_wrong_is_named(plain, tmp_path, name) -> None:
    folder = damaged(plain, tmp_path / "model", name)
    with pytest.raises(ModelError, match=DAMAGES[name][1]) as refusal:
        le.load(str(folder), method="pcw").encode(TEXTS)
    assert not (folder / MARK).exists(), "code from the folder has run"
    assert "\n" not in str(refusal.value)
    assert "weights_only" not in str(refusal.value), "advice to let a pickle run"


@pytest.mark.parametrize("name", ["a malicious pickle", "too few layers"])
def test_a_damaged_model_that_was_saved_by_us_is_refused(saved, tmp_path, name) -> None:
    folder = damaged(saved, tmp_path / "model", name)
    with pytest.raises(ModelError):
        le.load(str(folder)).encode(TEXTS)
    assert not (folder / MARK).exists(), "code from the folder has run"


def test_a_token_beyond_the_table_is_named(plain) -> None:
    model = le.load(str(plain), method="pcw")
    model.tokenizer.add_tokens([f"word{number}" for number in range(2000)])
    with pytest.raises(ModelError, match=r"token id .* the model has vectors for 1000"):
        model.encode("ban word1999 bar")
    assert np.isfinite(model.encode("ban bar")).all()


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@pytest.mark.parametrize("examples", [8, pytest.param(300, marks=pytest.mark.slow)])
def test_any_value_in_any_setting_of_a_saved_model(saved, tmp_path_factory, examples) -> None:
    """Whatever it reads then, it is no traceback; which values are harmless is not ours to say."""

    def claim(data) -> None:
        folder = tmp_path_factory.mktemp("mutated") / "model"
        shutil.copytree(saved, folder)
        files = ["sentence_bert_config.json", "config.json", "modules.json"]
        file = folder / data.draw(st.sampled_from(files))
        content = json.loads(file.read_text())
        place = content
        while isinstance(place, dict | list) and place and not data.draw(st.booleans()):
            keys = list(place) if isinstance(place, dict) else range(len(place))
            key = data.draw(st.sampled_from(list(keys)))
            if not isinstance(place[key], dict | list) or not place[key]:
                place[key] = data.draw(anything)
                break
            place = place[key]
        file.write_text(json.dumps(content))
        with suppress(LongEmbedError):
            assert np.isfinite(le.load(str(folder)).encode(TEXTS)).all()
        shutil.rmtree(folder)

    check(claim, examples, data=st.data())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork_while_a_model_is_loading_does_not_hang_the_child(plain, monkeypatch) -> None:
    loading, go_on = threading.Event(), threading.Event()
    load_settings = cache.load_settings

    def slow(settings):
        loading.set()
        assert go_on.wait(300)
        return load_settings(settings)

    monkeypatch.setattr(cache, "load_settings", slow)
    wanted = ModelSettings(model_name=str(plain), method="pcw", token_budget=1234)
    thread = threading.Thread(target=cache.cached_model, args=(wanted,))
    thread.start()
    assert loading.wait(300)
    child = os.fork()
    if not child:
        signal.alarm(300)  # A child that hangs is ended.
        cache.load_settings = lambda settings: (_ for _ in ()).throw(ModelError("asked anew"))
        try:
            cache.cached_model(wanted)
        except ModelError:
            os._exit(7)
        os._exit(1)
    go_on.set()
    thread.join()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7
