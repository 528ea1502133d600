"""One question, put to the vectors and the words of a store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from longembed_index.document import Hit
from longembed_index.search.passages import choose_passages
from longembed_index.search.scores import (
    Floats,
    Scores,
    best_first,
    hybrid_scores,
    lexical_scores,
)

if TYPE_CHECKING:
    from longembed_index.document import Passage, Record
    from longembed_index.lexical.protocol import LexicalIndex, LexicalQuery
    from longembed_index.search.dense import DenseQuery
    from longembed_index.search.question import Question
    from longembed_index.store.protocol import Store, Where

_LEAST = 100
"""Documents that the words, and the vectors, of a large store name, at least."""

_BATCH = 16
"""Texts that are read together; each may have megabytes."""

_TIE = 1e-3
"""Scores of copies differ by less: their vectors were rounded, perhaps from different batches."""


@dataclass
class _Group:
    """Documents of one text: the best, with its row in the scores, and ids of the others."""

    row: int
    record: Record
    copies: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Query:
    """A question with all that answers it.

    Attributes:
        store: The store.
        question: What is asked.
        dense: The question's vector, put to the store's vectors; None for words alone.
        words: The words of the store; None for vectors alone.
        lexical: The question's words, put to them.
        weight: Of the vectors, from 0 to 1; the words have the rest.
        documents: How many the store has.
        few: All of them, sorted, if they are so few that all are scored; None otherwise.
        where: A filter of the documents.
        among: The documents that meet it, sorted; None without a filter.
    """

    store: Store
    question: Question
    dense: DenseQuery | None
    words: LexicalIndex | None
    lexical: LexicalQuery | None
    weight: float
    documents: int
    few: list[str] | None
    where: Where | None
    among: list[str] | None

    def best(self, k: int, passages: int) -> list[Hit]:
        """Return the best documents of different texts, best first.

        Args:
            k: The most documents.
            passages: The most passages of each.
        """
        most = max(k + 1, _LEAST)
        while True:
            ids, are_all = self._candidates(most)
            scores = self._scores(ids)
            groups, are_enough = self._distinct(ids, scores.totals, k)
            if are_all or are_enough:
                return [self._hit(scores, group, passages) for group in groups]
            # Copies of a text took places: look at more documents.
            most *= 4

    def _candidates(self, most: int) -> tuple[list[str], bool]:
        """Return ids of documents to score, sorted, and whether no others can be found."""
        if self.words is not None:
            having = [self.words.find_phrase(phrase) for phrase in self.question.phrases]
            known = [ids for ids in having if ids is not None]
            if known:
                inside = known if self.among is None else [*known, set(self.among)]
                return sorted(set.intersection(*inside)), True
        if self.few is not None:
            return self.few, True
        among = self.among
        available = self.documents if among is None else len(among)
        near = [] if self.dense is None else self.dense.candidates(most, among, self.where)
        named = [] if self.lexical is None else self.lexical.candidates(most, among)
        are_all = most >= available or (self.dense is None and len(named) < most)
        return sorted({*near, *named}), are_all

    def _scores(self, ids: list[str]) -> Scores:
        dense = None if self.dense is None else self.dense.scores(ids)
        if self.lexical is None:
            assert dense is not None, "a query has a vector or words"
            return dense
        lexical = lexical_scores(ids, self.lexical.scores(ids))
        return lexical if dense is None else hybrid_scores(dense, lexical, self.weight)

    def _distinct(self, ids: list[str], totals: Floats, k: int) -> tuple[list[_Group], bool]:
        """Return the k best documents of different texts, and whether more need not be looked at.

        Texts are read until there are k different ones and no copy of the last one can follow.
        """
        wanted = None if self.among is None else set(self.among)
        rows = [
            int(row)
            for row in best_first(totals)
            if (self.dense is not None or totals[row] > 0)
            and (wanted is None or ids[row] in wanted)
        ]
        groups: dict[str, _Group] = {}
        lowest = np.inf
        while rows and len(groups) <= k:
            if len(groups) == k and totals[rows[0]] < lowest - _TIE:
                break
            size = min(max(k - len(groups), 1), _BATCH)
            batch, rows = rows[:size], rows[size:]
            row_of = {ids[row]: row for row in batch}
            for record in self.store.get(list(row_of)):
                text, row = record.document.text, row_of[record.document.id]
                if text in groups:
                    groups[text].copies.append(record.document.id)
                else:
                    groups[text] = _Group(row, record)
                    lowest = totals[row]
        are_enough = bool(rows) or len(groups) > k
        return list(groups.values())[:k], are_enough

    def _hit(self, scores: Scores, group: _Group, passages: int) -> Hit:
        coverage = group.record.coverage
        return Hit(
            group.record.document,
            float(scores.totals[group.row]),
            self._passages(group.record, passages),
            scores.parts_of(group.row),
            coverage.tokens,
            coverage.read,
            tuple(sorted(group.copies)),
            coverage.unknown,
            group.record.left_out,
        )

    def _passages(self, record: Record, most: int) -> tuple[Passage, ...]:
        """Choose passages: of the spans, or, without any, of the windows of words."""
        document = record.document
        if not most:
            return ()
        spans = None if self.dense is None else self.dense.spans(document.id)
        if self.words is None or self.lexical is None:
            return () if spans is None else choose_passages(*spans, document.text, most)
        if spans is not None:
            ranges, cosines = spans
            weight = self.weight
        else:
            windows = self.words.windows(document.id, len(document.text))
            ranges = np.array(windows, dtype=np.int64).reshape(-1, 2)
            cosines, weight = np.zeros(len(ranges), dtype=np.float32), 0.0
        if not len(ranges):
            return ()
        words = self.lexical.range_scores(document.id, [(int(a), int(b)) for a, b in ranges])
        scores = (1 - weight) * words / (words.max() or 1.0) + weight * cosines
        return choose_passages(ranges, scores, document.text, most)
