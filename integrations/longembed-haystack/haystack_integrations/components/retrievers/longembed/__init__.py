"""A retriever for Haystack that returns the passages of an index."""

from haystack_integrations.components.retrievers.longembed.retriever import LongEmbedRetriever

__all__ = ["LongEmbedRetriever"]
