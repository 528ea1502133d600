"""Embeddings of whole documents for LangChain."""

from longembed_st.extras import needs_extra

with needs_extra("langchain", "langchain_core"):
    from langchain_longembed.embeddings import LongEmbedEmbeddings

__all__ = ["LongEmbedEmbeddings"]
