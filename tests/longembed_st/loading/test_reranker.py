"""What is taken for a reranker."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from class_models import WINDOW, late, pairs, splade
from small_models import text_of

import longembed_st as le

LONG = 3 * WINDOW + 11


def test_a_name_is_loaded_and_a_model_is_taken_as_it_is():
    model = le.reranker_of(pairs("bert"))
    assert type(model) is le.LongCrossEncoder
    assert le.reranker_of(model) is model
    assert type(le.reranker_of(str(late("bert")))) is le.LongMultiVectorEncoder


def test_others_are_refused():
    with pytest.raises(le.ModelError, match="is a SparseEncoder, which does not rerank"):
        le.reranker_of(splade("bert"))
    with pytest.raises(le.ConfigError, match="a int is not a reranker"):
        le.reranker_of(3)


def test_maxsim_of_windows_and_of_the_document():
    model = le.load(late("bert"), "pcw")
    texts = [text_of(LONG, model.tokenizer), "bad kan"]
    query = model.encode_query("bad fion")
    long, short = model.score_windows("bad fion", texts)
    documents = model.encode_document(texts)
    expected = model.similarity([query], documents)[0]
    np.testing.assert_allclose([long.score, short.score], expected, atol=1e-4)
    assert len(long.scores) == len(long.spans) == 4
    assert long.scores.max() <= long.score + 1e-5
    # The first window's own vectors, prompt and leading special token among them.
    content = WINDOW - 2 - len(model.tokenizer("passage :", add_special_tokens=False)["input_ids"])
    kept = documents[0][: WINDOW - 1]
    assert len(kept) == content + 1 + WINDOW - content - 2
    first = (query @ kept.T).amax(1).sum()
    assert long.scores[0] == pytest.approx(float(first), abs=1e-4)
    assert short.scores.tolist() == pytest.approx([short.score], abs=1e-5)


def test_weights_of_query_tokens_count_and_means_are_means():
    model = le.load(late("bert"), "pcw")
    query = model.encode_query("bad fion")
    weights = torch.linspace(0, 1, len(query))
    (scored,) = model.score_windows("bad fion", ["kan"], weights=weights)
    (document,) = model.encode_document(["kan"])
    best = (query @ document.T).amax(1)
    assert scored.score == pytest.approx(float((best * weights).sum()), abs=1e-5)
    model.similarity_fn_name = "meanmaxsim"
    (mean,) = model.score_windows("bad fion", ["kan"])
    assert mean.score == pytest.approx(float(best.mean()), abs=1e-5)
    expected = model.similarity([query], [document])[0, 0]
    assert mean.score == pytest.approx(float(expected), abs=1e-5)


def test_several_labels_do_not_rank():
    with pytest.raises(le.ModelError, match="3 scores for a pair"):
        le.load(pairs("bert", 3)).score_windows("q", ["a"])
