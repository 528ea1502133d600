"""The words of a store's documents, in a file beside the store, and their BM25 scores.

The file is derived from the store: it names the store's generation that it was made from, is
brought up to date, and is built again if it is damaged. A document is scored as a whole, and by
its best passage, a window of terms.
"""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

import numpy as np

from longembed_index.errors import StoreError, StoreWarning
from longembed_index.lexical.analyzer import (
    LAST_CHARACTER,
    NO_LANGUAGE,
    Analyzer,
    get_analyzer,
    guess_language,
)
from longembed_index.lexical.file import (
    DamagedError,
    WordFile,
    create_temporary_file,
    temporary_file,
)
from longembed_index.lexical.postings import read_occurrences, read_postings
from longembed_index.lexical.query import WordQuery
from longembed_index.lexical.scores import Integers, distinct
from longembed_index.lexical.tables import (
    DocumentTokens,
    Settings,
    create_schema,
    delete_documents,
    insert_documents,
    read_pairs_with,
    read_revisions,
    read_settings,
    read_term_counts,
    read_totals,
    select,
    write_settings,
)
from longembed_index.store.connections import DiskError
from longembed_st.base.fork_gate import ForkSafeLock
from longembed_st.base.texts import escaped

if TYPE_CHECKING:
    from longembed_index.store.protocol import Store

T = TypeVar("T")

_DOCUMENTS_AT_ONCE, _CHARACTERS_AT_ONCE = 500, 4_000_000
"""The most documents of one commit, and about the most characters."""


