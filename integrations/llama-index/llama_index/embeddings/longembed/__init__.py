"""Embeddings of whole documents for LlamaIndex, and node parsers: whole documents, or spans."""

from longembed_st.extras import needs_extra

with needs_extra("llama-index", "llama_index.core"):
    from llama_index.embeddings.longembed.base import LongEmbedEmbedding
    from llama_index.embeddings.longembed.node_parser import WholeDocumentParser
    from llama_index.embeddings.longembed.span_parser import SpanNodeParser

__all__ = ["LongEmbedEmbedding", "SpanNodeParser", "WholeDocumentParser"]
