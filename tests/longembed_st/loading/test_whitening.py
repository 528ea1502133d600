from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from sentence_transformers import SentenceTransformer

import longembed_st as le
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError, InputError, ModelError
from longembed_st.loading.cache import cached_model
from longembed_st.loading.whitening import (
    Whitening,
    WhiteningMap,
    is_whitened,
    to_unit_length,
    with_whitening,
)
from longembed_st.sentence_transformer.token_weights import TokenWeights


@pytest.fixture
def folder(small_model) -> str:
    return str(small_model("bert", positions=64))


def fitted(width: int = 32, dimensions: int = 8, vocabulary: int | None = None) -> Whitening:
    draw = np.random.default_rng(0)
    weights = None if vocabulary is None else draw.uniform(size=vocabulary).astype(np.float32)
    return Whitening(WhiteningMap(draw.normal(size=(dimensions, width))), weights, {"fitted": "x"})


def test_a_whitening_is_written_and_read(tmp_path, folder) -> None:
    vocabulary = len(le.load(folder)[0].token_table)
    transposed = Whitening(WhiteningMap(np.asfortranarray(fitted().map.matrix)))
    only_weights = Whitening(None, np.ones(vocabulary))
    for whitening in (
        fitted(),
        fitted(vocabulary=vocabulary),
        only_weights,
        transposed,
    ):
        path = tmp_path / "deep" / "it.safetensors"
        whitening.write(path)
        again = Whitening.read(str(path))
        assert again.digest == whitening.digest
        assert again.notes.items() >= whitening.notes.items()
        vectors = np.random.default_rng(1).normal(size=(3, 32))
        np.testing.assert_allclose(again(vectors), whitening(vectors), atol=1e-6)
    assert transposed.digest == fitted().digest != fitted(dimensions=9).digest


def test_load_builds_it_in(tmp_path, folder) -> None:
    plain = le.load(folder, "pcw")
    whitening = fitted(vocabulary=len(plain[0].token_table))
    whitening.write(tmp_path / "it.safetensors")
    model = le.load(folder, "pcw", whitening=str(tmp_path / "it.safetensors"))
    assert is_whitened(model)
    assert not is_whitened(plain)
    weighted = with_whitening(plain, Whitening(None, whitening.token_weights))
    texts = ["ban bar", "bast ban " * 100]
    np.testing.assert_allclose(
        model.encode(texts), whitening.map(weighted.encode(texts)), atol=1e-5
    )
    assert le.fingerprint(model) == le.fingerprint(with_whitening(plain, whitening))
    with pytest.raises(ModelError, match="whitened already"):
        with_whitening(model, fitted(width=8))


def test_it_changes_a_model_that_is_cached(tmp_path, folder) -> None:
    """By what is in the file, not by its name."""
    path = tmp_path / "it.safetensors"
    fitted().write(path)
    settings = ModelSettings(model_name=folder, method="pcw", whitening=str(path))
    first = cached_model(settings)
    assert cached_model(settings) is first
    assert cached_model(settings.model_copy(update={"whitening": None})) is not first
    fitted(dimensions=5).write(path)
    assert cached_model(settings).model.get_embedding_dimension() == 5


def test_what_is_not_a_whitening_of_this_model_is_refused(tmp_path, folder) -> None:
    path = tmp_path / "it.safetensors"
    with pytest.raises(ConfigError, match="there is no whitening in"):
        le.load(folder, "pcw", whitening=str(path))
    for write, reason in (
        (lambda: path.write_bytes(b"not a tensor"), "cannot be read"),
        (lambda: save_file({"matrix": np.eye(32)}, path), "not a whitening"),
        (lambda: Whitening(WhiteningMap(np.full((4, 32), np.nan))).write(path), "damaged"),
        (lambda: fitted(width=30).write(path), "vectors of 30 numbers"),
        (lambda: fitted(vocabulary=7).write(path), "weights for 7 tokens"),
    ):
        write()
        with pytest.raises(ModelError, match=reason):
            le.load(folder, "pcw", whitening=str(path))


def test_weights_are_refused_where_they_mean_nothing(folder) -> None:
    stock = SentenceTransformer(folder)
    stock[1].pooling_mode = "max"
    with pytest.raises(ModelError, match="pools by 'max'"):
        le.extend(stock, "pcw")[0].weigh_tokens(torch.ones(10))
    for bad in (torch.tensor([1.0, -1.0]), torch.tensor([float("nan")]), torch.ones(2, 2)):
        with pytest.raises(ModelError, match="token weights must be"):
            TokenWeights(bad)


def test_the_prompt_weighs_nothing_where_it_does_not_count(folder) -> None:
    """Against the embeddings behind the prompt, weighted by hand."""
    model = le.extend(SentenceTransformer(folder), "pcw")
    model.set_pooling_include_prompt(False)
    weights = torch.rand(len(model[0].token_table)) + 0.1
    model[0].weigh_tokens(weights)
    batch = model.tokenizer("ban bar bast", return_tensors="pt")
    with torch.inference_mode():
        embeddings = model[0].model(**batch).last_hidden_state[0]
    prompt = len(model.tokenizer("ban ")["input_ids"]) - 1
    w = weights[batch["input_ids"][0]][prompt:, None]
    expected = (w * embeddings[prompt:]).sum(dim=0) / w.sum()
    vector = model.encode("bar bast", prompt="ban ")
    np.testing.assert_allclose(to_unit_length(vector), to_unit_length(expected.numpy()), atol=1e-5)


def test_vectors_without_a_direction_are_refused() -> None:
    with pytest.raises(InputError, match="zero or not finite"):
        to_unit_length(np.zeros((2, 3)))
