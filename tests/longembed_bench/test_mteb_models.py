"""Extended models under mteb's own names."""

from __future__ import annotations

import warnings

import mteb
import numpy as np
import pytest
from longembed_bench_data import mteb_task, write_data
from mteb.models.model_implementations import MODEL_REGISTRY

import longembed_st as le
from longembed_bench.folders import read_folder
from longembed_bench.mteb_models import KNOWN, register
from longembed_st.errors import ConfigError

LONG = "The committee met on Tuesday, and spoke of the weather. " * 60


@pytest.fixture(autouse=True)
def registry(monkeypatch) -> None:
    """What a test registers is forgotten after it."""
    before = dict(MODEL_REGISTRY)
    yield
    MODEL_REGISTRY.clear()
    MODEL_REGISTRY.update(before)


def test_what_mteb_knows_of_the_model_is_known_of_the_extended_one() -> None:
    name = KNOWN[-1]
    meta = mteb.get_model_meta(f"longembed/{name.rpartition('/')[2]}")
    base = mteb.get_model_meta(name)
    assert meta.adapted_from == name
    assert (meta.revision, meta.languages, meta.license, meta.training_datasets) == (
        base.revision,
        base.languages,
        base.license,
        base.training_datasets,
    )
    assert meta.max_tokens is None
    assert mteb.get_model_meta(name).adapted_from != name


def test_one_line_loads_the_model_of_the_core(minilm_folder) -> None:
    register(str(minilm_folder), name="longembed/own", method="pcw", window_size=128)
    model = mteb.get_model("longembed/own")
    core = le.load(str(minilm_folder), method="pcw", window_size=128)
    np.testing.assert_allclose(model.model.encode(LONG), core.encode(LONG), atol=1e-6)
    assert model.mteb_model_meta.experiment_kwargs == {"method": "pcw", "window_size": 128}
    assert model.mteb_model_meta.adapted_from == str(minilm_folder)
    # mteb's own arguments go before those.
    other = mteb.get_model("longembed/own", window_size=64)
    assert other.mteb_model_meta.experiment_kwargs == {"method": "pcw", "window_size": 64}
    assert other.model.long_transformer.extension.method_options["window_size"] == 64


def test_a_mistake_is_told_at_once() -> None:
    with pytest.raises(ConfigError):
        register("some/model", max_seq_length=-1)
    assert "longembed/model" not in MODEL_REGISTRY


def test_mteb_evaluates_it(minilm_folder, tmp_path) -> None:
    register(str(minilm_folder), name="longembed/own", method="pcw")
    task = mteb_task("qmsum", read_folder(write_data(tmp_path / "data")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = mteb.evaluate(mteb.get_model("longembed/own"), task, cache=None)
    (score,) = [row["ndcg_at_10"] for row in next(iter(result[0].scores.values()))]
    assert 0 < score <= 1
