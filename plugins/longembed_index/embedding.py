"""How texts get their vectors without one spoiling the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from longembed_st.base.coverage import Coverage, Encoded
from longembed_st.base.provenance import refuse_unless_storable
from longembed_st.errors import LongEmbedError, ModelError

if TYPE_CHECKING:
    from longembed_st.base.settings import ModelSettings
    from longembed_st.loading.cache import CachedModel

BATCH_CHARACTERS = 65_536
"""Characters embedded between two writes: some seconds of work on a small CPU, lost if killed."""

ROWS = 16
"""Records whose texts are held in memory at once; each may have megabytes."""

Embed = Callable[[list[str]], Encoded]
"""From texts to their vectors, for instance
`lambda texts: model.encode_with_coverage(texts, role="document")`."""

NOT_FINITE = "the model gave a vector that is not finite; it was not stored"

T = TypeVar("T")


def storable_model(settings: ModelSettings) -> CachedModel:
    """The model of settings that are going to be stored with its vectors.

    Args:
        settings: With a `model_name`.

    Raises:
        ConfigError: If a setting must not be stored, or is wrong for the model.
        ModelError: If the model cannot be loaded or cannot take the method.
    """
    refuse_unless_storable(settings)
    # A relative path would mean another folder to whoever opens the store elsewhere.
    named = {name: getattr(settings, name) for name in ("model_name", "whitening")}
    places = {name: Path(value) for name, value in named.items() if value}
    settings = settings.model_copy(
        update={
            name: str(place.resolve())
            for name, place in places.items()
            if place.is_dir() or (name == "whitening" and place.is_file())
        }
    )
    from longembed_st.loading.cache import cached_model

    return cached_model(settings)


def document_embedder(model: CachedModel) -> Embed:
    """What gives the vectors of documents.

    Args:
        model: The model.
    """
    return lambda texts: model.model.encode_with_coverage(texts, role="document")


def embed_each(texts: Sequence[str], embed: Embed) -> list[tuple[Any, Coverage] | LongEmbedError]:
    """Embed texts together, and one at a time if one of them is at fault.

    Args:
        texts: The texts.
        embed: Gives the vectors.

    Returns:
        For each text its vector and what it was computed from, or the error that it alone gives.
    """
    if not texts:
        return []
    try:
        encoded = embed(list(texts))
    except LongEmbedError as error:
        if len(texts) == 1:
            return [error]
        # One of them is at fault: alone, each answers for itself.
        return [result for text in texts for result in embed_each([text], embed)]
    pairs = zip(encoded.vectors, encoded.coverages, strict=True)
    return [pair if np.isfinite(pair[0]).all() else ModelError(NOT_FINITE) for pair in pairs]


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Cut a sequence into parts that a store takes at once.

    Args:
        items: Any items.
        size: The most of a part.
    """
    for start in range(0, len(items), size):
        yield items[start : start + size]
