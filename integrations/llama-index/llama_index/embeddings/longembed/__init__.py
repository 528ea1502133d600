"""Embeddings of whole documents for LlamaIndex, and node parsers: whole documents, or passages."""

from longembed_st.extras import needs_extra

with needs_extra("llama-index", "llama_index.core"):
    from llama_index.embeddings.longembed.base import LongEmbedEmbedding
    from llama_index.embeddings.longembed.node_parser import WholeDocumentParser
    from llama_index.embeddings.longembed.passage_parser import PassageNodeParser

SpanNodeParser = PassageNodeParser
"""The name of version 0.2."""

__all__ = ["LongEmbedEmbedding", "PassageNodeParser", "SpanNodeParser", "WholeDocumentParser"]
