"""Sparse encoders, late interaction and rerankers as ways to find documents."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from class_models import WINDOW, late, pairs, splade
from reference.classes import maxsim as reference_maxsim
from small_models import text_of

import longembed_st as le
from longembed_bench.data import RetrievalData
from longembed_bench.late_and_sparse import LateInteraction, Sparse, maxsim
from longembed_bench.reranking import Reranked
from longembed_bench.retrievers import Bm25, find
from longembed_bench.vectors import VectorFile


@pytest.fixture(scope="module")
def data() -> RetrievalData:
    tokenizer = le.load(late("bert")).tokenizer
    documents = [text_of(n, tokenizer, seed=n) for n in (20, 2 * WINDOW + 9, 40, 30)]
    queries = [" ".join(text.split()[-4:]) for text in documents]
    return RetrievalData(
        {f"d{n}": text for n, text in enumerate(documents)},
        {f"q{n}": text for n, text in enumerate(queries)},
        {},
    )


def test_maxsim_is_that_of_the_formula() -> None:
    draw = np.random.default_rng(1)
    queries = [draw.normal(size=(n, 16)).astype(np.float32) for n in (3, 1, 5)]
    document = draw.normal(size=(40, 16)).astype(np.float32)
    expected = [
        reference_maxsim(torch.from_numpy(query), torch.from_numpy(document)) for query in queries
    ]
    np.testing.assert_allclose(maxsim(queries, document), expected, atol=1e-4)


def test_late_interaction_over_all_documents(data, tmp_path) -> None:
    model = le.load(late("bert"), "pcw")
    retriever = LateInteraction(model, VectorFile(tmp_path / "vectors.sqlite3"))
    found = find(retriever, data)
    documents = model.encode_document(list(data.documents.values()))
    expected = model.similarity(model.encode_query(list(data.queries.values())), documents)
    for q in range(4):
        for d in range(4):
            assert found[f"q{q}"][f"d{d}"] == pytest.approx(float(expected[q, d]), abs=1e-4)
    cost = retriever.cost()
    assert cost.vectors == sum(map(len, documents))
    assert cost.bytes_per_document == 4 * 16 * cost.vectors / 4
    assert cost.coverage == 1


def test_a_sparse_encoder_finds_by_its_similarity(data) -> None:
    model = le.load(splade("bert"), "pcw")
    retriever = Sparse(model)
    found = find(retriever, data)
    documents = model.encode_document(list(data.documents.values())).to_dense()
    expected = model.encode_query(list(data.queries.values())).to_dense() @ documents.T
    for q in range(4):
        for d in range(4):
            assert found[f"q{q}"][f"d{d}"] == pytest.approx(float(expected[q, d]), rel=1e-4)
    bytes_expected = 8 * float((documents > 0).sum()) / 4
    assert retriever.cost().bytes_per_document == pytest.approx(bytes_expected, abs=8)


@pytest.mark.parametrize("build", [late, pairs])
def test_the_best_documents_are_reranked_and_the_rest_stay_behind(data, build) -> None:
    model = le.load(build("bert"), "pcw")
    plain = find(Bm25(), data)
    found = find(Reranked(Bm25(), model, candidates=2), data)
    for key, query in data.queries.items():
        before = sorted(plain[key], key=lambda document: -plain[key][document])
        for document in before[:2]:
            (score,) = model.score_windows(query, [data.documents[document]])
            assert found[key][document] == pytest.approx(score.score, abs=1e-4)
        after = sorted(found[key], key=lambda document: -found[key][document])
        assert set(after[:2]) == set(before[:2])
        assert after[2:] == before[2:]
