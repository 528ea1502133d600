"""Read a document as windows with a vector each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from longembed_st.base.coverage import Coverage
from longembed_st.errors import InputError
from longembed_st.sentence_transformer.spans import read_spans
from longembed_st.sentence_transformer.transformer import long_transformer

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
    """

    vectors: NDArray[np.float32]
    document: NDArray[np.float32]
    spans: list[tuple[int, int]]
    passages: list[str]
    coverage: Coverage


def read_windows(models: Sequence[LongSentenceTransformer], text: str) -> list[Windows]:
    """Read a document once, and return the vectors of its windows.

    Args:
        models: One extended model, or several that differ in nothing but the weights of tokens.
        text: The document.

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
    (read,) = read_spans(readers[0], [text], prompt, pool=pool, beyond_window=False)
    passages = [text[slice(*span)] for span in read.spans]
    of_each = torch.cat([read.vectors, read.document[None]]).chunk(len(models), dim=1)
    return [
        Windows(vectors[:-1], vectors[-1], read.spans, passages, read.coverage)
        for vectors in map(_finished, models, of_each)
    ]


def _finished(model: LongSentenceTransformer, pooled: torch.Tensor) -> NDArray[np.float32]:
    vectors = model.vectors_from_pooled(pooled)
    if not np.isfinite(vectors).all():
        raise InputError("the model gave a vector that is not finite")
    return vectors