def missing_and_stale(
    stored: Mapping[str, str], indexed: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """Return the ids of documents that an index lacks, and of those that it must forget.

    A document that has changed is among both.
    """
    missing = [key for key in sorted(stored) if indexed.get(key) != stored[key]]
    stale = [key for key in sorted(indexed) if stored.get(key) != indexed[key]]
    return missing, stale


class WordIndex:
    """The words of one collection; see `longembed_index.store.protocol.LexicalIndex`.

    Threads may share it, and a forked child may go on using it.
    """

    def __init__(self, directory: Path, collection: str) -> None:
        name = f"longembed.words.{quote(collection, safe='')}.sqlite3"
        self._own_file = self._file = WordFile(directory.absolute() / name)
        self._store: Store | None = None
        self._lock = ForkSafeLock()

    @property
    def path(self) -> Path:
        """Return the file; in a temporary folder if the store's folder cannot be written."""
        return self._file.path

    @property
    def language(self) -> str | None:
        """Return the language of the stemmer and the stop words; None without documents."""
        return self.read(read_settings).language

    def __len__(self) -> int:
        return self.read(read_totals).documents

    def is_current(self, store: Store) -> bool:
        """Return whether the words are those of the store as it is now."""
        return self.read(read_settings).generation == store.generation

    def update(self, store: Store, on_document: Callable[[], None] = lambda: None) -> None:
        """Bring the words up to date with a store; cheap if they are.

        If the folder of the store cannot be written, they are kept in a temporary folder, for this
        process. A damaged file is built again. Both give a `StoreWarning`.

        Raises:
            StoreError: If the store cannot be read, or the words cannot be written.
        """
        with self._lock:
            self._store = store
            # Before the documents are listed: what is committed meanwhile is for the next time.
            generation = store.generation
            try:
                self._file = self._choose_file(generation)
                self._bring_up_to_date(store, generation, on_document)
            except DamagedError as error:
                self._start_again(error)
                self._bring_up_to_date(store, generation, on_document)
            except DiskError:
                self._file = self._stand_in()
                self._bring_up_to_date(store, generation, on_document)

    def query(self, text: str) -> WordQuery:
        """Put a query; any text, nothing in it is an operator."""
        return WordQuery(self, text)

    def find_phrase(self, phrase: str) -> set[str] | None:
        """Return the documents that have the words of a phrase in a row, stop words included.

        Returns:
            None if the phrase has no words.
        """
        analyzer = get_analyzer(self.language or NO_LANGUAGE)
        rows = analyzer.phrases(phrase)

        def work(connection: sqlite3.Connection) -> set[str]:
            return set().union(*(self._find_row(connection, analyzer, row) for row in rows))

        return self.read(work) if rows else None

    @staticmethod
    def _find_row(
        connection: sqlite3.Connection, analyzer: Analyzer, row: Sequence[str]
    ) -> set[str]:
        known = {count.term: [count.number] for count in read_term_counts(connection, row)}
        numbers = [known.get(term, []) for term in row]
        if analyzer.is_character(row[-1]):
            # The character may go on: a Korean noun has a particle.
            numbers[-1] = [
                pair.number
                for pair in read_pairs_with(connection, row[-1])
                if len(row) == 1 or not pair.term.startswith(LAST_CHARACTER)
            ]
        return _documents_with_row(connection, numbers) if all(numbers) else set()

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what a function reads from the file; a damaged file is built again first."""
        try:
            return self._file.read(work)
        except DamagedError:
            with self._lock:
                try:
                    # Another thread may have built it again meanwhile.
                    return self._file.read(work)
                except DamagedError as error:
                    if self._store is None:
                        raise
                    generation = self._store.generation
                    self._start_again(error)
                    self._bring_up_to_date(self._store, generation, lambda: None)
                return self._file.read(work)

    def _choose_file(self, generation: int) -> WordFile:
        stand_in = temporary_file(self._own_file)
        if stand_in is not None and stand_in.settings.generation == generation:
            return stand_in
        if self._own_file.is_writable() or self._own_file.settings.generation == generation:
            return self._own_file
        return self._stand_in()

    def _stand_in(self) -> WordFile:
        warnings.warn(
            f"{escaped(self._own_file.path)} cannot be written. This process builds the words in a "
            "temporary folder",
            StoreWarning,
            stacklevel=4,
        )
        stand_in = temporary_file(self._own_file)
        if stand_in is None:
            stand_in = create_temporary_file(self._own_file)
            self._own_file.copy_to(stand_in.path)
        return stand_in

    def _start_again(self, error: DamagedError) -> None:
        warnings.warn(f"{error}. It is built again", StoreWarning, stacklevel=3)
        if self._own_file.is_writable():
            self._file.discard()
        else:
            self._file = create_temporary_file(self._own_file)

    def _bring_up_to_date(
        self, store: Store, generation: int, on_document: Callable[[], None]
    ) -> None:
        file = self._file
        settings = file.settings
        if settings.generation == generation:
            return
        wanted = store.info.language
        if wanted and settings.language and wanted != settings.language:
            file.write(create_schema)
        # Another process may do the same: what it has written is not analysed again.
        edition, _, language = file.write(read_settings)
        language = language or wanted
        # Before the store is listed: what is committed meanwhile must not look left over.
        indexed_before = file.read(read_revisions)
        entries = [(entry.id, entry.revision, entry.characters) for entry in store.entries()]
        stored = {document_id: revision for document_id, revision, _ in entries}
        missing, stale = missing_and_stale(stored, indexed_before)
        characters = {document_id: count for document_id, _, count in entries}
        for ids in _batches(missing, characters):
            indexed = file.read(partial(read_revisions, ids=ids))
            records = [r for r in store.get(ids) if indexed.get(r.document.id) != r.revision]
            language = language or guess_language(record.document.text for record in records)
            analyzer = get_analyzer(language)
            documents = [
                DocumentTokens(r.document.id, r.revision, analyzer.tokens(r.document.text))
                for r in records
            ]
            reached = Settings(edition, None, language)
            file.write(partial(_replace, settings=reached, documents=documents))
            for _ in ids:
                on_document()
        left_over = [document_id for document_id in stale if document_id not in stored]
        for start in range(0, len(left_over), _DOCUMENTS_AT_ONCE):
            part = left_over[start : start + _DOCUMENTS_AT_ONCE]
            file.write(partial(_replace, settings=Settings(edition, None, language), delete=part))
        file.write(partial(_replace, settings=Settings(edition, generation, language)))


def _replace(
    connection: sqlite3.Connection,
    settings: Settings,
    documents: Sequence[DocumentTokens] = (),
    delete: Sequence[str] = (),
) -> None:
    edition, _, language = read_settings(connection)
    if edition != settings.edition or language not in (None, settings.language):
        raise StoreError("the words were built again by another process meanwhile. Try again")
    indexed = read_revisions(connection, [document.id for document in documents])
    changed = [d for d in documents if indexed.get(d.id) != d.revision]
    numbers = delete_documents(connection, [*delete, *(document.id for document in changed)])
    insert_documents(connection, changed, numbers)
    write_settings(connection, settings)


def _batches(ids: Sequence[str], characters: Mapping[str, int]) -> Iterator[list[str]]:
    batch: list[str] = []
    together = 0
    for document_id in ids:
        batch.append(document_id)
        together += characters[document_id]
        if len(batch) == _DOCUMENTS_AT_ONCE or together > _CHARACTERS_AT_ONCE:
            yield batch
            batch, together = [], 0
    if batch:
        yield batch


def _documents_with_row(connection: sqlite3.Connection, row: Sequence[Sequence[int]]) -> set[str]:
    """Return ids of documents that have some terms in a row, one of those given for each place."""
    terms = sorted({term for alternatives in row for term in alternatives})
    lists = dict(zip(terms, read_postings(connection, terms), strict=True))
    having = [
        distinct(np.concatenate([lists[term].documents for term in alternatives]))
        for alternatives in row
    ]
    documents = reduce(partial(np.intersect1d, assume_unique=True), having)
    # The rarest term first, so that few documents are left to look at for the others.
    beginnings: Integers | None = None
    for place in sorted(range(len(row)), key=lambda place: len(having[place])):
        if not len(documents):
            return set()
        occurrences = read_occurrences(connection, row[place], documents)
        # Document and place of the row's first term as one number.
        keys = np.sort((occurrences.documents << 32) + occurrences.positions - place)
        beginnings = keys if beginnings is None else _in_both(beginnings, keys)
        documents = distinct((beginnings + len(row)) >> 32)
    query = "SELECT id FROM documents"
    ids = select(connection, query, "number", documents.tolist())
    return {document_id for (document_id,) in ids}


def _in_both(some: Integers, others: Integers) -> Integers:
    """Return the numbers that are in both of two ascending arrays."""
    places = np.searchsorted(others, some)
    return some[np.append(others, -1)[places] == some]
