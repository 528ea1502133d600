"""The three ways to find documents, through mteb's own protocol and scores."""

from __future__ import annotations

import random

import mteb
import numpy as np
import pytest
import sentence_transformers
from compare import difference
from datasets import Dataset
from mteb.models.models_protocols import SearchProtocol
from reference.ndcg import ndcg
from small_models import WORDS

import longembed_st as le
from longembed_bench.data import RetrievalData
from longembed_bench.metrics import margin, ndcg_by_query
from longembed_bench.retrievers import (
    Bm25,
    Chunks,
    Hybrid,
    Retriever,
    WholeDocuments,
    document_texts,
    reciprocal_ranks,
)
from longembed_bench.runs import HybridChoice, MethodChoice
from longembed_bench.tasks import _task
from longembed_bench.vectors import VectorCache
from longembed_index.lexical import WordFile
from longembed_st.errors import ConfigError


@pytest.fixture(scope="module")
def data() -> RetrievalData:
    draw = random.Random(0)
    documents = {
        f"d{n}": " ".join(draw.choice(WORDS) for _ in range(draw.randrange(20, 200)))
        for n in range(20)
    }
    queries = {f"q{n}": " ".join(draw.choice(WORDS) for _ in range(5)) for n in range(30)}
    qrels = {
        query: {f"d{draw.randrange(20)}": draw.randrange(1, 4) for _ in range(3)}
        for query in queries
    }
    return RetrievalData(documents, queries, qrels)


@pytest.fixture
def retriever(small_model, tmp_path) -> WholeDocuments:
    model = le.load(str(small_model("bert")), "pcw", device="cpu")
    return WholeDocuments("longembed/small-pcw", model, VectorCache(tmp_path))


def search(retriever: Retriever, data: RetrievalData):
    table = lambda texts: Dataset.from_dict({"id": list(texts), "text": list(texts.values())})  # noqa: E731
    readings = []
    retriever.on_searched = lambda split, found, reading: readings.append(reading)
    retriever.index(table(data.documents), task_metadata=None)
    found = retriever.search(table(data.queries), hf_split="test", top_k=1000, task_metadata=None)
    return found, readings[0]


def test_ndcg_is_that_of_mteb_and_of_the_formula(retriever, data) -> None:
    found, _ = search(retriever, data)
    ours = ndcg_by_query(data.qrels, found)
    for query in data.queries:
        assert ours[query] == pytest.approx(ndcg(data.qrels[query], found[query], 10), abs=1e-6)
    task = _task("small", {"test": data}, "ndcg_at_10", "1")
    result = mteb.evaluate(
        retriever, task, cache=None, co2_tracker=False, show_progress_bar=False
    ).task_results[0]
    (scores,) = result.scores["test"]
    # mteb rounds to five digits.
    assert scores["ndcg_at_10"] == pytest.approx(np.mean(list(ours.values())), abs=1e-5)
    firsts = [ndcg(data.qrels[query], found[query], 1) for query in data.queries]
    assert scores["ndcg_at_1"] == pytest.approx(np.mean(firsts), abs=1e-5)


def test_whole_documents_score_by_the_models_similarity(retriever, data, small_model) -> None:
    found, reading = search(retriever, data)
    model = le.load(str(small_model("bert")), "pcw", device="cpu")
    expected = (
        model.encode(list(data.queries.values())) @ model.encode(list(data.documents.values())).T
    )
    for row, query in enumerate(data.queries):
        scores = [found[query][document] for document in data.documents]
        assert difference(np.array(scores), expected[row]) < 1e-5
    assert reading.vectors == reading.documents == 20
    assert reading.read == reading.tokens > 20 * 20
    assert reading.seconds > 0
    assert reading.query_seconds > 0


def test_chunks_score_by_the_best_chunk(data, small_model, tmp_path) -> None:
    model = le.load(str(small_model("bert")), "none", device="cpu")
    found, reading = search(Chunks("longembed/chunks", model, VectorCache(tmp_path)), data)
    queries = model.encode(list(data.queries.values()))
    vectors = 0
    for document, text in data.documents.items():
        words = text.split()
        # A window of 64 tokens holds 62 words; the last one is moved back so that it is full.
        starts = [*range(0, max(len(words) - 62, 0), 62), max(len(words) - 62, 0)]
        chunks = [" ".join(words[start : start + 62]) for start in starts]
        best = (queries @ model.encode(chunks).T).max(axis=1)
        vectors += len(chunks)
        scores = [found[query][document] for query in data.queries]
        assert difference(np.array(scores), best) < 1e-5
    assert reading.vectors == vectors
    assert reading.read == reading.tokens


def test_chunks_leave_room_for_the_prompt(data, small_model, tmp_path) -> None:
    folder = small_model("bert", prompts={"document": "passage passage passage "})
    model = le.load(str(folder), "none", on_overflow="error", device="cpu")
    _, reading = search(Chunks("longembed/chunks", model, VectorCache(tmp_path)), data)
    assert reading.read == reading.tokens


def test_bm25_finds_by_stems_and_ignores_stop_words() -> None:
    data = RetrievalData(
        {
            "cat": "a cat was running over the roofs",
            "dog": "the dogs and the whales",
            "none": "x y",
        },
        {"q0": "run roof", "q1": "dog", "q2": "the and"},
        {},
    )
    found, reading = search(Bm25("longembed/BM25"), data)
    assert max(found["q0"], key=found["q0"].get) == "cat"
    assert max(found["q1"], key=found["q1"].get) == "dog"
    assert set(found["q2"].values()) == {0.0}
    assert reading.vectors == 0


