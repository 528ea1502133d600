"""A damaged model ends in one of our errors, or reads as if nothing had happened."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from damaged_models import DAMAGES, MARK, damaged
from hypothesis import HealthCheck, given, settings
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


@pytest.fixture(scope="module")
def vectors(plain) -> np.ndarray:
    return le.load(str(plain), method="pcw").encode(TEXTS)


def judge(folder: Path, vectors: np.ndarray, **given: object) -> LongEmbedError | None:
    """The error that the model ends in; None if it reads as it should."""
    caught = None
    try:
        found = le.load(str(folder), **given).encode(TEXTS)
    except LongEmbedError as error:
        caught = error
    assert not (folder / MARK).exists(), "code from the folder has run"
    if caught is None:
        np.testing.assert_allclose(found, vectors, atol=1e-5)
        return None
    assert "\n" not in str(caught)
    assert "weights_only" not in str(caught), "advice to let a pickle run"
    return caught


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_model(plain, vectors, tmp_path, name) -> None:
    judge(damaged(plain, tmp_path / "model", name), vectors, method="pcw")


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_model_that_was_saved_by_us(saved, vectors, tmp_path, name) -> None:
    if "pooling" in name:
        # It has no such file: pooling is one of our module's settings.
        with pytest.raises(FileNotFoundError):
            damaged(saved, tmp_path / "model", name)
        return
    judge(damaged(saved, tmp_path / "model", name), vectors)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fewer layers than the checkpoint", "weights for 2 layers"),
        ("more layers than the checkpoint", "weights .* are missing"),
        ("num_attention_heads = 0", "num_attention_heads=0"),
        ("num_hidden_layers = 100000000000000000000", "num_hidden_layers=1000"),
        ("hidden_size = -1", "hidden_size=-1"),
        ("vocab_size = 'x'", "vocab_size=x"),
        ("all weights zero", "all weights .* are zero"),
        ("no tokenizer", "knows no words"),
        ("weights of other shapes", "other shapes than its configuration"),
        ("a malicious pickle", "safetensors"),
        ("a corrupt pickle", "cannot load model"),
    ],
)
def test_what_is_wrong_is_named(plain, vectors, tmp_path, name, said) -> None:
    error = judge(damaged(plain, tmp_path / "model", name), vectors, method="pcw")
    assert isinstance(error, ModelError)
    with pytest.raises(ModelError, match=said):
        raise error


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


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_value_in_any_setting_of_a_saved_model(saved, tmp_path_factory, data) -> None:
    """Whatever it reads then, it is no traceback; which values are harmless is not ours to say."""
    folder = tmp_path_factory.mktemp("mutated") / "model"
    shutil.copytree(saved, folder)
    name = data.draw(st.sampled_from(["sentence_bert_config.json", "config.json", "modules.json"]))
    content = json.loads((folder / name).read_text())
    place = content
    while isinstance(place, dict | list) and place and not data.draw(st.booleans()):
        keys = list(place) if isinstance(place, dict) else range(len(place))
        key = data.draw(st.sampled_from(list(keys)))
        if not isinstance(place[key], dict | list) or not place[key]:
            place[key] = data.draw(anything)
            break
        place = place[key]
    (folder / name).write_text(json.dumps(content))
    with suppress(LongEmbedError):
        assert np.isfinite(le.load(str(folder)).encode(TEXTS)).all()
    shutil.rmtree(folder)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork_while_a_model_is_loading_does_not_hang_the_child(plain, monkeypatch) -> None:
    loading, go_on = threading.Event(), threading.Event()
    load_settings = cache.load_settings

    def slow(given):
        loading.set()
        assert go_on.wait(60)
        return load_settings(given)

    monkeypatch.setattr(cache, "load_settings", slow)
    wanted = ModelSettings(model_name=str(plain), method="pcw", token_budget=1234)
    thread = threading.Thread(target=cache.cached_model, args=(wanted,))
    thread.start()
    assert loading.wait(60)
    child = os.fork()
    if not child:
        cache.load_settings = lambda given: (_ for _ in ()).throw(ModelError("asked anew"))
        try:
            cache.cached_model(wanted)
        except ModelError:
            os._exit(7)
        os._exit(1)
    go_on.set()
    thread.join()
    for _ in range(100):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 7
            return
        time.sleep(0.1)
    os.kill(child, 9)
    pytest.fail("the child hangs")
