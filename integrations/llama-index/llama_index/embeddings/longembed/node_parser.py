"""A node parser that leaves documents whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid5

from llama_index.core.node_parser.interface import IdFuncCallable, NodeParser
from llama_index.core.node_parser.node_utils import build_nodes_from_splits
from llama_index.core.schema import BaseNode
from pydantic import Field, field_validator

_NODE_IDS = UUID("7f2b6d0a-9c1e-5c54-8a43-0d8a5b1c6e2f")


def whole_document_id(i: int, doc: BaseNode) -> str:
    """Return the id of the only node of a document; equal ids of documents give equal ids."""
    return str(uuid5(_NODE_IDS, doc.node_id))


class WholeDocumentParser(NodeParser):
    """One node per document: its whole text, its metadata, and the document as its source.

    Give it in the place of the sentence splitter that LlamaIndex would use, which cuts documents
    into chunks and refuses those whose metadata are longer than a chunk. The node's id follows from
    the document's, so that ingesting a document again replaces its node.

    Example:
        ```python
        pipeline = IngestionPipeline(transformations=[WholeDocumentParser(), embed_model])
        nodes = pipeline.run(documents=documents)
        ```
    """

    embed_metadata: bool = Field(
        default=False,
        description="Whether the metadata stand before the text when it is embedded. They always "
        "do where a language model reads the text.",
    )
    id_func: IdFuncCallable = Field(
        default=whole_document_id,
        description="Gives the id of a document's node, from 0 and the document.",
    )

    @field_validator("id_func", mode="before")
    @classmethod
    def _restore_id_func(cls, value: Any) -> Any:
        """Restore the default function, which is stored by its name."""
        stored = isinstance(value, dict) and value.get("id_func_name")
        return whole_document_id if stored == whole_document_id.__name__ else value

    @classmethod
    def class_name(cls) -> str:
        """Return the name that LlamaIndex stores."""
        return "WholeDocumentParser"

    def _parse_nodes(
        self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any
    ) -> list[BaseNode]:
        return [self._node(document) for document in nodes]

    def _node(self, document: BaseNode) -> BaseNode:
        text = document.get_content()
        (node,) = build_nodes_from_splits([text], document, id_func=self.id_func)
        if self.include_metadata and not self.embed_metadata:
            keys = [*document.excluded_embed_metadata_keys, *document.metadata]
            node.excluded_embed_metadata_keys = list(dict.fromkeys(keys))
        return node
