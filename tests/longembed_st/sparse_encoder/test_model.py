"""Sparse encoders against the formula, a window at a time."""

from __future__ import annotations

import pytest
import torch
from class_models import WINDOW, checkpoint, inference_free, splade
from reference.classes import PlainHead, splade_weights
from sentence_transformers import SentenceTransformer, SparseEncoder
from sentence_transformers.sentence_transformer.modules import Pooling
from sentence_transformers.sparse_encoder.modules import SparseAutoEncoder
from small_models import text_of
from transformers import AutoModelForMaskedLM

import longembed_st as le
from longembed_st.loading.load import load_settings

LONG = 3 * WINDOW + 11
EXTENDED = 4 * WINDOW


def reference(kind: str) -> PlainHead:
    return PlainHead(AutoModelForMaskedLM, checkpoint(kind, "mlm"), WINDOW)


def dense(model, texts, **kwargs):
    return model.encode(texts, **kwargs).to_dense()


@pytest.mark.parametrize(
    ("kind", "strategy", "activation"),
    [("bert", "max", "relu"), ("roberta", "sum", "log1p_relu"), ("gte", "max", "log1p_relu")],
)
def test_windows_are_pooled_as_their_scores_would_be(kind, strategy, activation):
    plain = reference(kind)
    text = text_of(LONG, plain.tokenizer)
    windows = plain.windows(plain.tokenizer(text, verbose=False)["input_ids"], 1, 1)
    assert len(windows) == 4
    scores = torch.cat([plain.output(ids, "logits") for ids in windows])
    expected = splade_weights(scores, strategy, twice=activation == "log1p_relu")
    model = le.load(splade(kind, strategy, activation), "pcw")
    assert type(model) is le.LongSparseEncoder
    torch.testing.assert_close(
        dense(model, [text])[0], torch.tensor(expected), atol=2e-5, rtol=1e-5
    )


def test_one_pass_at_interpolated_positions():
    plain = reference("gte")
    text = text_of(LONG, plain.tokenizer)
    ids = plain.tokenizer(text, verbose=False)["input_ids"]
    expected = splade_weights(plain.stretched(4).output(ids, "logits"), "max", twice=False)
    model = le.load(splade("gte"), "pi", max_seq_length=EXTENDED)
    torch.testing.assert_close(
        dense(model, [text])[0], torch.tensor(expected), atol=2e-5, rtol=1e-5
    )


