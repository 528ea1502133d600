"""A text as the vectors of its spans, in stock sentence-transformers' class for several."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from longembed_st.multi_vector_encoder.from_spans import SpanReader
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense
from small_models import WORDS

import longembed_st as le
from longembed_st.errors import ConfigError, ModelError

sentence_transformers = pytest.importorskip("sentence_transformers")
if not hasattr(sentence_transformers, "MultiVectorEncoder"):
    pytest.skip("sentence-transformers 6.1 has models of several vectors", allow_module_level=True)


def text(seed: int, words: int = 200) -> str:
    return " ".join(np.random.default_rng(seed).choice(WORDS, words))


@pytest.fixture(scope="module")
def model(small_model) -> le.LongSentenceTransformer:
    return le.load(str(small_model("bert", positions=64)), "pcw", prompts={"query": "ban "})


@pytest.mark.parametrize("span_tokens", [None, 20])
def test_documents_are_their_spans_and_queries_one_vector(model, span_tokens) -> None:
    several = le.multi_vector(model, span_tokens=span_tokens)
    documents = [text(0), text(1, 10), text(2, 400)]
    document_vectors = several.encode_document(documents)
    expected = model.encode_spans(documents, span_tokens=span_tokens)
    for vectors, spans in zip(document_vectors, expected, strict=True):
        np.testing.assert_allclose(vectors, spans.vectors, atol=1e-6)
    (query,) = several.encode_query(["bar bast"])
    np.testing.assert_allclose(query[0], model.encode_query("bar bast"), atol=1e-6)
    assert query.shape == (1, 32)


def test_its_maxsim_is_the_best_span(model) -> None:
    several = le.multi_vector(model)
    documents = [text(n) for n in range(4)]
    queries = [text(9, 5), text(10, 5)]
    similarities = several.similarity(
        several.encode_query(queries), several.encode_document(documents)
    )
    asked = model.encode_query(queries)
    best = [
        [float((spans.vectors @ query).max()) for spans in model.encode_spans(documents)]
        for query in asked
    ]
    np.testing.assert_allclose(similarities.cpu(), best, atol=1e-5)


def test_whitened_vectors_go_through_the_same_map(model) -> None:
    texts = [text(n) for n in range(30)]
    whitened = le.whiten(model, texts, validation=False, dimensions=8)
    (vectors,) = le.multi_vector(whitened).encode_document(texts[:1])
    np.testing.assert_allclose(vectors, whitened.encode_spans(texts[:1])[0].vectors, atol=1e-5)
    # The model itself stays as it is.
    assert whitened.encode(texts[0]).shape == (8,)


def test_what_cannot_be_is_said(model, small_model, tmp_path) -> None:
    with pytest.raises(ModelError, match="not extended"):
        le.multi_vector(SentenceTransformer(str(small_model("bert"))))
    with pytest.raises(ConfigError, match="span_tokens"):
        le.multi_vector(model, span_tokens=1)
    with pytest.raises(ConfigError, match="save the one that it was made from"):
        le.multi_vector(model).save_pretrained(str(tmp_path / "saved"))
    odd = le.extend(model, "pcw")
    odd.add_module("9", torch.nn.Dropout())
    with pytest.raises(ModelError, match="Dropout"):
        le.multi_vector(odd)
    assert isinstance(le.multi_vector(model)[0], SpanReader)
    assert not any(isinstance(module, Dense) for module in le.multi_vector(model))


def test_a_query_that_is_cut_is_reported(small_model) -> None:
    folder = str(small_model("bert", positions=64))
    several = le.multi_vector(le.load(folder, "none"))
    with pytest.warns(le.TextNotReadWarning, match="1 text were not read"):
        several.encode_query([text(0), "ban"])
    several = le.multi_vector(le.load(folder, "none", on_overflow="error"))
    with pytest.raises(le.InputError, match="longer than the window"):
        several.encode_query([text(0)])
