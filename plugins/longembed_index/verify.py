"""Compare stored vectors with freshly computed ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from longembed_index.errors import StoreError
from longembed_index.similarity import cosine
from longembed_index.spans import SpanEmbedder, SpannedStore
from longembed_st.base.texts import has_text

if TYPE_CHECKING:
    from longembed_index.embedding import Embed
    from longembed_index.records import Record
    from longembed_index.store import Store

SAMPLE = 5
LEAST_COSINE = 0.9999
"""Below the rounding of bfloat16, far above any difference that a setting makes."""


def verify(store: Store, embed: Embed, size: int = SAMPLE) -> int:
    """Embed some stored documents again, and their spans.

    Args:
        store: The store.
        embed: Must give the stored vectors.
        size: The most documents to embed.

    Returns:
        How many were compared; a record without a text cannot be.

    Raises:
        StoreError: If a vector or span differs; the message names the document.
    """
    compared = 0
    # One at a time, so that memory does not depend on what is drawn.
    for record in sample(store, size):
        if record.text is None or not has_text(record.text):
            continue
        alike = cosine(record.vector, embed([record.text]).vectors[0])
        if not alike >= LEAST_COSINE:
            raise StoreError(
                f"the stored vector of {record.name!r} is not the one that the model gives now "
                f"(cosine {alike:.6f}). Index into a new store"
            )
        if isinstance(store, SpannedStore) and isinstance(embed, SpanEmbedder):
            _compare_spans(store, record, embed)
        compared += 1
    return compared


def _compare_spans(store: SpannedStore, record: Record, embed: SpanEmbedder) -> None:
    """Compare the spans of a record that was just embedded."""
    (made,) = embed.spans_of([record])
    for stored in store.spans.read(store.fingerprint, [record.id]):
        pairs = zip(stored.vectors, made.vectors, strict=False)
        if not np.array_equal(stored.ranges, made.ranges) or not all(
            cosine(*pair) >= LEAST_COSINE for pair in pairs
        ):
            raise StoreError(
                f"the stored spans of {record.name!r} are not those that the model gives now. "
                f"Delete {store.spans.place}: the next `longembed index --spans` makes them "
                "anew"
            )


def sample(store: Store, size: int) -> list[Record]:
    """Some records, spread evenly over a store.

    Args:
        store: The store.
        size: How many; all if there are fewer.
    """
    ids = sorted(record_id for record_id, _ in store.names())
    return store.get(ids[:: max(1, len(ids) // size)][:size])
