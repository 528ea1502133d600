"""The spans of a store's documents: their vectors and characters, in a file beside the store.

The store is the source of truth. What is missing in the file, or damaged, is made again from the
texts in the store; what is there of a document that the store has no longer does not count.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from longembed_index.derived import DerivedFile, behind, id_of, key_of
from longembed_index.embedding import BATCH_CHARACTERS, ROWS, batches, embed_each
from longembed_st.base.coverage import Encoded
from longembed_st.base.texts import escaped
from longembed_st.errors import LongEmbedError

if TYPE_CHECKING:
    from longembed_index.records import Match, Record
    from longembed_index.store import Store
    from longembed_st.base.provenance import Provenance
    from longembed_st.sentence_transformer.spans import SpanVectors

FILE = "longembed.spans.sqlite3"

_TABLE = """
CREATE TABLE IF NOT EXISTS spans (
    collection TEXT, fingerprint TEXT, id BLOB, ranges BLOB, vectors BLOB, checksum INTEGER,
    PRIMARY KEY (collection, fingerprint, id)
) WITHOUT ROWID
"""

ReadSpans = Callable[[list[str]], "list[SpanVectors]"]
"""From documents to their spans, for instance `model.encode_spans`."""


@dataclass(frozen=True)
class DocumentSpans:
    """The spans of one document.

    Attributes:
        id: Of the document's record.
        ranges: Half-open ranges of characters of its text, shape (spans, 2).
        document: Its vector, of unit length, shape (width,).
        vectors: Of the spans, of unit length, shape (spans, width).
    """

    id: str
    ranges: NDArray[np.int64]
    document: NDArray[np.float32]
    vectors: NDArray[np.float32]


class SpanKeeper(Protocol):
    """Where the spans of one collection are; `SpanFile` is one.

    Methods that write raise `StoreError` if what lies beneath fails.
    """

    @property
    def place(self) -> str:
        """What may be deleted, so that all spans are made again."""

    @property
    def exists(self) -> bool:
        """Whether any document ever had spans here."""

    def put(self, fingerprint: str, found: Iterable[DocumentSpans]) -> None:
        """Keep the spans of documents; without any, note that the collection has spans."""

    def delete(self, fingerprint: str, ids: Iterable[str]) -> None:
        """Forget the spans of some documents."""

    def keep_only(self, fingerprints: Collection[str]) -> None:
        """Forget what other models made."""

    def ids(self, fingerprint: str) -> set[str]:
        """The documents that have spans by a model."""

    def read(self, fingerprint: str, ids: Sequence[str] | None = None) -> Iterator[DocumentSpans]:
        """The spans that a model made, of some documents, or of all; none that are damaged."""


class SpanFile:
    """Spans by document, for one collection of a store; vectors in half precision.

    A damaged file is thrown away and begun anew: all of it can be made again.

    Args:
        directory: The folder of the store.
        collection: The collection in it.
    """

    def __init__(self, directory: Path, collection: str) -> None:
        self._file = DerivedFile(directory / FILE, _TABLE)
        self._collection = collection

    @property
    def place(self) -> str:
        """The file."""
        return escaped(self._file.path)

    @property
    def exists(self) -> bool:
        """Whether any document ever had spans here."""
        return self._file.path.is_file()

    def put(self, fingerprint: str, found: Iterable[DocumentSpans]) -> None:
        """Keep the spans of documents; earlier ones of the same ids are replaced.

        Args:
            fingerprint: Of the model that made them.
            found: The spans.

        Raises:
            StoreError: If they cannot be written.
        """
        rows = [(self._collection, fingerprint, *_row(one)) for one in found]
        self._file.write("REPLACE INTO spans VALUES (?, ?, ?, ?, ?, ?)", rows)

    def delete(self, fingerprint: str, ids: Iterable[str]) -> None:
        """Forget the spans of some documents; raises `StoreError` if that cannot be written."""
        if self.exists:
            rows = [(self._collection, fingerprint, key_of(one)) for one in ids]
            self._file.write(
                "DELETE FROM spans WHERE collection = ? AND fingerprint = ? AND id = ?", rows
            )

    def keep_only(self, fingerprints: Collection[str]) -> None:
        """Forget what other models made; raises `StoreError` if that cannot be written."""
        if self.exists:
            marks = ", ".join("?" * len(fingerprints))
            self._file.write(
                f"DELETE FROM spans WHERE collection = ? AND fingerprint NOT IN ({marks})",
                [(self._collection, *fingerprints)],
            )

    def ids(self, fingerprint: str) -> set[str]:
        """The documents that have spans by a model; none if the file cannot be read."""
        return {one.id for one in self.read(fingerprint)}

    def read(self, fingerprint: str, ids: Sequence[str] | None = None) -> Iterator[DocumentSpans]:
        """The spans that a model made, without damaged ones.

        Args:
            fingerprint: Of the model.
            ids: Of which documents, some hundred at most; None for all.
        """
        keys = [key_of(one) for one in ids or []]
        among = "" if ids is None else f" AND id IN ({', '.join('?' * len(keys))})"
        query = (
            "SELECT id, ranges, vectors, checksum FROM spans WHERE collection = ? "
            f"AND fingerprint = ?{among}"
        )
        with suppress(sqlite3.Error), self._file.reading() as database:
            for key, ranges, vectors, checksum in database.execute(
                query, (self._collection, fingerprint, *keys)
            ):
                if zlib.crc32(ranges + vectors) != checksum:
                    continue
                places = np.frombuffer(ranges, dtype="<i8").reshape(-1, 2)
                values = np.frombuffer(vectors, dtype="<f2").astype(np.float32)
                values = values.reshape(len(places) + 1, -1)
                yield DocumentSpans(id_of(key), places, values[0], values[1:])


class SpanEmbedder:
    """Embeds documents, and keeps their spans until the documents are written.

    Args:
        read: Gives the spans.
    """

    def __init__(self, read: ReadSpans) -> None:
        self._read = read
        self._waiting: dict[bytes, SpanVectors] = {}

    def __call__(self, texts: list[str]) -> Encoded:
        """The documents' own vectors; see `embedding.Embed`."""
        found = self._read(texts)
        self._waiting |= {digest_of(text): one for text, one in zip(texts, found, strict=True)}
        width = len(found[0].document) if found else 0
        vectors = np.array([one.document for one in found], dtype=np.float32).reshape(-1, width)
        return Encoded(vectors, [one.coverage for one in found])

    def spans_of(self, records: Iterable[Record]) -> list[DocumentSpans]:
        """The spans of the documents that were embedded last, as far as records are theirs."""
        # Two documents may have one text.
        digests = [(record, digest_of(record.text)) for record in records if record.text]
        found = [(record, self._waiting.get(digest)) for record, digest in digests]
        for _, digest in digests:
            self._waiting.pop(digest, None)
        return [_unit(record.id, spans) for record, spans in found if spans is not None]


