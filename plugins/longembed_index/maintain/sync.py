"""Keep an index like a source of documents: what the source has no more is removed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from longembed_index.document import Document
from longembed_index.documents.sources import TextSource, json_metadata
from longembed_index.documents.tables import to_document
from longembed_st.errors import ConfigError, InputError

if TYPE_CHECKING:
    from longembed_index.documents.parsed import Parsed
    from longembed_index.maintain.report import Report
    from longembed_index.store.protocol import Store

SYNCED_FROM = "synced_from"
"""The field of the metadata that has the name of the source that a document came from."""


@dataclass(frozen=True)
class SyncedSource:
    """A document of a source.

    Attributes:
        id: The document's id.
        text: Its text, or a function that fetches it.
        metadata: Its metadata.
        title: Its title; empty for the last part of its id.
        version: What changes with the text, the title or the metadata; None if the source does not
            tell, so that all of them are compared.
    """

    id: str
    text: str | Callable[[], str]
    metadata: Mapping[str, Any]
    title: str = ""
    version: str | None = None

    @property
    def size(self) -> int:
        """Return the number of characters; 0 if the text was not fetched."""
        return len(self.text) if isinstance(self.text, str) else 0

    def content(self) -> bytes:
        """Return the bytes by which a change is noticed."""
        if self.version is None:
            return self._fetched.content()
        # With the id: another document may have the same version.
        identity = [self.id, self.metadata[SYNCED_FROM], self.version]
        return b"\0" + json.dumps(identity).encode()

    def read(self, content: bytes) -> Parsed:
        """Return the text and the title."""
        json_metadata(self.metadata)
        return self._fetched.read(content)

    @cached_property
    def _fetched(self) -> TextSource:
        text = self.text if isinstance(self.text, str) else self.text()
        if not isinstance(text, str):
            raise InputError(f"has no text: its function returned {text!r:.80}")
        return TextSource(Document(self.id, text, self.metadata, self.title))


@dataclass
class Sync:
    """One pass over a source.

    Args:
        name: The name of the source.
        items: Its documents: mappings as `to_document` takes them, perhaps with `version`, tuples
            (id, text, metadata, version) of which the last two may be missing, or documents.
        allow_empty: Whether the last document of the source may be removed.
    """

    name: str
    items: Iterable[Any]
    allow_empty: bool = False
    _ids: set[str] = field(default_factory=set)

    def sources(self) -> Iterator[SyncedSource]:
        """Yield the documents, and remember their ids."""
        for item in self.items:
            source = self._source(item)
            self._ids.add(source.id)
            yield source

    def remove_vanished(self, store: Store, report: Report) -> None:
        """Remove the documents that were stored from the source and that it has no more."""
        # As a filter, a name with an asterisk would match others.
        stored = [e.id for e in store.entries() if e.metadata.get(SYNCED_FROM) == self.name]
        report.gone = sorted(set(stored) - self._ids)
        if not report.gone:
            return
        if len(report.gone) == len(stored) and not self.allow_empty:
            report.kept_because = (
                f"the source {self.name!r} has none of the {len(stored):,} documents that were "
                "stored from it; is it out of reach? To remove them: allow_empty=True"
            )
            return
        store.write([], delete=report.gone)
        report.removed = report.gone
        report.in_store = len(store)

    def _source(self, item: Any) -> SyncedSource:
        if isinstance(item, Document):
            item = vars(item)
        elif isinstance(item, tuple):
            item = dict(zip(("id", "text", "metadata", "version"), item, strict=False))
        if not isinstance(item, Mapping):
            raise ConfigError(
                "a source yields documents, or (id, text, metadata, version), or mappings with "
                f"id and text, not {item!r:.80}"
            )
        fields = dict(item)
        version, text = fields.pop("version", None), fields.get("text")
        document = to_document({**fields, "text": ""} if callable(text) else fields)
        return SyncedSource(
            document.id,
            text if callable(text) else document.text,
            {**document.metadata, SYNCED_FROM: self.name},
            document.title,
            None if version is None else str(version),
        )