def test_bm25_scores_are_those_of_the_formula() -> None:
    texts = {"a": "apple banana apple cherry", "b": "banana cherry", "c": "cherry cherry date"}
    found, _ = search(Bm25("longembed/BM25"), RetrievalData(texts, {"q": "apple banana"}, {}))
    lengths = {key: len(text.split()) for key, text in texts.items()}
    mean = sum(lengths.values()) / 3
    for key, text in texts.items():
        expected = 0.0
        for word in ("apple", "banana"):
            holding = sum(word in other.split() for other in texts.values())
            idf = np.log(1 + (3 - holding + 0.5) / (holding + 0.5))
            count = text.split().count(word)
            expected += idf * count / (count + 1.5 * (1 - 0.75 + 0.75 * lengths[key] / mean))
        assert found["q"][key] == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_each_satisfies_mtebs_protocol(retriever) -> None:
    assert isinstance(retriever, SearchProtocol)
    assert isinstance(Bm25("longembed/BM25"), SearchProtocol)


def test_revisions_tell_methods_apart(small_model, tmp_path) -> None:
    folder = str(small_model("bert"))
    models = [
        le.load(folder, "pcw", device="cpu"),
        le.load(folder, "pcw", window_size=32, device="cpu"),
        le.load(folder, "pcw", device="cpu"),
    ]
    revisions = [
        WholeDocuments("longembed/x", model, VectorCache(tmp_path)).mteb_model_meta.revision
        for model in models
    ]
    assert revisions[0] == revisions[2] != revisions[1]


def test_documents_reach_the_model_unaltered() -> None:
    texts = [" two  blanks ", "line\nline\n"]
    assert document_texts(Dataset.from_dict({"id": ["a", "b"], "text": texts})) == texts
    titled = Dataset.from_dict({"id": ["a", "b"], "text": texts, "title": ["", "T"]})
    assert document_texts(titled) == [" two  blanks ", "T line\nline\n"]


def test_margin_is_paired() -> None:
    draw = np.random.default_rng(0)
    second = draw.random(200)
    mean, low, high = margin(second + 0.01, second)
    assert mean == pytest.approx(0.01)
    # Unpaired, differences between queries would hide so small a gain.
    assert 0.009 < low <= high < 0.011
    noise = draw.normal(size=400)
    mean, low, high = margin(noise, np.zeros(400))
    assert high - low == pytest.approx(2 * 1.96 * noise.std() / 20, rel=0.1)


def test_mtebs_own_wrapper_takes_documents_as_spans(data, small_model) -> None:
    """Its MaxSim is the best span: here from the formula, with the model's own spans."""
    wrappers = pytest.importorskip("mteb.models.sentence_transformer_wrapper")
    if not hasattr(wrappers, "MultiVectorWrapper") or not hasattr(
        sentence_transformers, "MultiVectorEncoder"
    ):
        pytest.skip("mteb or sentence-transformers has no models of several vectors yet")
    model = le.load(str(small_model("bert", positions=64)), "pcw", device="cpu")
    wrapper = wrappers.MultiVectorWrapper(le.multi_vector(model))
    task = _task("small", {"test": data}, "ndcg_at_10", "1")
    result = mteb.evaluate(
        wrapper, task, cache=None, co2_tracker=False, show_progress_bar=False
    ).task_results[0]
    (scores,) = result.scores["test"]
    spans = model.encode_spans(list(data.documents.values()))
    assert max(len(one.vectors) for one in spans) > 2
    queries = model.encode_query(list(data.queries.values()))
    expected = []
    for key, query in zip(data.queries, queries, strict=True):
        best = [float((one.vectors @ query).max()) for one in spans]
        found = dict(zip(data.documents, best, strict=True))
        expected.append(ndcg(data.qrels[key], found, 10))
    assert scores["ndcg_at_10"] == pytest.approx(np.mean(expected), abs=1e-4)


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0])
def test_hybrid_scores_are_the_weighted_sum(retriever, data, tmp_path, weight) -> None:
    dense, _ = search(retriever, data)
    found, reading = search(Hybrid(retriever, HybridChoice(weight)), data)
    words = WordFile(tmp_path, "words")
    words.add(data.documents)
    for query, text in data.queries.items():
        scores = words.ask(text).scores(list(data.documents))
        most = max(one.document for one in scores.values()) or 1
        best = max(one.passage for one in scores.values()) or 1
        for key, one in scores.items():
            expected = (1 - weight) * (one.document / most + one.passage / best) / 2
            expected += weight * dense[query][key]
            assert found[query][key] == pytest.approx(expected, abs=1e-5)
    assert reading.vectors == 20


def test_reciprocal_ranks_by_hand() -> None:
    found = reciprocal_ranks(np.array([[0.1, 0.9, 0.5], [3, 2, 1]]))
    np.testing.assert_allclose(
        found, [[1 / 63, 1 / 61, 1 / 62], [1 / 61, 1 / 62, 1 / 63]], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("text", "weight"), [("true", 0.4), ("0.6", 0.6), ("0", 0), ("1", 1), ("ranks", None)]
)
def test_hybrid_lines_are_parsed(text, weight) -> None:
    found = MethodChoice.parse(f"pcw:hybrid={text},window_size=64")
    assert found.hybrid == HybridChoice(weight)
    assert found.settings.keywords()["window_size"] == 64
    assert MethodChoice.parse("pcw:hybrid=false").hybrid is None
    for wrong in ("2", "often", "-0.1"):
        with pytest.raises(ConfigError, match="hybrid"):
            MethodChoice.parse(f"pcw:hybrid={wrong}")
