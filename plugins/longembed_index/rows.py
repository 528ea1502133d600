"""Documents as rows of any vector store, and the rows that it finds as documents again.

For stores that are not a kind of `longembed_index`: the document becomes a row, and so does each of
its passages, which are runs of sentence units.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from longembed_index.document import Document, Hit, Passage
from longembed_index.documents.sentences import sentence_units

if TYPE_CHECKING:
    from longembed_st.base.coverage import Coverage
    from longembed_st.sentence_transformer.model import LongSentenceTransformer
    from longembed_st.sentence_transformer.units import UnitVectors

DOCUMENT, PASSAGE = "document", "passage"

PASSAGE_TOKENS = 256
"""Most tokens of a passage, unless another number is given."""

ID_SEPARATOR = "#"


@dataclass(frozen=True)
class Row:
    """What a vector store keeps under one id.

    Attributes:
        id: The document's id; of a passage, with `#` and its number. The same whenever it is made.
        text: The text of a passage; for a document, nothing or all of its text.
        vector: Shape (dimensions,).
        metadata: `document`, the document's id; `part`, "document" or "passage"; of a passage
            `start` and `end`, its characters in the document.
    """

    id: str
    text: str
    vector: NDArray[np.float32]
    metadata: dict[str, str | int]


@dataclass(frozen=True)
class EncodedPassages:
    """A text as vectors of its passages, and of the whole; all as `encode` gives them.

    Attributes:
        ranges: Half-open ranges of characters, shape (passages, 2).
        vectors: Shape (passages, dimensions).
        document: Shape (dimensions,).
        coverage: What the document's vector was computed from.
    """

    ranges: NDArray[np.int64]
    vectors: NDArray[np.float32]
    document: NDArray[np.float32]
    coverage: Coverage


def encode_passages(
    model: LongSentenceTransformer,
    text: str,
    *,
    tokens: int = PASSAGE_TOKENS,
    prompt: str | None = None,
) -> EncodedPassages:
    """Read a text once, and return the vectors of its passages, which follow each other.

    Args:
        model: An extended model.
        text: The text.
        tokens: The most tokens of a passage; a unit that is longer is a passage by itself.
        prompt: Put before the text, instead of the prompt for documents.

    Raises:
        InputError: If the text cannot be embedded.
    """
    (read,) = model.encode_units([text], [sentence_units(text)], prompt=prompt)
    ranges, vectors = _runs(read, tokens)
    return EncodedPassages(ranges, model.vectors_from_units(vectors), read.document, read.coverage)


def _runs(read: UnitVectors, tokens: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Ranges and vectors of runs of units that have at most so many tokens."""
    starts: list[int] = []
    total = tokens
    for place, count in enumerate(read.counts.tolist()):
        if not starts or total + count > tokens:
            starts.append(place)
            total = 0
        total += count
    if not starts:
        return read.ranges, read.vectors
    ends = [*starts[1:], len(read.counts)]
    ranges = np.stack([read.ranges[starts, 0], read.ranges[np.array(ends) - 1, 1]], axis=1)
    counts = np.maximum(np.add.reduceat(read.counts, starts), 1)
    sums = np.add.reduceat(read.vectors * read.counts[:, None], starts)
    return ranges, (sums / counts[:, None]).astype(np.float32)


def rows_of(
    model: LongSentenceTransformer,
    documents: Mapping[str, str],
    *,
    passage_tokens: int = PASSAGE_TOKENS,
    whole_texts: bool = False,
) -> Iterator[Row]:
    """Yield the rows of documents: of each its own row, then its passages in order.

    Args:
        model: An extended model; it reads each text once.
        documents: Texts by id.
        passage_tokens: The most tokens of a passage.
        whole_texts: Whether the document's own row has all of its text.

    Raises:
        InputError: If a text cannot be embedded.
    """
    for document_id, text in documents.items():
        encoded = encode_passages(model, text, tokens=passage_tokens)
        metadata: dict[str, str | int] = {"document": document_id, "part": DOCUMENT}
        yield Row(document_id, text if whole_texts else "", encoded.document, metadata)
        passages = zip(encoded.ranges.tolist(), encoded.vectors, strict=True)
        for number, ((start, end), vector) in enumerate(passages):
            metadata = {"document": document_id, "part": PASSAGE, "start": start, "end": end}
            row_id = f"{document_id}{ID_SEPARATOR}{number}"
            yield Row(row_id, text[start:end], vector, metadata)


def grouped(
    rows: Iterable[tuple[Mapping[str, Any], float]],
    texts: Mapping[str, str] | None = None,
    *,
    k: int = 5,
) -> list[Hit]:
    """Return the documents of rows that a store has found, best first.

    A document's score is the average of its own similarity and its best passage's, or the one that
    is known. What the store did not return is not known: ask it for several times as many rows as
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
            scores["best_passage"] = max(float(score), scores.get("best_passage", float(score)))
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
