"""Documents as rows of any vector store, and the rows that it finds as documents again.

For stores that are not a kind of `longembed_index`: the document becomes a row, and so does each of
its spans.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from longembed_index.document import Document, Hit, Passage

if TYPE_CHECKING:
    from longembed_st.sentence_transformer.model import LongSentenceTransformer

DOCUMENT, SPAN = "document", "span"

ID_SEPARATOR = "#"


@dataclass(frozen=True)
class Row:
    """What a vector store keeps under one id.

    Attributes:
        id: The document's id; of a span, with `#` and its number. The same whenever it is made.
        text: Of a span, its text; of a document, nothing or all of its text.
        vector: Shape (dimensions,).
        metadata: `document`, the document's id; `part`, "document" or "span"; of a span `start` and
            `end`, its characters in the document.
    """

    id: str
    text: str
    vector: NDArray[np.float32]
    metadata: dict[str, str | int]


def rows_of(
    model: LongSentenceTransformer,
    documents: Mapping[str, str],
    *,
    span_tokens: int | None = None,
    whole_texts: bool = False,
) -> Iterator[Row]:
    """Yield the rows of documents: of each its own row, then its spans in order.

    Args:
        model: An extended model; it reads each text once.
        documents: Texts by id.
        span_tokens: As for `model.encode_spans`.
        whole_texts: Whether the document's own row has all of its text.

    Raises:
        InputError: If a text cannot be embedded.
    """
    for document_id, text in documents.items():
        (encoded,) = model.encode_spans([text], span_tokens=span_tokens)
        metadata: dict[str, str | int] = {"document": document_id, "part": DOCUMENT}
        yield Row(document_id, text if whole_texts else "", encoded.document, metadata)
        spans = zip(encoded.spans, encoded.vectors, strict=True)
        for number, ((start, end), vector) in enumerate(spans):
            metadata = {"document": document_id, "part": SPAN, "start": start, "end": end}
            row_id = f"{document_id}{ID_SEPARATOR}{number}"
            yield Row(row_id, text[start:end], vector, metadata)


def grouped(
    rows: Iterable[tuple[Mapping[str, Any], float]],
    texts: Mapping[str, str] | None = None,
    *,
    k: int = 5,
) -> list[Hit]:
    """Return the documents of rows that a store has found, best first.

    A document's score is the average of its own similarity and its best span's, or the one that is
    known. What the store did not return is not known: ask it for several times as many rows as
    documents are wanted.

    Args:
        rows: The metadata of rows with their similarity to the query, in any order.
        texts: Texts of documents by id; the hits' texts are empty where it has none.
        k: The most documents.
    """
    parts: dict[str, dict[str, float]] = {}
    passages: dict[str, list[Passage]] = {}
    for metadata, score in rows:
        document_id = str(metadata["document"])
        scores = parts.setdefault(document_id, {})
        if metadata["part"] == DOCUMENT:
            scores["document_vector"] = float(score)
        else:
            start, end = int(metadata["start"]), int(metadata["end"])
            text = (texts or {}).get(document_id, "")[start:end]
            passages.setdefault(document_id, []).append(Passage(start, end, text, float(score)))
            scores["best_span"] = max(float(score), scores.get("best_span", float(score)))
    hits = [
        Hit(
            Document(document_id, (texts or {}).get(document_id, "")),
            sum(scores.values()) / len(scores),
            tuple(sorted(passages.get(document_id, ()), key=lambda passage: -passage.score)),
            scores,
        )
        for document_id, scores in parts.items()
    ]
    return sorted(hits, key=lambda hit: -hit.score)[:k]
