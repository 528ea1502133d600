"""Documents as rows for any vector store, and its hits as documents again.

For stores that `longembed index` does not know: each span becomes a row with a vector of its own,
and so does the document.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from longembed_st.sentence_transformer.model import LongSentenceTransformer

DOCUMENT, SPAN = "document", "span"

ID_SEPARATOR = "#"


@dataclass(frozen=True)
class Row:
    """What a vector store keeps under one id.

    Attributes:
        id: `name` of a document itself, `name#number` of its spans: the same whenever it is made.
        text: Of a span what stands there; of a document nothing, or all of it.
        vector: Shape (width,).
        metadata: `document`, its name; `part`, "document" or "span"; of a span `start` and `end`,
            its characters in the document.
    """

    id: str
    text: str
    vector: NDArray[np.float32]
    metadata: dict[str, str | int]


@dataclass(frozen=True)
class Group:
    """The hits of one document.

    Attributes:
        document: Its name.
        score: The average of the next two, or the one that there is.
        document_score: Of its own vector; None if that is not among the hits.
        span_score: Of its best span; None likewise.
        passages: (start, end, score) of its spans among the hits, the best first.
    """

    document: str
    score: float
    document_score: float | None
    span_score: float | None
    passages: list[tuple[int, int, float]]


def rows_of(
    model: LongSentenceTransformer,
    documents: Mapping[str, str],
    *,
    span_tokens: int | None = None,
    whole_texts: bool = False,
) -> Iterator[Row]:
    """Rows of some documents, each read once.

    Args:
        model: An extended model.
        documents: Texts by name.
        span_tokens: As for `model.encode_spans`.
        whole_texts: Whether the document's own row has all of its text.

    Yields:
        Of each document its own row, then its spans in order.

    Raises:
        InputError: If a text cannot be embedded.
    """
    for name, text in documents.items():
        (found,) = model.encode_spans([text], span_tokens=span_tokens)
        own: dict[str, str | int] = {"document": name, "part": DOCUMENT}
        yield Row(name, text if whole_texts else "", found.document, own)
        for number, ((start, end), vector) in enumerate(
            zip(found.spans, found.vectors, strict=True)
        ):
            place: dict[str, str | int] = {"part": SPAN, "start": start, "end": end}
            row_id = f"{name}{ID_SEPARATOR}{number}"
            yield Row(row_id, text[start:end], vector, {"document": name, **place})


def grouped(hits: Iterable[tuple[Mapping[str, Any], float]], k: int = 5) -> list[Group]:
    """The documents behind the hits of a store.

    A document's score is the average of its own and its best span's. What a store did not return is
    not known: ask it for some times more hits than documents are wanted.

    Args:
        hits: The metadata of rows with their similarity to the query, in any order.
        k: The most documents.

    Returns:
        The best first.
    """
    own: dict[str, float] = {}
    spans: dict[str, list[tuple[int, int, float]]] = {}
    for data, score in hits:
        name = str(data["document"])
        if data["part"] == DOCUMENT:
            own[name] = float(score)
        else:
            spans.setdefault(name, []).append((int(data["start"]), int(data["end"]), float(score)))
    found = []
    for name in dict.fromkeys([*own, *spans]):
        passages = sorted(spans.get(name, []), key=lambda passage: -passage[2])
        parts = [own.get(name), passages[0][2] if passages else None]
        known = [score for score in parts if score is not None]
        found.append(Group(name, sum(known) / len(known), parts[0], parts[1], passages))
    return sorted(found, key=lambda group: -group.score)[:k]
