"""Rank the documents of a store for one question, by vectors and by words."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from longembed_index.document import Hit
from longembed_index.errors import PhraseNotFoundWarning
from longembed_index.search.passages import best_passages
from longembed_index.search.runs import RunScores
from longembed_index.search.scores import (
    Floats,
    Scores,
    best_first,
    hybrid_scores,
    lexical_scores,
    with_best_runs,
)

if TYPE_CHECKING:
    from collections.abc import Sequence, Set

    from longembed_index.document import Passage, Record
    from longembed_index.search.dense import DenseQuery, Vectors
    from longembed_index.search.question import Question
    from longembed_index.search.sentences import SentenceCache
    from longembed_index.store.protocol import LexicalIndex, LexicalQuery, Store, Where

_LEAST = 100
"""The least number of candidates by words, and by vectors, in a large store."""

_LEAST_READ = 50
"""The least number of documents whose sentences are compared with the question."""

_BATCH = 16
"""The most texts that are read from the store at once; each may have megabytes."""

_TIE = 1e-3
"""Scores of two copies differ by less. Their vectors can be rounded in different ways."""


class TextChangedError(Exception):
    """A document was changed after its sentences were read, and before its text was."""


@dataclass
class Group:
    """Documents with the same text.

    Attributes:
        row: The row of the best document in the scores.
        record: The best document.
        copies: The ids of the other documents.
    """

    row: int
    record: Record
    copies: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Query:
    """A question, and what is searched for its answers.

    Attributes:
        store: The store.
        question: What is asked.
        dense: The question's vector, to be compared with documents; None for words alone.
        plain: The question's vector, to be compared with runs of sentences; None for words alone.
        words: The index of the words of the store; None for vectors alone.
        lexical: The question's words in this index; None for vectors alone.
        weight: The weight of the vectors, from 0 to 1; the words have the rest.
        documents: The number of documents in the store.
        all_ids: The sorted ids of all documents if all are scored; None in a large store.
        where: The filter of the documents, or None.
        among: The ids of the documents that match the filter; None without a filter.
        sentences: The sentences of the store's documents.
    """

    store: Store
    question: Question
    dense: DenseQuery | None
    plain: Vectors | None
    words: LexicalIndex | None
    lexical: LexicalQuery | None
    weight: float
    documents: int
    all_ids: list[str] | None
    where: Where | None
    among: Set[str] | None
    sentences: SentenceCache
    _runs: dict[str, RunScores] = field(default_factory=dict)

    def best(self, k: int) -> tuple[Scores, list[Group]]:
        """Return the best documents of different texts, best first, and the scores of all."""
        most, read = max(k + 1, _LEAST), max(2 * k, _LEAST_READ)
        while True:
            ids, are_all = self._candidates(most)
            ids, scores, are_read = self._scores(ids, read)
            groups, are_enough = self._distinct(ids, scores.totals, k)
            if (are_all and are_read) or are_enough:
                return scores, groups
            # Too few documents were left without copies and texts that lack a phrase: take more.
            most, read = 4 * most, 4 * read

    def hits(self, k: int, passages: int, words: int) -> list[Hit]:
        """Return the best documents of different texts, best first, with their passages."""
        scores, groups = self.best(k)
        runs = self.runs_of(groups) if passages else {}
        return [
            self._hit(scores, group, runs.get(group.record.id), passages, words) for group in groups
        ]

    def runs_of(self, groups: Sequence[Group]) -> dict[str, RunScores]:
        """Return the scores of the runs in the texts of some documents, by id.

        Raises:
            TextChangedError: If the sentences are not those of the text.
        """
        records = [group.record for group in groups]
        runs = self.run_scores([record.id for record in records])
        for record in records:
            if record.id in runs and runs[record.id].sentences.revision != record.revision:
                raise TextChangedError(record.id)
        return runs

    def run_scores(self, ids: Sequence[str], *, units: bool = False) -> dict[str, RunScores]:
        """Return the scores of runs of sentences, for each document that has sentences.

        Args:
            ids: The documents.
            units: Whether to leave out documents without sentence units. Without words in the
                question, they are always left out.
        """
        missing = [key for key in ids if key not in self._runs]
        if missing:
            language = (self.words and self.words.language) or self.store.info.language
            units = units or self.lexical is None
            sentences = self.sentences.read(missing, language, units=units)
            places, weights, in_titles = {}, None, {}
            if self.lexical is not None and sentences:
                places, weights = self.lexical.places(list(sentences)), self.lexical.weights
                titles = [of_document.title for of_document in sentences.values()]
                in_titles = dict(zip(sentences, self.lexical.count_in(titles), strict=True))
            for key, of_document in sentences.items():
                self._runs[key] = RunScores(
                    of_document,
                    places.get(key),
                    weights,
                    self.plain,
                    self.weight,
                    in_titles.get(key),
                )
        return {key: self._runs[key] for key in ids if key in self._runs}

    def _candidates(self, most: int) -> tuple[list[str], bool]:
        """Return the sorted ids of documents to score, and whether these are all that can match."""
        if self.words is not None:
            ids_by_phrase = [self.words.find_phrase(phrase) for phrase in self.question.phrases]
            known = [ids for ids in ids_by_phrase if ids is not None]
            if known:
                id_sets = known if self.among is None else [*known, self.among]
                ids = sorted(set(id_sets[0]).intersection(*id_sets[1:]))
                if not ids:
                    self._warn_of_phrases()
                return ids, True
        if self.all_ids is not None:
            return self.all_ids, True
        among = self.among
        available = self.documents if among is None else len(among)
        by_vectors = [] if self.dense is None else self.dense.candidates(most, among, self.where)
        by_words = [] if self.lexical is None else self.lexical.candidates(most, among)
        are_all = most >= available or (self.dense is None and len(by_words) < most)
        return sorted({*by_vectors, *by_words}), are_all

    def _warn_of_phrases(self) -> None:
        phrases = ", ".join(f'"{phrase:.80}"' for phrase in self.question.phrases)
        searched = "document" if self.among is None else "document that meets the filter"
        warnings.warn(
            f"no {searched} has these words in this order: {phrases}. Leave out the quotes to "
            "search for each of the words",
            PhraseNotFoundWarning,
            stacklevel=2,
        )

    def _scores(self, ids: list[str], read: int) -> tuple[list[str], Scores, bool]:
        """Return the documents that match the filter, their scores, and whether all are final.

        Only the best documents have final scores: their runs of sentences are compared. The total
        of the others is NaN.
        """
        if self.among is not None:
            ids = [key for key in ids if key in self.among]
        lexical = None
        if self.lexical is not None:
            lexical = lexical_scores(ids, self.lexical.scores(ids), self.lexical.highest)
        if self.dense is None:
            assert lexical is not None, "a query has a vector or words"
            return ids, lexical, True
        cosines = self.dense.cosines(ids)
        dense = Scores(cosines, {"document_vector": cosines})
        scores = dense if lexical is None else hybrid_scores(dense, lexical, self.weight)
        if self.plain is None or not self.store.info.units:
            return ids, scores, True
        best = best_first(scores.totals, read)
        runs = self.run_scores([ids[row] for row in best], units=True)
        run_words, run_vectors = np.full((2, len(ids)), np.nan)
        for row in best:
            if ids[row] in runs:
                run_words[row], run_vectors[row] = runs[ids[row]].best()
        scores = with_best_runs(scores, run_words, run_vectors, self.weight)
        left_out = np.ones(len(ids), dtype=bool)
        left_out[best] = False
        scores.totals[left_out] = np.nan
        return ids, scores, len(best) < read

    def _distinct(self, ids: list[str], totals: Floats, k: int) -> tuple[list[Group], bool]:
        """Return the k best documents of different texts, and whether they are surely the best.

        Texts are read until there are k different ones and no copy of the last one can follow.
        """
        rows = [int(row) for row in best_first(totals) if self.dense is not None or totals[row] > 0]
        groups: dict[str, Group] = {}
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
                    groups[text] = Group(row, record)
                    lowest = totals[row]
        are_enough = bool(rows) or len(groups) > k
        return list(groups.values())[:k], are_enough

    def _hit(
        self, scores: Scores, group: Group, runs: RunScores | None, most: int, words: int
    ) -> Hit:
        document, coverage = group.record.document, group.record.coverage
        passages: tuple[Passage, ...] = ()
        if runs is not None:
            passages = best_passages(document, runs, most, words)
        return Hit(
            document,
            float(scores.totals[group.row]),
            passages,
            scores.parts_of(group.row),
            coverage.tokens,
            coverage.read,
            tuple(sorted(group.copies)),
            coverage.unknown,
            group.record.left_out,
            runs is None or runs.is_answer,
        )
