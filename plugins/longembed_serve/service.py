"""What the server can do: one store, its model, and perhaps a reranker, each loaded once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longembed_index.finding import Finder
from longembed_index.opening import COLLECTION, open_store
from longembed_index.passages import as_dict
from longembed_serve.batching import Batcher
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from longembed_index.passages import DocumentHit
    from longembed_serve.schemas import RerankRequest, SearchRequest
    from longembed_st.base.reranking import Reranker
    from longembed_st.base.settings import ModelSettings

MOST_WAITING = 20_000_000
"""Characters of texts that may wait to be read."""


class NotThereError(Exception):
    """What a request names does not exist."""


class Service:
    """Answers requests; whoever writes to the store is not stopped.

    Args:
        directory: The store's folder.
        collection: The collection in it.
        given: Where to compute, or where the model is now; nothing that changes vectors.
        reranker: Orders documents anew; None if that is not offered.
        most_waiting: Characters that may wait to be read.

    Raises:
        ConfigError: If there is no such store.
        ModelError: If its model cannot be loaded.
    """

    def __init__(
        self,
        directory: Path,
        *,
        collection: str = COLLECTION,
        given: ModelSettings | None = None,
        reranker: Reranker | None = None,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._directory, self._collection = directory, collection
        self._finder = Finder(directory, collection=collection, given=given)
        self.model = self._finder.loaded.model
        self.model_name = Path(self._finder.model_name).name
        self.reranker = reranker
        # A store's own files are read by one search at a time.
        self._searching = threading.Lock()
        self.batcher = Batcher(
            lambda texts, role: self.model.encode_with_coverage(texts, role=role), most_waiting
        )

    @property
    def dimensions(self) -> int:
        """Numbers of a vector."""
        return int(self.model.get_embedding_dimension() or 0)

    def count(self) -> int:
        """Documents in the store.

        Raises:
            StoreError: If it cannot be read.
        """
        with open_store(self._directory, None, collection=self._collection) as store:
            return len(store)

    def search(self, asked: SearchRequest) -> list[dict[str, Any]]:
        """What answers a question.

        Args:
            asked: The question.

        Raises:
            ConfigError: If it is blank, or a reranker is asked for and there is none.
            StoreError: If the store cannot be read.
        """
        reranker = self._offered_reranker() if asked.rerank else None
        with self._searching:
            hits, _ = self._finder.find(
                asked.query,
                asked.k,
                passages=asked.passages,
                where=asked.where,
                mode=asked.mode,
                weight=asked.weight,
                reranker=reranker,
                candidates=asked.candidates,
            )
        return [_described(rank, hit) for rank, hit in enumerate(hits, 1)]

    def document(self, source: str) -> dict[str, Any]:
        """A document of the store, whole.

        Args:
            source: Its name there; nothing is read but the store.

        Raises:
            NotThereError: If there is no such document.
            StoreError: If the store cannot be read.
        """
        with open_store(self._directory, None, collection=self._collection) as store:
            ids = [record_id for record_id, name in store.names() if name == source]
            for record in store.get(ids[:1]):
                return {"source": source, "text": record.text or ""}
        raise NotThereError(f"there is no document {source!r} in the store")

    def rerank(self, asked: RerankRequest) -> list[dict[str, Any]]:
        """Documents in the order of their scores for a query.

        Args:
            asked: Query and documents.

        Raises:
            ConfigError: If there is no reranker.
            InputError: If a text cannot be read.
        """
        reranker = self._offered_reranker()
        texts = [_text_of(one) for one in asked.documents]
        found = reranker.score_windows(asked.query, texts)
        results: list[dict[str, Any]] = []
        for index, one in enumerate(found):
            result: dict[str, Any] = {"index": index, "relevance_score": one.score}
            if one.best_span is not None:
                start, end = one.best_span
                result["window"] = {"start": start, "end": end}
            if asked.return_documents:
                result["document"] = {"text": texts[index]}
            results.append(result)
        return sorted(results, key=lambda result: -result["relevance_score"])[: asked.top_n]

    def _offered_reranker(self) -> Reranker:
        if self.reranker is None:
            raise ConfigError("there is no reranker: start the server with --rerank MODEL")
        return self.reranker

    def close(self) -> None:
        """Read what was accepted, and end."""
        self.batcher.close()


def _text_of(document: str | dict[str, str]) -> str:
    if isinstance(document, str):
        return document
    if set(document) != {"text"}:
        raise ConfigError("a document is a string, or an object with the one key 'text'")
    return document["text"]


def _described(rank: int, hit: DocumentHit) -> dict[str, Any]:
    found = asdict(hit.hit)
    return {"rank": rank, **found, "characters": len(hit.text), **as_dict(hit)}


def whole(texts: str | Sequence[Any]) -> list[str]:
    """The texts of a request.

    Args:
        texts: One, or several.

    Raises:
        ConfigError: If they are tokens of another model's tokenizer.
    """
    if isinstance(texts, str):
        return [texts]
    if not all(isinstance(text, str) for text in texts):
        raise ConfigError(
            "input must be texts, not tokens, which are of another model's tokenizer. LangChain's "
            "OpenAIEmbeddings sends texts with check_embedding_ctx_length=False"
        )
    return list(texts)
