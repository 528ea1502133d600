"""A LangChain retriever that searches an index."""

from __future__ import annotations

from functools import partial
from pathlib import Path
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
    """Return the passages of an index that answer, or whole documents.

    The index is made by `longembed index` or by `longembed_index.Index`. `k` is a number of
    documents. `k` and `where` can be passed to the constructor or to
    `invoke(query, k=3, where={"year": 2019})`. The model is loaded once, when it is first needed.

    The metadata of a passage has the metadata of its document, `source`, `title`, its place
    (`start`, `end`, `share`, `page`, `heading`), `score`, `document_score`, `is_answer`, and
    `sentence`, the text of its best sentence.

    The metadata of a whole document has `score` and the parts of the score (`document_vector`,
    `best_run`, `document_words`, `best_passage_words`, `best_run_words`). Its `passages` is a list
    of the passages and their places.

    Example:
        ```python
        retriever = LongEmbedRetriever(store="./store", k=3)
        retriever.invoke("who approved the budget?")
        ```
    """

    model_config = ConfigDict(extra="forbid")

    store: str | Path = Field(description="Folder of the store, or KIND:URL of a remote store.")
    k: int = Field(default=5, ge=1, description="Largest number of documents.")
    passages: int = Field(
        default=1, ge=1, description="Largest number of passages for each document."
    )
    where: dict[str, Any] | None = Field(
        default=None,
        description='Filter of documents by their metadata: {"year": 2019}, {"title": "*.pdf"}, '
        '{"year": {"gte": 2018}}.',
    )
    mode: Mode | None = Field(
        default=None,
        description="Search by words and vectors (hybrid), by vectors (dense), or by words "
        "(lexical). None: the setting of the index, or else hybrid.",
    )
    weight: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Weight of the vectors in a hybrid search. None: the setting of the index, or "
        "else 0.2.",
    )
    returns: Literal["documents", "passages", "context"] = Field(
        default="passages",
        description="What a LangChain Document is: a passage, a whole document, however long, or "
        "the passages of all documents that fill `max_words`, as one text for a prompt.",
    )
    max_words: int = Field(
        default=600, ge=1, description='Largest number of words if it returns "context".'
    )
    reranker: Any = Field(
        default=None,
        description="Cross-encoder or late-interaction model that reranks the best documents: its "
        "name, its folder, or a model from `longembed_st.load`.",
    )
    candidates: int = Field(
        default=CANDIDATES,
        ge=1,
        description="Number of documents that the reranker reads; at least k.",
    )
    collection: str = Field(default="documents", description="Collection in the store.")
    device: str | None = Field(
        default=None, description="Device to compute on. None: the best available one."
    )

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
        """Return the documents or passages for a query, best first.

        `k` and `where` go before those of the retriever.
        """
        if self.returns == "context":
            return self._context(query, self.where if where is None else where)
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

    def _context(self, query: str, where: dict[str, Any] | None) -> list[Document]:
        context = self._opened().context(
            query, self.max_words, where=where, mode=self.mode, weight=self.weight
        )
        metadata = context.to_dict()
        return [Document(page_content=metadata.pop("text"), metadata=metadata)]

    def _opened(self) -> Index:
        # Two threads can both open the index the first time. That is cheap and does no harm.
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
        """Run `_get_relevant_documents` in a thread."""
        search = partial(
            self._get_relevant_documents,
            query,
            run_manager=run_manager.get_sync(),
            k=k,
            where=where,
        )
        return await run_in_executor(None, search)


def _whole(hit: Hit) -> Document:
    fields = hit.to_dict()
    # Metadata and scores are not nested: vector stores do not take mappings as metadata.
    metadata = {**fields.pop("metadata"), **fields.pop("scores"), **fields}
    return Document(id=hit.document.id, page_content=hit.document.text, metadata=metadata)


def _passages(hit: Hit) -> list[Document]:
    """Return a LangChain document for each passage; the whole document if it has no passages."""
    if not hit.passages:
        return [_whole(hit)]
    return [
        Document(
            id=f"{hit.document.id}#{passage.start}-{passage.end}",
            page_content=passage.text,
            metadata=hit.passage_metadata(passage),
        )
        for passage in hit.passages
    ]