class SpannedStore:
    """A store whose documents have spans: written before their documents, deleted after them.

    Everything else is the store's own; see `longembed_index.store.Store`.

    Args:
        store: The store.
        spans: Where they are.
        embedder: What embeds the documents that are written; None if only read.
    """

    def __init__(
        self, store: Store, spans: SpanKeeper, embedder: SpanEmbedder | None = None
    ) -> None:
        self._store = store
        self.embedder = embedder
        self.spans = spans

    @property
    def provenance(self) -> Provenance:
        """How the vectors were made."""
        return self._store.provenance

    @provenance.setter
    def provenance(self, provenance: Provenance) -> None:
        self._store.provenance = provenance

    @property
    def fingerprint(self) -> str:
        """Of the model that made the vectors."""
        return str(self._store.provenance.fingerprint)

    @property
    def max_batch(self) -> int:
        """The most records that it writes or deletes at once."""
        return self._store.max_batch

    def __len__(self) -> int:
        return len(self._store)

    def names(self) -> Iterable[tuple[str, str]]:
        """The id and the document's name of every record."""
        return self._store.names()

    def get(self, ids: Sequence[str]) -> list[Record]:
        """The records that exist among these."""
        return self._store.get(ids)

    def vectors(self, ids: Sequence[str]) -> dict[str, Any]:
        """The vectors of those that exist."""
        return self._store.vectors(ids)

    def having(self, key: str, value: str) -> list[str]:
        """The ids of the records whose metadata has this value."""
        return self._store.having(key, value)

    def write(self, records: Sequence[Record]) -> None:
        """Write records, all or none; a kill in between leaves spans that do not count."""
        if self.embedder is not None:
            self.spans.put(self.fingerprint, self.embedder.spans_of(records))
        self._store.write(records)

    def carry_spans(self, old: str, new: str) -> None:
        """Let a record that is going to be written have the spans of another one of its text.

        Args:
            old: The id of the record that has them.
            new: Of the one to come.

        Raises:
            StoreError: If they cannot be written.
        """
        found = self.spans.read(self.fingerprint, [old])
        self.spans.put(self.fingerprint, [replace(one, id=new) for one in found])

    def delete(self, ids: Sequence[str]) -> None:
        """Remove records."""
        self._store.delete(ids)
        self.spans.delete(self.fingerprint, ids)

    def search(self, vector: Any, k: int) -> list[Match]:
        """The k records most similar to a vector, by the documents' vectors alone."""
        return self._store.search(vector, k)

    def lost(self) -> list[str]:
        """The ids of the records that no search can find."""
        return self._store.lost()

    def staged(self) -> Store | None:
        """What `stage` has begun and no `switch` has ended."""
        staged = self._store.staged()
        return None if staged is None else SpannedStore(staged, self.spans, self.embedder)

    def stage(self, provenance: Provenance) -> Store:
        """Begin an empty store that is going to replace this one."""
        return SpannedStore(self._store.stage(provenance), self.spans, self.embedder)

    def switch(self) -> str:
        """Put what is staged in the place of this store."""
        return self._store.switch()

    def drop_kept(self) -> list[str]:
        """Delete everything that `switch` has kept, and the spans of other models."""
        dropped = self._store.drop_kept()
        staged = self._store.staged()
        kept = {self.fingerprint} | ({str(staged.provenance.fingerprint)} if staged else set())
        self.spans.keep_only(kept)
        return dropped


