"""Compare stored vectors with freshly computed ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from chroma_longembed.errors import StoreError
from chroma_longembed.records import Embed, Record

SAMPLE = 5
LEAST_COSINE = 0.9999
"""Below the rounding of bfloat16, far above any difference that a setting makes."""


class Sampled(Protocol):
    """A store that can show some of its records."""

    def sample(self, size: int) -> list[Record]:
        """Some records."""


def verify(store: Sampled, embed: Embed, size: int = SAMPLE) -> int:
    """Embed some stored documents again.

    Args:
        store: The store.
        embed: Must give the stored vectors.
        size: The most documents to embed.

    Returns:
        How many were compared.

    Raises:
        StoreError: If a vector differs; the message names the document.
    """
    records = store.sample(size)
    # One at a time, so that memory does not depend on what is drawn.
    for record in records:
        cosine = _cosine(record.vector, embed([record.text])[0])
        if not cosine >= LEAST_COSINE:
            raise StoreError(
                f"the stored vector of {record.metadata['source']!r} is not the one that the model "
                f"gives now (cosine {cosine:.6f}). Index into a new store"
            )
    return len(records)


def _cosine(a: Sequence[float], b: Sequence[float]) -> float:
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return float(x @ y / (np.linalg.norm(x) * np.linalg.norm(y)))
