"""Compare stored vectors with freshly computed ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from longembed_index.document import Units
from longembed_index.errors import StoreError
from longembed_st.base.texts import escaped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from longembed_index.maintain.embedding import Embed
    from longembed_index.store.protocol import Store

SAMPLE = 5
LEAST_COSINE, LEAST_UNIT_COSINE = 0.9999, 0.98
"""Below the rounding of a store, far above any difference that a setting makes."""

_WAY_OUT = "Index into a new store, or embed all documents again with longembed reindex"


def verify(store: Store, embed: Embed, size: int = SAMPLE) -> int:
    """Embed some stored documents again, and compare their vectors and units.

    Returns:
        How many documents were compared.

    Raises:
        StoreError: If a vector or unit differs or is missing; the message names the document.
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
            cosine = _mean_cosine(record.vector[None], result.vector[None])
            if not cosine >= LEAST_COSINE:
                raise StoreError(
                    f"the stored vector of {escaped(document_id)} is not the one that the model "
                    f"gives now (cosine {cosine:.6f}). {_WAY_OUT}"
                )
            if store.info.units:
                _compare_units(document_id, dict(store.units([document_id])), result.units)
    return len(chosen)


def _compare_units(document_id: str, stored: dict[str, Units], computed: Units | None) -> None:
    units = stored.get(document_id)
    if units is None:
        raise StoreError(
            f"the store is meant to have units, and {escaped(document_id)} has none. {_WAY_OUT}"
        )
    if (
        computed is None
        or not np.array_equal(units.ranges, computed.ranges)
        or not np.array_equal(units.counts, computed.counts)
        or not _mean_cosine(units.vectors, computed.vectors) >= LEAST_UNIT_COSINE
    ):
        raise StoreError(
            f"the stored units of {escaped(document_id)} are not those that the model gives now. "
            f"{_WAY_OUT}"
        )


def _mean_cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    # A unit without tokens has the vector zero.
    cosines = (a * b).sum(axis=1) / np.where(lengths, lengths, 1)
    cosines[(a == b).all(axis=1)] = 1
    return float(cosines.mean()) if len(cosines) else 1.0
