"""What the frameworks' own classes make of our folders, where they take only a model's name.

docs/INTEGRATIONS.md has the table; these tests are its evidence.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import cosine

pytest.importorskip("langchain_huggingface")
pytest.importorskip("llama_index.embeddings.huggingface")
pytest.importorskip("chromadb")

from chromadb.utils.embedding_functions import SentenceTransformerEmbeddingFunction
from langchain_huggingface import HuggingFaceEmbeddings
from llama_index.core.embeddings import resolve_embed_model
from llama_index.embeddings.huggingface import HuggingFaceEmbedding

import longembed_st as le

TEXT = "The committee met on Tuesday to discuss the budget. " * 40
TRUST = {"trust_remote_code": True}

Embed = Callable[[str], Any]


def langchain(folder: str, **flag: Any) -> Embed:
    embeddings = HuggingFaceEmbeddings(model=folder, model_kwargs=flag)
    return lambda text: embeddings.embed_documents([text])[0]


def llama_index(folder: str, **flag: Any) -> Embed:
    return HuggingFaceEmbedding(model_name=folder, device="cpu", **flag).get_text_embedding


def llama_index_local(folder: str) -> Embed:
    return resolve_embed_model(f"local:{folder}").get_text_embedding


def chroma(folder: str, **flag: Any) -> Embed:
    function = SentenceTransformerEmbeddingFunction(folder, **flag)
    return lambda text: function([text])[0]


def reopened_chroma(folder: str, **flag: Any) -> Embed:
    """The function as Chroma builds it from what a collection stores."""
    function = SentenceTransformerEmbeddingFunction(folder, **flag)
    config = json.loads(json.dumps(function.get_config()))
    SentenceTransformerEmbeddingFunction.models.clear()
    again = SentenceTransformerEmbeddingFunction.build_from_config(config)
    return lambda text: again([text])[0]


@pytest.fixture(autouse=True)
def _private_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_INDEX_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(SentenceTransformerEmbeddingFunction, "models", {})


@pytest.fixture(scope="module")
def extended(minilm_folder: Path) -> le.LongSentenceTransformer:
    return le.load(str(minilm_folder), "rp", max_seq_length=1024)


@pytest.fixture(scope="module")
def expected(extended) -> np.ndarray:
    vector = extended.encode(TEXT)
    stock = le.load(extended.long_transformer.model.name_or_path, "none", on_overflow="truncate")
    assert cosine(stock.encode(TEXT), vector) < 0.999, "the text must tell the models apart"
    return vector


@pytest.fixture(scope="module")
def baked(extended, tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("models") / "baked"
    le.bake(extended, folder)
    return str(folder)


@pytest.fixture(scope="module")
def saved(extended, tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("models") / "saved"
    extended.save_pretrained(str(folder))
    return str(folder)


@pytest.mark.parametrize("load", [langchain, llama_index, chroma, reopened_chroma])
def test_a_baked_folder_works_unmodified_and_a_saved_one_with_the_trust_flag(
    load, baked, saved, expected
) -> None:
    assert cosine(load(baked)(TEXT), expected) > 0.999999
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        load(saved)
    assert cosine(load(saved, **TRUST)(TEXT), expected) > 0.999999


def test_llama_index_takes_local_folders_by_name(baked, saved, expected) -> None:
    assert cosine(llama_index_local(baked)(TEXT), expected) > 0.999999
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        llama_index_local(saved)


def test_llama_index_itself_needs_an_upper_length(minilm_folder, tmp_path) -> None:
    folder = str(tmp_path / "pcw")
    le.load(str(minilm_folder), "pcw").save_pretrained(folder)
    with pytest.raises(ValueError, match="max_length"):
        llama_index(folder, **TRUST)
    assert len(langchain(folder, **TRUST)(TEXT)) == len(chroma(folder, **TRUST)(TEXT)) == 384
    le.load(str(minilm_folder), "pcw", max_seq_length=8192).save_pretrained(folder)
    assert len(llama_index(folder, **TRUST)(TEXT)) == 384
