"""The pieces of code in README, docs and docstrings are accepted by type checkers.

What the text around a piece has introduced stands before it; nothing else does.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from docs_snippets import ROOT, python_snippets

KNOWN = {
    "integrations_1": """
        from langchain_core.documents import Document
        documents = [Document(page_content="")]""",
    "integrations_2": "whole_contract = whole_report = ''",
    "integrations_3": """
        from langchain_longembed import LongEmbedEmbeddings
        embeddings = LongEmbedEmbeddings(model="m")""",
    "integrations_4": """
        from langchain_longembed import LongEmbedEmbeddings
        embeddings = LongEmbedEmbeddings(model="m")""",
    "integrations_5": """
        from llama_index.core.llms import MockLLM
        llm = MockLLM()""",
    "integrations_6": """
        from llama_index.core import VectorStoreIndex
        index = VectorStoreIndex(nodes=[])""",
    "integrations_7": """
        from llama_index.core import Document
        documents = [Document(text="")]""",
    "integrations_9": "whole_report = ''",
    "integrations_10": "whole_contract = whole_report = ''",
    "integrations_11": """
        import chromadb
        from chroma_longembed import LongEmbedEmbeddingFunction
        client = chromadb.PersistentClient("store")""",
    "integrations_12": "whole_report = ''",
    "serving_1": "name = 'm'",
    "serving_2": "name = 'm'",
    "tuning_0": """
        import longembed_st as le
        from sentence_transformers import SentenceTransformer""",
    "whitening_0": """
        import longembed_st as le
        model, documents = le.load("m"), ['']""",
    "chroma_longembed_embedding_function": """
        import chromadb
        from chroma_longembed import LongEmbedEmbeddingFunction
        client = chromadb.PersistentClient("chroma")""",
    "langchain_longembed_embeddings": """
        from langchain_core.vectorstores import InMemoryVectorStore
        from langchain_longembed import LongEmbedEmbeddings
        whole_report = ''""",
    "langchain_longembed_compressors": """
        from langchain_core.documents import Document
        from langchain_longembed import LongEmbedReranker
        documents = [Document(page_content="")]""",
    "longembed_base_longembedreranker": """
        from llama_index.core import VectorStoreIndex
        from llama_index.postprocessor.longembed import LongEmbedReranker
        index = VectorStoreIndex(nodes=[])""",
    "langchain_longembed_retrievers": "from langchain_longembed import LongEmbedRetriever",
    "longembed_base_longembedembedding": """
        from llama_index.core import Document, VectorStoreIndex
        from llama_index.embeddings.longembed import LongEmbedEmbedding, WholeDocumentParser
        documents = [Document(text="")]""",
    "longembed_node_parser": """
        from llama_index.core import Document
        from llama_index.core.ingestion import IngestionPipeline
        from llama_index.embeddings.longembed import LongEmbedEmbedding, WholeDocumentParser
        documents, embed_model = [Document(text="")], LongEmbedEmbedding(model_name="m")""",
    "longembed_passage_parser": """
        from llama_index.core import Document, VectorStoreIndex
        from llama_index.embeddings.longembed import LongEmbedEmbedding, PassageNodeParser
        documents = [Document(text="")]""",
    "longembed_base_longembedretriever": """
        from llama_index.core.llms import MockLLM
        from llama_index.core.query_engine import RetrieverQueryEngine
        from llama_index.retrievers.longembed import LongEmbedRetriever
        llm = MockLLM()""",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("snippets")
    names = set()
    for name, code in python_snippets():
        known = [text for start, text in KNOWN.items() if name.startswith(start)]
        before = "\n".join(line.strip() for text in known for line in text.splitlines())
        (folder / f"{name}.py").write_text(f"{before}\n{code}", encoding="utf8")
        names.add(name)
    assert len(names) >= 20
    assert all(any(name.startswith(start) for name in names) for start in KNOWN)
    return folder


def test_mypy_accepts_them(folder) -> None:
    # With the cache of `make lint`, which runs before.
    options = ["--config-file", str(ROOT / "pyproject.toml")]
    command = [sys.executable, "-m", "mypy", *options, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_pyright_accepts_them(folder) -> None:
    (folder / "pyrightconfig.json").write_text('{"reportMissingImports": false}')
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "-p", str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
