"""Documents that a search has found, read together with the query and put in a better order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from longembed_index.embedding import batches
from longembed_index.passages import DocumentHit, passages_of

if TYPE_CHECKING:
    from longembed_st.base.reranking import Reranker, WindowScores

_AT_ONCE = 4
"""Documents between two reports: long ones take seconds each."""


def reranked(
    hits: Sequence[DocumentHit],
    query: str,
    reranker: Reranker,
    *,
    passages: int = 1,
    on_read: Callable[[int, int], None] | None = None,
) -> list[DocumentHit]:
    """Hits in the order that a reranker gives them, each with the windows that it liked best.

    Args:
        hits: From a search, with their texts. Records without a text keep their order behind all
            others: there is nothing to read.
        query: The query.
        reranker: A cross-encoder or a late-interaction model.
        passages: The most passages of each; those of a document that the reranker reads in one
            window stay as they are.
        on_read: Called after some documents, with how many were read and are to be.

    Returns:
        The best first, with the reranker's scores.
    """
    readable = [hit for hit in hits if hit.text.strip()]
    scored: list[DocumentHit] = []
    for part in batches(readable, _AT_ONCE):
        found = reranker.score_windows(query, [hit.text for hit in part])
        scored += [_with_scores(hit, one, passages) for hit, one in zip(part, found, strict=True)]
        if on_read is not None:
            on_read(len(scored), len(readable))
    best = sorted(scored, key=lambda hit: -hit.hit.score)
    return [*best, *(hit for hit in hits if not hit.text.strip())]


def _with_scores(hit: DocumentHit, found: WindowScores, passages: int) -> DocumentHit:
    windows = hit.passages
    if passages and len(found.spans) > 1:
        windows = passages_of(np.array(found.spans), found.scores, hit.text, passages)
    return replace(
        hit,
        hit=replace(hit.hit, score=found.score),
        first_score=hit.hit.score,
        passages=windows,
    )
