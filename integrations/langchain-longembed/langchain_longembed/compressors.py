"""LangChain's rerankers: documents in a better order, or the passages that answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ConfigDict, Field, PrivateAttr

from longembed_st.base.reranking import Reranker, WindowScores
from longembed_st.loading.reranker import reranker_of


class LongEmbedReranker(BaseDocumentCompressor):
    """Documents read whole together with the query, the best first.

    For a `ContextualCompressionRetriever`, behind any retriever. Each document has in its metadata
    `relevance_score`, and of its best window `start` and `end` in characters.

    Example:
        ```python
        reranker = LongEmbedReranker(model="cross-encoder/ms-marco-MiniLM-L6-v2", top_n=3)
        reranker.compress_documents(documents, "who approved the budget?")
        ```
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    model: Any = Field(
        description="Cross-encoder or late-interaction model: its name or folder, or one that "
        "`longembed_st.load` has loaded."
    )
    top_n: int | None = Field(default=None, ge=1, description="The most documents; None for all.")
    returns: Literal["documents", "passages"] = Field(
        default="documents", description="Whole documents, or of each its best window."
    )
    device: str | None = Field(default=None, description="Where to compute; None chooses.")

    _reranker: Any = PrivateAttr(default=None)

    def _loaded(self) -> Reranker:
        if self._reranker is None:
            self._reranker = reranker_of(self.model, device=self.device)
        reranker: Reranker = self._reranker
        return reranker

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """Order documents by their scores for a query.

        Args:
            documents: The documents.
            query: The query.
            callbacks: Not used.

        Returns:
            The best first.

        Raises:
            ModelError: If the model cannot be loaded, or is not a reranker.
            InputError: If a text cannot be read.
        """
        if not documents:
            return []
        texts = [document.page_content for document in documents]
        scores = self._loaded().score_windows(query, texts)
        order = sorted(range(len(scores)), key=lambda index: -scores[index].score)
        return [self._scored(documents[i], scores[i]) for i in order[: self.top_n]]

    def _scored(self, document: Document, scores: WindowScores) -> Document:
        data: dict[str, Any] = {**document.metadata, "relevance_score": scores.score}
        text = document.page_content
        if scores.best_span is not None:
            start, end = scores.best_span
            data |= {"start": start, "end": end}
            text = text[start:end] if self.returns == "passages" else text
        return Document(page_content=text, metadata=data, id=document.id)
