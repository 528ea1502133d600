"""A retriever of documents with their passages, from a store on disk, for LlamaIndex."""

from longembed_st.extras import needs_extra

with needs_extra("llama-index", "llama_index.core"):
    from llama_index.retrievers.longembed.base import LongEmbedRetriever

__all__ = ["LongEmbedRetriever"]
