"""What orders documents anew by reading them together with the query."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError, ModelError


@dataclass(frozen=True)
class WindowScores:
    """What a reranker makes of a document and of its windows.

    Attributes:
        score: Of the document.
        scores: Of each window, shape (windows,).
        spans: The half-open range of characters of each window; empty if the tokenizer keeps no
            offsets.
    """

    score: float
    scores: NDArray[np.float32]
    spans: list[tuple[int, int]]

    @property
    def best_span(self) -> tuple[int, int] | None:
        """Where the window of the highest score stands; None without offsets."""
        return self.spans[int(self.scores.argmax())] if self.spans else None


class Reranker(Protocol):
    """A LongCrossEncoder, a LongMultiVectorEncoder, or whatever else scores windows."""

    def score_windows(self, query: str, documents: Sequence[str]) -> list[WindowScores]:
        """Score documents and their windows.

        Args:
            query: The query.
            documents: The documents.

        Returns:
            One a document, in order.
        """


def reranker_of(model: str | os.PathLike[str] | Reranker, **settings: Any) -> Reranker:
    """The reranker of a name; one that is loaded already is given back.

    Args:
        model: Folder or hub name of a cross-encoder or a late-interaction model, or a reranker.
        **settings: Of `longembed_st.load`, if it is to be loaded.

    Raises:
        ConfigError: If it is no reranker.
        ModelError: If it cannot be loaded, or is of another class.
    """
    if hasattr(model, "score_windows"):
        return cast(Reranker, model)
    if not isinstance(model, (str, os.PathLike)):
        raise ConfigError(
            f"a {type(model).__name__} is no reranker: give the name of a cross-encoder or of a "
            "late-interaction model, or one that longembed_st.load has loaded"
        )
    # Its libraries take seconds to import.
    from longembed_st.loading.load import load_any

    loaded = load_any(ModelSettings.from_keywords(model_name=str(model), **settings))
    if not hasattr(loaded, "score_windows"):
        raise ModelError(
            f"{str(model)!r} is a {loaded.model_type}, which does not rerank: give a CrossEncoder "
            "or a MultiVectorEncoder (late interaction)"
        )
    return cast(Reranker, loaded)