def test_short_texts_are_those_of_the_stock_class_alone_and_in_a_batch():
    stock = SparseEncoder(str(splade("bert")), device="cpu")
    model = le.extend(stock)
    texts = [text_of(n, stock.tokenizer) for n in (5, 30, WINDOW, 9)]
    expected = torch.stack([dense(stock, [text])[0] for text in texts])
    alone = torch.stack([dense(model, [text])[0] for text in texts])
    together = dense(model, [*texts, text_of(LONG, stock.tokenizer)])[:4]
    torch.testing.assert_close(alone, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(together, expected, atol=2e-5, rtol=0)


def test_scores_for_the_vocabulary_never_exist_for_more_than_some_tokens(monkeypatch):
    model = le.load(splade("bert"), "pi", max_seq_length=EXTENDED)
    text = text_of(LONG, model.tokenizer)
    expected = dense(model, [text])
    monkeypatch.setattr("longembed_st.sparse_encoder.transformer.HEAD_TOKENS", 7)
    seen = []
    head = model.long_transformer.model.get_output_embeddings()
    head.register_forward_hook(lambda module, inputs, output: seen.append(output.shape[1]))
    torch.testing.assert_close(dense(model, [text]), expected, atol=1e-6, rtol=0)
    assert sum(seen) == LONG
    assert max(seen) == 7


def test_queries_that_are_looked_up_are_read_to_their_end():
    stock = SparseEncoder(str(inference_free("bert")), device="cpu")
    model = le.load(inference_free("bert"), "pcw")
    query = text_of(20, stock.tokenizer)
    torch.testing.assert_close(
        model.encode_query([query]).to_dense(), stock.encode_query([query]).to_dense()
    )
    start, end = text_of(LONG, stock.tokenizer), text_of(20, stock.tokenizer, seed=3)
    whole = model.encode_query([f"{start} {end}"]).to_dense()[0]
    words = set(stock.tokenizer(f"{start} {end}", add_special_tokens=False)["input_ids"])
    weights = stock[0].sub_modules["query"][0].weight
    expected = torch.zeros(len(weights))
    for word in words:
        expected[word] = weights[word]
    torch.testing.assert_close(whole, expected)


def test_documents_of_a_router_are_read_in_windows():
    plain = reference("bert")
    text = text_of(LONG, plain.tokenizer)
    windows = plain.windows(plain.tokenizer(text, verbose=False)["input_ids"], 1, 1)
    scores = torch.cat([plain.output(ids, "logits") for ids in windows])
    model = le.load(inference_free("bert"), "pcw")
    vector = model.encode_document([text]).to_dense()[0]
    expected = torch.tensor(splade_weights(scores, "max", twice=True))
    torch.testing.assert_close(vector, expected, atol=2e-5, rtol=1e-5)
    (coverage,) = le.coverage(model, [text])
    assert (coverage.tokens, coverage.read, coverage.passes) == (LONG, LONG, 4)


def test_queries_that_are_looked_up_lose_nothing():
    model = le.load(inference_free("bert"), "pi", max_seq_length=2 * WINDOW)
    text = text_of(LONG, model.tokenizer)
    (query,) = le.coverage(model, [text], role="query")
    (document,) = le.coverage(model, [text], role="document")
    assert (query.tokens, query.read, query.query_lost) == (LONG, LONG, 0)
    assert (document.read, document.document_lost) == (2 * WINDOW, LONG - 2 * WINDOW)


def test_an_autoencoder_gets_the_mean_of_the_windows(tmp_path):
    backbone = SentenceTransformer(str(checkpoint("bert", "bare")), device="cpu")
    torch.manual_seed(5)
    coder = SparseAutoEncoder(input_dim=32, hidden_dim=128, k=8, k_aux=8)
    stock = SparseEncoder(modules=[backbone[0], Pooling(32, "mean"), coder], device="cpu")
    model = le.extend(stock, "pcw")
    vectors = le.extend(backbone, "pcw")
    text = text_of(LONG, stock.tokenizer)
    mean = torch.tensor(vectors.encode([text]))
    expected = coder.eval()({"sentence_embedding": mean})["sentence_embedding"]
    torch.testing.assert_close(dense(model, [text]), expected, atol=1e-5, rtol=1e-5)
    model.save_pretrained(str(tmp_path / "saved"))
    assert type(le.load(tmp_path / "saved")) is le.LongSparseEncoder


def test_the_overflow_policy_holds():
    text = text_of(LONG, SparseEncoder(str(splade("bert")), device="cpu").tokenizer)
    loud = le.load(splade("bert"), "pi", max_seq_length=2 * WINDOW)
    with pytest.warns(le.TextNotReadWarning, match=f"{LONG - 2 * WINDOW} tokens of 1 text"):
        loud.encode([text, "short"])
    strict = le.load(splade("bert"), "pi", max_seq_length=2 * WINDOW, on_overflow="error")
    with pytest.raises(le.InputError, match=f"a text of {LONG} tokens"):
        strict.encode([text])


def test_what_a_sparse_encoder_cannot_take_is_refused(tmp_path):
    settings = le.ModelSettings(model_name=str(splade("bert")))
    with pytest.raises(le.ModelError, match="is a SparseEncoder, and here a SentenceTransformer"):
        load_settings(settings)
    with pytest.raises(le.ConfigError, match="combine='mean' says how a CrossEncoder"):
        le.load(splade("bert"), combine="mean")
    with pytest.raises(le.ModelError, match="cannot be whitened"):
        le.load(splade("bert"), whitening=str(tmp_path))
    with pytest.raises(le.ModelError, match="no weights for the SparseAutoEncoder"):
        le.load(checkpoint("bert", "bare"), model_type="SparseEncoder")


def test_not_finite_scores_end_in_an_error():
    model = le.load(splade("bert"))
    with torch.no_grad():
        model.long_transformer.model.get_output_embeddings().bias[0] = float("nan")
    with pytest.raises(le.ModelError, match="NaN"):
        model.encode(["a"])


@pytest.mark.slow
def test_worker_processes_give_the_same(tmp_path):
    model = le.load(splade("bert"), "pcw")
    texts = [text_of(n, model.tokenizer) for n in (10, LONG, 40)]
    expected = dense(model, texts)
    pool = model.start_multi_process_pool(["cpu"])
    try:
        vectors = dense(model, texts, pool=pool)
    finally:
        model.stop_multi_process_pool(pool)
    torch.testing.assert_close(vectors, expected, atol=1e-5, rtol=0)
