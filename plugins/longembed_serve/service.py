"""What the server does: search one index, embed texts with its model, and rerank."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from longembed_index.documents.sources import FileSource
from longembed_serve.batching import Batcher
from longembed_serve.queues import Job, Queue
from longembed_st.errors import ConfigError, InputError
from longembed_st.loading.local_models import display_name

if TYPE_CHECKING:
    from longembed_index.index import Index
    from longembed_serve.schemas import ContextRequest, RerankRequest, SearchRequest
    from longembed_st.base.reranking import Reranker

MAX_WAITING = 20_000_000
"""Characters of texts that may wait to be embedded."""

_QUICK_THREADS = max(2, min(8, os.cpu_count() or 1))
_SLOW_THREADS = 2
_SLOW_COST = 5_000
"""The cost of requests from which on they are slow."""
FILE_COST = 10_000
"""Makes a request for a file a slow one: few files at once are held in memory."""

Answer = TypeVar("Answer")


class NotFoundError(Exception):
    """Say that what a request names does not exist."""


class Service:
    """Answer requests; whoever writes to the store is not stopped.

    Args:
        index: The index, which the service closes.
        reranker: Orders documents anew; None if that is not offered.
        max_waiting: The characters that may wait to be embedded.
        name: The name of the model for clients; None for its own.
        serve_files: Whether to hand out the files that the documents were read from.

    Attributes:
        started: When the service was made, in seconds since 1970.

    Raises:
        ModelError: If the model of the index cannot be loaded.
    """

    def __init__(
        self,
        index: Index,
        *,
        reranker: Reranker | None = None,
        max_waiting: int = MAX_WAITING,
        name: str | None = None,
        serve_files: bool = False,
    ) -> None:
        self.index, self.reranker, self.serve_files = index, reranker, serve_files
        self.started = int(time.time())
        self._name = name
        # Loaded now, so that no request waits for it and its errors are seen at the start.
        _ = index.model
        self.batcher = Batcher(
            lambda texts, role: index.model.model.encode_with_coverage(texts, role=role),
            max_waiting,
        )
        self._quick = Queue(_call, _QUICK_THREADS, max_waiting)
        self._slow = Queue(_call, _SLOW_THREADS, max_waiting)
        self._queues = (self.batcher, self._quick, self._slow)

    @property
    def model_name(self) -> str:
        """Return the name under which the server lists its model; no path of a folder."""
        return self._name or display_name(self._own_name)

    @property
    def model_names(self) -> set[str]:
        """Return all names by which a request may ask for the model."""
        return {self.model_name, self._own_name, Path(self._own_name).name}

    @property
    def _own_name(self) -> str:
        return self.index.model.settings.model_name or ""

    @property
    def dimensions(self) -> int:
        """Return the length of a vector."""
        return int(self.index.model.model.get_embedding_dimension() or 0)

    def queued(self, work: Callable[[], Answer], cost: int = 1_000) -> Future[Answer]:
        """Do some work when it is its turn, and return its result.

        Slow work has threads of its own, so that no quick request waits for it.

        Args:
            work: What to do.
            cost: About how many characters are read for it.

        Raises:
            BusyError: If too much is waiting.
        """
        job = Job(work, cost)
        (self._slow if cost > _SLOW_COST else self._quick).put([job])
        return job.future

    @property
    def waiting(self) -> int:
        """Return the number of texts and requests that wait for their turns."""
        return sum(self.waiting_by_queue.values())

    @property
    def waiting_by_queue(self) -> dict[str, int]:
        """Return how many texts, quick requests and slow requests wait for their turns."""
        return {
            "texts": self.batcher.waiting,
            "quick requests": len(self._quick),
            "slow requests": len(self._slow),
        }

    def search(self, request: SearchRequest) -> list[dict[str, Any]]:
        """Return the documents that answer a question, best first, as plain data.

        Args:
            request: The question.

        Raises:
            ConfigError: If it is blank, or a reranker is asked for and there is none.
            StoreError: If the store cannot be read.
        """
        hits = self.index.search(
            request.query,
            request.k,
            passages=request.passages,
            where=request.where or None,
            mode=request.mode,
            weight=request.weight,
            reranker=self._required_reranker() if request.rerank else None,
            candidates=request.candidates,
        )
        return [{"rank": rank, **hit.to_dict()} for rank, hit in enumerate(hits, 1)]

    def context(self, request: ContextRequest) -> dict[str, Any]:
        """Return the passages that answer a question, within a budget of words, as plain data.

        Args:
            request: The question.

        Raises:
            ConfigError: If it is blank.
            StoreError: If the store cannot be read.
        """
        context = self.index.context(
            request.query,
            request.max_words,
            where=request.where or None,
            mode=request.mode,
            weight=request.weight,
        )
        return context.to_dict()

    def document(self, document_id: str) -> dict[str, Any]:
        """Return a document of the index, whole.

        Args:
            document_id: Its id; no file is read.

        Raises:
            NotFoundError: If there is no such document.
            StoreError: If the store cannot be read.
        """
        document = self.index.get(document_id)
        if document is None:
            raise NotFoundError(f"there is no document {document_id!r} in the index")
        return {"source": document.id, "text": document.text}

    def file(self, document_id: str) -> tuple[str, bytes]:
        """Return the name and the bytes of the file of a document.

        Only what the index has read is returned: the bytes must have the stored hash. So an id that
        names another file of this machine gives nothing.

        Args:
            document_id: The id of the document.

        Raises:
            NotFoundError: If there is no such document, or its file is gone or has changed.
            StoreError: If the store cannot be read.
        """
        record = self.index.record(document_id)
        path = Path(document_id)
        if record is None or not path.is_absolute():
            raise NotFoundError(f"there is no file {document_id!r} in the index")
        try:
            content = FileSource(path, 0).content()
        except (InputError, ValueError):
            content = b""
        if hashlib.sha256(content).hexdigest() != record.content_hash:
            raise NotFoundError(f"the file of {document_id!r} is gone, or has changed")
        return path.name, content

    def rerank(self, request: RerankRequest) -> list[dict[str, Any]]:
        """Return documents in the order of their scores for a query.

        Args:
            request: Query and documents.

        Raises:
            ConfigError: If there is no reranker.
            InputError: If a text cannot be read.
        """
        texts = [_text_of(document) for document in request.documents]
        scores = self._required_reranker().score_windows(request.query, texts)
        results: list[dict[str, Any]] = []
        for number, (text, score) in enumerate(zip(texts, scores, strict=True)):
            result: dict[str, Any] = {"index": number, "relevance_score": score.score}
            if score.best_span is not None:
                start, end = score.best_span
                result["window"] = {"start": start, "end": end}
            if request.return_documents:
                document = request.documents[number]
                result["document"] = {"text": text} if isinstance(document, str) else document
            results.append(result)
        return sorted(results, key=lambda result: -result["relevance_score"])[: request.top_n]

    def _required_reranker(self) -> Reranker:
        if self.reranker is None:
            raise ConfigError("there is no reranker: start the server with --rerank MODEL")
        return self.reranker

    @property
    def is_working(self) -> bool:
        """Return whether a thread has not ended, which all do when the service is closed."""
        return any(queue.is_working for queue in self._queues)

    def close(self, seconds: float = 1.0) -> None:
        """Cancel what waits, give what has begun some seconds, and release the index."""
        for queue in self._queues:
            queue.close(seconds)
        self.index.close()


def _call(jobs: list[Job]) -> None:
    (job,) = jobs
    try:
        job.future.set_result(job.task())
    except BaseException as error:
        job.future.set_exception(error)


def _text_of(document: str | dict[str, Any]) -> str:
    text = document if isinstance(document, str) else document.get("text")
    if not isinstance(text, str):
        raise ConfigError("a document is a string, or an object with a string as its 'text'")
    return text


def texts_of(texts: str | Sequence[Any]) -> list[str]:
    """Return the texts of a request.

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
