"""Saved models, loaded by the stock classes as their cards say, read in windows as ours do."""

from __future__ import annotations

import warnings

import pytest
import torch
from class_models import WINDOW, checkpoint, late, pairs
from sentence_transformers import CrossEncoder, MultiVectorEncoder
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.multi_vector_encoder.modules import HierarchicalTokenPooling
from sentence_transformers.sentence_transformer.modules import Pooling
from small_models import text_of

import longembed_st as le

LENGTHS = (3 * WINDOW + 11, 5, 2 * WINDOW, 20)
BY_CARD = {"trust_remote_code": True, "device": "cpu"}


def saved(model, folder):
    model.save_pretrained(str(folder))
    return str(folder), (folder / "README.md").read_text(encoding="utf8")


def test_late_interaction(tmp_path):
    model = le.load(late("gte"), "pcw", overlap=4)
    folder, card = saved(model, tmp_path / "saved")
    assert 'MultiVectorEncoder("MODEL", trust_remote_code=True)' in card
    stock = MultiVectorEncoder(folder, **BY_CARD)
    assert type(stock) is MultiVectorEncoder
    texts = [text_of(n, model.tokenizer).replace("ban", "ban .") for n in LENGTHS]
    for ours, theirs in (
        (model.encode_document(texts), stock.encode_document(texts)),
        (model.encode_query(texts), stock.encode_query(texts)),
    ):
        for vectors, expected in zip(theirs, ours, strict=True):
            torch.testing.assert_close(vectors, expected, atol=1e-5, rtol=0)


def test_expanded_queries_of_late_interaction(tmp_path):
    folder = tmp_path / "stock"
    stock = MultiVectorEncoder(str(late("bert")), device="cpu")
    stock[0].query_expansion = {"strategy": "fixed", "length": 16, "attend": False, "token": None}
    stock.save_pretrained(str(folder))
    extended, _ = saved(le.load(folder, "pcw"), tmp_path / "extended")
    query = text_of(7, stock.tokenizer)
    vectors = MultiVectorEncoder(extended, **BY_CARD).encode_query(query)
    assert len(vectors) == 16
    torch.testing.assert_close(vectors, stock.encode_query(query), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("kind", "labels", "combine"), [("bert", 3, "mean"), ("gte", 1, None)])
def test_cross_encoders(kind, labels, combine, tmp_path):
    model = le.load(pairs(kind, labels), "pcw", combine=combine)
    folder, card = saved(model, tmp_path / "saved")
    assert 'CrossEncoder("MODEL", trust_remote_code=True)' in card
    stock = CrossEncoder(folder, **BY_CARD)
    assert type(stock) is CrossEncoder
    inputs = [("bad kan, query fion", text_of(n, model.tokenizer)) for n in LENGTHS]
    torch.testing.assert_close(
        stock.predict(inputs, convert_to_tensor=True),
        model.predict(inputs, convert_to_tensor=True),
        atol=1e-5,
        rtol=0,
    )


def test_one_pass_at_other_positions(tmp_path):
    text = text_of(2 * WINDOW, le.load(pairs("bert")).tokenizer)
    model = le.load(pairs("bert"), "pi", max_seq_length=3 * WINDOW)
    folder, _ = saved(model, tmp_path / "pairs")
    score = CrossEncoder(folder, **BY_CARD).predict(("a", text))
    assert score == pytest.approx(model.predict(("a", text)), abs=1e-5)
    late_model = le.load(late("gte"), "ntk", max_seq_length=3 * WINDOW)
    folder, _ = saved(late_model, tmp_path / "late")
    vectors = MultiVectorEncoder(folder, **BY_CARD).encode_document(text)
    torch.testing.assert_close(vectors, late_model.encode_document(text), atol=1e-5, rtol=0)


def test_gradients_reach_the_weights_through_the_stock_class(tmp_path):
    folder, _ = saved(le.load(late("bert"), "pcw"), tmp_path / "saved")
    stock = MultiVectorEncoder(folder, **BY_CARD).train()
    features = stock.preprocess([text_of(2 * WINDOW, stock.tokenizer), "a"], task="document")
    stock(features, task="document")["token_embeddings"].sum().backward()
    assert stock.transformers_model.get_input_embeddings().weight.grad.abs().sum() > 0


def pooled_pairs():
    transformer = Transformer(str(checkpoint("bert", "bare")))
    head = Dense(32, 1, activation_function=torch.nn.Identity(), module_output_name="scores")
    return CrossEncoder(modules=[transformer, Pooling(32), head], device="cpu")


def pooled_tokens():
    stock = MultiVectorEncoder(str(late("bert")), device="cpu")
    stock.append(HierarchicalTokenPooling(pool_factor=2))
    return stock


@pytest.mark.parametrize("build", [pooled_pairs, pooled_tokens])
def test_modules_that_would_see_whole_texts_are_refused(build, tmp_path):
    stock = build()
    model = le.extend(stock, "pcw")
    folder, card = saved(model, tmp_path / "saved")
    assert "trust_remote_code" not in card
    assert type(le.load(folder)) is type(model)
    with pytest.raises(le.ModelError, match=r"window.*longembed_st\.load"):
        type(stock)(folder, **BY_CARD)


def test_the_stock_class_warns_of_text_that_is_not_read(tmp_path):
    model = le.load(late("bert"), "pi", max_seq_length=2 * WINDOW)
    folder, _ = saved(model, tmp_path / "saved")
    stock = MultiVectorEncoder(folder, **BY_CARD)
    with pytest.warns(le.TextNotReadWarning, match="not read"):
        stock.encode_document(text_of(3 * WINDOW, stock.tokenizer))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stock.encode_document(text_of(WINDOW, stock.tokenizer))
