"""How well held-out queries find their documents."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import longembed_st as le
from longembed_tuning.evaluation import HeldOut
from longembed_tuning.sources import Example


def test_scores_are_those_of_the_ranks(small_bert, words):
    documents = [words(90, ("document", index)) for index in range(30)]
    queries = [words(8, ("query", index)) for index in range(30)]
    examples = [Example(q, d) for q, d in zip(queries, documents, strict=True)]
    model = le.load(small_bert, "pi", max_seq_length=128)
    found = HeldOut(examples).score(model)

    similarities = model.encode(queries) @ model.encode(documents).T
    own = np.diag(similarities)[:, None]
    ranks = 1 + (similarities > own).sum(axis=1)
    assert found.accuracy == pytest.approx((ranks == 1).mean())
    gains = [1 / math.log2(1 + rank) if rank <= 10 else 0.0 for rank in ranks]
    assert found.ndcg == pytest.approx(np.mean(gains), abs=1e-6)
    assert 0 < found.ndcg < 1


def test_a_query_may_have_several_answers_and_a_document_several_queries(small_bert, words):
    first, second = words(30, 0), words(30, 1)
    examples = [Example(first, first), Example(first, second), Example(second, second)]
    found = HeldOut(examples).score(le.load(small_bert, "none"))
    # A text finds itself first.
    assert found.accuracy == 1


def test_prompts_are_put_before_queries_and_documents(small_bert, words):
    documents = [words(20, ("d", index)) for index in range(20)]
    examples = [Example(words(6, ("q", index)), text) for index, text in enumerate(documents)]
    model = le.load(small_bert, "none")
    plain = HeldOut(examples).score(model)
    model.prompts = {"query": "query: " * 5, "document": "passage: "}
    assert HeldOut(examples).score(model) != plain


def test_documents_beyond_the_window_are_cut_without_a_warning(small_bert, words):
    examples = [Example(words(5, index), words(90, index)) for index in range(3)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = HeldOut(examples).score(le.load(small_bert, "none"))
    assert 0 <= found.accuracy <= 1
