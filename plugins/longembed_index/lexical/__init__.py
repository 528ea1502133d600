"""The words of documents: analysis, BM25, and the index beside a store."""
