"""The windows of a document, with their vectors and the characters that they stand for."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers.util import batch_to_device

from longembed_st.coverages import Overflow
from longembed_st.errors import InputError
from longembed_st.reading.transformer import long_transformer

if TYPE_CHECKING:
    from longembed_st.model import LongSentenceTransformer


@dataclass(frozen=True)
class Windows:
    """A document as the fit sees it.

    Attributes:
        vectors: One a window, shape (windows, width).
        document: Of all that is read of the document, shape (width,).
        passages: The text of each window; None where the tokenizer does not tell.
    """

    vectors: NDArray[np.float32]
    document: NDArray[np.float32]
    passages: list[str] | None


@torch.inference_mode()
def read_windows(model: LongSentenceTransformer, text: str) -> Windows:
    """Read a document once, and keep a vector of each window.

    The windows are those that the method reads in. A method that reads a long text in one pass
    gives the token embeddings of that pass, pooled over ranges of the original window's length.

    Args:
        model: An extended model.
        text: The document.

    Raises:
        InputError: If it has no text that can be read.
    """
    reader = long_transformer(model)
    prompt = model.prompt_of("document")
    (whole,) = reader.tokenize_texts([text], prompt, offsets=True)
    limit = reader.max_seq_length or len(whole)
    if reader.coverage_of(whole).passes > 1:
        features = batch_to_device(
            reader.preprocess([text], prompt=prompt, overflow=Overflow()), model.device
        )
        vectors, _ = reader.read_passes(features)
        spans = reader.coverage_of(whole, spans=True).spans
        return _finished(model, vectors, vectors.mean(dim=0), _texts(text, spans, len(vectors)))
    ranges = _ranges(min(whole.content, limit - whole.header - whole.footer), reader)
    if len(ranges) == 1:
        features = batch_to_device(
            reader.preprocess([text], prompt=prompt, overflow=Overflow()), model.device
        )
        vectors, _ = reader.read_passes(features)
        return _finished(model, vectors, vectors[0], [text])
    read = whole.shortened(limit, keep_end=False)
    ids = torch.from_numpy(np.asarray(read.ids, dtype=np.int64))[None].to(model.device)
    tokens = reader.token_embeddings(ids)
    content = tokens[:, read.header : len(read) - read.footer]
    pooled = [_pooled(reader.pooling, content[:, first:last]) for first, last in ranges]
    document = _pooled(reader.pooling, tokens)
    characters = [whole.characters(first, last) for first, last in ranges]
    found = [span for span in characters if span is not None]
    return _finished(model, torch.cat(pooled), document[0], _texts(text, found, len(ranges)))


def _ranges(content: int, reader: Any) -> list[tuple[int, int]]:
    """Ranges of about the original window's length that share out the content tokens."""
    parts = max(1, -(-content // reader.extension.context.original))
    edges = [round(content * part / parts) for part in range(parts + 1)]
    return list(pairwise(edges))


def _pooled(pooling: torch.nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    mask = torch.ones(tokens.shape[:2], dtype=torch.int64, device=tokens.device)
    return pooling({"token_embeddings": tokens, "attention_mask": mask})["sentence_embedding"]


def _texts(text: str, spans: Any, count: int) -> list[str] | None:
    return [text[start:end] for start, end in spans] if len(spans) == count else None


def _finished(
    model: LongSentenceTransformer,
    windows: torch.Tensor,
    document: torch.Tensor,
    passages: list[str] | None,
) -> Windows:
    """What the model's further modules make of the pooled vectors."""
    features = {"sentence_embedding": torch.cat([windows, document[None]])}
    for module in list(model.children())[1:]:
        features = module(features)
    vectors = features["sentence_embedding"].float().cpu().numpy()
    if not np.isfinite(vectors).all():
        raise InputError("the model gave a vector that is not finite")
    return Windows(vectors[:-1], vectors[-1], passages)
