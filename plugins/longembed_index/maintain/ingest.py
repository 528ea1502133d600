"""The ingestion loop: from documents to records in a store, resumable and never halfway.

What the store already has with the same content is not touched, so a run that was cut off is
finished by running it again. The loop knows neither readers nor models nor any kind of store.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from longembed_index.document import Document, Entry, Record
from longembed_index.documents.files import emptied_folders, is_missing, is_missing_below
from longembed_index.errors import StoreError
from longembed_index.maintain.embedding import BATCH_CHARACTERS, Embed, Embedded, embed_distinct
from longembed_index.maintain.read_ahead import Reading, SourceReader
from longembed_index.maintain.report import Outcome, Report, Status, outcome_of, unchanged
from longembed_st.base.texts import escaped
from longembed_st.errors import ConfigError, InputError

if TYPE_CHECKING:
    from longembed_index.documents.parsed import LeftOut
    from longembed_index.documents.sources import Source
    from longembed_index.store.protocol import Store

BATCH_DOCUMENTS = 500
"""Documents written in one commit, at most."""


def ingest(
    sources: Iterable[Source],
    store: Store,
    embed: Embed,
    *,
    roots: Sequence[Path] = (),
    prune: bool = False,
    prune_empty_root: bool = False,
    is_outdated: Callable[[Entry], bool] = lambda entry: False,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
    batch_characters: int = BATCH_CHARACTERS,
) -> Report:
    """Bring a store up to date with some documents.

    Args:
        sources: The documents; a sequence is read ahead while those before are embedded.
        store: Open for writing.
        embed: Makes the vectors, with units if the store is to have them.
        roots: Files and folders that were looked through: stored documents from there whose file
            is gone are reported.
        prune: Remove these documents, unless nothing is left of a root: a drive may be unmounted.
        prune_empty_root: Remove them even then.
        is_outdated: Whether a stored document is read again, although its content is the same.
        on_outcome: Called for every document as soon as its fate is settled.
        batch_characters: Characters that are embedded, and then written, together.

    Returns:
        What became of every document. One that cannot be embedded is reported and not stored.

    Raises:
        StoreError: If the store fails, or does not hold in the end what was written to it.
    """
    began = time.perf_counter()
    run = _Run(store, embed, is_outdated, on_outcome, batch_characters)
    with closing(run.reader.readings(sources)) as readings:
        for source, reading in readings:
            run.take(source, reading)
    run.flush()
    run.look_for_gone(roots, prune, prune_empty_root)
    run.compare_with_store()
    run.report.seconds = time.perf_counter() - began
    return run.report


@dataclass(frozen=True)
class _Pending:
    """A document that waits for its batch; with a record it needs no vector."""

    source: Source
    content_hash: str
    document: Document
    left_out: tuple[LeftOut, ...]
    record: Record | None = None
    moved_from: str | None = None


class _Run:
    """One pass over the sources: what the store had, what waits, what became of the rest."""

    def __init__(
        self,
        store: Store,
        embed: Embed,
        is_outdated: Callable[[Entry], bool],
        on_outcome: Callable[[Outcome], None],
        batch_characters: int,
    ) -> None:
        self.report = Report()
        self._store = store
        self._embed = embed
        self._on_outcome = on_outcome
        self._batch_characters = batch_characters
        self._has_units = store.info.units
        # All of it is read once: nothing is asked of the store for a new document.
        self._hashes: dict[str, str] = {}
        self._partly_read: dict[str, Entry] = {}
        self._outdated: dict[str, Entry] = {}
        for entry in store.entries():
            self._hashes[entry.id] = entry.content_hash
            if not entry.is_read_whole:
                self._partly_read[entry.id] = entry
            if is_outdated(entry):
                self._outdated[entry.id] = entry
        self._ids_by_hash: dict[str, set[str]] = {}
        for document_id, content_hash in self._hashes.items():
            self._ids_by_hash.setdefault(content_hash, set()).add(document_id)
        self.reader = SourceReader(
            content_hash
            for document_id, content_hash in self._hashes.items()
            if document_id not in self._outdated
        )
        self._seen: set[str] = set()
        self._written: dict[str, str] = {}
        self._batch: list[_Pending] = []
        self._batch_size = 0

    def take(self, source: Source, reading: Reading | Exception) -> None:
        """Settle a document that is unchanged; let the others wait for their batch."""
        try:
            pending = self._pending(source, reading)
        except InputError as error:
            self._fail(source, str(error))
            return
        if pending is None:
            return
        self._batch.append(pending)
        self._batch_size += len(pending.document.text)
        if self._batch_size >= self._batch_characters or len(self._batch) >= BATCH_DOCUMENTS:
            self.flush()

    def flush(self) -> None:
        """Embed what waits, and write it in one commit."""
        batch, self._batch, self._batch_size = self._batch, [], 0
        batch = self._with_stored_vectors(batch)
        texts = [pending.document.text for pending in batch if pending.record is None]
        results = embed_distinct(self._embed, texts) if texts else {}
        ready: list[tuple[_Pending, Record]] = []
        for pending in batch:
            result = results.get(pending.document.text)
            if pending.record is not None:
                ready.append((pending, pending.record))
            elif isinstance(result, Embedded):
                if self._has_units and result.units is None:
                    raise ConfigError(
                        "the store is meant to have units, and the model was asked for none. "
                        "Embed with units"
                    )
                record = result.record_of(pending.document, pending.content_hash, pending.left_out)
                ready.append((pending, record))
            else:
                self._fail(pending.source, str(result))
        if ready:
            written = {pending.source.id for pending, _ in ready}
            moved = {p.moved_from: p.source.id for p, _ in ready if p.moved_from is not None}
            self._store.write([record for _, record in ready], delete=moved.keys() - written)
            self.report.moved += moved.values()
        for pending, record in ready:
            self._settle_written(pending, record)

    def look_for_gone(self, roots: Sequence[Path], prune: bool, prune_empty_root: bool) -> None:
        """Report the stored documents whose file is gone, and remove them if asked."""
        missing = sorted(i for i in self._hashes.keys() - self._seen if is_missing(i))
        gone = [document_id for document_id in missing if is_missing_below(document_id, roots)]
        self.report.gone = gone
        self.report.missing_elsewhere = sorted(set(missing) - set(gone))
        if not (prune and gone):
            return
        removed = gone
        if not prune_empty_root:
            emptied = emptied_folders(roots, self._hashes.keys() | self._seen)
            removed = [i for i in gone if not is_missing_below(i, [root for root, _ in emptied])]
            # A drive may have come back while they were looked for.
            removed = [i for i in removed if is_missing(i)]
            self.report.kept_because = _why_kept(emptied)
        if removed:
            self._store.write([], delete=removed)
            self.report.removed = removed

    def compare_with_store(self) -> None:
        """Make sure that the store holds every document that was written, as it was written."""
        stored = {entry.id: entry.content_hash for entry in self._store.entries()}
        self.report.in_store = len(stored)
        lost = [i for i, content_hash in self._written.items() if stored.get(i) != content_hash]
        if lost:
            raise StoreError(
                f"{len(lost)} documents are not in the store as they were written, "
                f"{escaped(lost[0])} among them: another program has changed it, or the disk has "
                "failed. Run again"
            )

    def _pending(self, source: Source, reading: Reading | Exception) -> _Pending | None:
        if source.id in self._seen:
            raise InputError("has the id of an earlier document of this run")
        self._seen.add(source.id)
        _check_id(source.id)
        if isinstance(reading, Exception):
            raise reading
        content_hash, parsed = reading
        if self._hashes.get(source.id) == content_hash and source.id not in self._outdated:
            self._written[source.id] = content_hash
            self._settle(unchanged(source.id, source.size, self._partly_read.get(source.id)))
            return None
        copy = self._copy_of_equal(source, content_hash)
        if copy is not None:
            return copy
        if parsed is None:
            # Only a type of file that is read in another way has this content, or its own batch.
            content_hash, parsed = self.reader.read(source)
        title = parsed.title or source.title
        metadata = {**parsed.metadata, **self._user_metadata(source, content_hash)}
        document = Document(source.id, parsed.text, metadata, title)
        return _Pending(source, content_hash, document, parsed.left_out)

    def _copy_of_equal(self, source: Source, content_hash: str) -> _Pending | None:
        """Return a document with the vector of a stored one of equal content, if there is one."""
        # Another type of file is read in another way.
        suffix = PurePath(source.id).suffix.lower()
        equal = self._ids_by_hash.get(content_hash, set()) - self._outdated.keys()
        ids = [i for i in equal if PurePath(i).suffix.lower() == suffix]
        # A file that is gone is looked at first: this one may be where it was moved to.
        for stored_id in sorted(ids, key=lambda i: (not self._is_moved(i), i)):
            for record in self._with_units([stored_id]):
                stored = record.document
                # A title of the document's own goes with it; the name of its file does not.
                is_file_name = stored.title in (stored.id, PurePath(stored.id).name)
                title = source.title if is_file_name else stored.title
                moved_from = stored_id if self._is_moved(stored_id) else None
                metadata = {
                    **self._metadata_of_copy(source, record, moved_from),
                    **self._user_metadata(source, content_hash),
                }
                document = Document(source.id, stored.text, metadata, title)
                copy = replace(record, document=document, content_hash=content_hash)
                if moved_from is not None:
                    self._forget(moved_from)
                return _Pending(source, content_hash, document, copy.left_out, copy, moved_from)
        return None

    def _user_metadata(self, source: Source, content_hash: str) -> Mapping[str, Any]:
        """Return a source's metadata, and what was said in earlier runs if it is unchanged."""
        if self._hashes.get(source.id) != content_hash:
            return source.metadata
        return {**self._outdated[source.id].metadata, **source.metadata}

    def _metadata_of_copy(
        self, source: Source, record: Record, moved_from: str | None
    ) -> Mapping[str, Any]:
        """Return what a file says; what the user says goes with a moved file, not to copies."""
        stored = record.document.metadata
        if moved_from or stored.keys() - source.metadata.keys() <= {"date", "pages"}:
            return stored
        return self.reader.read(source)[1].metadata

    def _is_moved(self, document_id: str) -> bool:
        """Return whether a stored document is neither among the sources nor on the disk."""
        return document_id not in self._seen and is_missing(document_id)

    def _forget(self, document_id: str) -> None:
        content_hash = self._hashes.pop(document_id)
        self._ids_by_hash[content_hash].discard(document_id)

    def _with_stored_vectors(self, batch: Sequence[_Pending]) -> list[_Pending]:
        """Give vectors to documents whose text has one: its stored version, or an equal one."""
        changed = [p.source.id for p in batch if p.record is None and p.source.id in self._hashes]
        stored = {record.document.id: record for record in self._with_units(changed)}
        copies = {p.document.text: p.record for p in batch if p.record is not None}
        result = []
        for pending in batch:
            document, content_hash = pending.document, pending.content_hash
            record = stored.get(document.id)
            if record is None or record.document.text != document.text:
                record = copies.get(document.text)
            if pending.record is None and record is not None:
                copy = replace(
                    record,
                    document=document,
                    content_hash=content_hash,
                    left_out=pending.left_out,
                )
                pending = replace(pending, record=copy)
            result.append(pending)
        return result

    def _with_units(self, ids: Sequence[str]) -> list[Record]:
        """Return stored records with their units; those that lack them are left out."""
        return self._store.get(ids, units=self._has_units) if ids else []

    def _settle_written(self, pending: _Pending, record: Record) -> None:
        source, content_hash = pending.source, pending.content_hash
        earlier = self._hashes.get(source.id)
        if earlier is not None:
            self._forget(source.id)
        self._outdated.pop(source.id, None)
        self._hashes[source.id] = self._written[source.id] = content_hash
        self._ids_by_hash.setdefault(content_hash, set()).add(source.id)
        status: Status = "added" if earlier is None else "replaced"
        is_embedded = pending.record is None
        self._settle(outcome_of(record, status, source.size, is_embedded=is_embedded))

    def _fail(self, source: Source, reason: str) -> None:
        if source.id in self._hashes:
            reason += "; the store keeps its earlier version"
        self._settle(Outcome(source.id, "failed", source.size, reason=reason))

    def _settle(self, outcome: Outcome) -> None:
        self.report.add(outcome)
        self._on_outcome(outcome)


def _why_kept(emptied: Sequence[tuple[Path, int]]) -> str:
    if not emptied:
        return ""
    root, count = emptied[0]
    return (
        f"there is no file under {escaped(root)} now, and the store has {count:,} documents from "
        "there; is a drive not mounted? To remove them from the store: --prune-empty-root "
        "(prune_empty_root=True)"
    )


def _check_id(document_id: str) -> None:
    try:
        document_id.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"its name has the lone surrogate {document_id[error.start]!a} at {error.start}, which "
            "is not valid Unicode"
        ) from None
