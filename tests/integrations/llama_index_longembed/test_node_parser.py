"""WholeDocumentParser: one node per document, with all that belongs to it."""

from __future__ import annotations

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import Document, MetadataMode, NodeRelationship, TextNode

from llama_index.embeddings.longembed import WholeDocumentParser

LONG = "One sentence follows\n\nthe other.  " * 2000


@pytest.fixture
def document() -> Document:
    return Document(
        text=LONG,
        id_="report",
        metadata={"file": "report.txt", "year": 2024},
        excluded_embed_metadata_keys=["year"],
        excluded_llm_metadata_keys=["year"],
        metadata_template="<{key}={value}>",
        text_template="{metadata_str}|{content}",
    )


def test_a_document_becomes_one_node_with_its_whole_text(document) -> None:
    (node,) = WholeDocumentParser().get_nodes_from_documents([document])
    assert node.get_content() == LONG
    assert (node.start_char_idx, node.end_char_idx) == (0, len(LONG))
    assert node.metadata == document.metadata
    assert node.excluded_llm_metadata_keys == ["year"]


def test_the_only_relation_is_the_source(document) -> None:
    others = [Document(text="b", id_="b"), Document(text="c", id_="c")]
    nodes = WholeDocumentParser()([document, *others])
    assert [node.ref_doc_id for node in nodes] == ["report", "b", "c"]
    for node in nodes:
        assert node.relationships.keys() == {NodeRelationship.SOURCE}
    source = nodes[0].relationships[NodeRelationship.SOURCE]
    assert source.hash == document.hash
    assert source.metadata == document.metadata


def test_the_text_alone_is_embedded_unless_asked_otherwise(document) -> None:
    (alone,) = WholeDocumentParser()([document])
    assert alone.get_content(MetadataMode.EMBED) == LONG
    assert alone.get_content(MetadataMode.LLM) == f"<file=report.txt>|{LONG}".strip()
    (together,) = WholeDocumentParser(embed_metadata=True)([document])
    assert together.get_content(MetadataMode.EMBED) == f"<file=report.txt>|{LONG}".strip()
    assert document.excluded_embed_metadata_keys == ["year"], "the document must stay as it was"


def test_metadata_can_be_left_out(document) -> None:
    (node,) = WholeDocumentParser(include_metadata=False)([document])
    assert node.metadata == {}
    assert node.get_content(MetadataMode.EMBED) == LONG


def test_metadata_longer_than_a_chunk_are_no_error() -> None:
    document = Document(text=LONG, metadata={"abstract": "long metadata " * 2000})
    with pytest.raises(ValueError, match="Metadata length"):
        SentenceSplitter()([document])
    (node,) = WholeDocumentParser()([document])
    assert node.metadata == document.metadata


def test_ids_follow_from_the_documents_and_differ_from_them(document) -> None:
    other = Document(text=LONG, id_="other")
    first = [node.node_id for node in WholeDocumentParser()([document, other])]
    again = [node.node_id for node in WholeDocumentParser()([document, other])]
    assert first == again
    assert len({*first, "report", "other"}) == 4


def test_ids_can_be_given() -> None:
    parser = WholeDocumentParser(id_func=lambda i, doc: f"{doc.node_id}-{i}")
    assert parser([Document(text="a", id_="x")])[0].node_id == "x-0"


def test_a_node_can_be_a_document() -> None:
    (node,) = WholeDocumentParser()([TextNode(text="text", id_="node", metadata={"a": 1})])
    assert node.get_content(MetadataMode.EMBED) == "text"
    assert node.metadata == {"a": 1}
    assert node.ref_doc_id == "node"


def test_settings_survive_a_round_trip() -> None:
    parser = WholeDocumentParser(embed_metadata=True)
    assert WholeDocumentParser.from_dict(parser.to_dict()).to_dict() == parser.to_dict()
