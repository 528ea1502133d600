"""Compare stored vectors with freshly computed ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from longembed_index.document import Spans
from longembed_index.errors import StoreError
from longembed_st.base.texts import escaped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from longembed_index.maintain.embedding import Embed
    from longembed_index.store.protocol import Store

SAMPLE = 5
LEAST_COSINE = 0.9999
"""Below the rounding of half precision, far above any difference that a setting makes."""

_WAY_OUT = "Index into a new store, or embed all documents again with longembed reindex"


def verify(store: Store, embed: Embed, size: int = SAMPLE) -> int:
    """Embed some stored documents again, and compare their vectors and spans.

    Args:
        store: The store.
        embed: Must make the stored vectors, with spans if the store has them.
        size: The most documents to embed; they are spread evenly over the store.

    Returns:
        How many documents were compared.

    Raises:
        StoreError: If a vector or span differs or is missing; the message names the document.
        LongEmbedError: If a document cannot be embedded again.
    """
    ids = [entry.id for entry in store.entries()]
    chosen = ids[:: max(1, len(ids) // size)][:size]
    # One at a time: each text may have megabytes.
    for document_id in chosen:
        for record in store.get([document_id]):
            (result,) = embed([record.document.text])
            if isinstance(result, Exception):
                raise result
            least = _least_cosine(record.vector[None], result.vector[None])
            if not least >= LEAST_COSINE:
                raise StoreError(
                    f"the stored vector of {escaped(document_id)} is not the one that the model "
                    f"gives now (cosine {least:.6f}). {_WAY_OUT}"
                )
            if store.info.spans:
                _compare_spans(document_id, dict(store.spans([document_id])), result.spans)
    return len(chosen)


def _compare_spans(document_id: str, stored: dict[str, Spans], computed: Spans | None) -> None:
    spans = stored.get(document_id)
    if spans is None:
        raise StoreError(
            f"the store is meant to have spans, and {escaped(document_id)} has none. {_WAY_OUT}"
        )
    if (
        computed is None
        or not np.array_equal(spans.ranges, computed.ranges)
        or not _least_cosine(spans.vectors, computed.vectors) >= LEAST_COSINE
    ):
        raise StoreError(
            f"the stored spans of {escaped(document_id)} are not those that the model gives now. "
            f"{_WAY_OUT}"
        )


def _least_cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    # Stored vectors are of unit length only within half precision.
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(axis=1) / np.where(lengths, lengths, 1)).min(initial=1.0))
