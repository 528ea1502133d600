"""Compare stored vectors with freshly computed ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from longembed_index.errors import StoreError
from longembed_index.similarity import cosine
from longembed_st.texts import has_text

if TYPE_CHECKING:
    from longembed_index.embedding import Embed
    from longembed_index.records import Record
    from longembed_index.store import Store

SAMPLE = 5
LEAST_COSINE = 0.9999
"""Below the rounding of bfloat16, far above any difference that a setting makes."""


def verify(store: Store, embed: Embed, size: int = SAMPLE) -> int:
    """Embed some stored documents again.

    Args:
        store: The store.
        embed: Must give the stored vectors.
        size: The most documents to embed.

    Returns:
        How many were compared; a record without a text cannot be.

    Raises:
        StoreError: If a vector differs; the message names the document.
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
        compared += 1
    return compared


def sample(store: Store, size: int) -> list[Record]:
    """Some records, spread evenly over a store.

    Args:
        store: The store.
        size: How many; all if there are fewer.
    """
    ids = sorted(record_id for record_id, _ in store.names())
    return store.get(ids[:: max(1, len(ids) // size)][:size])
