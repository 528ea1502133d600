"""A text as the vectors of its parts, in stock sentence-transformers' class for several."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense
from small_models import WORDS

import longembed_st as le
from longembed_st.errors import ConfigError, ModelError
from longembed_st.multi_vector_encoder.from_units import PartReader


def text(seed: int, words: int = 200) -> str:
    return " ".join(np.random.default_rng(seed).choice(WORDS, words))


@pytest.fixture(scope="module")
def model(small_model) -> le.LongSentenceTransformer:
    return le.load(str(small_model("bert", positions=64)), "pcw", prompts={"query": "ban "})


def words_of(text: str) -> list[tuple[int, int]]:
    """Return ranges of ten words each."""
    starts = [match.start() for match in re.finditer(r"\S+", text)][::10]
    return list(zip(starts, [*starts[1:], len(text)], strict=True))


def test_documents_are_their_windows_and_queries_one_vector(model) -> None:
    several = le.multi_vector(model)
    documents = [text(0), text(1, 10), text(2, 400)]
    document_vectors = several.encode_document(documents)
    for vectors, document in zip(document_vectors, documents, strict=True):
        (coverage,) = le.coverage(model, [document])
        windows = [document[start:end] for start, end in coverage.spans]
        np.testing.assert_allclose(vectors, model.encode_document(windows), atol=1e-5)
    (query,) = several.encode_query(["bar bast"])
    np.testing.assert_allclose(query[0], model.encode_query("bar bast"), atol=1e-6)
    assert query.shape == (1, 32)


def test_documents_are_their_units_and_maxsim_is_the_best(model) -> None:
    several = le.multi_vector(model, split=words_of)
    documents = [text(n) for n in range(4)]
    queries = [text(9, 5), text(10, 5)]
    similarities = several.similarity(
        several.encode_query(queries), several.encode_document(documents)
    )
    encoded = model.encode_units(documents, [words_of(document) for document in documents])
    best = [
        [float((model.vectors_from_units(each.vectors) @ query).max()) for each in encoded]
        for query in model.encode_query(queries)
    ]
    np.testing.assert_allclose(similarities.cpu(), best, atol=1e-5)


def test_whitened_vectors_go_through_the_same_map(model) -> None:
    texts = [text(n) for n in range(30)]
    whitened = le.whiten(model, texts, validation=False, dimensions=8)
    (vectors,) = le.multi_vector(whitened).encode_document(texts[:1])
    (coverage,) = le.coverage(model, texts[:1])
    windows = [texts[0][start:end] for start, end in coverage.spans]
    np.testing.assert_allclose(vectors, whitened.encode_document(windows), atol=1e-4)
    # The model itself stays as it is.
    assert whitened.encode(texts[0]).shape == (8,)


def test_what_cannot_be_is_said(model, small_model, tmp_path) -> None:
    with pytest.raises(ModelError, match="not extended"):
        le.multi_vector(SentenceTransformer(str(small_model("bert"))))
    with pytest.raises(ConfigError, match="save the one that it was made from"):
        le.multi_vector(model).save_pretrained(str(tmp_path / "saved"))
    odd = le.extend(model, "pcw")
    odd.add_module("9", torch.nn.Dropout())
    with pytest.raises(ModelError, match="Dropout"):
        le.multi_vector(odd)
    assert isinstance(le.multi_vector(model)[0], PartReader)
    assert not any(isinstance(module, Dense) for module in le.multi_vector(model))


def test_a_query_that_is_cut_is_reported(small_model) -> None:
    folder = str(small_model("bert", positions=64))
    several = le.multi_vector(le.load(folder, "none"))
    with pytest.warns(le.TextNotReadWarning, match="1 text were not read"):
        several.encode_query([text(0), "ban"])
    several = le.multi_vector(le.load(folder, "none", on_overflow="error"))
    with pytest.raises(le.InputError, match="longer than the window"):
        several.encode_query([text(0)])
