"""Half precision: computed with in single precision on a CPU, one fingerprint all the same."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

import longembed_st as le
from longembed_st.base.provenance import Provenance
from longembed_st.base.settings import ModelSettings
from longembed_st.loading import widen
from longembed_st.loading.cache import CachedModel

HALVES = {"float16": torch.float16, "bfloat16": torch.bfloat16}


def stored_in(dtype: torch.dtype, small_model, folder) -> str:
    stock = SentenceTransformer(str(small_model("bert")), device="cpu")
    stock.to(dtype).save(str(folder))
    return str(folder)


@pytest.fixture(scope="module")
def half(small_model, tmp_path_factory) -> str:
    return stored_in(torch.bfloat16, small_model, tmp_path_factory.mktemp("half") / "model")


def dtype_of(model) -> torch.dtype:
    return next(model.parameters()).dtype


def test_a_cpu_computes_in_single_precision(half, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        model = le.load(half, "pcw", device="cpu")
    assert dtype_of(model) == torch.float32
    assert not caplog.records, "advice that is not needed"
    stored = SentenceTransformer(half, device="cpu", model_kwargs={"dtype": torch.float32})
    np.testing.assert_allclose(model.encode("ban cor"), stored.encode("ban cor"), atol=1e-6)


def test_the_stored_precision_can_be_asked_for(small_model, tmp_path) -> None:
    for name, dtype in HALVES.items():
        folder = stored_in(dtype, small_model, tmp_path / name)
        assert dtype_of(le.load(folder, "pcw", device="cpu")) == torch.float32
        for way in ({"dtype": "auto"}, {"model_kwargs": {"dtype": "auto"}}):
            assert dtype_of(le.load(folder, "pcw", device="cpu", **way)) == dtype


def test_any_precision_can_be_asked_for(small_model) -> None:
    for name, dtype in {**HALVES, "float32": torch.float32}.items():
        model = le.load(str(small_model("bert")), "pcw", device="cpu", dtype=name)
        assert dtype_of(model) == dtype


def test_widening_changes_no_fingerprint(half) -> None:
    auto = le.fingerprint(le.load(half, "pcw", device="cpu"))
    assert auto == le.fingerprint(le.load(half, "pcw", device="cpu", dtype="auto"))
    assert auto == le.fingerprint(le.load(half, "pcw", device="cpu", dtype="float32"))
    # A store of before that was made in half precision.
    now = CachedModel(ModelSettings(model_name=half, method="pcw", device="cpu"))
    assert now.is_compatible(Provenance(now.settings, auto))


def test_what_was_trained_since_is_another_model(half, tmp_path) -> None:
    model = le.load(half, "pcw", device="cpu")
    before = le.fingerprint(model)
    with torch.no_grad():
        next(model.parameters()).mul_(1.0001)
    assert le.fingerprint(model) != before
    model.save(str(tmp_path / "trained"))
    again = le.load(str(tmp_path / "trained"), device="cpu")
    # The very same stored numbers.
    assert torch.equal(next(model.parameters()), next(again.parameters()))


def test_what_was_narrowed_is_another_model(small_model) -> None:
    folder = str(small_model("bert"))
    plain = le.fingerprint(le.load(folder, "pcw", device="cpu"))
    assert plain == le.fingerprint(le.load(folder, "pcw", device="cpu", dtype="float32"))
    assert plain != le.fingerprint(le.load(folder, "pcw", device="cpu", dtype="float16"))


def test_large_models_stay_as_they_are(half, monkeypatch, caplog) -> None:
    monkeypatch.setattr(widen, "MAX_WIDENED_PARAMETERS", 10)
    with caplog.at_level(logging.WARNING):
        model = le.load(half, "pcw", device="cpu")
    assert dtype_of(model) in HALVES.values()
    assert "dtype='float32'" in caplog.text


def test_what_is_saved_has_the_precision_that_was_stored(half, tmp_path) -> None:
    model = le.load(half, "pcw", device="cpu")
    model.save(str(tmp_path / "saved"))
    assert dtype_of(model) == torch.float32, "the model itself is left alone"
    assert dtype_of(le.load(str(tmp_path / "saved"), device="cpu", dtype="auto")) in HALVES.values()
    again = le.load(str(tmp_path / "saved"), device="cpu")
    assert dtype_of(again) == torch.float32
    assert le.fingerprint(again) == le.fingerprint(model)


def test_half_precision_without_instructions_for_it_is_said(half, monkeypatch, caplog) -> None:
    for capabilities, emulated in (
        ({"architecture": "x86_64", "avx512_bf16": True, "avx512_fp16": True}, False),
        ({"architecture": "aarch64"}, False),
        ({"architecture": "x86_64", "avx512_bf16": False, "avx512_fp16": False}, True),
    ):
        monkeypatch.setattr(
            torch.cpu, "get_capabilities", lambda of=capabilities: of, raising=False
        )
        with caplog.at_level(logging.WARNING):
            le.load(half, "pcw", device="cpu")
            assert "emulated" not in caplog.text
            le.load(half, "pcw", device="cpu", dtype="auto")
        assert ("emulated" in caplog.text) == emulated
