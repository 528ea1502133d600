"""Vectors on disk."""

from __future__ import annotations

import numpy as np
import pytest
from compare import difference

import longembed_st as le
from longembed_bench import vectors
from longembed_bench.vectors import VectorCache
from longembed_st.base.coverage import Coverage, Encoded

TEXTS = ["ban den fan " * 40, "gan", "kan lan", "man nan pan ran " * 30]


class FakeModel:
    """Gives every text a vector of its length, and notes which texts it was given."""

    def __init__(self) -> None:
        self.given: list[str] = []

    def encode_with_coverage(self, texts, *, role):
        self.given += texts
        numbers = [[len(text), len(role)] for text in texts]
        coverages = [Coverage(len(text), min(len(text), 64), 1) for text in texts]
        return Encoded(np.array(numbers, dtype=np.float32), coverages)


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


def test_vectors_are_the_models_own_and_what_was_read_is_counted(small_model, tmp_path) -> None:
    folder = small_model("bert", prompts={"query": "query ", "document": "passage "})
    model = le.load(str(folder), "none", on_overflow="truncate", device="cpu")
    cache = VectorCache(tmp_path)
    embedded = cache.embed(model, TEXTS, "document")
    assert difference(embedded.vectors, model.encode(TEXTS, prompt="passage ")) < 1e-6
    queries = cache.embed(model, TEXTS, "query")
    assert difference(queries.vectors, model.encode(TEXTS, prompt="query ")) < 1e-6
    # Words of the test tokenizer are one token each; beside them, the prompt and two specials.
    assert embedded.tokens.tolist() == [123, 4, 5, 123]
    assert embedded.read.tolist() == [64, 4, 5, 64]
    assert (embedded.seconds > 0).all()


def test_nothing_is_computed_twice(model, tmp_path) -> None:
    first = VectorCache(tmp_path).embed(model, TEXTS[:3], "document")
    assert model.given == TEXTS[:3]
    done = []
    again = VectorCache(tmp_path).embed(
        model, [*reversed(TEXTS), TEXTS[3]], "document", done.append
    )
    assert model.given == TEXTS
    assert sum(done) == 5
    assert np.array_equal(again.vectors[1:4][::-1], first.vectors)
    assert np.array_equal(again.vectors[0], again.vectors[4])
    assert np.array_equal(again.seconds[1:4][::-1], first.seconds)


def test_a_text_is_another_one_as_a_query(model, tmp_path) -> None:
    cache = VectorCache(tmp_path)
    document = cache.embed(model, TEXTS[:1], "document")
    assert not np.array_equal(document.vectors, cache.embed(model, TEXTS[:1], "query").vectors)
    assert np.array_equal(cache.embed(model, TEXTS[:1], "document").vectors, document.vectors)
    assert model.given == [TEXTS[0]] * 2


def test_a_killed_run_loses_one_group(model, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(vectors, "GROUP_TEXTS", 1)

    def stop_at_third(count, seen=[]):  # noqa: B006
        seen.append(count)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        VectorCache(tmp_path).embed(model, TEXTS, "document", stop_at_third)
    assert model.given == TEXTS[:2]
    VectorCache(tmp_path).embed(model, TEXTS, "document")
    assert model.given == TEXTS


def test_a_damaged_file_is_computed_again(model, tmp_path) -> None:
    first = VectorCache(tmp_path).embed(model, TEXTS, "document")
    (path,) = tmp_path.glob("*.npz")
    path.write_bytes(path.read_bytes()[:100])
    again = VectorCache(tmp_path).embed(model, TEXTS, "document")
    assert model.given == TEXTS * 2
    assert np.array_equal(again.vectors, first.vectors)