def without_spans(store: SpannedStore) -> list[str]:
    """The documents that have no spans yet; those of documents that are gone are forgotten.

    Args:
        store: Open for writing.

    Returns:
        The ids of their records.

    Raises:
        StoreError: If the file cannot be written.
    """
    missing, left_over = behind(store, store.spans.ids(store.fingerprint))
    store.spans.delete(store.fingerprint, left_over)
    return missing


def catch_up(
    store: SpannedStore,
    embedder: SpanEmbedder,
    missing: Sequence[str] | None = None,
    on_document: Callable[[], None] = lambda: None,
) -> list[tuple[str, str]]:
    """Read the documents that have no spans yet.

    Args:
        store: Open for writing.
        embedder: Of the store's model.
        missing: Which documents; None to look for them.
        on_document: Called for each document that is settled.

    Returns:
        Name and reason of each document that cannot be read.

    Raises:
        StoreError: If the file cannot be written.
    """
    failed: list[tuple[str, str]] = []
    waiting: list[Record] = []

    def flush() -> None:
        results = embed_each([record.text or "" for record in waiting], embedder)
        for record, result in zip(waiting, results, strict=True):
            if isinstance(result, LongEmbedError):
                failed.append((record.name, str(result)))
        store.spans.put(store.fingerprint, embedder.spans_of(waiting))
        for _ in waiting:
            on_document()
        waiting.clear()

    for ids in batches(without_spans(store) if missing is None else missing, ROWS):
        waiting += [record for record in store.get(ids) if record.text is not None]
        if sum(len(record.text or "") for record in waiting) >= BATCH_CHARACTERS:
            flush()
    flush()
    return failed


def _unit(record_id: str, spans: SpanVectors) -> DocumentSpans:
    vectors = np.concatenate([spans.document[None], spans.vectors]).astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    ranges = np.array(spans.spans, dtype=np.int64).reshape(-1, 2)
    return DocumentSpans(record_id, ranges, vectors[0], vectors[1:])


def _row(one: DocumentSpans) -> tuple[object, ...]:
    ranges = np.asarray(one.ranges, dtype="<i8").tobytes()
    vectors = np.concatenate([one.document[None], one.vectors]).astype("<f2").tobytes()
    return (key_of(one.id), ranges, vectors, zlib.crc32(ranges + vectors))


def digest_of(text: str | None) -> bytes:
    """What stands for a text while its vectors wait.

    Args:
        text: The text.
    """
    return hashlib.sha256((text or "").encode("utf-8", "surrogatepass")).digest()
