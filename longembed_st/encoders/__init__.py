"""The classes of sentence-transformers, each reading long texts."""
