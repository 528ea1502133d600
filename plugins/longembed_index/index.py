"""The index: documents with their vectors and words, in one place on disk."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from longembed_index.document import Document, Entry, Hit
from longembed_index.documents.files import find_files
from longembed_index.documents.parsing import Limits, Parser
from longembed_index.documents.sources import Source, TextSource
from longembed_index.errors import StoreError
from longembed_index.lexical.analyzer import LANGUAGES
from longembed_index.lexical.index import WordIndex
from longembed_index.maintain.embedding import (
    check_makes_spans,
    embedder_of,
    makes_spans,
    model_of_store,
    settings_on_top,
    storable_model,
)
from longembed_index.maintain.ingest import ingest
from longembed_index.maintain.report import OnStep, Outcome, Report
from longembed_index.search.question import check_query, parse_question
from longembed_index.search.ranking import CANDIDATES, Mode, Ranking
from longembed_index.search.searcher import Searcher
from longembed_index.store.filters import matches
from longembed_index.store.kinds import (
    COLLECTION,
    open_store,
    parse_address,
    read_info,
    writer_lock,
)
from longembed_index.store.protocol import StoreInfo
from longembed_st.coverages import Overflow
from longembed_st.errors import ConfigError
from longembed_st.settings import ModelSettings
from longembed_st.texts import shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Self

    from longembed_index.lexical.protocol import LexicalIndex
    from longembed_index.store.protocol import Store, Where
    from longembed_st.encoders.reranking import Reranker
    from longembed_st.loading.cache import CachedModel
    from longembed_st.provenance import Provenance

OnOutcome = Callable[[Outcome], None]


def _ignore(*arguments: object) -> None:
    """Do nothing."""


class Index:
    """Documents that can be searched by words and vectors, in a store on disk.

    It is opened once and answers many questions. Threads may share it, a forked child may go on
    using it, and other processes may write to the store meanwhile: the next search sees what they
    wrote.

    Example:
        ```python
        from longembed_index import Document, Index

        with Index.open("./store", model="thenlper/gte-small") as index:
            index.add("reports/")
            index.add_documents([Document("contract-17", "All of its text.", {"year": 2019})])
            for hit in index.search("who approved the budget?", k=5, where={"year": 2019}):
                print(hit.score, hit.document.title, hit.passages[0].text)
        ```
    """

    def __init__(
        self,
        directory: Path,
        settings: ModelSettings,
        *,
        collection: str = COLLECTION,
        kind: str | None = None,
        spans: bool | None = None,
        language: str | None = None,
        wait: float = 0,
    ) -> None:
        # Use `Index.open`, which checks all of this.
        self.directory = directory
        self.collection = collection
        self._settings = settings
        self._kind, self._spans, self._language, self._wait = kind, spans, language, wait
        self._new_ranking = Ranking()
        self._lock = _ForkSafeLock()
        self._store: Store | None = None
        self._searcher: Searcher | None = None
        self._words: WordIndex | None = None
        self._model: CachedModel | None = None
        self._model_fingerprint: str | None = None
        self._is_closed = False

    @classmethod
    def open(
        cls,
        store: str | os.PathLike[str],
        model: str | os.PathLike[str] | None = None,
        *,
        collection: str = COLLECTION,
        kind: str | None = None,
        spans: bool | None = None,
        language: str | None = None,
        wait: float = 0,
        **settings: Any,
    ) -> Self:
        """Open an index, or prepare a new one, which is written with its first documents.

        Args:
            store: Its folder, with the kind of a new store before it (`lancedb:DIR`), or an address
                in an object store (`lancedb:s3://bucket/store`).
            model: Name or folder of the model. An existing index has its own; give it only if the
                model was moved. Without it, an index that does not exist is an error.
            collection: The collection in the store.
            kind: The kind of a new store: sqlite, lancedb, chroma or an installed one.
            spans: Whether a new index has the vectors of parts of documents, too; by default if
                the method reads texts of any length.
            language: The language of the words of a new index; guessed from the first documents.
            wait: The seconds to wait for another writer, in each method that writes.
            **settings: As for `longembed_st.load`: method, max_seq_length, device and others.

        Raises:
            ConfigError: If settings are wrong, or would give other vectors than the stored ones.
            StoreError: If there is no index and no model, or the store cannot be read.
        """
        address = parse_address(os.fspath(store), kind)
        name = None if model is None else os.fspath(model)
        named = {} if name is None else {"model_name": name}
        index = cls(
            address.directory,
            ModelSettings.from_keywords(**named, **settings),
            collection=collection,
            kind=address.kind,
            spans=spans,
            language=language,
            wait=wait,
        )
        index._check(read_info(address.directory, collection, address.kind))
        return index

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
        with self._lock:
            if self._store is not None:
                self._store.close()
            self._store = self._searcher = self._words = self._model = None
            self._is_closed = True

    # What there is.

    @property
    def exists(self) -> bool:
        """Return whether the index is on disk; a new one is after the first write."""
        return self._read_handle() is not None

    @property
    def info(self) -> StoreInfo:
        """Return what the store is meant to hold.

        Raises:
            StoreError: If the index is new and nothing was written yet.
        """
        return self._existing().info

    @property
    def generation(self) -> int:
        """Return a number that grows with every write, by whatever process; 0 of a new index."""
        store = self._read_handle()
        return 0 if store is None else store.generation

    @property
    def model(self) -> CachedModel:
        """Return the model of the index, which is loaded when it is first needed."""
        store = self._read_handle()
        return self._model_of(None if store is None else store.info.provenance)

    @property
    def is_model_loaded(self) -> bool:
        """Return whether the model is loaded already."""
        return self._model is not None

    @property
    def ranking(self) -> Ranking:
        """Return how the index is searched unless a search says otherwise; can be set."""
        store = self._read_handle()
        return self._new_ranking if store is None else store.info.ranking

    @ranking.setter
    def ranking(self, ranking: Ranking) -> None:
        if self._read_handle() is None:
            self._new_ranking = ranking
            return
        with self._writing() as store:
            store.update_info(replace(store.info, ranking=ranking))

    def __len__(self) -> int:
        """Return the number of documents."""
        store = self._read_handle()
        return 0 if store is None else len(store)

    def documents(
        self, patterns: Sequence[str] = (), where: Where | None = None
    ) -> Iterator[Entry]:
        """Yield what is known of documents, sorted by id, without their texts.

        Args:
            patterns: Ids, in which `*` stands for any characters and `?` for any one character; a
                document must match one of them. Empty for all documents.
            where: A filter; see `longembed_index.store.filters`.
        """
        store = self._read_handle()
        for entry in () if store is None else store.entries(where):
            if not patterns or matches(entry.fields, {"id": list(patterns)}):
                yield entry

    def get(self, document_id: str) -> Document | None:
        """Return a document with its text; None if there is none with this id."""
        store = self._read_handle()
        records = [] if store is None else store.get([document_id])
        return records[0].document if records else None

    # Search.

    def search(
        self,
        query: str,
        k: int = 5,
        *,
        passages: int = 1,
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
            k: The most documents; those of one text count as one.
            passages: The most passages of each document.
            where: A filter of the documents; see `longembed_index.store.filters`.
            mode: "hybrid", "dense" (by vectors) or "lexical" (by words); the index's own without.
            weight: Of the vectors in a hybrid search, from 0 to 1; the index's own without it.
            reranker: Reads the best documents together with the question, and orders them anew.
            candidates: How many documents it reads, at least k.
            on_read: Called while it reads, with how many it has read and is to read.

        Raises:
            ConfigError: If the query is blank, the index is empty, or an argument out of range.
            ModelError: If the model is needed and cannot be loaded.
            StoreError: If the store cannot be read.
        """
        question = parse_question(query)
        check_query(question.text)
        if not len(self):
            raise ConfigError(f"the index in {shown(self.directory)} is empty")
        store = self._existing()
        while True:
            info = store.info
            ranking = info.ranking.with_overrides(mode, weight)
            query_vector = None
            if ranking.mode != "lexical":
                query_vector = _QueryVector(self._model_of(info.provenance), question.text)
            try:
                hits = self._searcher_of(store).search(
                    question,
                    query_vector and query_vector.vector,
                    k,
                    passages=passages,
                    where=where,
                    ranking=ranking,
                    best_sentence=query_vector or _ignore,
                    reranker=reranker,
                    candidates=candidates,
                    on_read=on_read,
                )
            except Exception:
                if _has_vectors_of(store, info):
                    raise
                # Another process has put other vectors in their place: ask those.
                continue
            if _has_vectors_of(store, info):
                if query_vector is not None:
                    query_vector.warn_if_cut(stacklevel=2)
                return hits

    # Changes.

    def add(
        self,
        *paths: str | os.PathLike[str],
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        prune: bool = False,
        prune_empty_root: bool = False,
        limits: Limits | None = None,
        on_outcome: OnOutcome = _ignore,
        on_step: OnStep = _ignore,
    ) -> Report:
        """Bring the index up to date with files and folders.

        What is unchanged is left alone, and a run that was cut off is finished by the next one.

        Args:
            *paths: Files and folders; folders are searched recursively.
            include: Patterns of files in folders; see `documents.files.find_files`.
            exclude: Patterns of files to leave out.
            prune: Remove documents whose file is gone from these paths; but nothing if all are gone
                from a path, since a drive may be unmounted.
            prune_empty_root: Remove them even then.
            limits: What parsing one file may take.
            on_outcome: Called for every document as soon as its fate is settled.
            on_step: Called with the name of a step, how much is done, and how much there is.

        Returns:
            What became of every document.

        Raises:
            InputError: If a path does not exist.
            ConfigError: If there is nothing to make a new index of.
            StoreError: If the store cannot be written.
        """
        roots = [Path(path) for path in paths]
        found = find_files(roots, self.directory, Parser(limits), include=include, exclude=exclude)
        if not found.files and not self.exists:
            raise ConfigError("there is no document to index under these paths")
        report = self._ingest(
            found.files,
            on_outcome,
            on_step,
            roots=roots,
            prune=prune,
            prune_empty_root=prune_empty_root,
        )
        report.add_failed(found.unreadable)
        report.skipped = [str(path) for path in found.skipped]
        return report

    def add_documents(
        self,
        documents: Iterable[Document | Mapping[str, Any]],
        *,
        on_outcome: OnOutcome = _ignore,
        on_step: OnStep = _ignore,
    ) -> Report:
        """Add documents, or replace those of the same id.

        A document that is equal to the stored one is left alone; if only its title or metadata
        have changed, it is not embedded again.

        Args:
            documents: Documents, or mappings with `id`, `text`, and perhaps `metadata` and `title`.
            on_outcome: Called for every document as soon as its fate is settled.
            on_step: Called with the name of a step, how much is done, and how much there is.

        Returns:
            What became of every document.

        Raises:
            ConfigError: If a mapping has other keys.
            StoreError: If the store cannot be written.
        """
        return self._ingest([TextSource(_document(d)) for d in documents], on_outcome, on_step)

    def delete(self, ids: Iterable[str]) -> int:
        """Remove documents.

        Args:
            ids: Their ids; those that do not exist are passed over.

        Returns:
            How many were removed.

        Raises:
            StoreError: If the store cannot be written.
        """
        if isinstance(ids, str):
            ids = [ids]
        with self._writing() as store:
            before = len(store)
            store.write([], delete=list(ids))
            self._update_words(store, _ignore)
            return before - len(store)

    # How it is done.

    def _check(self, info: StoreInfo | None) -> None:
        """Raise if what was asked for does not go with what is stored."""
        place = shown(self.directory)
        if self._language is not None and self._language not in LANGUAGES:
            known = ", ".join(LANGUAGES)
            raise ConfigError(f"language must be one of {known}, not {self._language!r}")
        if info is None:
            if self._settings.model_name is None:
                raise StoreError(
                    f"there is no index in {place}. Name a model to make one there, or another "
                    "folder"
                )
            return
        if self._settings.given:
            settings_on_top(info.provenance, self._settings)
        if self._spans not in (None, info.spans):
            raise ConfigError(
                f"the index in {place} has {'' if info.spans else 'no '}spans. To change that, "
                f"embed its documents again: reindex with spans={self._spans}"
            )
        language = info.language or WordIndex(self.directory, self.collection).language
        if None not in (self._language, language) and self._language != language:
            raise ConfigError(
                f"the words of the index in {place} are {language}, not {self._language}. Leave "
                "the language out, or index into a new place"
            )

    def _read_handle(self) -> Store | None:
        with self._lock:
            if self._is_closed:
                raise StoreError(f"the index in {shown(self.directory)} is closed")
            if self._store is None:
                place = (self.directory, self.collection, self._kind)
                if read_info(*place) is not None:
                    self._store = open_store(*place)
            return self._store

    def _existing(self) -> Store:
        store = self._read_handle()
        if store is None:
            raise StoreError(f"the index in {shown(self.directory)} has no documents yet")
        return store

    def _searcher_of(self, store: Store) -> Searcher:
        with self._lock:
            if self._searcher is None:
                self._searcher = Searcher(store, lambda: self._words_of(store))
            return self._searcher

    def _words_of(self, store: Store) -> LexicalIndex:
        with self._lock:
            if self._words is None:
                self._words = WordIndex(self.directory, self.collection)
            words = self._words
        words.update(store)
        return words

    def _model_of(self, provenance: Provenance | None) -> CachedModel:
        """Return the model that makes some stored vectors, or those of a new index."""
        with self._lock:
            fingerprint = None if provenance is None else provenance.fingerprint
            if self._model is None or fingerprint not in (None, self._model_fingerprint):
                if provenance is None:
                    self._model = storable_model(self._settings)
                else:
                    self._model = model_of_store(provenance, self._settings, self.directory)
                self._model_fingerprint = fingerprint
            return self._model

    def _new_info(self, model: CachedModel) -> StoreInfo:
        if self._spans:
            check_makes_spans(model)
        spans = makes_spans(model) if self._spans is None else self._spans
        return StoreInfo(model.provenance.elsewhere(), spans, self._language, self._new_ranking)

    @contextmanager
    def _writing(self, create: StoreInfo | None = None) -> Iterator[Store]:
        """Open the store for writing, and keep other writers out meanwhile."""
        with writer_lock(self.directory, self._wait):
            store = open_store(
                self.directory, self.collection, self._kind, create=create, write=True
            )
            try:
                yield store
            finally:
                store.close()

    def _ingest(
        self, sources: Sequence[Source], on_outcome: OnOutcome, on_step: OnStep, **options: Any
    ) -> Report:
        model = self.model
        total, done = sum(source.size for source in sources), 0

        def count(outcome: Outcome) -> None:
            nonlocal done
            done += outcome.size
            on_outcome(outcome)
            on_step("documents", done, total)

        with self._writing(self._new_info(model)) as store:
            model.refuse_other_vectors(store.info.provenance, "the store")
            embed = embedder_of(model, store.info.spans)
            report = ingest(sources, store, embed, on_outcome=count, **options)
            self._update_words(store, on_step)
        return report

    def _update_words(self, store: Store, on_step: OnStep) -> None:
        if store.lexical() is None:
            WordIndex(self.directory, self.collection).update(store)


