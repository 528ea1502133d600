"""The windows of a document, with their vectors and the characters that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers.util import batch_to_device

from longembed_st.coverages import Coverage, Overflow
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
        unread: Tokens of the document beyond the model's window.
    """

    vectors: NDArray[np.float32]
    document: NDArray[np.float32]
    passages: list[str] | None
    unread: int


@torch.inference_mode()
def read_windows(model: LongSentenceTransformer, text: str) -> Windows:
    """Read a document once, and keep a vector of each window.

    The windows are those that the method reads in. A method that reads a long text in one pass
    gives the token embeddings of that pass, pooled over ranges of the original window's length.

    Args:
        model: An extended model.
        text: The document.

    Raises:
        InputError: If it has no text that can be read, or is too long under the policy "error".
    """
    model.eval()
    reader = long_transformer(model)
    prompt = model.prompt_of("document")
    # Refuses what is too long, if that is the policy.
    features = reader.preprocess([text], prompt=prompt, overflow=Overflow())
    (whole,) = reader.tokenize_texts([text], prompt, offsets=True)
    coverage = reader.coverage_of(whole, spans=True)
    unread = coverage.tokens - coverage.read
    content = whole.content - unread
    ranges = _ranges(content, reader.extension.context.original)
    if coverage.passes > 1 or len(ranges) == 1:
        vectors, _ = reader.read_passes(batch_to_device(features, model.device))
        return _finished(model, text, vectors, vectors.mean(dim=0), coverage, coverage.spans)
    tokens = reader.token_embeddings(features["input_ids"].to(model.device))
    inside = tokens[:, whole.header : whole.header + content]
    pooled = torch.cat([_pooled(reader.pooling, inside[:, a:b]) for a, b in ranges])
    skipped = unread if reader.text_tokenizer.truncation_side == "left" else 0
    spans = [whole.characters(skipped + first, skipped + last) for first, last in ranges]
    document = _pooled(reader.pooling, tokens)[0]
    return _finished(model, text, pooled, document, coverage, spans)


def _ranges(content: int, length: int) -> list[tuple[int, int]]:
    """Ranges of about the original window's length that share out the content tokens."""
    parts = max(1, -(-content // length))
    edges = [round(content * part / parts) for part in range(parts + 1)]
    return list(pairwise(edges))


def _pooled(pooling: torch.nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    mask = torch.ones(tokens.shape[:2], dtype=torch.int64, device=tokens.device)
    return pooling({"token_embeddings": tokens, "attention_mask": mask})["sentence_embedding"]


def _finished(
    model: LongSentenceTransformer,
    text: str,
    windows: torch.Tensor,
    document: torch.Tensor,
    coverage: Coverage,
    spans: Sequence[tuple[int, int] | None],
) -> Windows:
    """What the model's further modules make of the pooled vectors."""
    features = {"sentence_embedding": torch.cat([windows, document[None]])}
    for module in list(model.children())[1:]:
        features = module(features)
    vectors = features["sentence_embedding"].float().cpu().numpy()
    if not np.isfinite(vectors).all():
        raise InputError("the model gave a vector that is not finite")
    known = [text[slice(*span)] for span in spans if span is not None]
    passages = known if len(known) == len(windows) else None
    return Windows(vectors[:-1], vectors[-1], passages, coverage.tokens - coverage.read)
