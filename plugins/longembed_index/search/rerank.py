"""Documents that a search has found, read together with the query and put in a better order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from longembed_index.document import Hit
from longembed_index.search.passages import joined_windows

if TYPE_CHECKING:
    from longembed_st.base.reranking import Reranker, WindowScores

_BATCH = 4
"""Documents between two reports: long ones take seconds each."""


def rerank(
    hits: Sequence[Hit],
    query: str,
    reranker: Reranker,
    *,
    passages: int = 1,
    on_read: Callable[[int, int], None] | None = None,
) -> list[Hit]:
    """Order hits anew, best first, each with the windows that the reranker scores highest.

    Args:
        hits: From a search. Documents without a visible text keep their order behind all others.
        query: The query.
        reranker: A cross-encoder or a late-interaction model.
        passages: The most passages of each; those of a document that the reranker reads in one
            window stay as they are.
        on_read: Called after some documents, with how many were read and are to be read.
    """
    readable = [hit for hit in hits if hit.document.text.strip()]
    scored: list[Hit] = []
    for start in range(0, len(readable), _BATCH):
        batch = readable[start : start + _BATCH]
        windows = reranker.score_windows(query, [hit.document.text for hit in batch])
        scored += [_with_scores(*pair, passages) for pair in zip(batch, windows, strict=True)]
        if on_read is not None:
            on_read(len(scored), len(readable))
    scored.sort(key=lambda hit: -hit.score)
    return [*scored, *(hit for hit in hits if not hit.document.text.strip())]


def _with_scores(hit: Hit, windows: WindowScores, passages: int) -> Hit:
    chosen = hit.passages
    if passages and len(windows.spans) > 1:
        chosen = joined_windows(windows.spans, windows.scores, hit.document, passages)
    scores = {**hit.scores, "search": hit.score, "reranker": windows.score}
    return replace(hit, score=windows.score, scores=scores, passages=chosen)
