"""From a query's vector to documents with the passages that answer it.

A document's score is the average of its own vector's and of its best span's: on four corpora the
best of the three, or near it (docs/RESULTS.md). All spans are compared, so that it is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import sentencex  # type: ignore[import-untyped]
from numpy.typing import NDArray

from longembed_index.embedding import ROWS, batches
from longembed_index.places import Place, place_in
from longembed_index.records import Record, meets
from longembed_index.repairing import refuse_lost
from longembed_index.searching import Hit, hit_of, matches
from longembed_index.similarity import cosines
from longembed_index.spans import SpannedStore

if TYPE_CHECKING:
    from longembed_index.store import Store

_MOST_COPIES = 64
"""Times as many hits as are wanted: so many are looked through for different texts."""

_VECTORS = 500
"""Vectors that are asked for together."""

RankSentences = Callable[[str, list[tuple[int, int]]], NDArray[np.float32]]
"""From a text and ranges of its characters to how near each is to the query."""


@dataclass(frozen=True)
class Passage:
    """A part of a document, of one span or of neighbouring ones.

    Attributes:
        start: Its first character in the document.
        end: The character after its last.
        score: Similarity of its best span to the query.
        text: What stands there.
        sentence: Characters of its best sentence in the document; None if it was not looked for.
    """

    start: int
    end: int
    score: float
    text: str
    sentence: tuple[int, int] | None = None


@dataclass(frozen=True)
class WordShares:
    """BM25 of a document, as shares of the highest that any document has for the query.

    Attributes:
        document: Of all of it.
        passage: Of its best passage.
    """

    document: float
    passage: float

    @property
    def total(self) -> float:
        """The average of both."""
        return (self.document + self.passage) / 2


@dataclass(frozen=True)
class DenseScores:
    """What vectors say of a document.

    Attributes:
        own: The similarity of its vector.
        ranges: Characters of its spans, shape (spans, 2); None if it has none.
        spans: Their similarities, shape (spans,); None likewise.
    """

    own: float
    ranges: NDArray[np.int64] | None = None
    spans: NDArray[np.float32] | None = None

    @property
    def total(self) -> float:
        """The average of the document's and of its best span's."""
        return self.own if self.spans is None else float(self.own + self.spans.max()) / 2


@dataclass(frozen=True)
class DocumentHit:
    """A document found by a search, with the passages that answer.

    Attributes:
        hit: The document, with its score: the average of the next two, or what words make of it.
        document_score: Of its own vector; None if vectors were not asked.
        span_score: Of its best span; None of a document that has none.
        passages: The best first.
        text: All of the document.
        words: Its scores by words; None if they were not asked.
        also: Names of other documents of the same text, which are not found beside it.
        first_score: The score of the search, if a reranker has given another.
    """

    hit: Hit
    document_score: float | None
    span_score: float | None
    passages: list[Passage]
    text: str
    words: WordShares | None = None
    also: tuple[str, ...] = ()
    first_score: float | None = None

    def place_of(self, passage: Passage) -> Place:
        """Where its best sentence stands, or, if that was not looked for, its beginning.

        Args:
            passage: One of this document.
        """
        blank = len(passage.text) - len(passage.text.lstrip())
        position = passage.sentence[0] if passage.sentence else passage.start + blank
        return place_in(self.text, position, self.hit.source)


def search_dense(
    store: Store,
    vector: Any,
    k: int,
    *,
    passages: int = 1,
    where: Mapping[str, str] | None = None,
) -> list[DocumentHit]:
    """The documents that answer a query best by their vectors, each with its best passages.

    Args:
        store: The documents; a `SpannedStore` has passages.
        vector: Of the query, made as the store's vectors were.
        k: The most documents.
        passages: The most passages of each; neighbouring spans make one.
        where: What their metadata must be; see `records.meets`.

    Returns:
        The best first.

    Raises:
        StoreError: If the store cannot be read, or fewer are found because vectors are lost.
    """
    if not isinstance(store, SpannedStore):
        found = matches(store, vector, k, where)
        records = _records(store, [match.id for match in found])
        return [
            document_hit(records[match.id], match.score, dense=DenseScores(match.score))
            for match in found
            if match.id in records
        ]
    known = {record_id for record_id, _ in store.names()}
    scored = dense_scores(store, vector, known)
    best_ids = sorted(scored, key=lambda key: (-scored[key].total, key))
    return [
        document_hit(record, scored[record.id].total, dense=scored[record.id], passages=passages)
        for record in first_records(store, best_ids, k, where or {})
    ]


def dense_scores(store: Store, vector: Any, ids: Collection[str]) -> dict[str, DenseScores]:
    """The scores of some documents by vectors.

    Args:
        store: The documents, with their spans if it is a `SpannedStore`.
        vector: Of the query.
        ids: The documents; those that are not there have no score.

    Returns:
        By id.

    Raises:
        StoreError: If the store cannot be read, or vectors of it are lost.
    """
    query = np.asarray(vector, dtype=np.float32)
    query = query / max(float(np.linalg.norm(query)), np.finfo(np.float32).tiny)
    found: dict[str, DenseScores] = {}
    if isinstance(store, SpannedStore):
        few = list(ids) if len(ids) < len(store) else None
        for one in store.spans.read(store.fingerprint, few):
            if one.id in ids:
                own = float(one.document @ query)
                found[one.id] = DenseScores(own, one.ranges, one.vectors @ query)
    # Documents without spans stand with their own vector alone.
    for part in batches(sorted(set(ids) - found.keys()), _VECTORS):
        vectors = store.vectors(part)
        if len(vectors) < len(part):
            refuse_lost(store)
        if vectors:
            scores = cosines(query, list(vectors.values()))
            found |= {
                key: DenseScores(float(one)) for key, one in zip(vectors, scores, strict=True)
            }
    return found


def first_distinct(ask: Callable[[int], list[DocumentHit]], k: int) -> list[DocumentHit]:
    """The best documents, those of one text as one.

    Args:
        ask: Gives so many hits, the best first, or fewer if there are no more.
        k: The most documents.
    """
    # The last one has all its copies only if another document comes behind them.
    asked = k + 1
    while True:
        found = ask(asked)
        by_text: dict[str, list[DocumentHit]] = {}
        for hit in found:
            # A bare vector has no text, and is like no other.
            by_text.setdefault(hit.text or f"\0{hit.hit.source}", []).append(hit)
        if len(by_text) > k or len(found) < asked or asked >= _MOST_COPIES * k:
            best = list(by_text.values())[:k]
            groups = [sorted(hits, key=lambda hit: hit.hit.source) for hits in best]
            return [
                replace(first, also=tuple(one.hit.source for one in others))
                for first, *others in groups
            ]
        # Copies have taken places: ask for more until there are enough.
        asked *= 2


def document_hit(
    record: Record,
    total: float,
    *,
    dense: DenseScores | None = None,
    words: WordShares | None = None,
    ranges: Any = None,
    scores: NDArray[np.floating[Any]] | None = None,
    passages: int = 1,
) -> DocumentHit:
    """A record that was found, with its best passages.

    Args:
        record: The document.
        total: Its score.
        dense: By vectors.
        words: By words.
        ranges: Of characters, of what may be shown, shape (parts, 2); None for the spans.
        scores: Of these, shape (parts,); None for the spans' similarity.
        passages: The most to be shown.
    """
    text = record.text or ""
    if scores is None and dense is not None:
        ranges, scores = dense.ranges, dense.spans
    chosen = [] if scores is None else passages_of(ranges, scores, text, passages)
    return DocumentHit(
        hit_of(record.id, total, record.metadata),
        None if dense is None else dense.own,
        None if dense is None or dense.spans is None else float(dense.spans.max()),
        chosen,
        text,
        words,
    )


def with_best_sentence(hit: DocumentHit, rank: RankSentences) -> DocumentHit:
    """A hit with the sentence of its first passage that is nearest to the query.

    Args:
        hit: From a search.
        rank: Reads the passage once more.
    """
    if not hit.passages:
        return hit
    first, *others = hit.passages
    sentences = sentences_of(first.text)
    if not sentences:
        return hit
    best = sentences[int(np.argmax(rank(first.text, sentences)))]
    place = (first.start + best[0], first.start + best[1])
    return replace(hit, passages=[replace(first, sentence=place), *others])


def sentences_of(text: str) -> list[tuple[int, int]]:
    """The sentences and lines of a text, as ranges of its characters, without blank ones.

    A line that goes on in lower case belongs to the sentence before it: the text is wrapped there.

    Args:
        text: Any.
    """
    found: list[tuple[int, int]] = []
    for one in sentencex.get_sentence_boundaries("en", text):
        start = int(one["start_index"])
        goes_on = False
        for line in text[start : one["end_index"]].splitlines(keepends=True):
            visible = line.strip()
            first = start + len(line) - len(line.lstrip())
            if visible and goes_on and visible[0].islower():
                found[-1] = (found[-1][0], first + len(visible))
            elif visible:
                found.append((first, first + len(visible)))
            goes_on = bool(visible)
            start += len(line)
    return found


def first_records(
    store: Store,
    ids: Sequence[str],
    k: int,
    where: Mapping[str, str],
    keep: Callable[[Record], bool] = lambda record: True,
) -> list[Record]:
    """The first k of some records that are there and meet conditions.

    Args:
        store: The documents.
        ids: The best first.
        k: How many.
        where: What their metadata must be.
        keep: What else must be true of them.
    """
    found: list[Record] = []
    for part in batches(ids, max(1, min(k, ROWS))):
        records = _records(store, part)
        there = [records[key] for key in part if key in records]
        found += [record for record in there if meets(record.metadata, where) and keep(record)]
        if len(found) >= k:
            break
    return found[:k]


def _records(store: Store, ids: Sequence[str]) -> dict[str, Record]:
    return {record.id: record for part in batches(ids, ROWS) for record in store.get(part)}


def passages_of(
    ranges: Any, scores: NDArray[np.floating[Any]], text: str, most: int
) -> list[Passage]:
    """The best parts of a text; those that are neighbours, or overlap, are joined.

    Args:
        ranges: Of characters, shape (parts, 2).
        scores: Shape (parts,).
        text: The text.
        most: The most parts.
    """
    chosen = sorted(np.argsort(-scores, kind="stable")[:most].tolist())
    runs: list[list[int]] = []
    for place in chosen:
        if runs and place == runs[-1][-1] + 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    found = []
    for run in runs:
        start, end = int(ranges[run[0]][0]), int(ranges[run[-1]][1])
        found.append(Passage(start, end, float(scores[run].max()), text[start:end]))
    return sorted(found, key=lambda passage: -passage.score)


def as_dict(hit: DocumentHit) -> dict[str, Any]:
    """What a hit has beside its document, as plain data for JSON.

    Args:
        hit: The hit.
    """
    return {
        **({"also": list(hit.also)} if hit.also else {}),
        **({} if hit.first_score is None else {"first_score": hit.first_score}),
        "document_score": hit.document_score,
        "span_score": hit.span_score,
        "words": None if hit.words is None else asdict(hit.words),
        "passages": [_passage_dict(one, hit.place_of(one)) for one in hit.passages],
    }


def _passage_dict(passage: Passage, place: Place) -> dict[str, Any]:
    sentence: Sequence[int] | None = passage.sentence
    return {
        "start": passage.start,
        "end": passage.end,
        **asdict(place),
        "score": passage.score,
        "text": passage.text,
        "sentence": list(sentence) if sentence else None,
    }
