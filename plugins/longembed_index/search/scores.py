"""Words beside vectors: a document's score is a weighted sum of both, never of ranks.

Of words, the average of BM25 of the document and of its best passage, each as a share of the
highest that any document has for the query; of vectors, the average of the document's and of its
best span's similarity.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from longembed_index.derived import behind
from longembed_index.embedding import ROWS, batches
from longembed_index.modes import WEIGHT
from longembed_index.passages import (
    DenseScores,
    DocumentHit,
    WordShares,
    dense_scores,
    document_hit,
    first_records,
)
from longembed_index.searching import matches

if TYPE_CHECKING:
    from longembed_index.lexical import WordFile
    from longembed_index.records import Record
    from longembed_index.store import Store
    from longembed_index.word_index import WordIndex, WordQuery

FEW = 1_000
"""Of so many documents, all are scored."""
CANDIDATES = 100
"""Documents that each side names in a larger store."""
_WIDER = 10
"""How many times more documents are looked at for those that meet conditions."""

_PHRASE = re.compile(r'"([^"]*)"|“([^”]*)”')


@dataclass(frozen=True)
class Question:
    """What is looked for.

    Attributes:
        text: As it was asked, without the quotes around its phrases.
        phrases: What must stand in a document word by word, in whatever case and spacing.
    """

    text: str
    phrases: list[str]


def question_of(query: str) -> Question:
    """A query with its phrases, which stand in double quotes.

    Args:
        query: Any text; a quote that is not closed means nothing.
    """
    phrases = [" ".join((a or b).split()) for a, b in _PHRASE.findall(query)]
    text = _PHRASE.sub(lambda found: found[1] or found[2] or "", query)
    return Question(text, [phrase for phrase in phrases if phrase])


def search_hybrid(
    store: Store,
    words: WordIndex,
    question: Question,
    vector: Any,
    k: int,
    *,
    weight: float = WEIGHT,
    passages: int = 1,
    where: Mapping[str, str] | None = None,
) -> list[DocumentHit]:
    """The documents that answer a query best, by words and vectors.

    Args:
        store: The documents, with their spans if it is a `SpannedStore`.
        words: Their words, up to date.
        question: What is looked for.
        vector: The same as a vector, made as the store's vectors were; None for words alone.
        k: The most documents.
        weight: Of the vectors, from 0 to 1; that of the words is what is left.
        passages: The most passages of each.
        where: What their metadata must be; see `records.meets`.

    Returns:
        The best first.

    Raises:
        StoreError: If the store or its words cannot be read, or vectors are lost.
    """
    weight = 0.0 if vector is None else weight
    asked = words.ask(question.text)
    ids = _candidates(store, words, asked, question, vector, where or {})
    dense = {} if vector is None else dense_scores(store, vector, ids)
    shares = word_shares(asked, ids)
    there = dense if vector is not None else shares
    totals = {
        key: (1 - weight) * shares.get(key, _NOTHING).total
        + (weight * dense[key].total if key in dense else 0.0)
        for key in there
    }
    best = sorted(totals, key=lambda key: (-totals[key], key))
    if vector is None:
        best = [key for key in best if totals[key] > 0]
    found = []
    for record in first_records(store, best, k, where or {}, _has_phrases(question.phrases)):
        of_vectors = dense.get(record.id)
        ranges, scores = None, None
        if passages:
            ranges, scores = _parts(words, asked, record, of_vectors, weight)
        hit = document_hit(
            record,
            totals[record.id],
            dense=of_vectors,
            words=shares.get(record.id, _NOTHING),
            ranges=ranges,
            scores=scores,
            passages=passages,
        )
        found.append(hit)
    return found


def word_shares(asked: WordQuery, ids: Sequence[str]) -> dict[str, WordShares]:
    """BM25 of some documents, as shares of the highest.

    Args:
        asked: The query, put to their words.
        ids: The documents.

    Returns:
        By id; zeros where no document has a word of the query.
    """
    scores = asked.scores(ids)
    highest = max((one.document for one in scores.values()), default=0.0) or 1.0
    best = max((one.passage for one in scores.values()), default=0.0) or 1.0
    return {
        key: WordShares(one.document / highest, one.passage / best) for key, one in scores.items()
    }


def catch_up(
    store: Store,
    words: WordFile,
    language: str | None = None,
    on_document: Callable[[], None] = lambda: None,
) -> None:
    """Bring the words up to date with a store.

    Args:
        store: The documents.
        words: Their words.
        language: See `WordFile.add`.
        on_document: Called for each document that was taken in.

    Raises:
        StoreError: If they cannot be written.
    """
    missing, left_over = behind(store, words.ids())
    words.delete(left_over)
    for part in batches(missing, ROWS):
        words.add({record.id: record.text or "" for record in store.get(part)}, language)
        for _ in part:
            on_document()


_NOTHING = WordShares(0.0, 0.0)


def _candidates(
    store: Store,
    words: WordIndex,
    asked: WordQuery,
    question: Question,
    vector: Any,
    where: Mapping[str, str],
) -> list[str]:
    if len(store) <= FEW:
        found = {record_id for record_id, _ in store.names()}
    else:
        by_words = asked.candidates(CANDIDATES * (_WIDER if where else 1))
        if where:
            kept = first_records(store, by_words, CANDIDATES, where)
            by_words = [record.id for record in kept]
        near = [] if vector is None else matches(store, vector, CANDIDATES, where)
        found = {*by_words, *(match.id for match in near)}
    having = [words.with_phrase(phrase) for phrase in question.phrases]
    known = [ids for ids in having if ids is not None]
    # Documents with a phrase are few, and all of them are looked at, whatever else they say.
    return sorted(set.intersection(*known) if known else found)


def _has_phrases(phrases: Sequence[str]) -> Callable[[Record], bool]:
    wanted = [phrase.casefold() for phrase in phrases]

    def keep(record: Record) -> bool:
        if not wanted:
            return True
        text = " ".join((record.text or "").casefold().split())
        return all(phrase in text for phrase in wanted)

    return keep


def _parts(
    words: WordIndex,
    asked: WordQuery,
    record: Record,
    dense: DenseScores | None,
    weight: float,
) -> tuple[Any, Any]:
    """What may be shown of a document, with its scores: its spans, or windows of words."""
    if dense is not None and dense.ranges is not None and dense.spans is not None:
        ranges, similarities = dense.ranges, dense.spans
    else:
        ranges = np.array(words.windows(record.id, len(record.text or ""))).reshape(-1, 2)
        similarities, weight = np.zeros(len(ranges), dtype=np.float32), 0.0
    if not len(ranges):
        return None, None
    scores = asked.range_scores(record.id, [(int(a), int(b)) for a, b in ranges])
    shares = scores / (scores.max() or 1.0)
    return ranges, (1 - weight) * shares + weight * similarities
