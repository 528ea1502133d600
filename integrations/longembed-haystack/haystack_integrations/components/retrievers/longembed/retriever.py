"""A Haystack component that searches an index."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from haystack import Document, component, default_from_dict, default_to_dict

from longembed_index.index import Index
from longembed_index.search.ranking import CANDIDATES, Mode
from longembed_st.errors import ConfigError
from longembed_st.loading.reranker import reranker_of

if TYPE_CHECKING:
    from longembed_index.document import Hit, Passage

_RETURNS = ("passages", "documents", "context")


@component
class LongEmbedRetriever:
    """Return the passages of an index that answer, or whole documents.

    The index is made by `longembed index` or by `longembed_index.Index`; no document store of
    Haystack is needed. The `meta` of a passage has the metadata of its document, `source`, `title`,
    its place (`start`, `end`, `share`, `page`, `heading`), `document_score`, `is_answer`, and
    `sentence`, the text of its best sentence.

    Args:
        store: Folder of the store, or `KIND:URL` of one in an object store.
        top_k: The most documents.
        passages: The most passages of a document.
        where: Filter of documents by their metadata: `{"year": 2019}`, `{"title": "*.pdf"}`,
            `{"year": {"gte": 2018}}`.
        mode: "hybrid", "dense" (by vectors) or "lexical" (by words); None for the setting of the
            index, or "hybrid".
        weight: Weight of the vectors in a hybrid search, from 0 to 1; None for the setting of the
            index, or 0.2.
        returns: What a Haystack document is: a passage, a whole document, or the passages of all
            documents that fill `max_words`, as one text for a prompt.
        max_words: The most words of a context.
        reranker: Name or folder of a cross-encoder or late-interaction model that orders the best
            documents anew.
        candidates: Documents that the reranker reads, at least `top_k`.
        collection: Collection in the store.
        device: Where to compute; None chooses.

    Raises:
        ConfigError: If `returns` is something else.

    Example:
        ```python
        from haystack import Pipeline
        from haystack_integrations.components.retrievers.longembed import LongEmbedRetriever

        pipeline = Pipeline()
        pipeline.add_component("retriever", LongEmbedRetriever("./store", top_k=3))
        pipeline.run({"retriever": {"query": "who approved the budget?"}})
        ```
    """

    def __init__(
        self,
        store: str | Path,
        *,
        top_k: int = 5,
        passages: int = 1,
        where: dict[str, Any] | None = None,
        mode: Mode | None = None,
        weight: float | None = None,
        returns: Literal["passages", "documents", "context"] = "passages",
        max_words: int = 600,
        reranker: str | None = None,
        candidates: int = CANDIDATES,
        collection: str = "documents",
        device: str | None = None,
    ) -> None:
        if returns not in _RETURNS:
            raise ConfigError(f"returns must be one of {', '.join(_RETURNS)}, not {returns!r}")
        self._init_parameters: dict[str, Any] = {
            "store": str(store),
            "top_k": top_k,
            "passages": passages,
            "where": where,
            "mode": mode,
            "weight": weight,
            "returns": returns,
            "max_words": max_words,
            "reranker": reranker,
            "candidates": candidates,
            "collection": collection,
            "device": device,
        }
        self._index: Index | None = None
        self._reranker: Any = None

    def warm_up(self) -> None:
        """Open the index, and load the reranker.

        Raises:
            StoreError: If there is no such store.
            ModelError: If the reranker cannot be loaded.
        """
        if self._index is not None:
            return
        given = self._init_parameters
        settings = {} if given["device"] is None else {"device": given["device"]}
        if given["reranker"] is not None:
            self._reranker = reranker_of(given["reranker"], **settings)
        self._index = Index.open(given["store"], collection=given["collection"], **settings)

    def to_dict(self) -> dict[str, Any]:
        """Return the component as a dictionary, which Haystack writes into a pipeline's YAML."""
        data: dict[str, Any] = default_to_dict(self, **self._init_parameters)
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        """Return the component that `to_dict` described."""
        return default_from_dict(cls, data)

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, where: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, Any]:
        """Return what answers a query, best first.

        Args:
            query: The query.
            where: A filter; None for that of the component.
            top_k: The most documents; None for the number of the component.

        Returns:
            `documents`: passages, whole documents, or one context.

        Raises:
            ConfigError: If the query is blank, or the index is empty.
            StoreError: If the store cannot be read.
        """
        self.warm_up()
        assert self._index is not None
        given = self._init_parameters
        options = {name: given[name] for name in ("mode", "weight")}
        options["where"] = given["where"] if where is None else where
        if given["returns"] == "context":
            context = self._index.context(query, given["max_words"], **options)
            meta = context.to_dict()
            return {"documents": [Document(content=meta.pop("text"), meta=meta)]}
        hits = self._index.search(
            query,
            given["top_k"] if top_k is None else top_k,
            passages=given["passages"],
            reranker=self._reranker,
            candidates=given["candidates"],
            **options,
        )
        if given["returns"] == "documents":
            return {"documents": [_document(hit) for hit in hits]}
        return {"documents": [_passage(hit, passage) for hit in hits for passage in hit.passages]}

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query: str, where: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, Any]:
        """Call `run` in a thread, so that the event loop is not blocked."""
        return await asyncio.to_thread(self.run, query, where, top_k)


def _document(hit: Hit) -> Document:
    document = hit.document
    meta = {
        **document.metadata,
        "source": document.id,
        "title": document.title,
        "is_answer": hit.is_answer,
    }
    return Document(id=document.id, content=document.text, meta=meta, score=hit.score)


def _passage(hit: Hit, passage: Passage) -> Document:
    meta = hit.passage_metadata(passage)
    return Document(
        id=f"{hit.document.id}#{passage.start}-{passage.end}",
        content=passage.text,
        score=meta.pop("score"),
        meta=meta,
    )
