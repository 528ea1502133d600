"""Documents and queries with known answers, and passages that stand in for questions."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from longembed_st.errors import InputError

PASSAGE_WORDS = 60
GOLDEN_RATIO = 0.618034


@dataclass(frozen=True)
class RetrievalData:
    """Documents and queries with known answers.

    Attributes:
        documents: Text by document id.
        queries: Text by query id.
        qrels: By query id, the grade of each judged document; above 0 is relevant.
        depths: In generated documents, where the needle is: the share of the other words that
            stand before it, from 0 to 1.
    """

    documents: dict[str, str]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]
    depths: dict[str, float] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return the data as JSON lines: each document, then each query, then each grade."""
        rows: list[list[Any]] = []
        for key, text in self.documents.items():
            rows.append(["document", key, text, self.depths.get(key)])
        rows += [["query", key, text] for key, text in self.queries.items()]
        rows += [["grade", key, *pair] for key, row in self.qrels.items() for pair in row.items()]
        return "".join(json.dumps(row) + "\n" for row in rows).encode("ascii")

    def digest(self) -> str:
        """Return a hash of all of it, 64 hexadecimal digits."""
        return hashlib.sha256(self.to_bytes()).hexdigest()


def passages_as_queries(documents: Mapping[str, str], queries: int, seed: int = 0) -> RetrievalData:
    """Draw passages from all depths of the documents and drop half of their words.

    Depths go evenly from beginning to end, so that a method that reads only beginnings has no
    advantage; no two neighbouring words of a query are neighbours in its document.

    Returns:
        The documents with a query for each passage.

    Raises:
        InputError: If no document is long enough to take a passage from.
    """
    long_enough = [key for key, text in documents.items() if len(text.split()) > 2 * PASSAGE_WORDS]
    if not long_enough:
        raise InputError(
            f"no document has more than {2 * PASSAGE_WORDS} words: there is nothing to calibrate"
        )
    draw = random.Random(f"passages {seed}")
    texts: dict[str, str] = {}
    qrels: dict[str, dict[str, int]] = {}
    for number in range(queries):
        key = long_enough[number % len(long_enough)]
        words = documents[key].split()
        # Steps of the golden ratio spread the passages of one document, too, over its length.
        depth = (draw.random() / queries + number * GOLDEN_RATIO) % 1.0
        start = 1 + int(depth * (len(words) - PASSAGE_WORDS))
        passage = words[start : start + PASSAGE_WORDS]
        # Of every two neighbours one is dropped: no two words follow each other as they did.
        kept = [passage[i + int(draw.random() * 2)] for i in range(0, len(passage) - 1, 2)]
        texts[f"q-{number:04d}"] = " ".join(kept)
        qrels[f"q-{number:04d}"] = {key: 1}
    return RetrievalData(dict(documents), texts, qrels)