class _QueryVector:
    """A question as a vector; called, it ranks parts of a text by it."""

    def __init__(self, model: CachedModel, text: str) -> None:
        self._model, self._text = model.model, text
        encoded = self._model.encode_with_coverage([text], role="query")
        self.vector, self._coverage = encoded.vectors[0], encoded.coverages[0]

    def __call__(self, text: str, ranges: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
        return self._model.encode_ranges(text, ranges) @ self.vector

    def warn_if_cut(self, stacklevel: int) -> None:
        """Warn as `encode` does if not all of the question was read."""
        overflow, config = Overflow(), self._model.long_transformer.extension
        overflow.count(self._text, self._coverage.tokens, self._coverage.read, config)
        overflow.warn(config, stacklevel + 1)


def _has_vectors_of(store: Store, info: StoreInfo) -> bool:
    return store.info.provenance.fingerprint == info.provenance.fingerprint


def _document(document: Document | Mapping[str, Any]) -> Document:
    if isinstance(document, Document):
        return document
    try:
        return Document(**document)
    except TypeError:
        raise ConfigError(
            f"a document has id, text, metadata and title, not {', '.join(map(repr, document))}"
        ) from None


class _ForkSafeLock:
    """A lock that a forked child finds open, whatever the threads of its parent did."""

    def __init__(self) -> None:
        self._locks: dict[int, threading.RLock] = {}

    def __enter__(self) -> None:
        self._locks.setdefault(os.getpid(), threading.RLock()).acquire()

    def __exit__(self, *error: object) -> None:
        self._locks[os.getpid()].release()
