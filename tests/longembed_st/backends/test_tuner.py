"""Engine settings: measured on this processor, kept, and without effect on vectors."""

from __future__ import annotations

import json
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from compare import difference
from engines import computes_bfloat16
from small_models import WORDS

import longembed_st as le
from longembed_st.backends import tuner
from longembed_st.backends.tuner import EngineSettings, Measurement, best_of
from longembed_st.base.extension import DEFAULT_TOKEN_BUDGET
from longembed_st.errors import ConfigError

DEFAULT = EngineSettings()
FAST = EngineSettings(2, 2048)


@pytest.fixture(autouse=True)
def nothing_measured(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("LONGEMBED_CACHE", str(tmp_path))
    monkeypatch.setattr(tuner, "_chosen", {})
    monkeypatch.setattr(tuner, "_tokens_read", type(tuner._tokens_read)())


@pytest.fixture
def measured(monkeypatch) -> list[object]:
    """Replace the measurement by chosen figures, and count how often it is made."""
    calls: list[object] = []

    def measure(reader) -> list[Measurement]:
        calls.append(reader)
        return [Measurement(DEFAULT, 1000.0), Measurement(FAST, 1500.0)]

    monkeypatch.setattr(tuner, "measure", measure)
    return calls


def long_texts(count: int) -> list[str]:
    draw = np.random.default_rng(1)
    return [" ".join(draw.choice(WORDS, size=n)) for n in draw.integers(1, 400, size=count)]


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_vectors_do_not_depend_on_the_settings(backend, small_model, monkeypatch) -> None:
    texts = long_texts(40)
    model = le.load(str(small_model("bert", positions=64)), "pcw", backend=backend, device="cpu")
    expected = model.encode(texts)
    reader = model.long_transformer
    for settings in (EngineSettings(1, 1024), EngineSettings(2, 1024), EngineSettings(3, 2048)):
        monkeypatch.setattr(tuner, "_chosen", {tuner._key(reader): settings})
        assert difference(model.encode(texts), expected) < 1e-5, settings


def test_every_measured_setting_stays_within_the_memory_of_one_batch(small_model) -> None:
    model = le.load(str(small_model("bert", positions=64)), "pcw", backend="openvino")
    measurements = tuner.measure(model.long_transformer)
    assert measurements[0].settings == DEFAULT
    assert len({m.settings for m in measurements}) == len(measurements) > 2
    for measured in measurements:
        assert measured.tokens_per_second > 0
        assert measured.settings.streams * measured.settings.batch_tokens <= DEFAULT_TOKEN_BUDGET


def test_what_is_hardly_faster_is_not_chosen() -> None:
    assert best_of([Measurement(DEFAULT, 1000.0), Measurement(FAST, 1040.0)]) == DEFAULT
    assert best_of([Measurement(DEFAULT, 1000.0), Measurement(FAST, 1060.0)]) == FAST


def test_it_is_measured_once_enough_has_been_read(small_model, measured) -> None:
    reader = le.load(str(small_model("bert")), "pcw").long_transformer
    few = tuner.TOKENS_BEFORE_TUNING // 4
    assert tuner.engine_settings(reader, 10) == DEFAULT
    for _ in range(3):
        assert tuner.engine_settings(reader, few) == DEFAULT
    assert not measured
    assert tuner.engine_settings(reader, few) == FAST
    assert tuner.engine_settings(reader, few) == FAST
    assert len(measured) == 1


def test_other_devices_than_processors_are_not_measured(measured) -> None:
    on_gpu = SimpleNamespace(backbone=SimpleNamespace(device=torch.device("cuda")))
    assert tuner.engine_settings(on_gpu, 10 * tuner.TOKENS_BEFORE_TUNING) == DEFAULT
    with pytest.raises(ConfigError, match="this model is on cuda"):
        tuner.tune(on_gpu)
    assert not measured


def test_what_was_measured_serves_later_processes(small_model, measured, monkeypatch) -> None:
    reader = le.load(str(small_model("bert")), "pcw").long_transformer
    tuner.tune(reader)
    monkeypatch.setattr(tuner, "_chosen", {})
    assert tuner.engine_settings(reader, 5000) == FAST
    assert len(measured) == 1


def test_another_engine_or_precision_is_measured_by_itself(small_model) -> None:
    name = str(small_model("bert"))
    settings = (
        {"backend": "torch"},
        {"backend": "torch", "dtype": "bfloat16"},
        {"backend": "openvino"},
        {"backend": "openvino", "dtype": "bfloat16"},
    )
    keys = {tuner._key(le.load(name, "pcw", **s).long_transformer) for s in settings}
    assert len(keys) == len(settings)


@pytest.mark.parametrize("content", ["", "[]", "{}", '[{"streams": 1}]', "[1, 2]"])
def test_damaged_settings_are_measured_again(content, small_model, measured, caplog) -> None:
    reader = le.load(str(small_model("bert")), "pcw").long_transformer
    tuner.tune(reader)
    file = tuner._file(tuner._key(reader))
    file.write_text(content, encoding="utf8")
    assert tuner.read_measurements(tuner._key(reader)) is None
    assert bool(caplog.records) == (content not in ("[]", "{}"))
    tuner.tune(reader)
    rows = json.loads(file.read_text(encoding="utf8"))
    assert [row["chosen"] for row in rows] == [False, True]
    assert {**asdict(FAST), "tokens_per_second": 1500, "chosen": True} == rows[1]


def test_auto_takes_openvino_where_that_computes_the_model(small_model) -> None:
    name = str(small_model("bert"))
    assert le.load(name, "pcw", backend="auto").long_transformer.engine is not None
    # Both act inside the attention, which the graph does not show.
    assert le.load(name, "pi", backend="auto", logn_scaling=True).long_transformer.engine is None
    half = le.load(name, "pcw", backend="auto", dtype="float16", device="cpu")
    assert half.long_transformer.engine is None


def test_engines_of_one_precision_have_one_fingerprint(minilm_folder) -> None:
    ours, theirs = (
        le.load(str(minilm_folder), "pcw", backend=backend, dtype="bfloat16", device="cpu")
        for backend in ("openvino", "torch")
    )
    assert le.fingerprint(ours) == le.fingerprint(theirs)
    text = "It spoke of many things, the budget among them. " * 90
    first, second = ours.encode(text), theirs.encode(text)
    cosine = (first @ second) / np.linalg.norm(first) / np.linalg.norm(second)
    assert cosine > (0.9995 if computes_bfloat16() else 0.999)
