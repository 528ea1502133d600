"""What an index answers: questions, and what it holds."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from longembed_index.document import Context, Document, Entry, Hit, Record
from longembed_index.documents.files import find_files, is_missing
from longembed_index.documents.parsing import Limits, Parser
from longembed_index.maintain.dry_run import DryRun, dry_run
from longembed_index.maintain.embedding import embedder_of
from longembed_index.maintain.export import export
from longembed_index.maintain.stats import Stats, stats_of
from longembed_index.maintain.verify import SAMPLE, verify
from longembed_index.search.context import WORDS, measure_of
from longembed_index.search.filtered import check_keys
from longembed_index.search.question import check_query, parse_question
from longembed_index.search.ranking import CANDIDATES, Mode
from longembed_index.search.runs import PASSAGE_WORDS
from longembed_index.store.filters import matcher
from longembed_index.store.kinds import find_kind
from longembed_st.base.exit_gate import exit_gate
from longembed_st.base.texts import escaped
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from typing_extensions import Self

    from longembed_index.resources import Resources
    from longembed_index.store.protocol import Store, StoreInfo, Where
    from longembed_st.base.reranking import Reranker
    from longembed_st.loading.cache import CachedModel


Answer = TypeVar("Answer")
Arguments = ParamSpec("Arguments")


def in_thread(
    method: Callable[Arguments, Answer],
) -> Callable[Arguments, Coroutine[Any, Any, Answer]]:
    """Return an asynchronous form of a method, which computes in a thread.

    Args:
        method: The method. When its caller is cancelled, it runs to its end nevertheless.
    """

    @functools.wraps(method)
    async def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        return await asyncio.to_thread(method, *args, **kwargs)

    return run


class IndexReader:
    """Search and read an index; see `longembed_index.index.Index`.

    Args:
        resources: What it keeps open.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release files, connections and the model."""
        self._resources.close()

    @property
    def directory(self) -> Path:
        """Return the folder of the store; for an object store, its local folder."""
        return self._resources.directory

    @property
    def exists(self) -> bool:
        """Return whether the index is on disk; a new one is after the first write."""
        return self._resources.store() is not None

    @property
    def info(self) -> StoreInfo:
        """Return the description of the store.

        Raises:
            StoreError: If the index is new, and nothing was written yet.
        """
        return self._resources.existing_store().info

    @property
    def generation(self) -> int:
        """Return a number that grows with every write, by whatever process; 0 of a new index."""
        store = self._resources.store()
        return 0 if store is None else store.generation

    @property
    def model_name(self) -> str:
        """Return the name or folder of the model, which need not be loaded."""
        name = self._resources.settings.model_name
        return name or str(self.info.provenance.settings.model_name)

    @property
    def model(self) -> CachedModel:
        """Return the model; it is loaded when it is first needed.

        Raises:
            ConfigError: If the settings would give other vectors than the stored ones.
            ModelError: If the model cannot be loaded.
        """
        store = self._resources.store()
        return self._resources.model(None if store is None else store.info.provenance)

    @property
    def is_model_loaded(self) -> bool:
        """Return whether the model is loaded already."""
        return self._resources.is_model_loaded

    @property
    def needs_model(self) -> bool:
        """Return whether the next question waits until the model is loaded."""
        return self._resources.needs_model

    def __len__(self) -> int:
        store = self._resources.store()
        return 0 if store is None else len(store)

    def __bool__(self) -> bool:
        return True

    def get(self, document_id: str) -> Document | None:
        """Return a document with its text; None if there is none with this id."""
        record = self.record(document_id)
        return None if record is None else record.document

    def record(self, document_id: str) -> Record | None:
        """Return a document as the store keeps it, without units; None if there is none."""
        store = self._resources.store()
        records = [] if store is None else store.get([document_id])
        return records[0] if records else None

    def documents(
        self, patterns: Sequence[str] = (), where: Where | None = None, *, gone: bool = False
    ) -> Iterator[Entry]:
        """Yield what is known of documents, sorted by id, without their texts.

        Args:
            patterns: Ids, in which `*` stands for any characters and `?` for any one character; a
                document must match one of them. Empty for all documents.
            where: A filter; see `longembed_index.store.filters`.
            gone: Only documents whose file does not exist any more.
        """
        store = self._resources.store()
        if store is None:
            return
        entries = list(store.entries(where))
        if where and not entries:
            check_keys(store, where)
        is_named = matcher({"id": list(patterns)} if patterns else {})
        for entry in entries:
            if not is_named(entry.fields):
                continue
            if not gone or is_missing(entry.id):
                yield entry

    def search(
        self,
        query: str,
        k: int = 5,
        *,
        passages: int = 1,
        passage_words: int = PASSAGE_WORDS,
        where: Where | None = None,
        mode: Mode | None = None,
        weight: float | None = None,
        reranker: Reranker | None = None,
        candidates: int = CANDIDATES,
        on_read: Callable[[int, int], None] | None = None,
    ) -> list[Hit]:
        """Return the documents that answer a question, best first.

        Args:
            query: The question; a phrase in double quotes must stand in the document.
            k: The most documents; documents with the same text count as one.
            passages: The most passages of each document.
            passage_words: About the words of a passage.
            where: A filter of the documents; see `longembed_index.store.filters`.
            mode: "hybrid", "dense" (by vectors) or "lexical" (by words); None for the default
                of the index.
            weight: The weight of the vectors, from 0 to 1; None for the default of the index.
            reranker: Reads the best documents together with the question, and orders them anew.
            candidates: How many documents it reads, at least k.
            on_read: Called while it reads, with how many it has read and is to read.

        Raises:
            ConfigError: If the query is blank, the index is empty, or an argument cannot be used.
            ModelError: If the model is needed and cannot be loaded.
            StoreError: If the store cannot be read.
        """
        return self._search(
            query,
            mode,
            weight,
            lambda searcher, question, **options: searcher.search(
                question,
                k=k,
                passages=passages,
                passage_words=passage_words,
                where=where,
                reranker=reranker,
                candidates=candidates,
                on_read=on_read,
                **options,
            ),
        )

    asearch = in_thread(search)

    def context(
        self,
        question: str,
        max_words: int | None = None,
        *,
        max_tokens: int | None = None,
        count_tokens: Callable[[str], int] | None = None,
        where: Where | None = None,
        mode: Mode | None = None,
        weight: float | None = None,
    ) -> Context:
        """Return the passages that answer a question best, as one text for a prompt.

        Passages of all documents compete for the budget, which counts all of the text, with the
        titles of the documents and the places of the passages. A sentence is cut only if it is
        longer than the budget.

        Args:
            question: The question; a phrase in double quotes must stand in a document.
            max_words: The most words of the text; 600 if no budget is given.
            max_tokens: The most tokens, instead of words.
            count_tokens: Returns how many tokens a text has, of the model that is to read it.
            where: A filter of the documents; see `longembed_index.store.filters`.
            mode: "hybrid", "dense" (by vectors) or "lexical" (by words); None for the default
                of the index.
            weight: The weight of the vectors, from 0 to 1; None for the default of the index.

        Raises:
            ConfigError: If the question is blank, the index is empty, or an argument cannot be
                used.
            ModelError: If the model is needed and cannot be loaded.
            StoreError: If the store cannot be read.
        """
        if max_words is None and max_tokens is None:
            max_words = WORDS
        measure = measure_of(max_words, max_tokens, count_tokens)
        return self._search(
            question,
            mode,
            weight,
            lambda searcher, parsed, **options: searcher.context(
                parsed, measure=measure, where=where, **options
            ),
        )

    acontext = in_thread(context)

    def _search(
        self, query: str, mode: Mode | None, weight: float | None, run: Callable[..., Answer]
    ) -> Answer:
        """Run a search; again if other vectors took the place of the store's meanwhile."""
        question = parse_question(query)
        check_query(question.text)
        with exit_gate.use():
            searcher = self._resources.searcher() if self.exists else None
            if searcher is None or not searcher.documents:
                raise ConfigError(f"the index in {escaped(self.directory)} is empty. Add documents")
            store = self._resources.existing_store()
            while True:
                info = store.info
                ranking = info.ranking.with_overrides(mode, weight)
                vectors = None
                if ranking.mode != "lexical":
                    vectors = self._resources.query_vectors(info.provenance, question.text)
                try:
                    answer = run(
                        searcher,
                        question,
                        vector=None if vectors is None else vectors.vector,
                        plain=None if vectors is None else vectors.plain,
                        ranking=ranking,
                    )
                except Exception:
                    if _has_same_vectors(store, info):
                        raise
                    # Another process has put other vectors in their place: ask those.
                    continue
                if _has_same_vectors(store, info):
                    break
            if vectors is not None:
                self._resources.warn_of_query(info.provenance, question.text, vectors.coverage, 3)
            return answer

    def stats(self) -> Stats:
        """Count what the index holds."""
        store, words = self._resources.existing_store(), self._resources.words()
        kind = find_kind(self.directory, self._resources.kind)
        return stats_of(store, words, kind.address(self.directory), kind.size(self.directory))

    def export(
        self, path: str | os.PathLike[str], where: Where | None = None, *, vectors: bool = True
    ) -> int:
        """Write documents to a file that other programs read, and return how many there were.

        Args:
            path: Ends in .jsonl or .parquet.
            where: A filter; see `longembed_index.store.filters`.
            vectors: Whether to write the vectors.
        """
        store = self._resources.existing_store()
        if where:
            check_keys(store, where)
        return export(store, Path(path), where, vectors=vectors)

    def dry_run(
        self,
        *paths: str | os.PathLike[str],
        limits: Limits | None = None,
        on_document: Callable[[], None] = lambda: None,
        **search: Any,
    ) -> DryRun:
        """Return what `add` would do, without doing it.

        Args:
            *paths: Files and folders.
            limits: The same as for `add`.
            on_document: Called for each document that was looked at.
            **search: `include`, `exclude` and `follow_links` as for `add`.
        """
        listing = find_files(map(Path, paths), self.directory, Parser(limits), **search)
        stored = {
            entry.id: entry.content_hash
            for entry in self.documents()
            if not (limits and limits.can_read(entry.left_out))
        }
        units = self.info.units if self.exists else self._resources.new_info().units
        result = dry_run(listing.files, stored, self.model, on_document, units=units)
        result.failed += listing.unreadable
        result.skipped = [str(path) for path in listing.skipped]
        result.links = [str(path) for path in listing.links]
        return result

    def verify(self, size: int = SAMPLE) -> int:
        """Embed some documents again, compare the vectors, and return how many were compared.

        Args:
            size: The most documents.

        Raises:
            StoreError: If a vector differs; the message names the document.
        """
        store = self._resources.existing_store()
        return verify(store, embedder_of(self.model, store.info.units), size)


def _has_same_vectors(store: Store, info: StoreInfo) -> bool:
    """Return whether the store still has the vectors and units that it had."""
    now = store.info
    return (now.provenance.fingerprint, now.units) == (info.provenance.fingerprint, info.units)
