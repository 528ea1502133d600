"""What a store on disk holds, read by Chroma alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def contents(directory: Path) -> dict[str, tuple[str, dict[str, Any], list[float]]]:
    """Text, metadata and vector of every record, by id."""
    import chromadb
    from longembed_index.opening import COLLECTION

    with chromadb.PersistentClient(str(directory)) as client:
        found: Any = client.get_collection(COLLECTION, embedding_function=None).get(
            include=["documents", "embeddings", "metadatas"]
        )
    rows = zip(
        found["ids"], found["documents"], found["metadatas"], found["embeddings"], strict=True
    )
    return {key: (text, data, vector.tolist()) for key, text, data, vector in rows}
