"""The ingestion loop: from documents to records in a store, resumable and never halfway.

A record's id is made of the document's name and content. What the store already has under that id
is not touched, so a run that was cut off is finished by running it again. The loop knows neither
files nor models nor any store.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from longembed_index.embedding import BATCH_CHARACTERS, Embed, batches, embed_each
from longembed_index.errors import StoreError
from longembed_index.records import CONTENT_HASH, READ, SOURCE, TITLE, TOKENS, Record, counts
from longembed_index.repairing import refuse_lost
from longembed_index.reports import Outcome, Report
from longembed_index.sources import content_of, is_missing, readable_of
from longembed_index.spans import SpannedStore
from longembed_st.errors import InputError, LongEmbedError

if TYPE_CHECKING:
    from longembed_index.sources import Source
    from longembed_index.store import Store
    from longembed_st.base.coverage import Coverage


@dataclass(frozen=True)
class _Document:
    source: Source
    id: str
    digest: str
    text: str
    title: str


def ingest(
    sources: Iterable[Source],
    store: Store,
    embed: Embed,
    *,
    is_gone: Callable[[str], bool] = lambda name: False,
    prune: bool = False,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
    batch_characters: int = BATCH_CHARACTERS,
) -> Report:
    """Bring a store up to date with some documents.

    Args:
        sources: The documents; read one at a time.
        store: Where their records go.
        embed: Gives the vectors, and what of each text was read.
        is_gone: Whether a document in the store that is not among the sources has been deleted.
        prune: Remove the records of such documents.
        on_outcome: Told of every document as soon as its fate is settled.
        batch_characters: Characters that are embedded, and then written, together.

    Returns:
        What became of every document. One that cannot be embedded is reported, and never stored.

    Raises:
        StoreError: If the store fails, has lost vectors, or does not hold in the end what was
            written to it.
    """
    began = time.perf_counter()
    refuse_lost(store)
    run = _Run(store, embed, on_outcome, batch_characters)
    for source in sources:
        run.take(source)
    run.flush()
    run.drop_gone(is_gone, prune)
    run.read_back()
    run.report.seconds = time.perf_counter() - began
    return run.report


def record_id_of(name: str, digest: str) -> str:
    """The id of a document's record: another content is another record.

    Args:
        name: The document's name.
        digest: Of its content.
    """
    return hashlib.sha256(f"{name}\0{digest}".encode()).hexdigest()[:32]


class _Run:
    """One pass over the sources: what the store had, what waits, what became of the rest."""

    def __init__(
        self,
        store: Store,
        embed: Embed,
        on_outcome: Callable[[Outcome], None],
        batch_characters: int,
    ) -> None:
        self.report = Report()
        self._store = store
        self._embed = embed
        self._on_outcome = on_outcome
        self._batch_characters = batch_characters
        self._had = ids_by_name(store)
        self._names = {record_id: name for name, ids in self._had.items() for record_id in ids}
        self._has: dict[str, str] = {}
        self._seen: set[str] = set()
        self._batch: list[_Document] = []
        self._waiting = 0

    def take(self, source: Source) -> None:
        """Settle a document that needs no vector; let the others wait for their batch."""
        try:
            document = self._read(source)
        except InputError as error:
            self._fail(source, str(error))
            return
        if document is None:
            return
        self._batch.append(document)
        self._waiting += len(document.text)
        if self._waiting >= self._batch_characters or len(self._batch) >= self._store.max_batch:
            self.flush()

    def flush(self) -> None:
        """Embed and write what waits."""
        batch, self._batch, self._waiting = self._batch, [], 0
        # Equal contents are embedded once.
        texts = list(dict.fromkeys(document.text for document in batch))
        results = dict(zip(texts, embed_each(texts, self._embed), strict=True))
        pairs = [(document, results[document.text]) for document in batch]
        records = [(d, _record(d, *made)) for d, made in pairs if isinstance(made, tuple)]
        if records:
            self._store.write([record for _, record in records])
        # Old versions go only after the new ones are there: a kill in between loses nothing.
        earlier = {record.id: self._others(d.source.name, record.id) for d, record in records}
        self._delete(sorted(set().union(*earlier.values())))
        for document, record in records:
            self._settle(
                Outcome(
                    document.source.name,
                    "replaced" if earlier[record.id] else "added",
                    document.source.size,
                    record.metadata[TOKENS],
                    record.metadata[READ],
                )
            )
        for document, made in pairs:
            if isinstance(made, LongEmbedError):
                self._fail(document.source, str(made))

    def drop_gone(self, is_gone: Callable[[str], bool], prune: bool) -> None:
        """List the stored documents whose source is gone, and remove their records if asked."""
        gone = sorted(name for name in self._had.keys() - self._seen if is_gone(name))
        self.report.gone, self.report.pruned = gone, prune
        if prune:
            self._delete([record_id for name in gone for record_id in self._had[name]])

    def read_back(self) -> None:
        """Make sure that the store holds one current record for every document taken."""
        there = ids_by_name(self._store)
        lost = [name for name, record_id in self._has.items() if there.get(name) != {record_id}]
        if lost:
            raise StoreError(
                f"{len(lost)} documents are not in the store as they were written, {lost[0]!r} "
                "among them: another program has changed it, or the disk has failed. Run again"
            )

    def _read(self, source: Source) -> _Document | None:
        if source.name in self._seen:
            raise InputError("has the name of an earlier document of this run")
        self._seen.add(source.name)
        _check_name(source.name)
        content = content_of(source)
        digest = hashlib.sha256(content).hexdigest()
        record_id = record_id_of(source.name, digest)
        if record_id in self._had.get(source.name, ()):
            self._delete(sorted(self._others(source.name, record_id)))
            self._settle(Outcome(source.name, "unchanged", source.size))
            return None
        if (same := self._equal(source, digest)) is not None:
            self._copy(same, source, record_id)
            return None
        parsed = readable_of(source, content)
        title = parsed.title or source.title or source.name
        return _Document(source, record_id, digest, parsed.text, title)

    def _equal(self, source: Source, digest: str) -> Record | None:
        """A record with this content, whose vector this document can have; a gone file's first."""
        ids = self._store.having(CONTENT_HASH, digest)
        # Another type of file is read in another way.
        kind = PurePath(source.name).suffix.lower()
        # One at a time: there may be thousands of copies, and the first will mostly do.
        for record_id in sorted(ids, key=lambda i: not self._is_moved(self._names.get(i))):
            for record in self._store.get([record_id]):
                same_kind = PurePath(record.name).suffix.lower() == kind
                if record.name != record.id and same_kind and record.vector is not None:
                    return record
        return None

    def _is_moved(self, name: str | None) -> bool:
        """Whether a document that the store had is neither among the sources nor there."""
        return name is not None and name not in self._seen and is_missing(name)

    def _copy(self, same: Record, source: Source, record_id: str) -> None:
        """Store a document with the vector of an equal one, in its place if that was moved."""
        if isinstance(self._store, SpannedStore):
            self._store.carry_spans(same.id, record_id)
        metadata = {**same.metadata, SOURCE: source.name}
        # A title of the document's own goes with it; the name of its file does not.
        if same.metadata[TITLE] in (same.name, PurePath(same.name).name):
            metadata[TITLE] = source.title or source.name
        self._store.write([Record(record_id, same.text, same.vector, metadata)])
        # Old records go only after the new one is there: a kill in between loses nothing.
        others = self._others(source.name, record_id)
        self._delete(sorted(others))
        if self._is_moved(same.name):
            self._delete([same.id])
            self._had[same.name].discard(same.id)
            if not self._had[same.name]:
                del self._had[same.name]
            self.report.moved.append(source.name)
        self._settle(Outcome(source.name, "replaced" if others else "added", source.size))

    def _others(self, name: str, record_id: str) -> set[str]:
        """The records of a document's other versions, now that it has this one."""
        self._has[name] = record_id
        return self._had.get(name, set()) - {record_id}

    def _delete(self, ids: Sequence[str]) -> None:
        for part in batches(ids, self._store.max_batch):
            self._store.delete(part)

    def _fail(self, source: Source, reason: str) -> None:
        if source.name in self._had:
            reason += "; the store keeps its earlier version"
        self._settle(Outcome(source.name, "failed", source.size, reason=reason))

    def _settle(self, outcome: Outcome) -> None:
        self.report.add(outcome)
        self._on_outcome(outcome)


def _record(document: _Document, vector: Any, coverage: Coverage) -> Record:
    metadata = {
        SOURCE: document.source.name,
        TITLE: document.title,
        CONTENT_HASH: document.digest,
        **counts(coverage),
    }
    return Record(document.id, document.text, vector, metadata)


def ids_by_name(store: Store) -> dict[str, set[str]]:
    """The ids of our records; those of other programs, which go by their id, are left alone.

    Args:
        store: The records.
    """
    ids: dict[str, set[str]] = {}
    for record_id, name in store.names():
        if name != record_id:
            ids.setdefault(name, set()).add(record_id)
    return ids


def _check_name(name: str) -> None:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"its name has the lone surrogate {name[error.start]!a} at {error.start}, which is "
            "not valid Unicode"
        ) from None
