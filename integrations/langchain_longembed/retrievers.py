"""LangChain's view of a store that `longembed index` has made."""

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

from longembed_index.finding import Finder
from longembed_index.modes import CANDIDATES, Mode
from longembed_index.passages import as_dict
from longembed_st.base.settings import ModelSettings
from longembed_st.loading.reranker import reranker_of

if TYPE_CHECKING:
    from longembed_index.passages import DocumentHit
    from longembed_st.base.reranking import Reranker


class LongEmbedRetriever(BaseRetriever):
    """Whole documents with the passages that answer, or the passages themselves.

    The store is one of `longembed index`; with spans, it has passages. `k` counts documents; it and
    `where` can be given to the constructor or to `invoke(query, k=3, where={"title": "*.pdf"})`.
    The model is loaded once, when it is first needed.

    Each document has in its metadata `source`, `title`, `score`, its parts `document_score`,
    `span_score` and `words`, as far as they were asked, and `passages`, each with `text`, `start`,
    `end`, `share`, `page`, `heading`, `score` and the characters of its best `sentence`.

    Example:
        ```python
        retriever = LongEmbedRetriever(store="./store", k=3, returns="passages")
        retriever.invoke("who approved the budget?")
        ```
    """

    model_config = ConfigDict(extra="forbid")

    store: str = Field(description="Folder of the store, or KIND:URL of one elsewhere.")
    k: int = Field(default=5, ge=1, description="The most documents.")
    passages: int = Field(default=1, ge=1, description="The most passages of a document.")
    where: dict[str, str] | None = Field(
        default=None, description="What the documents' metadata must be, with `*` and `?`."
    )
    mode: Mode | None = Field(
        default=None,
        description="By words and vectors (hybrid), by vectors (dense), or by words (lexical); "
        "None as the store was told, or hybrid.",
    )
    weight: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Of the vectors in a hybrid search; None as the store was told, or 0.4.",
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

    _finder: Finder | None = PrivateAttr(default=None)
    _reranker: Any = PrivateAttr(default=None)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        where: dict[str, str] | None = None,
    ) -> list[Document]:
        """What answers a query.

        Args:
            query: The query.
            run_manager: LangChain's.
            k: The most documents, instead of the retriever's.
            where: Likewise.

        Raises:
            ConfigError: If the query is blank, or there is no such store.
            StoreError: If the store cannot be read.
        """
        if self._finder is None:
            given = ModelSettings() if self.device is None else ModelSettings(device=self.device)
            self._finder = Finder(self.store, collection=self.collection, given=given)
        hits, _ = self._finder.find(
            query,
            self.k if k is None else k,
            passages=self.passages,
            where=self.where if where is None else where,
            mode=self.mode,
            weight=self.weight,
            reranker=self._loaded_reranker(),
            candidates=self.candidates,
        )
        has_passages = self.reranker is not None or self._finder.has_passages(self.mode)
        if self.returns == "passages" and has_passages:
            return [document for hit in hits for document in _passages(hit)]
        return [Document(page_content=hit.text, metadata=_metadata(hit)) for hit in hits]

    def _loaded_reranker(self) -> Reranker | None:
        if self.reranker is not None and self._reranker is None:
            self._reranker = reranker_of(self.reranker, device=self.device)
        return self._reranker

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        where: dict[str, str] | None = None,
    ) -> list[Document]:
        """The same, computed in a thread."""
        answer = partial(
            self._get_relevant_documents,
            query,
            run_manager=run_manager.get_sync(),
            k=k,
            where=where,
        )
        return await run_in_executor(None, answer)


def _metadata(hit: DocumentHit) -> dict[str, Any]:
    found = {"source": hit.hit.source, "title": hit.hit.title, "score": hit.hit.score}
    more = hit.passages or hit.words or hit.first_score is not None
    return {**found, **as_dict(hit)} if more else found


def _passages(hit: DocumentHit) -> list[Document]:
    data = _metadata(hit)
    return [
        Document(
            page_content=passage.text,
            metadata={
                "source": data["source"],
                "title": data["title"],
                "document_score": data["score"],
                **{name: value for name, value in described.items() if name != "text"},
            },
        )
        for passage, described in zip(hit.passages, data.get("passages", []), strict=True)
    ]
