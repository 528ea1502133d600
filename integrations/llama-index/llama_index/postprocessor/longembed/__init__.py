"""A reranker that reads documents whole, for LlamaIndex."""

from __future__ import annotations

from llama_index.postprocessor.longembed.base import LongEmbedReranker

__all__ = ["LongEmbedReranker"]
