"""Sparse encoders, late interaction and rerankers as search models."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from class_models import WINDOW, late, pairs, splade
from datasets import Dataset
from longembed_bench_data import write_data
from reference.classes import maxsim as reference_maxsim
from small_models import text_of

import longembed_st as le
from longembed_bench.classes import LateInteraction, Reranked, Sparse, maxsim, quantized
from longembed_bench.retrievers import Bm25
from longembed_bench.runs import MethodChoice, RerankChoice, TokenChoice, plan
from longembed_bench.vectors import VectorFolder
from longembed_st.errors import ConfigError

LONG = 2 * WINDOW + 9


def normalized(rows: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, 16)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def table(texts: list[str], letter: str) -> Dataset:
    return Dataset.from_dict({"id": [f"{letter}{n}" for n in range(len(texts))], "text": texts})


def search(retriever, documents: list[str], queries: list[str]):
    readings = []
    retriever.on_searched = lambda split, found, reading: readings.append(reading)
    retriever.index(table(documents, "d"))
    found = retriever.search(table(queries, "q"), hf_split="test", top_k=100)
    return found, readings[0]


def test_maxsim_is_that_of_the_formula() -> None:
    asked = [normalized(3, 1), normalized(1, 2), normalized(5, 3)]
    document = normalized(40, 4)
    expected = [
        reference_maxsim(torch.from_numpy(one), torch.from_numpy(document)) for one in asked
    ]
    np.testing.assert_allclose(maxsim(asked, document), expected, atol=1e-5)


def test_quantized_vectors_are_near_and_of_few_values() -> None:
    vectors = normalized(50, 5)
    assert quantized(vectors, "float32") is vectors
    small = quantized(vectors, "int8")
    step = np.abs(vectors).max(axis=0) * 2 / 255
    assert (np.abs(small - vectors) <= step + 1e-6).all()
    signs = quantized(vectors, "binary")
    np.testing.assert_array_equal(signs > 0, vectors > 0)
    np.testing.assert_allclose(np.abs(signs), 0.25)


@pytest.fixture(scope="module")
def texts():
    tokenizer = le.load(late("bert")).tokenizer
    documents = [text_of(n, tokenizer, seed=n) for n in (20, LONG, 40, 30)]
    return documents, [" ".join(one.split()[-4:]) for one in documents]


def test_late_interaction_over_all_documents(texts, tmp_path) -> None:
    documents, queries = texts
    model = le.load(late("bert"), "pcw")
    cache = VectorFolder(tmp_path).tokens(le.fingerprint(model), 1)
    found, reading = search(
        LateInteraction("longembed/late", model, TokenChoice(), cache), documents, queries
    )
    expected = model.similarity(model.encode_query(queries), model.encode_document(documents))
    for q in range(4):
        for d in range(4):
            assert found[f"q{q}"][f"d{d}"] == pytest.approx(float(expected[q, d]), abs=1e-4)
    counts = [len(one) for one in model.encode_document(documents)]
    assert reading.vectors == sum(counts)
    assert (reading.width, reading.bytes_per_document) == (16, 4 * 16 * sum(counts) / 4)
    assert reading.coverage == 1
    small = LateInteraction("longembed/late", model, TokenChoice(1, "int8"), cache)
    near, less = search(small, documents, queries)
    assert less.bytes_per_document == reading.bytes_per_document / 4
    assert near["q1"]["d1"] == pytest.approx(found["q1"]["d1"], abs=0.1)
    assert near != found


def test_a_sparse_encoder_as_a_search_model(texts) -> None:
    documents, queries = texts
    model = le.load(splade("bert"), "pcw")
    found, reading = search(Sparse("longembed/sparse", model), documents, queries)
    theirs = model.encode_document(documents).to_dense()
    expected = model.encode_query(queries).to_dense() @ theirs.T
    for q in range(4):
        for d in range(4):
            assert found[f"q{q}"][f"d{d}"] == pytest.approx(float(expected[q, d]), rel=1e-4)
    assert reading.bytes_per_document == pytest.approx(8 * (theirs > 0).sum() / 4, abs=8)


@pytest.mark.parametrize("build", [late, pairs])
def test_the_best_documents_are_reranked_and_the_rest_stay_behind(texts, build) -> None:
    documents, queries = texts
    model = le.load(build("bert"), "pcw")
    plain, _ = search(Bm25("longembed/bm25"), documents, queries)
    reranked = Reranked("longembed/r", Bm25("longembed/bm25"), model, RerankChoice("m", 2))
    found, _ = search(reranked, documents, queries)
    for number, query in enumerate(queries):
        before = sorted(plain[f"q{number}"], key=lambda key: -plain[f"q{number}"][key])
        after = found[f"q{number}"]
        for key in before[:2]:
            (score,) = model.score_windows(query, [documents[int(key[1:])]])
            assert after[key] == pytest.approx(score.score, abs=1e-4)
        assert set(sorted(after, key=lambda key: -after[key])[:2]) == set(before[:2])


def test_methods_are_parsed() -> None:
    choice = MethodChoice.parse("bm25:rerank=a/b,candidates=7")
    assert (choice.name, choice.rerank) == ("bm25", RerankChoice("a/b", 7))
    assert MethodChoice.parse("pcw:pool=2,precision=int8").tokens == TokenChoice(2, "int8")
    runs = plan(["a=x"], ["pcw", "bm25:rerank=a/b", "bm25"], baselines=False)
    assert [run.label for run in runs] == ["a pcw", "BM25:rerank=a/b", "BM25"]
    for text, reason in {
        "pcw:rerank=a,candidates=0": "at least 1",
        "pcw:precision=half": "one of float32, int8, binary",
        "pcw:pool=many": "number of vectors",
    }.items():
        with pytest.raises(ConfigError, match=reason):
            MethodChoice.parse(text)


def test_every_class_has_its_line(tmp_path, monkeypatch) -> None:
    from command_line import longembed

    monkeypatch.setattr("longembed_bench.report.draw_all", lambda results, folder: [])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    write_data(tmp_path / "data")
    ended = longembed(
        *("bench", f"late={late('bert')}", f"sparse={splade('bert')}", "--no-baselines"),
        *("-m", "pcw", "-m", f"bm25:rerank={pairs('bert')},candidates=3"),
        *("--data", "data", "--out", "out", "--device", "cpu"),
    )
    assert ended.exit_code == 0, ended.stderr
    lines = [line.split()[0] for line in ended.stdout.splitlines() if "100%" in line]
    assert lines == ["late", "sparse", f"BM25:rerank={pairs('bert')},candidates=3"]


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("pcw:spans=true", "spans is not for a MultiVectorEncoder"),
        ("chunks", "chunks are for SentenceTransformers"),
    ],
)
def test_what_a_class_cannot_do_is_said(tmp_path, monkeypatch, method, reason) -> None:
    from command_line import longembed

    monkeypatch.chdir(tmp_path)
    write_data(tmp_path / "data")
    ended = longembed(
        *("bench", str(late("bert")), "--no-baselines", "-m", method, "--data", "data"),
        *("--out", "out", "--device", "cpu"),
    )
    assert ended.exit_code == 1
    assert reason in " ".join(ended.stderr.split())
