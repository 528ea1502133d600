"""A whole search in loops over records: no index, no arrays, nothing kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reference.bm25 import bm25, passages

from longembed_index.document import Record

WINDOW, STEP = 250, 125


@dataclass
class Answer:
    """A document, with what a search says of it.

    Attributes:
        id: The document.
        score: Its score.
        parts: Of the score.
        passages: Start, end and score of its passages, best first.
        copies: The other documents of its text.
    """

    id: str
    score: float
    parts: dict[str, float]
    passages: list[tuple[int, int, float]]
    copies: list[str]


def search(
    records: Sequence[Record],
    query: str,
    phrases: Sequence[str],
    vector: Sequence[float],
    k: int,
    mode: str,
    weight: float,
    most_passages: int,
    keep: Callable[[Record], bool],
) -> list[Answer]:
    """Answer a question by reading everything.

    Args:
        records: All documents; terms are what stands between their spaces.
        query: Terms, with spaces between them.
        phrases: What must stand in a document.
        vector: Of the query, of length 1.
        k: How many answers.
        mode: "hybrid", "dense" or "lexical".
        weight: Of the vectors in a hybrid search.
        most_passages: Of each document, before neighbours are joined.
        keep: Whether a document meets the filter.
    """
    weight = {"hybrid": weight, "dense": 1.0, "lexical": 0.0}[mode]
    has_words = mode != "dense" or bool(phrases)
    texts = {record.document.id: record.document.text for record in records}
    parts: dict[str, dict[str, float]] = {key: {} for key in texts}
    if mode != "lexical":
        for record in records:
            of_document = parts[record.document.id]
            of_document["document_vector"] = dot(record.vector, vector)
            if record.units is not None:
                of_document["best_span"] = max(dot(v, vector) for v in record.units.vectors)
    if has_words:
        # With a phrase, the highest score is that of a document with the phrase.
        scored = [key for key in texts if all(phrase in texts[key] for phrase in phrases)]
        for key, (document, passage) in word_shares(query.split(), texts, scored).items():
            parts[key] |= {"document_words": document, "best_passage_words": passage}
    totals = {key: total(part, weight) for key, part in parts.items()}
    answers: list[Answer] = []
    by_id = {record.document.id: record for record in records}
    for key in sorted(totals, key=lambda key: (-round(totals[key], 6), key)):
        if not keep(by_id[key]) or not all(phrase in texts[key] for phrase in phrases):
            continue
        if mode == "lexical" and totals[key] == 0:
            continue
        same = [answer for answer in answers if texts[answer.id] == texts[key]]
        if same:
            same[0].copies.append(key)
            continue
        ranges = scored_ranges(by_id[key], query.split(), texts, vector, mode, weight, has_words)
        shown = joined(ranges, most_passages)
        answers.append(Answer(key, totals[key], parts[key], shown, []))
    return answers[:k]


def dot(a: Sequence[float], b: Sequence[float]) -> float:
    """The cosine of two vectors of length 1."""
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def total(parts: dict[str, float], weight: float) -> float:
    """The weighted sum of the averages of both sides."""
    vectors = [parts[name] for name in ("document_vector", "best_span") if name in parts]
    words = [parts[name] for name in ("document_words", "best_passage_words") if name in parts]
    by_vectors = weight * sum(vectors) / len(vectors) if vectors else 0.0
    by_words = (1 - weight) * sum(words) / len(words) if words else 0.0
    return by_vectors + by_words


def word_shares(
    query: Sequence[str], texts: dict[str, str], scored: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """BM25 of documents and of their best passages, as shares of the highest of those scored."""
    ids = list(texts)
    whole = dict(zip(ids, bm25(query, [texts[key].split() for key in ids]), strict=True))
    parts = [(key, part) for key in ids for part in passages(texts[key].split(), WINDOW, STEP)]
    best = dict.fromkeys(ids, 0.0)
    for (key, _), score in zip(parts, bm25(query, [part for _, part in parts]), strict=True):
        best[key] = max(best[key], score)
    highest = max((whole[key] for key in scored), default=0.0) or 1.0
    highest_passage = max((best[key] for key in scored), default=0.0) or 1.0
    return {key: (whole[key] / highest, best[key] / highest_passage) for key in ids}


def scored_ranges(
    record: Record,
    query: Sequence[str],
    texts: dict[str, str],
    vector: Sequence[float],
    mode: str,
    weight: float,
    has_words: bool,
) -> list[tuple[int, int, float]]:
    """What may be shown of a document: its spans, or, without any, its windows of words."""
    text = record.document.text
    similarities: list[float] = []
    if mode != "lexical" and record.units is not None:
        ranges = [(int(start), int(end)) for start, end in record.units.ranges]
        similarities = [dot(span, vector) for span in record.units.vectors]
    elif has_words:
        ranges, weight = window_ranges(text), 0.0
        similarities = [0.0] * len(ranges)
    else:
        return []
    scores = [0.0] * len(ranges)
    if has_words:
        every = [part for other in texts.values() for part in passages(other.split(), WINDOW, STEP)]
        scores = [range_score(query, terms_in(text, *each), every) for each in ranges]
        highest = max(scores) or 1.0
        scores = [score / highest for score in scores]
    return [
        (start, end, (1 - weight) * words + weight * similarity)
        for (start, end), words, similarity in zip(ranges, scores, similarities, strict=True)
    ]


def range_score(
    query: Sequence[str], terms: Sequence[str], every: Sequence[Sequence[str]]
) -> float:
    """BM25 of some terms as if they were one of all passages."""
    average = sum(len(part) for part in every) / len(every)
    score = 0.0
    for term in query:
        having = sum(term in part for part in every)
        if having:
            idf = math.log(1 + (len(every) - having + 0.5) / (having + 0.5))
            count = terms.count(term)
            score += idf * count / (count + 1.5 * (0.25 + 0.75 * len(terms) / average))
    return score


def starts_of(text: str) -> list[int]:
    """The first character of each term."""
    starts, position = [], 0
    for term in text.split():
        position = text.index(term, position)
        starts.append(position)
        position += len(term)
    return starts


def terms_in(text: str, start: int, end: int) -> list[str]:
    """The terms that begin in a range of characters."""
    pairs = zip(text.split(), starts_of(text), strict=True)
    return [term for term, place in pairs if start <= place < end]


def window_ranges(text: str) -> list[tuple[int, int]]:
    """The windows of words as ranges of characters."""
    starts, ranges = starts_of(text), []
    for number, part in enumerate(passages(text.split(), WINDOW, STEP)):
        first = number * STEP
        end = first + WINDOW
        ranges.append(
            (starts[first] if first else 0, starts[end] if end < len(starts) else len(text))
        )
        assert len(part) <= WINDOW
    return ranges


def joined(ranges: list[tuple[int, int, float]], most: int) -> list[tuple[int, int, float]]:
    """The best ranges, neighbours as one with the higher score, best first."""
    order = sorted(range(len(ranges)), key=lambda place: (-ranges[place][2], place))
    runs: list[list[int]] = []
    for place in sorted(order[:most]):
        if runs and runs[-1][-1] == place - 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    shown = [
        (ranges[run[0]][0], ranges[run[-1]][1], max(ranges[place][2] for place in run))
        for run in runs
    ]
    return sorted(shown, key=lambda each: -each[2])
