"""From a query's vector to documents with the passages that answer it.

A document's score is the average of its own vector's and of its best span's: on four corpora the
best of the three, or near it (docs/RESULTS.md). All spans are compared, so that it is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import sentencex  # type: ignore[import-untyped]
from numpy.typing import NDArray

from longembed_index.embedding import ROWS, batches
from longembed_index.places import Place, place_in
from longembed_index.records import Record, meets
from longembed_index.searching import Hit, hit_of, matches
from longembed_index.spans import DocumentSpans, SpannedStore

if TYPE_CHECKING:
    from longembed_index.store import Store

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
class DocumentHit:
    """A document found by a search, with the passages that answer.

    Attributes:
        hit: The document; its score is the average of the next two.
        document_score: Of its own vector.
        span_score: Of its best span; None of a document that has none.
        passages: The best first.
        text: All of the document.
    """

    hit: Hit
    document_score: float
    span_score: float | None
    passages: list[Passage]
    text: str

    def place_of(self, passage: Passage) -> Place:
        """Where its best sentence stands, or, if that was not looked for, its beginning.

        Args:
            passage: One of this document.
        """
        blank = len(passage.text) - len(passage.text.lstrip())
        position = passage.sentence[0] if passage.sentence else passage.start + blank
        return place_in(self.text, position, self.hit.source)


def search_passages(
    store: SpannedStore,
    vector: Any,
    k: int,
    *,
    passages: int = 1,
    where: Mapping[str, str] | None = None,
) -> list[DocumentHit]:
    """The documents that answer a query best, each with its best passages.

    Args:
        store: The documents.
        vector: Of the query, made as the store's vectors were.
        k: The most documents.
        passages: The most passages of each; neighbouring spans make one.
        where: What their metadata must be; see `records.meets`.

    Returns:
        The best first.

    Raises:
        StoreError: If the store cannot be read, or fewer are found because vectors are lost.
    """
    query = np.asarray(vector, dtype=np.float32)
    query = query / max(float(np.linalg.norm(query)), np.finfo(np.float32).tiny)
    known = {record_id for record_id, _ in store.names()}
    spans = {one.id: one for one in store.file.read(store.fingerprint) if one.id in known}
    scored = {key: _scores(one, query) for key, one in spans.items()}
    totals = {key: float((own + best.max()) / 2) for key, (own, best) in scored.items()}
    if len(spans) < len(known):
        # Documents without spans stand with their own vector alone.
        for match in matches(store, vector, len(known)):
            totals.setdefault(match.id, match.score)
    best_ids = sorted(totals, key=lambda key: (-totals[key], key))
    found = []
    for record in _first(store, best_ids, k, where or {}):
        key, total, text = record.id, totals[record.id], record.text or ""
        hit = hit_of(key, total, record.metadata)
        if key not in scored:
            found.append(DocumentHit(hit, total, None, [], text))
            continue
        own, each = scored[key]
        chosen = _passages(spans[key], each, text, passages)
        found.append(DocumentHit(hit, float(own), float(each.max()), chosen, text))
    return found


def search_documents(
    store: Store, vector: Any, k: int, where: Mapping[str, str] | None = None
) -> list[DocumentHit]:
    """The same of a store without spans: by the documents' own vectors, without passages.

    Args:
        store: The documents.
        vector: Of the query, made as the store's vectors were.
        k: The most documents.
        where: What their metadata must be; see `records.meets`.

    Returns:
        The best first.

    Raises:
        StoreError: If the store cannot be read, or fewer are found because vectors are lost.
    """
    found = matches(store, vector, k, where)
    records = _records(store, [match.id for match in found])
    texts = {key: record.text or "" for key, record in records.items()}
    return [
        DocumentHit(
            hit_of(match.id, match.score, match.metadata),
            match.score,
            None,
            [],
            texts.get(match.id, ""),
        )
        for match in found
    ]


def with_best_sentence(hit: DocumentHit, rank: RankSentences) -> DocumentHit:
    """A hit with the sentence of its first passage that is nearest to the query.

    Args:
        hit: From `search_passages`.
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


def _first(store: Store, ids: Sequence[str], k: int, where: Mapping[str, str]) -> list[Record]:
    """The first k of some records that are there and meet conditions."""
    found: list[Record] = []
    for part in batches(ids, min(k, ROWS)):
        records = _records(store, part)
        there = [records[key] for key in part if key in records]
        found += [record for record in there if meets(record.metadata, where)]
        if len(found) >= k:
            break
    return found[:k]


def _records(store: Store, ids: Sequence[str]) -> dict[str, Record]:
    return {record.id: record for part in batches(ids, ROWS) for record in store.get(part)}


def _scores(spans: DocumentSpans, query: NDArray[np.float32]) -> tuple[Any, NDArray[np.float32]]:
    return spans.document @ query, spans.vectors @ query


def _passages(
    spans: DocumentSpans, scores: NDArray[np.float32], text: str, most: int
) -> list[Passage]:
    """The best spans; those that are neighbours are joined."""
    chosen = sorted(np.argsort(-scores, kind="stable")[:most].tolist())
    runs: list[list[int]] = []
    for place in chosen:
        if runs and place == runs[-1][-1] + 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    found = []
    for run in runs:
        start, end = int(spans.ranges[run[0], 0]), int(spans.ranges[run[-1], 1])
        found.append(Passage(start, end, float(scores[run].max()), text[start:end]))
    return sorted(found, key=lambda passage: -passage.score)


def as_dict(hit: DocumentHit) -> dict[str, Any]:
    """What a hit has beside its document, as plain data for JSON.

    Args:
        hit: The hit.
    """
    return {
        "document_score": hit.document_score,
        "span_score": hit.span_score,
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
