"""Embeddings of whole documents for LlamaIndex, and the node parser that leaves them whole."""

from longembed_st.extras import needs_extra

with needs_extra("llama-index", "llama_index.core"):
    from llama_index.embeddings.longembed.base import LongEmbedEmbedding
    from llama_index.embeddings.longembed.node_parser import WholeDocumentParser

__all__ = ["LongEmbedEmbedding", "WholeDocumentParser"]
