"""Many documents over many processes or machines, by Ray Data."""

from longembed_index.distributed.embedding import EmbedDocuments

__all__ = ["EmbedDocuments"]
