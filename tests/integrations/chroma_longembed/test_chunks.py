"""Chunks in Chroma collections, as the frameworks write them."""

from __future__ import annotations

import chromadb
import pytest
from command_line import longembed

from chroma_longembed.chunks import read_chunks
from longembed_index.documents.chunks import join_chunks
from longembed_index.errors import StoreError

TEXT = " ".join(f"Sentence {number} is about {number * 7}." for number in range(80))


@pytest.fixture
def place(tmp_path) -> str:
    """A folder with a collection of each framework."""
    pytest.importorskip("langchain_text_splitters")
    pytest.importorskip("llama_index.core")
    from langchain_core.documents import Document
    from langchain_text_splitters import RecursiveCharacterTextSplitter
    from llama_index.core import Document as LlamaDocument
    from llama_index.core.node_parser import SentenceSplitter
    from llama_index.core.vector_stores.utils import node_to_metadata_dict

    client = chromadb.PersistentClient(str(tmp_path / "chroma"))
    splitter = RecursiveCharacterTextSplitter(
        chunk_size=300, chunk_overlap=60, add_start_index=True
    )
    pieces = splitter.split_documents([Document(TEXT, metadata={"source": "a.txt"})])
    client.create_collection("langchain", embedding_function=None).add(
        ids=[f"{number}" for number in range(len(pieces))],
        documents=[piece.page_content for piece in pieces],
        metadatas=[piece.metadata for piece in pieces],
        embeddings=[[1.0, 0.0]] * len(pieces),
    )
    document = LlamaDocument(text=TEXT, metadata={"file_path": "b.txt"})
    nodes = SentenceSplitter(chunk_size=100, chunk_overlap=20).get_nodes_from_documents([document])
    client.create_collection("llama", embedding_function=None).add(
        ids=[node.node_id for node in nodes],
        documents=[node.get_content() for node in nodes],
        metadatas=[node_to_metadata_dict(node, remove_text=True) for node in nodes],
        embeddings=[[1.0, 0.0]] * len(nodes),
    )
    return str(tmp_path / "chroma")


def test_documents_of_both_frameworks_come_back_whole(place) -> None:
    for name, source in (("langchain", "a.txt"), ("llama", "b.txt")):
        joined = join_chunks(read_chunks(f"{place}#{name}"))
        (document,) = joined.documents
        assert joined.chunks > 3
        assert (document.id, " ".join(document.text.split())) == (source, TEXT)
        assert (joined.gaps, joined.guessed) == ({}, [])


def test_a_wrong_name_is_named_with_the_collections(place, tmp_path) -> None:
    for address in (place, f"{place}#nothing"):
        with pytest.raises(StoreError, match="there are: langchain, llama"):
            list(read_chunks(address))
    with pytest.raises(StoreError, match="there is no Chroma database"):
        list(read_chunks(str(tmp_path / "elsewhere")))
    assert not (tmp_path / "elsewhere").exists()


def test_the_command_says_what_it_would_join(place, tmp_path) -> None:
    line = ("import", f"chroma:{place}#llama", "--store", tmp_path / "store")
    result = longembed(*line, "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert "chunks are joined into 1 documents" in result.stdout
    assert longembed("import", "chunks.txt", "--store", tmp_path / "store").exit_code == 1
