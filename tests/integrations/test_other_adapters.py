"""Whoever comes from the frameworks' own adapters finds each of their fields, or is told where."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

import longembed_st as le

LLAMA_INDEX = {
    "model_name": None,
    "tokenizer_name": "some/tokenizer",
    "pooling": "cls",
    "max_length": 512,
    "query_instruction": "query: ",
    "text_instruction": "text: ",
    "normalize": True,
    "model": "some/model",
    "tokenizer": "some/tokenizer",
    "embed_batch_size": 10,
    "cache_folder": "CACHE",
    "trust_remote_code": True,
    "device": "cpu",
    "callback_manager": None,
    "parallel_process": True,
    "target_devices": ["cpu", "cpu"],
    "show_progress_bar": True,
    "model_kwargs": {"revision": "main"},
}
LLAMA_INDEX_REFUSES = {
    "tokenizer_name",
    "tokenizer",
    "pooling",
    "max_length",
    "model",
    "parallel_process",
    "target_devices",
}
LANGCHAIN = {
    "model_name": None,
    "cache_folder": "CACHE",
    "model_kwargs": {"device": "cpu", "trust_remote_code": True},
    "encode_kwargs": {"normalize_embeddings": True},
    "query_encode_kwargs": {"normalize_embeddings": True},
    "multi_process": True,
    "show_progress": True,
}


@pytest.fixture
def bert(small_model) -> str:
    return str(small_model("bert"))


def test_the_fields_of_llama_index_are_those_tried_here() -> None:
    module = pytest.importorskip("llama_index.embeddings.huggingface")
    own = inspect.signature(module.HuggingFaceEmbedding.__init__).parameters.keys()
    assert own - {"self"} == LLAMA_INDEX.keys()


def test_fields_of_llama_index_work_or_are_refused_by_name(bert, tmp_path) -> None:
    module = pytest.importorskip("llama_index.embeddings.longembed")
    for name in LLAMA_INDEX_REFUSES:
        with pytest.raises(le.ConfigError, match=f"^{name}: "):
            module.LongEmbedEmbedding(model_name=bert, method="pcw", **{name: LLAMA_INDEX[name]})
    for name in LLAMA_INDEX.keys() - LLAMA_INDEX_REFUSES - {"model_name", "callback_manager"}:
        value = str(tmp_path) if LLAMA_INDEX[name] == "CACHE" else LLAMA_INDEX[name]
        embed_model = module.LongEmbedEmbedding(model_name=bert, method="pcw", **{name: value})
        assert len(embed_model.get_text_embedding("ban cor")) == 32, name
    silent = {"max_length": None, "pooling": "deprecated", "parallel_process": False}
    module.LongEmbedEmbedding(model_name=bert, method="pcw", **silent)


def test_normalize_scales_to_unit_length(bert, tmp_path) -> None:
    module = pytest.importorskip("llama_index.embeddings.longembed")
    unscaled = SentenceTransformer(modules=list(SentenceTransformer(bert, device="cpu"))[:2])
    unscaled.save(str(tmp_path / "unscaled"))
    bert = str(tmp_path / "unscaled")
    lengths = [
        np.linalg.norm(
            module.LongEmbedEmbedding(model_name=bert, method="pcw", **given).get_text_embedding(
                "ban cor"
            )
        )
        for given in ({}, {"normalize": False}, {"normalize": True})
    ]
    assert lengths[0] == pytest.approx(lengths[1])
    assert lengths[2] == pytest.approx(1)
    assert lengths[0] != pytest.approx(1, abs=1e-3)


def test_the_fields_of_langchain_are_those_tried_here() -> None:
    module = pytest.importorskip("langchain_huggingface")
    assert module.HuggingFaceEmbeddings.model_fields.keys() == LANGCHAIN.keys()


def test_fields_of_langchain_work(small_model, tmp_path) -> None:
    module = pytest.importorskip("langchain_longembed")
    folder = small_model("bert")
    for name in LANGCHAIN.keys() - {"model_name"}:
        value = str(tmp_path) if LANGCHAIN[name] == "CACHE" else LANGCHAIN[name]
        embeddings = module.LongEmbedEmbeddings(model=folder, method="pcw", **{name: value})
        assert len(embeddings.embed_query("ban cor")) == 32, name
        assert embeddings.model_name == str(folder)
