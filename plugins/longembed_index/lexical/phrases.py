"""Which documents have terms in a row."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial, reduce

import numpy as np

from longembed_index.lexical.postings import read_occurrences, read_postings
from longembed_index.lexical.scores import Integers, distinct
from longembed_index.lexical.tables import select


def find_phrase(connection: sqlite3.Connection, row: Sequence[Sequence[int]]) -> set[str]:
    """Return ids of documents that have some terms in a row.

    Args:
        connection: To the file.
        row: The terms that may stand at each place of the row, one at least.
    """
    terms = sorted({term for alternatives in row for term in alternatives})
    lists = dict(zip(terms, read_postings(connection, terms), strict=True))
    having = [
        distinct(np.concatenate([lists[term].documents for term in alternatives]))
        for alternatives in row
    ]
    documents = reduce(partial(np.intersect1d, assume_unique=True), having)
    # The rarest term first, so that few documents are left to look at for the others.
    beginnings: Integers | None = None
    for place in sorted(range(len(row)), key=lambda place: len(having[place])):
        if not len(documents):
            return set()
        occurrences = read_occurrences(connection, row[place], documents)
        # Document and place of the row's first term as one number.
        keys = np.sort((occurrences.documents << 32) + occurrences.positions - place)
        beginnings = keys if beginnings is None else _in_both(beginnings, keys)
        documents = distinct((beginnings + len(row)) >> 32)
    query = "SELECT id FROM documents"
    ids = select(connection, query, "number", documents.tolist())
    return {document_id for (document_id,) in ids}


def _in_both(some: Integers, others: Integers) -> Integers:
    """Return the numbers that are in both of two ascending arrays."""
    places = np.searchsorted(others, some)
    return some[np.append(others, -1)[places] == some]
