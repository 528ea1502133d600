"""What a store keeps of a document, and how its vector is made without one spoiling the others."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import longembed_st as le
from longembed_st.errors import LongEmbedError, TextNotReadWarning

BATCH_CHARACTERS = 65_536
"""Characters embedded between two writes: some seconds of work on a small CPU, lost if killed."""

Embed = Callable[[list[str]], Sequence[Any]]
"""From texts to one vector each, in their order."""


COUNTS = ("tokens", "read", "windows")
"""What is stored of a vector's coverage."""

T = TypeVar("T")


@dataclass(frozen=True)
class Record:
    """One vector and what it stands for.

    Attributes:
        id: Its key in the store.
        text: The whole document.
        vector: Its embedding.
        metadata: Where it is from, and how much of it was read.
    """

    id: str
    text: str
    vector: Any
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class Embedded:
    """A vector, and what it was computed from.

    Attributes:
        vector: Of one text.
        coverage: What was read of that text.
    """

    vector: Any
    coverage: le.Coverage

    @property
    def counts(self) -> dict[str, int]:
        """The coverage, as it is stored with the vector."""
        return {name: getattr(self.coverage, name) for name in COUNTS}


def embed_each(texts: Sequence[str], embed: Embed) -> list[Embedded | LongEmbedError]:
    """Embed texts together, and one at a time if one of them is at fault.

    Args:
        texts: The texts.
        embed: Gives the vectors; what of a text was read is taken from the core's observer.

    Returns:
        For each text its vector, or the error that it alone gives.
    """
    if not texts:
        return []
    try:
        return list(_embed(texts, embed))
    except LongEmbedError as error:
        if len(texts) == 1:
            return [error]
    # One of them is at fault: alone, each answers for itself.
    return [result for text in texts for result in embed_each([text], embed)]


def _embed(texts: Sequence[str], embed: Embed) -> list[Embedded]:
    with le.observe_coverage() as seen, warnings.catch_warnings():
        # Whoever reports on the batch names every text that was not read to its end.
        warnings.simplefilter("ignore", TextNotReadWarning)
        vectors = embed(list(texts))
    return [Embedded(vector, seen[text]) for text, vector in zip(texts, vectors, strict=True)]


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Cut a sequence into parts that a store takes at once.

    Args:
        items: Any items.
        size: The most of a part.
    """
    for start in range(0, len(items), size):
        yield items[start : start + size]
