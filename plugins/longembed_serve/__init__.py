"""A server over a store: embeddings, search and reranking by HTTP, and a page to look at."""
