"""Embed new documents before their store is locked, so that others can write meanwhile."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from longembed_index.documents.sources import content_of, readable_of
from longembed_index.maintain.embedding import Embed, Embedded, embed_distinct, embedder_of
from longembed_st.errors import InputError, LongEmbedError

if TYPE_CHECKING:
    from longembed_index.documents.sources import Source
    from longembed_index.index_reader import IndexReader
    from longembed_index.store.protocol import StoreInfo

MOST_CHARACTERS = 5_000_000
"""Texts beyond so many are embedded while the store is locked: their vectors are held in memory."""


@dataclass(frozen=True)
class EmbeddedAhead:
    """Texts that were embedded before the store was locked.

    Attributes:
        results: What the model made of each text.
        info: The description of the store that they were embedded for.
    """

    results: dict[str, Embedded | LongEmbedError]
    info: StoreInfo

    def before(self, embed: Embed, info: StoreInfo) -> Embed:
        """Return what embeds only the texts that were not embedded ahead.

        Args:
            embed: Makes the vectors of the store.
            info: The description of the store now; if another process has reindexed it, its vectors
                are others, and all texts are embedded again.
        """
        is_same = self.info.provenance.fingerprint == info.provenance.fingerprint
        if not is_same or self.info.units != info.units:
            return embed

        def embed_missing(texts: list[str]) -> list[Embedded | LongEmbedError]:
            missing = embed_distinct(embed, (text for text in texts if text not in self.results))
            return [missing[text] if text in missing else self.results[text] for text in texts]

        return embed_missing


def embed_ahead(sources: Iterable[Source], index: IndexReader) -> EmbeddedAhead | None:
    """Embed the documents that are new or have changed; None if the index does not exist yet.

    What cannot be read is left to the ingestion, which reads all of them again and reports it.
    """
    if not index.exists:
        return None
    info = index.info
    known = {entry.content_hash for entry in index.documents()}
    texts: list[str] = []
    left = MOST_CHARACTERS
    for source in sources:
        try:
            content = content_of(source)
            if hashlib.sha256(content).hexdigest() not in known:
                texts.append(readable_of(source, content).text)
                left -= len(texts[-1])
        except InputError:
            continue
        if left <= 0:
            break
    if not texts:
        return EmbeddedAhead({}, info)
    return EmbeddedAhead(embed_distinct(embedder_of(index.model, info.units), texts), info)
