"""One text, one vector: through the core and through every adapter."""

from __future__ import annotations

import pytest
from compare import cosine

pytest.importorskip("langchain_core")
pytest.importorskip("llama_index.core")
pytest.importorskip("chromadb")

import longembed_st as le
from chroma_longembed import LongEmbedEmbeddingFunction
from langchain_longembed import LongEmbedEmbeddings
from llama_index.embeddings.longembed import LongEmbedEmbedding

TEXT = "The committee met on Tuesday.\n\tIt discussed the budget,  and the weather. " * 40


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "none"},
        {"method": "pcw", "window_size": 128, "overlap": 16},
        {"method": "pi", "max_seq_length": 4096, "logn_scaling": True},
    ],
    ids=lambda settings: settings["method"],
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
