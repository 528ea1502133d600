"""The windows of a document, with their vectors and the characters that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers.util import batch_to_device

from longembed_st.coverages import Coverage, Overflow
from longembed_st.errors import InputError
from longembed_st.reading.transformer import LongTransformer, long_transformer

if TYPE_CHECKING:
    from longembed_st.model import LongSentenceTransformer


@dataclass(frozen=True)
class Windows:
    """A document as the fit sees it.

    Attributes:
        vectors: One a window, shape (windows, width).
        document: Of all that is read of the document, shape (width,).
        passages: The text of each window; None where the tokenizer does not tell.
        coverage: What was read of the document.
    """

    vectors: NDArray[np.float32]
    document: NDArray[np.float32]
    passages: list[str] | None
    coverage: Coverage


@torch.inference_mode()
def read_windows(models: Sequence[LongSentenceTransformer], text: str) -> list[Windows]:
    """Read a document once, and keep a vector of each window.

    The windows are those that the method reads in. A method that reads a long text in one pass
    gives the token embeddings of that pass, pooled over ranges of the original window's length.

    Args:
        models: One extended model, or several that differ in nothing but the weights of tokens.
        text: The document.

    Returns:
        What each model makes of the document.

    Raises:
        InputError: If it has no text that can be read, or is too long under the policy "error".
    """
    model = models[0]
    for one in models:
        one.eval()
    reader, readers = long_transformer(model), [long_transformer(one) for one in models]
    prompt = model.prompt_of("document")
    # Refuses what is too long, if that is the policy.
    features = reader.preprocess([text], prompt=prompt, overflow=Overflow())
    features = batch_to_device(features, model.device)
    (whole,) = reader.tokenize_texts([text], prompt, offsets=True)
    coverage = reader.coverage_of(whole, spans=True)
    unread = coverage.tokens - coverage.read
    content = whole.content - unread
    ranges = _ranges(content, reader.extension.context.original)
    spans: Sequence[tuple[int, int] | None]
    if coverage.passes > 1 or len(ranges) == 1:
        pooled, _ = reader.read_passes(features, pool=lambda outputs: _each(readers, outputs))
        documents, spans = pooled.mean(dim=0), coverage.spans
    else:
        ids = features["input_ids"]
        tokens = reader.token_embeddings(ids)
        first = whole.header
        inside = [slice(first + a, first + b) for a, b in ranges]
        parts = [_outputs(ids[:, part], tokens[:, part]) for part in inside]
        pooled = torch.cat([_each(readers, part) for part in parts])
        documents = _each(readers, _outputs(ids, tokens))[0]
        skipped = unread if reader.text_tokenizer.truncation_side == "left" else 0
        spans = [whole.characters(skipped + a, skipped + b) for a, b in ranges]
    known = [text[slice(*span)] for span in spans if span is not None]
    passages = known if len(known) == len(pooled) else None
    of_each = torch.cat([pooled, documents[None]]).chunk(len(models), dim=1)
    return [
        Windows(vectors[:-1], vectors[-1], passages, coverage)
        for vectors in map(_finished, models, of_each)
    ]


def _ranges(content: int, length: int) -> list[tuple[int, int]]:
    """Ranges of about the original window's length that share out the content tokens."""
    parts = max(1, -(-content // length))
    edges = [round(content * part / parts) for part in range(parts + 1)]
    return list(pairwise(edges))


def _outputs(ids: torch.Tensor, tokens: torch.Tensor) -> dict[str, Any]:
    return {"input_ids": ids, "token_embeddings": tokens, "attention_mask": torch.ones_like(ids)}


def _each(readers: Sequence[LongTransformer], outputs: dict[str, Any]) -> torch.Tensor:
    """What each of them pools, side by side: shape (passes, readers * width)."""
    return torch.cat([reader.pool(outputs) for reader in readers], dim=1)


def _finished(model: LongSentenceTransformer, pooled: torch.Tensor) -> NDArray[np.float32]:
    """What the model's further modules make of the pooled vectors."""
    features = {"sentence_embedding": pooled}
    for module in list(model.children())[1:]:
        features = module(features)
    vectors: NDArray[np.float32] = features["sentence_embedding"].float().cpu().numpy()
    if not np.isfinite(vectors).all():
        raise InputError("the model gave a vector that is not finite")
    return vectors
