"""Rows with padding and a flat sequence: the same tokens, and the same vectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling

import longembed_st as le
from longembed_st.base.layout import flattened, padded
from longembed_st.errors import ModelError

TEXTS = ["ban bar", "ban " * 200, "bast", "gin " * 100 + "lor"]


@pytest.fixture
def folder(small_model) -> str:
    return str(small_model("bert", positions=64))


@pytest.fixture
def model(folder):
    return le.load(folder, method="pcw")


def test_there_and_back_is_the_same(model) -> None:
    flat = model.long_transformer.flat_features(TEXTS, "a prompt: ")
    rows = padded(flat, {"input_ids": 7})
    lengths = flat["cu_seq_lens_q"].diff()
    assert rows["input_ids"].shape == (4, int(lengths.max()))
    assert rows["attention_mask"].sum(1).tolist() == lengths.tolist()
    assert (rows["input_ids"][rows["attention_mask"] == 0] == 7).all()
    again = flattened(rows)
    for name in ("input_ids", "token_parts", "cu_seq_lens_q"):
        assert torch.equal(again[name], flat[name])


def test_both_give_the_same_vectors(model) -> None:
    model.eval()
    rows = model(model.preprocess(TEXTS))["sentence_embedding"]
    flat = model(model.long_transformer.flat_features(TEXTS))["sentence_embedding"]
    torch.testing.assert_close(rows, flat, atol=1e-5, rtol=0)
    np.testing.assert_allclose(rows.detach().numpy(), model.encode(TEXTS), atol=1e-5)


def test_encode_pads_no_note_to_the_length_of_a_book(model, monkeypatch) -> None:
    taken: list[int] = []
    real = type(model.long_transformer).forward

    def forward(self, features, *args, **kwargs):
        taken.append(features["input_ids"].numel())
        return real(self, features, *args, **kwargs)

    monkeypatch.setattr(type(model.long_transformer), "forward", forward)
    model.encode(["ban " * 2000, *["bar"] * 20])
    assert sum(taken) < 2500


def test_features_of_the_stock_model_are_read(model, folder) -> None:
    """A guide of a loss is given what another model's tokenizer made."""
    stock = SentenceTransformer(folder, device="cpu")
    short = ["ban bar", "bast gin lor"]
    expected = stock.encode(short)
    vectors = model.eval()(stock.preprocess(short))["sentence_embedding"]
    np.testing.assert_allclose(vectors.detach().numpy(), expected, atol=1e-6)
    longer = model.preprocess(TEXTS)
    read = model(dict(longer))["sentence_embedding"]
    del longer["token_parts"]
    again = model(longer)["sentence_embedding"]
    torch.testing.assert_close(again, read, atol=1e-5, rtol=0)


def test_no_texts_give_no_vectors(model) -> None:
    features = model.long_transformer.preprocess([])
    assert features["input_ids"].shape == (0, 0)
    assert model(features)["sentence_embedding"].shape == (0, 32)
    assert model.encode_with_coverage([]).vectors.shape == (0, 32)
    assert len(model.encode([])) == len(model.encode([], device=["cpu"])) == 0


def test_the_pooling_is_where_others_look_for_it(model, folder, tmp_path) -> None:
    assert isinstance(model[1], Pooling)
    assert model[1] is model.long_transformer.pooling
    model.save_pretrained(str(tmp_path / "saved"))
    again = SentenceTransformer(str(tmp_path / "saved"), device="cpu", trust_remote_code=True)
    np.testing.assert_allclose(again.encode(TEXTS), model.encode(TEXTS), atol=1e-6)
    assert [type(module) for module in again] == [type(module) for module in model]
    # What is appended comes last, and takes nobody's place.
    count = len(list(model.children()))
    model.append(torch.nn.Identity())
    assert len(list(model.children())) == count + 1


def test_embeddings_of_all_layers_are_there_for_short_texts_only(model) -> None:
    model.long_transformer.config.output_hidden_states = True
    features = model(model.preprocess(["ban bar", "bast"]))
    assert len(features["all_layer_embeddings"]) == 3
    assert features["sentence_embedding"].shape == (2, 32)
    with pytest.raises(ModelError, match="at most 64 tokens"):
        model(model.preprocess(TEXTS))
    # Of `encode` nobody asks for layers.
    assert model.encode(TEXTS).shape == (4, 32)
