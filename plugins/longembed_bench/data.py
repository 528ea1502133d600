"""Documents, queries, and which document answers which query."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any


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
