"""Ways to find documents, beside formulas and beside mteb's own scores."""

from __future__ import annotations

import random
import warnings

import mteb
import numpy as np
import pytest
from compare import difference
from longembed_bench_data import mteb_task
from reference.ndcg import ndcg
from small_models import WORDS

import longembed_st as le
from longembed_bench.data import RetrievalData
from longembed_bench.lexical import LexicalScorer
from longembed_bench.metrics import margin, ndcg_by_query
from longembed_bench.retrievers import Bm25, Chunks, Hybrid, WholeDocuments, find
from longembed_bench.vectors import VectorFile


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
def model(small_model) -> le.LongSentenceTransformer:
    return le.load(str(small_model("bert")), "pcw", device="cpu")


@pytest.fixture
def vectors(tmp_path) -> VectorFile:
    return VectorFile(tmp_path / "vectors.sqlite3")


def test_ndcg_is_that_of_mteb_and_of_the_formula(model, data, vectors) -> None:
    found = find(WholeDocuments(model, vectors), data)
    ours = ndcg_by_query(data.qrels, found, 10)
    for query in data.queries:
        assert ours[query] == pytest.approx(ndcg(data.qrels[query], found[query], 10), abs=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = mteb.evaluate(model, mteb_task("qmsum", data), cache=None, co2_tracker=False)
    (scores,) = result[0].scores["test"]
    assert scores["ndcg_at_10"] == pytest.approx(np.mean(list(ours.values())), abs=1e-4)
    firsts = ndcg_by_query(data.qrels, found, 1)
    assert scores["ndcg_at_1"] == pytest.approx(np.mean(list(firsts.values())), abs=1e-4)


def test_whole_documents_score_by_the_models_similarity(model, data, vectors) -> None:
    retriever = WholeDocuments(model, vectors)
    found = find(retriever, data)
    queries, documents = list(data.queries.values()), list(data.documents.values())
    expected = model.encode(queries) @ model.encode(documents).T
    for row, query in enumerate(data.queries):
        scores = [found[query][document] for document in data.documents]
        assert difference(np.array(scores), expected[row]) < 1e-5
    cost = retriever.cost()
    assert cost.vectors == cost.documents == 20
    assert cost.read == cost.tokens > 20 * 20
    assert cost.seconds > 0
    assert all(len(row) == 7 for row in find(retriever, data, k=7).values())


def test_chunks_score_by_the_best_chunk(small_model, data, vectors) -> None:
    model = le.load(str(small_model("bert")), "none", device="cpu")
    retriever = Chunks(model, vectors)
    found = find(retriever, data)
    queries = model.encode(list(data.queries.values()))
    count = 0
    for document, text in data.documents.items():
        words = text.split()
        # A window of 64 tokens holds 62 words; the last one is moved back so that it is full.
        starts = [*range(0, max(len(words) - 62, 0), 62), max(len(words) - 62, 0)]
        chunks = [" ".join(words[start : start + 62]) for start in starts]
        best = (queries @ model.encode(chunks).T).max(axis=1)
        count += len(chunks)
        scores = [found[query][document] for query in data.queries]
        assert difference(np.array(scores), best) < 1e-5
    cost = retriever.cost()
    assert (cost.vectors, cost.documents, cost.read) == (count, 20, cost.tokens)


def test_chunks_leave_room_for_the_prompt(small_model, data, vectors) -> None:
    folder = small_model("bert", prompts={"document": "passage passage passage "})
    retriever = Chunks(le.load(str(folder), "none", on_overflow="error", device="cpu"), vectors)
    retriever.read(list(data.documents.values()))
    assert retriever.cost().read == retriever.cost().tokens


def test_bm25_scores_are_those_of_the_formula() -> None:
    texts = {"a": "apple banana apple cherry", "b": "banana cherry", "c": "cherry cherry date"}
    queries = {"q": "apple banana", "stems": "dates"}
    found = find(Bm25(), RetrievalData(texts, queries, {}))
    assert max(found["stems"], key=found["stems"].get) == "c"
    stop_words = RetrievalData({"a": "the cat", "b": "a dog"}, {"q": "the"}, {})
    assert set(find(Bm25(), stop_words)["q"].values()) == {0.0}
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


def test_revisions_tell_ways_to_find_apart(model, small_model, vectors) -> None:
    other = le.load(str(small_model("bert")), "pcw", window_size=32, device="cpu")
    again = le.load(str(small_model("bert")), "pcw", device="cpu")
    first, same = WholeDocuments(model, vectors), WholeDocuments(again, vectors)
    assert first.revision == same.revision
    others = [
        WholeDocuments(other, vectors),
        WholeDocuments(model, vectors, {}),
        WholeDocuments(model, vectors, {"ridge": 0.3}),
        Hybrid(first, 0.4),
        Hybrid(first, 0.6),
    ]
    assert len({retriever.revision for retriever in [first, *others]}) == 6
    assert Hybrid(first, 0.2).revision == Hybrid(same, 0.2).revision


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


def test_hybrid_scores_are_the_weighted_sum(model, data, vectors) -> None:
    weight = 0.4
    whole = WholeDocuments(model, vectors)
    dense = find(whole, data)
    hybrid = Hybrid(whole, weight)
    found = find(hybrid, data)
    lexical = LexicalScorer(list(data.documents.values()))
    for query, text in data.queries.items():
        words = dict(zip(data.documents, lexical.score(text), strict=True))
        for key, score in found[query].items():
            expected = (1 - weight) * words[key] + weight * dense[query][key]
            assert score == pytest.approx(expected, abs=1e-5)
    assert hybrid.cost().vectors == 20
