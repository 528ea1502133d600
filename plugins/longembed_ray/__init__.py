"""Documents in, documents out, on Ray Data: many documents over many processes or machines."""

from longembed_ray.embedding import EmbedDocuments
from longembed_ray.pipeline import embed_to_parquet, index_with_ray
from longembed_ray.reading import Input, find_inputs

__all__ = ["EmbedDocuments", "Input", "embed_to_parquet", "find_inputs", "index_with_ray"]
