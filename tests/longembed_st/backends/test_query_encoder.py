"""Queries encoded without torch: the vectors of the model, or the model itself."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from fresh_process import run_fresh
from small_models import WORDS
from small_rotary_models import folder_of

import longembed_st as le
from longembed_st.backends.query_encoder import (
    SETTINGS,
    encoder_folder,
    forget_encoder,
    query_encoder,
)
from longembed_st.loading import query_export
from longembed_st.loading.query_export import export_query_encoder
from longembed_st.loading.whitening import Whitening, WhiteningMap, with_whitening

pytest.importorskip("openvino")

QUICK = ("gte", "modernbert", "qwen3")
SLOW = ("nomic_bert", "jina_embeddings_v3", "eurobert", "gemma3_text", "llama", "mistral", "qwen2")
KINDS = [*QUICK, *(pytest.param(kind, marks=pytest.mark.slow) for kind in SLOW)]


def queries(*lengths: int) -> list[str]:
    draw = np.random.default_rng(0)
    return [" ".join(draw.choice(WORDS, size=n)) for n in lengths]


def exported(model):
    """The encoder of a model, which must be one that can be exported."""
    fingerprint = le.fingerprint(model)
    assert export_query_encoder(model, fingerprint)
    encoder = query_encoder(fingerprint)
    assert encoder is not None
    return encoder


def assert_same_vectors(encoder, model, texts: list[str]) -> None:
    expected = model.encode_with_coverage(texts, role="query").vectors
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    vectors = np.stack([encoder.encode(text).vector for text in texts])
    np.testing.assert_allclose(vectors, expected, atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_are_those_of_the_model(kind) -> None:
    model = le.load(str(folder_of(kind)), "pcw")
    assert_same_vectors(exported(model), model, ["A.", "  a\n b ", *queries(3, 20, 40)])


@pytest.mark.parametrize(
    ("kind", "pooling"),
    [
        ("bert", "mean"),
        ("bert", "cls"),
        ("bert", "lasttoken"),
        ("bert", "weightedmean"),
        ("bert", "max"),
        ("roberta", "mean"),
        ("xlm-roberta", "mean"),
        ("distilbert", "mean"),
        ("mpnet", "mean"),
    ],
)
def test_poolings_and_families_with_a_table_of_positions(
    kind, pooling, small_model, monkeypatch
) -> None:
    # Not every small tokenizer knows the words of the others.
    monkeypatch.setattr(query_export, "PROBES", tuple(queries(4, 30)))
    model = le.load(str(small_model(kind, positions=64, pooling=pooling)), "pcw")
    assert_same_vectors(exported(model), model, queries(3, 40))


def test_the_prompt_of_queries_stands_before_each(small_model) -> None:
    prompts = {"query": "ask : ", "document": "text : "}
    folder = small_model("bert", positions=64, prompts=prompts, include_prompt=False)
    model = le.load(str(folder), "pcw")
    assert_same_vectors(exported(model), model, queries(3, 40))


def test_a_whitened_model_gives_both_vectors(small_model) -> None:
    plain = le.load(str(small_model("bert", positions=64)), "pcw")
    width = plain.get_embedding_dimension()
    draw = np.random.default_rng(1)
    weights = draw.uniform(0.5, 2, len(plain.long_transformer.token_table)).astype(np.float32)
    matrix = draw.normal(size=(width, width))
    model = with_whitening(plain, Whitening(WhiteningMap(matrix), weights))
    weighted = with_whitening(plain, Whitening(None, weights))
    encoder = exported(model)
    assert_same_vectors(encoder, model, queries(3, 40))
    (text,) = queries(9)
    # As runs of sentence units are: not whitened, and tokens count alike.
    plainly = encoder.encode(text).plain
    np.testing.assert_allclose(plainly, model.encode_query_twice(text).plain, atol=2e-5)
    assert plainly @ plain.encode_query(text) == pytest.approx(1, abs=1e-5)
    assert plainly @ weighted.encode_query(text) < 1 - 1e-4


def test_a_query_beyond_the_window_is_left_to_the_model(small_model) -> None:
    encoder = exported(le.load(str(small_model("bert", positions=64)), "pcw"))
    assert encoder.encode(queries(200)[0]) is None
    assert encoder.encode(queries(50)[0]) is not None


def test_what_is_damaged_is_not_used(small_model, caplog) -> None:
    model = le.load(str(small_model("bert", positions=64, seed=5)), "pcw")
    fingerprint = le.fingerprint(model)
    assert export_query_encoder(model, fingerprint)
    file = encoder_folder(fingerprint) / SETTINGS
    settings = json.loads(file.read_text())
    settings["probes"] = {text: vector[::-1] for text, vector in settings["probes"].items()}
    file.write_text(json.dumps(settings))
    forget_encoder(fingerprint)
    assert query_encoder(fingerprint) is None
    assert "does not give the vectors" in caplog.text


def test_torch_is_not_imported(small_model, tmp_path) -> None:
    fingerprint = le.fingerprint(model := le.load(str(small_model("bert", positions=64)), "pcw"))
    assert export_query_encoder(model, fingerprint)
    reply = run_fresh(
        """
        from longembed_st.backends.query_encoder import query_encoder
        vector = query_encoder(given["fingerprint"]).encode(given["text"]).vector
        answer([vector.tolist(), [n for n in given["heavy"] if n in sys.modules]])
        """,
        tmp_path,
        given={
            "fingerprint": fingerprint,
            "text": "a b c",
            "heavy": ["torch", "transformers", "sentence_transformers"],
        },
        LONGEMBED_CACHE=os.environ["LONGEMBED_CACHE"],
    )
    np.testing.assert_allclose(
        reply[0], query_encoder(fingerprint).encode("a b c").vector, atol=1e-5
    )
    assert reply[1] == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_opens_its_own(small_model) -> None:
    fingerprint = le.fingerprint(model := le.load(str(small_model("bert", positions=64)), "pcw"))
    assert export_query_encoder(model, fingerprint)
    expected = query_encoder(fingerprint).encode("a b c").vector
    child = os.fork()
    if child == 0:
        vector = query_encoder(fingerprint).encode("a b c").vector
        os._exit(0 if np.allclose(vector, expected, atol=1e-5) else 1)
    assert os.waitpid(child, 0)[1] == 0
