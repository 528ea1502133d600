"""Vectors on disk."""

from __future__ import annotations

import numpy as np
import pytest
from compare import difference

import longembed_st as le
from longembed_bench import vectors
from longembed_bench.vectors import VectorStore

TEXTS = ["ban den fan " * 40, "gan", "kan lan", "man nan pan ran " * 30]


@pytest.fixture
def model(small_model):
    prompts = {"query": "query ", "document": "passage "}
    folder = small_model("bert", prompts=prompts)
    return le.load(str(folder), "none", on_overflow="truncate", device="cpu")


@pytest.fixture
def counted(model, monkeypatch):
    """The texts that the model was really given."""
    given: list[str] = []
    encode = model.encode_document

    def encode_document(texts, **kwargs):
        given.extend(texts)
        return encode(texts, **kwargs)

    monkeypatch.setattr(model, "encode_document", encode_document)
    return given


def test_vectors_are_the_models_own_and_what_was_read_is_counted(model, tmp_path) -> None:
    store = VectorStore(tmp_path)
    embedded = store.embed(model, TEXTS, "document")
    assert difference(embedded.vectors, model.encode(TEXTS, prompt="passage ")) < 1e-6
    queries = store.embed(model, TEXTS, "query")
    assert difference(queries.vectors, model.encode(TEXTS, prompt="query ")) < 1e-6
    # Words of the test tokenizer are one token each; beside them, the prompt and two specials.
    assert embedded.tokens.tolist() == [123, 4, 5, 123]
    assert embedded.read.tolist() == [64, 4, 5, 64]
    assert (embedded.seconds > 0).all()


def test_nothing_is_computed_twice(model, counted, tmp_path) -> None:
    first = VectorStore(tmp_path).embed(model, TEXTS[:3], "document")
    assert counted == TEXTS[:3]
    done = []
    again = VectorStore(tmp_path).embed(
        model, [*reversed(TEXTS), TEXTS[3]], "document", done.append
    )
    assert counted == TEXTS
    assert sum(done) == 5
    assert np.array_equal(again.vectors[1:4][::-1], first.vectors)
    assert np.array_equal(again.vectors[0], again.vectors[4])
    assert np.array_equal(again.seconds[1:4][::-1], first.seconds)


def test_a_killed_run_loses_one_group(model, counted, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(vectors, "GROUP_TEXTS", 1)

    def stop_at_third(count, seen=[]):  # noqa: B006
        seen.append(count)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        VectorStore(tmp_path).embed(model, TEXTS, "document", stop_at_third)
    assert counted == TEXTS[:2]
    VectorStore(tmp_path).embed(model, TEXTS, "document")
    assert counted == TEXTS


def test_a_damaged_file_is_computed_again(model, counted, tmp_path) -> None:
    VectorStore(tmp_path).embed(model, TEXTS, "document")
    (path,) = tmp_path.glob("*.npz")
    path.write_bytes(path.read_bytes()[:100])
    embedded = VectorStore(tmp_path).embed(model, TEXTS, "document")
    assert counted == TEXTS * 2
    assert difference(embedded.vectors, model.encode(TEXTS, prompt="passage ")) < 1e-6
