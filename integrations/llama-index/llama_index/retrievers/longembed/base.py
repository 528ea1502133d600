"""LlamaIndex's view of a store that `longembed index` has made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
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

from longembed_index.finding import Finder
from longembed_index.modes import CANDIDATES, Mode
from longembed_st.base.reranking import Reranker
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError
from longembed_st.loading.reranker import reranker_of

if TYPE_CHECKING:
    from longembed_index.passages import DocumentHit, Passage

_NOT_FOR_MODELS = ["source", "document_score", "share", "page", "heading", "sentence"]
"""Metadata that would stand before the text in a language model's prompt, and tell it nothing."""

_IDS = UUID("2a1e0f46-5f0e-5d0b-9b7e-6b2f6f0c9a31")


class LongEmbedRetriever(BaseRetriever):
    """The passages that answer, or whole documents.

    The store is one of `longembed index`; with `--spans`, it has passages. The model is loaded
    once. A node of a passage has `start_char_idx` and `end_char_idx` in its document, which is its
    SOURCE; the same passage has the same id whenever it is found.

    Args:
        store: Folder of the store, or `KIND:URL` of one elsewhere.
        k: The most documents.
        passages: The most passages of a document.
        where: What the documents' metadata must be: values by key, with `*` and `?`.
        mode: "hybrid", by words and vectors; "dense", by vectors; "lexical", by words; None as the
            store was told, or "hybrid".
        weight: Of the vectors in a hybrid search, from 0 to 1; None as the store was told, or 0.4.
        returns: What becomes a node: each passage, or each document whole.
        collection: Collection in the store.
        device: Where to compute; None chooses.
        reranker: Cross-encoder or late-interaction model that orders the best documents anew: its
            name or folder, or one that `longembed_st.load` has loaded.
        candidates: Documents that the reranker reads, at least k.
        **kwargs: Of LlamaIndex's `BaseRetriever`.

    Raises:
        ConfigError: If there is no such store, or passages are wanted of one without spans.

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
        where: Mapping[str, str] | None = None,
        mode: Mode | None = None,
        weight: float | None = None,
        returns: Literal["passages", "documents"] = "passages",
        collection: str = "documents",
        device: str | None = None,
        reranker: str | Path | Reranker | None = None,
        candidates: int = CANDIDATES,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if returns not in ("passages", "documents"):
            raise ConfigError(f"returns must be 'passages' or 'documents', not {returns!r}")
        given = ModelSettings() if device is None else ModelSettings(device=device)
        self._finder = Finder(store, collection=collection, given=given)
        self._finder.ranking.but(mode, weight)
        has_passages = reranker is not None or self._finder.has_passages(mode)
        if returns == "passages" and not has_passages:
            raise ConfigError(
                f"the store in {store} has no spans, and therefore no passages by vectors: run "
                "longembed index --spans, or say mode='hybrid' or returns='documents'"
            )
        self._k, self._returns = k, returns
        self._options: dict[str, Any] = {
            "passages": passages,
            "where": where,
            "mode": mode,
            "weight": weight,
            "reranker": None if reranker is None else reranker_of(reranker, device=device),
            "candidates": candidates,
        }

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        """What answers a query.

        Args:
            query_bundle: The query; its text counts, not an embedding of another model.

        Raises:
            ConfigError: If the query is blank, or the store is empty.
            StoreError: If the store cannot be read.
        """
        hits, _ = self._finder.find(query_bundle.query_str, self._k, **self._options)
        if self._returns == "documents":
            return [NodeWithScore(node=_document(hit), score=hit.hit.score) for hit in hits]
        return [
            NodeWithScore(node=_passage(hit, passage), score=passage.score)
            for hit in hits
            for passage in hit.passages
        ]


def _document(hit: DocumentHit) -> TextNode:
    return TextNode(
        id_=_id(hit.hit.source),
        text=hit.text,
        metadata=_metadata(hit),
        excluded_llm_metadata_keys=_NOT_FOR_MODELS,
        start_char_idx=0,
        end_char_idx=len(hit.text),
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=hit.hit.source)},
    )


def _passage(hit: DocumentHit, passage: Passage) -> TextNode:
    place = asdict(hit.place_of(passage))
    where = {name: value for name, value in place.items() if value is not None}
    if passage.sentence is not None:
        start, end = passage.sentence
        where["sentence"] = hit.text[start:end]
    return TextNode(
        id_=_id(f"{hit.hit.source}\0{passage.start}\0{passage.end}"),
        text=passage.text,
        metadata={**_metadata(hit), **where},
        excluded_llm_metadata_keys=_NOT_FOR_MODELS,
        start_char_idx=passage.start,
        end_char_idx=passage.end,
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=hit.hit.source)},
    )


def _metadata(hit: DocumentHit) -> dict[str, Any]:
    return {"source": hit.hit.source, "title": hit.hit.title, "document_score": hit.hit.score}


def _id(name: str) -> str:
    return str(uuid5(_IDS, name))
