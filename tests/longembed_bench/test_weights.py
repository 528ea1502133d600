"""How much vectors count beside words: chosen on some questions, judged on others."""

from __future__ import annotations

import random

import pytest
from command_line import longembed
from reference.ndcg import ndcg
from small_models import WORDS

from longembed_bench.data import RetrievalData
from longembed_bench.lexical import LexicalScorer
from longembed_bench.weights import WEIGHTS, try_weights
from longembed_index.search.ranking import WEIGHT


@pytest.fixture(scope="module")
def data() -> RetrievalData:
    draw = random.Random(0)
    documents = {f"d{n}": " ".join(draw.choices(WORDS, k=80)) for n in range(20)}
    queries = {f"q{n}": " ".join(draw.choices(WORDS, k=4)) for n in range(40)}
    return RetrievalData(documents, queries, {q: {f"d{draw.randrange(20)}": 1} for q in queries})


def all_right(data: RetrievalData) -> dict[str, dict[str, float]]:
    """Vectors that know the answers."""
    return {
        query: {key: float(key in grades) for key in data.documents}
        for query, grades in data.qrels.items()
    }


def test_scores_are_those_of_the_sum(data) -> None:
    draw = random.Random(1)
    dense = {query: {key: draw.random() for key in data.documents} for query in data.queries}
    weights = try_weights(data, dense)
    assert tuple(weights.scores) == WEIGHTS
    lexical = LexicalScorer(list(data.documents.values()))
    # By words alone, many documents have one score.
    for weight in (0.3, 1.0):
        total = 0.0
        for query, text in data.queries.items():
            words = dict(zip(data.documents, lexical.score(text), strict=True))
            scores = {
                key: (1 - weight) * words[key] + weight * dense[query][key]
                for key in data.documents
            }
            total += ndcg(data.qrels[query], scores, 10)
        assert weights.scores[weight] == pytest.approx(total / len(data.queries), abs=1e-6)


def test_vectors_that_know_the_answers_are_advised(data) -> None:
    weights = try_weights(data, all_right(data))
    assert weights.scores[1.0] == 1
    assert weights.best > WEIGHT
    assert weights.ranking.weight == weights.best
    assert weights.margin[0] > 0


def test_calibrate_says_which_weight_suits(data, tmp_path, small_model, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    folder = tmp_path / "docs"
    folder.mkdir()
    for key, text in data.documents.items():
        (folder / f"{key}.txt").write_text(f"{text} {text}")
    line = ("calibrate", small_model("bert"), "--data", folder, "-m", "none", "-m", "pcw")
    result = longembed(*line, "--queries", "10", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    for said in ("0.0 (words alone)", f"{WEIGHT} (the default)", "1.0 (vectors alone)"):
        assert said in result.stdout
    assert f"Keep weight {WEIGHT}: these queries are passages" in result.stdout
