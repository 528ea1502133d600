"""Read a document as windows with a vector each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from longembed_st.base.coverage import Coverage
from longembed_st.errors import InputError
from longembed_st.sentence_transformer.transformer import long_transformer
from longembed_st.sentence_transformer.units import UnitVectors, read_units

if TYPE_CHECKING:
    from longembed_st.sentence_transformer.model import LongSentenceTransformer


@dataclass(frozen=True)
class Windows:
    """A document as the fit of a whitening sees it.

    Attributes:
        vectors: One vector a window, shape (windows, width).
        document: The vector of the document, shape (width,).
        spans: The half-open range of characters of each window.
        passages: The text of each window.
        coverage: What was read of the document.
        units: The vectors of its units by the model without weights of tokens; None if they were
            not asked for.
    """

    vectors: NDArray[np.float32]
    document: NDArray[np.float32]
    spans: list[tuple[int, int]]
    passages: list[str]
    coverage: Coverage
    units: UnitVectors | None = None


def read_windows(
    models: Sequence[LongSentenceTransformer], text: str, ranges: ArrayLike | None = None
) -> list[Windows]:
    """Read a document once, and return the vectors of its windows.

    Args:
        models: One extended model, or several that differ in nothing but the weights of tokens.
        text: The document.
        ranges: The characters of its units, as for `encode_units`; None to leave units out.

    Returns:
        One for each model.

    Raises:
        ConfigError: If the tokenizer does not say which characters a token is made of.
        InputError: If it has no text that can be read, or is too long under the policy "error".
    """
    for model in models:
        model.eval()
    readers = [long_transformer(model) for model in models]

    def pool(outputs: dict[str, Any]) -> torch.Tensor:
        return torch.cat([reader.pool(outputs) for reader in readers], dim=1)

    prompt = models[0].prompt_of("document")
    (read,) = read_units(
        readers[0],
        [text],
        [ranges if ranges is not None else ()],
        prompt,
        pool=pool,
        beyond_window=ranges is not None,
    )
    passages = [text[slice(*span)] for span in read.ranges]
    of_each = torch.cat([read.windows, read.document[None]]).chunk(len(models), dim=1)
    units = None
    if ranges is not None:
        units = models[0].units_from_pooled(ranges, replace(read, document=of_each[0][-1]))
    return [
        Windows(vectors[:-1], vectors[-1], read.ranges, passages, read.coverage, units)
        for vectors in map(_finished, models, of_each)
    ]


def _finished(model: LongSentenceTransformer, pooled: torch.Tensor) -> NDArray[np.float32]:
    vectors = model.vectors_from_pooled(pooled)
    if not np.isfinite(vectors).all():
        raise InputError("the model gave a vector that is not finite")
    return vectors
