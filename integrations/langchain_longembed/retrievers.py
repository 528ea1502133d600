"""A LangChain retriever that searches an index."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables.config import run_in_executor
from pydantic import ConfigDict, Field, PrivateAttr

from longembed_index.index import Index
from longembed_index.search.ranking import CANDIDATES, Mode
from longembed_st.loading.reranker import reranker_of

if TYPE_CHECKING:
    from longembed_index.document import Hit


class LongEmbedRetriever(BaseRetriever):
    """Return whole documents with the passages that answer, or the passages themselves.

    The index is one that `longembed index` or `longembed_index.Index` has made. `k` counts
    documents; it and `where` can be given to the constructor or to
    `invoke(query, k=3, where={"year": 2019})`. The model is loaded once, when it is first needed.

    The metadata of each document has its own metadata, `source`, `title`, `score` and the parts of
    the score (`document_vector`, `best_span`, `document_words`, `best_passage_words`); `passages`
    has each with `text`, `start`, `end`, `share`, `page`, `heading`, `score` and the characters of
    its best `sentence`.

    Example:
        ```python
        retriever = LongEmbedRetriever(store="./store", k=3, returns="passages")
        retriever.invoke("who approved the budget?")
        ```
    """

    model_config = ConfigDict(extra="forbid")

    store: str = Field(description="Folder of the store, or KIND:URL of one in an object store.")
    k: int = Field(default=5, ge=1, description="The most documents.")
    passages: int = Field(default=1, ge=1, description="The most passages of a document.")
    where: dict[str, Any] | None = Field(
        default=None,
        description='Filter of documents by their metadata: {"year": 2019}, {"title": "*.pdf"}, '
        '{"year": {"gte": 2018}}.',
    )
    mode: Mode | None = Field(
        default=None,
        description="By words and vectors (hybrid), by vectors (dense), or by words (lexical); "
        "None as the index was told, or hybrid.",
    )
    weight: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Weight of the vectors in a hybrid search; None as the index was told, or 0.4.",
    )
    returns: Literal["documents", "passages"] = Field(
        default="documents",
        description="What becomes a Document: each document whole, or each of its passages.",
    )
    reranker: Any = Field(
        default=None,
        description="Cross-encoder or late-interaction model that orders the best documents anew: "
        "its name or folder, or one that `longembed_st.load` has loaded.",
    )
    candidates: int = Field(
        default=CANDIDATES, ge=1, description="Documents that the reranker reads, at least k."
    )
    collection: str = Field(default="documents", description="Collection in the store.")
    device: str | None = Field(default=None, description="Where to compute; None chooses.")

    _index: Index | None = PrivateAttr(default=None)
    _reranker: Any = PrivateAttr(default=None)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        where: dict[str, Any] | None = None,
    ) -> list[Document]:
        """Return what answers a query, best first.

        Args:
            query: The query.
            run_manager: Passed by LangChain.
            k: The most documents, instead of the retriever's.
            where: A filter, instead of the retriever's.

        Raises:
            ConfigError: If the query is blank, or a setting is wrong.
            StoreError: If the store does not exist or cannot be read.
        """
        hits = self._opened().search(
            query,
            self.k if k is None else k,
            passages=self.passages,
            where=self.where if where is None else where,
            mode=self.mode,
            weight=self.weight,
            reranker=self._reranker,
            candidates=self.candidates,
        )
        if self.returns == "passages":
            return [document for hit in hits for document in _passages(hit)]
        return [_whole(hit) for hit in hits]

    def _opened(self) -> Index:
        # Two threads that come first open it twice, which costs little and harms nothing.
        if self.reranker is not None and self._reranker is None:
            self._reranker = reranker_of(self.reranker, device=self.device)
        if self._index is None:
            settings: dict[str, Any] = {} if self.device is None else {"device": self.device}
            self._index = Index.open(self.store, collection=self.collection, **settings)
        return self._index

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        where: dict[str, Any] | None = None,
    ) -> list[Document]:
        """Do the same in a thread."""
        answer = partial(
            self._get_relevant_documents,
            query,
            run_manager=run_manager.get_sync(),
            k=k,
            where=where,
        )
        return await run_in_executor(None, answer)


def _whole(hit: Hit) -> Document:
    described = hit.to_dict()
    # Vector stores take numbers, but no mappings, as metadata.
    metadata = {**described.pop("metadata"), **described.pop("scores"), **described}
    return Document(id=hit.document.id, page_content=hit.document.text, metadata=metadata)


def _passages(hit: Hit) -> list[Document]:
    """Return a document for each passage; the whole one where the index knows no passages."""
    if not hit.passages:
        return [_whole(hit)]
    described = hit.to_dict()
    shared = {
        **described["metadata"],
        "source": described["source"],
        "title": described["title"],
        "document_score": described["score"],
    }
    return [
        Document(page_content=passage.pop("text"), metadata={**shared, **passage})
        for passage in described["passages"]
    ]
