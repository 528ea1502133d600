"""A node parser whose nodes carry their vectors: late chunking inside LlamaIndex."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid5

from llama_index.core.node_parser.interface import NodeParser
from llama_index.core.node_parser.node_utils import build_nodes_from_splits
from llama_index.core.schema import BaseNode
from pydantic import Field

from llama_index.embeddings.longembed.base import LongEmbedEmbedding
from longembed_index.rows import PASSAGE_TOKENS, encode_passages

_NODE_IDS = UUID("4bb4d5b4-6a0a-5b37-9e1a-2d8d2b0f8c57")


class PassageNodeParser(NodeParser):
    """One node per passage of a document, with the vector that it has in its document.

    A passage is a run of whole sentences.

    Each document is read once, as a whole. LlamaIndex does not embed nodes again that have a vector
    already; give the index the same embedding model, for the queries. A node's id follows from its
    document's and its place, so that ingesting a document twice replaces its nodes.

    Example:
        ```python
        embed_model = LongEmbedEmbedding(model_name="thenlper/gte-small")
        parser = PassageNodeParser(embed_model=embed_model)
        index = VectorStoreIndex(parser(documents), embed_model=embed_model)
        ```
    """

    embed_model: LongEmbedEmbedding = Field(description="Reads the documents, and the queries.")
    passage_tokens: int = Field(
        default=PASSAGE_TOKENS, gt=0, description="Most tokens of a passage."
    )

    @classmethod
    def class_name(cls) -> str:
        """Return the name that LlamaIndex stores."""
        return "PassageNodeParser"

    def _parse_nodes(
        self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any
    ) -> list[BaseNode]:
        return [node for document in nodes for node in self._nodes(document)]

    async def _aparse_nodes(
        self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any
    ) -> list[BaseNode]:
        return await asyncio.to_thread(self._parse_nodes, nodes, show_progress, **kwargs)

    def _nodes(self, document: BaseNode) -> list[BaseNode]:
        text = document.get_content()
        encoded = encode_passages(
            self.embed_model.sentence_transformer,
            text,
            tokens=self.passage_tokens,
            prompt=self.embed_model.text_instruction,
        )
        ranges = encoded.ranges.tolist()
        parts = [text[start:end] for start, end in ranges]
        nodes = build_nodes_from_splits(
            parts, document, id_func=lambda number, source: _node_id(number, source)
        )
        for node, (start, end), vector in zip(nodes, ranges, encoded.vectors, strict=True):
            node.embedding = vector.tolist()
            node.start_char_idx, node.end_char_idx = start, end
        return list(nodes)


def _node_id(number: int, document: BaseNode) -> str:
    return str(uuid5(_NODE_IDS, f"{document.node_id}\0{number}"))
