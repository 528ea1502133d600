"""Embedders for Haystack that read long documents whole."""

from haystack_integrations.components.embedders.longembed.base import (
    LongEmbedDocumentEmbedder,
    LongEmbedTextEmbedder,
)

__all__ = ["LongEmbedDocumentEmbedder", "LongEmbedTextEmbedder"]
