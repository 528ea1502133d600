"""One text, one vector: through the core and through every adapter."""

from __future__ import annotations

import numpy as np
import pytest
from compare import cosine

pytest.importorskip("langchain_core")
pytest.importorskip("llama_index.core")
pytest.importorskip("chromadb")

import longembed_st as le
from chroma_longembed import LongEmbedEmbeddingFunction
from langchain_longembed import LongEmbedEmbeddings
from llama_index.embeddings.longembed import LongEmbedEmbedding
from longembed_st.loading.whitening import Whitening, WhiteningMap

TEXT = "The committee met on Tuesday.\n\tIt discussed the budget,  and the weather. " * 40


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "pcw", "window_size": 128, "overlap": 16},
        {"method": "pi", "max_seq_length": 4096, "logn_scaling": True},
        {"method": "pcw", "backend": "openvino", "dtype": "bfloat16"},
    ],
    ids=["pcw", "pi", "openvino"],
)
@pytest.mark.filterwarnings("ignore::longembed_st.TextNotReadWarning")
def test_every_adapter_gives_the_vector_of_the_core(minilm_folder, settings) -> None:
    folder = str(minilm_folder)
    core = le.load(folder, **settings)
    langchain = LongEmbedEmbeddings(model=folder, **settings)
    llama_index = LongEmbedEmbedding(model_name=folder, **settings)
    chroma = LongEmbedEmbeddingFunction(folder, **settings)

    document = core.encode_document(TEXT)
    assert cosine(langchain.embed_documents([TEXT])[0], document) > 0.999999
    assert cosine(llama_index.get_text_embedding(TEXT), document) > 0.999999
    assert cosine(chroma([TEXT])[0], document) > 0.999999
    query = core.encode_query(TEXT)
    assert cosine(langchain.embed_query(TEXT), query) > 0.999999
    assert cosine(llama_index.get_query_embedding(TEXT), query) > 0.999999
    assert cosine(chroma.embed_query([TEXT])[0], query) > 0.999999
    assert langchain.fingerprint == llama_index.fingerprint == chroma.fingerprint
    again = LongEmbedEmbeddingFunction.build_from_config(chroma.get_config())
    assert again.fingerprint == chroma.fingerprint == le.fingerprint(core)


def test_every_adapter_takes_a_whitening(minilm_folder, tmp_path) -> None:
    """And what it stores builds the same again."""
    draw = np.random.default_rng(0)
    file = tmp_path / "fitted.safetensors"
    weights = draw.uniform(size=30522).astype(np.float32)
    whitening = Whitening(WhiteningMap(draw.normal(size=(64, 384))), weights)
    whitening.write(file)
    folder, settings = str(minilm_folder), {"method": "pcw", "whitening": str(file)}
    core = le.load(folder, **settings)
    langchain = LongEmbedEmbeddings(model=folder, **settings)
    llama_index = LongEmbedEmbedding(model_name=folder, **settings)
    chroma = LongEmbedEmbeddingFunction(folder, **settings)
    document = core.encode_document(TEXT)
    assert document.shape == (64,)
    assert cosine(langchain.embed_documents([TEXT])[0], document) > 0.999999
    assert cosine(llama_index.get_text_embedding(TEXT), document) > 0.999999
    again = LongEmbedEmbeddingFunction.build_from_config(chroma.get_config())
    assert cosine(again([TEXT])[0], document) > 0.999999
    assert langchain.fingerprint == llama_index.fingerprint == again.fingerprint
    assert chroma.fingerprint != LongEmbedEmbeddingFunction(folder, method="pcw").fingerprint
