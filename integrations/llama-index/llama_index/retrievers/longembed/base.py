"""A LlamaIndex retriever that searches an index."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID, uuid5

from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import (
    NodeRelationship,
    NodeWithScore,
    QueryBundle,
    RelatedNodeInfo,
    TextNode,
)

from longembed_index.index import Index
from longembed_index.search.ranking import CANDIDATES, Mode
from longembed_st.base.reranking import Reranker
from longembed_st.errors import ConfigError
from longembed_st.loading.reranker import reranker_of

if TYPE_CHECKING:
    from longembed_index.document import Hit, Passage

_PLACE = ("share", "page", "heading", "sentence")
_NOT_FOR_PROMPTS = ["source", "document_score", "is_answer", *_PLACE]
"""Metadata that would stand before the text in a language model's prompt, and tell it nothing."""

_NODE_IDS = UUID("2a1e0f46-5f0e-5d0b-9b7e-6b2f6f0c9a31")


class LongEmbedRetriever(BaseRetriever):
    """Return the passages that answer, or whole documents.

    The index is one that `longembed index` or `longembed_index.Index` has made. The model is loaded
    once. A node of a passage has `start_char_idx` and `end_char_idx` in its document, which is its
    SOURCE; the same passage has the same id whenever it is found.

    Args:
        store: Folder of the store, or `KIND:URL` of one in an object store.
        k: The most documents.
        passages: The most passages of a document.
        where: Filter of documents by their metadata: `{"year": 2019}`, `{"title": "*.pdf"}`,
            `{"year": {"gte": 2018}}`.
        mode: "hybrid", by words and vectors; "dense", by vectors; "lexical", by words; None for
            the setting of the index, or "hybrid".
        weight: Weight of the vectors in a hybrid search, from 0 to 1; None for the setting of
            the index, or 0.2.
        returns: What becomes a node: each passage, each document whole, or the context: the
            passages of all documents that fill `max_words`, as one text for a prompt.
        max_words: The most words of a context.
        collection: Collection in the store.
        device: Where to compute; None chooses.
        reranker: Cross-encoder or late-interaction model that orders the best documents anew: its
            name or folder, or one that `longembed_st.load` has loaded.
        candidates: Documents that the reranker reads, at least k.
        **kwargs: Arguments of LlamaIndex's `BaseRetriever`.

    Raises:
        ConfigError: If a setting is wrong, or passages are wanted of an index without them.
        StoreError: If there is no such store.

    Example:
        ```python
        retriever = LongEmbedRetriever("./store", k=3)
        engine = RetrieverQueryEngine.from_args(retriever, llm=llm)
        ```
    """

    def __init__(
        self,
        store: str | Path,
        *,
        k: int = 5,
        passages: int = 1,
        where: Mapping[str, Any] | None = None,
        mode: Mode | None = None,
        weight: float | None = None,
        returns: Literal["passages", "documents", "context"] = "passages",
        max_words: int = 600,
        collection: str = "documents",
        device: str | None = None,
        reranker: str | Path | Reranker | None = None,
        candidates: int = CANDIDATES,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if returns not in ("passages", "documents", "context"):
            raise ConfigError(
                f"returns must be 'passages', 'documents' or 'context', not {returns!r}"
            )
        settings: dict[str, Any] = {} if device is None else {"device": device}
        self._index = Index.open(store, collection=collection, **settings)
        ranking = self._index.ranking.with_overrides(mode, weight)
        has_passages = self._index.info.units or ranking.mode != "dense" or reranker is not None
        if returns == "passages" and not has_passages:
            raise ConfigError(
                f"the index in {store} has no vectors of passages, and mode='dense' finds none "
                "without. Use mode='hybrid' or returns='documents', or index again with --units"
            )
        self._k, self._returns, self._max_words = k, returns, max_words
        self._options: dict[str, Any] = {
            "passages": passages,
            "where": where,
            "mode": mode,
            "weight": weight,
            "reranker": None if reranker is None else reranker_of(reranker, device=device),
            "candidates": candidates,
        }

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        """Return what answers the text of a query, best first."""
        if self._returns == "context":
            options = {name: self._options[name] for name in ("where", "mode", "weight")}
            context = self._index.context(query_bundle.query_str, self._max_words, **options)
            metadata = context.to_dict()
            node = TextNode(text=metadata.pop("text"), metadata=metadata)
            node.excluded_llm_metadata_keys = node.excluded_embed_metadata_keys = list(metadata)
            return [NodeWithScore(node=node)]
        hits = self._index.search(query_bundle.query_str, self._k, **self._options)
        if self._returns == "documents":
            return [NodeWithScore(node=_document_node(hit), score=hit.score) for hit in hits]
        return [
            NodeWithScore(node=_passage_node(hit, passage), score=passage.score)
            for hit in hits
            for passage in hit.passages
        ]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        """Run `_retrieve` in a thread."""
        return await asyncio.to_thread(self._retrieve, query_bundle)


def _document_node(hit: Hit) -> TextNode:
    return TextNode(
        id_=_node_id(hit.document.id),
        text=hit.document.text,
        metadata={
            **hit.document.metadata,
            "source": hit.document.id,
            "title": hit.document.title,
            "document_score": hit.score,
            "is_answer": hit.is_answer,
        },
        excluded_llm_metadata_keys=_NOT_FOR_PROMPTS,
        start_char_idx=0,
        end_char_idx=len(hit.document.text),
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=hit.document.id)},
    )


def _passage_node(hit: Hit, passage: Passage) -> TextNode:
    metadata = hit.passage_metadata(passage)
    # What the node has itself, and what is not known.
    left_out = ("start", "end", "score", *(key for key in _PLACE if metadata[key] is None))
    return TextNode(
        id_=_node_id(f"{hit.document.id}\0{passage.start}\0{passage.end}"),
        text=passage.text,
        metadata={key: value for key, value in metadata.items() if key not in left_out},
        excluded_llm_metadata_keys=_NOT_FOR_PROMPTS,
        start_char_idx=passage.start,
        end_char_idx=passage.end,
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=hit.document.id)},
    )


def _node_id(name: str) -> str:
    return str(uuid5(_NODE_IDS, name))
