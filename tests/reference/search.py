"""A whole search in loops over records: no index, no arrays, nothing kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reference.bm25 import bm25, passages
from reference.runs import cosine, run_end, share

from longembed_index.document import Record

WINDOW, STEP = 350, 175
RUN_WORDS = 60


@dataclass
class Answer:
    """A document, with what a search says of it.

    Attributes:
        id: The document.
        score: Its score.
        parts: Of the score.
        copies: The other documents of its text.
    """

    id: str
    score: float
    parts: dict[str, float]
    copies: list[str]


def search(
    records: Sequence[Record],
    query: str,
    phrases: Sequence[str],
    vector: Sequence[float],
    k: int,
    mode: str,
    weight: float,
    keep: Callable[[Record], bool],
) -> list[Answer]:
    """Answer a question by reading everything.

    Args:
        records: All documents; terms are what stands between their spaces and full stops.
        query: Terms, with spaces between them.
        phrases: What must stand in a document.
        vector: Of the query, of length 1.
        k: How many answers.
        mode: "hybrid", "dense" or "lexical".
        weight: Of the vectors in a hybrid search.
        keep: Whether a document meets the filter.
    """
    parts = parts_of_all(records, query, phrases, vector, mode)
    weight = weight_of(mode, weight)
    kept = [
        record
        for record in records
        if keep(record) and all(phrase in record.document.text for phrase in phrases)
    ]
    return answers_of(kept, parts, mode, weight)[:k]


def search_large(
    records: Sequence[Record],
    query: str,
    vector: Sequence[float],
    k: int,
    mode: str,
    weight: float,
    keep: Callable[[Record], bool],
    least: int,
    least_read: int,
) -> list[Answer]:
    """Answer a question as in a store with too many documents to score all.

    Candidates are the best documents by their vectors, and the best by their words. Of these, the
    best by all scores but those of runs are ranked by all scores. Both numbers grow until there
    are more than k texts.

    Args:
        records: The same as for `search`.
        query: The same.
        vector: The same.
        k: The same.
        mode: The same.
        weight: The same.
        keep: The same.
        least: The least number of candidates by vectors, and by words.
        least_read: The least number of documents that are ranked by all scores.
    """
    parts = parts_of_all(records, query, [], vector, mode)
    weight = weight_of(mode, weight)
    kept = [record for record in records if keep(record)]
    cosines = {key: part.get("document_vector", 0) for key, part in parts.items()}
    every = [terms_of(record.document.text) for record in records]
    bm25_of = dict(zip(parts, bm25(query.split(), every), strict=True))
    without_runs = {
        key: total({name: part[name] for name in part if "run" not in name}, weight)
        for key, part in parts.items()
    }
    most, read = max(k + 1, least), max(2 * k, least_read)
    while True:
        by_vectors = [] if mode == "lexical" else best_of(kept, cosines)[:most]
        having = [record for record in kept if mode != "dense" and bm25_of[record.document.id]]
        by_words = best_of(having, bm25_of)[:most]
        candidates = [each for each in kept if each in by_vectors or each in by_words]
        best = candidates if mode == "lexical" else best_of(candidates, without_runs)[:read]
        answers = answers_of(best, parts, mode, weight)
        if len(answers) > k or len(best) == len(kept):
            return answers[:k]
        if mode == "lexical" and len(by_words) == len(having):
            return answers
        most, read = 4 * most, 4 * read


def best_of(records: Sequence[Record], scores: dict[str, float]) -> list[Record]:
    """The records by their scores, best first, equal ones by id."""
    ids = [record.document.id for record in records]
    order = sorted(ids, key=lambda key: (-round(scores[key], 6), key))
    return [records[ids.index(key)] for key in order]


def weight_of(mode: str, weight: float) -> float:
    """The weight of the vectors."""
    return {"hybrid": weight, "dense": 1.0, "lexical": 0.0}[mode]


def parts_of_all(
    records: Sequence[Record],
    query: str,
    phrases: Sequence[str],
    vector: Sequence[float],
    mode: str,
) -> dict[str, dict[str, float]]:
    """The parts of the score of every document, by id."""
    has_words = mode != "dense" or bool(phrases)
    whole = [terms_of(record.document.text) for record in records]
    windows = [part for text in whole for part in passages(text, WINDOW, STEP)]
    parts: dict[str, dict[str, float]] = {}
    for record, terms in zip(records, whole, strict=True):
        of_document = {}
        if has_words:
            own = passages(terms, WINDOW, STEP)
            of_document["document_words"] = best_share(query, [terms], whole)
            of_document["best_passage_words"] = best_share(query, own, windows)
        if mode != "lexical":
            of_document["document_vector"] = dot(record.vector, vector)
            if record.units is not None:
                of_document["best_run"] = best_run(record, vector)
                if has_words:
                    of_document["best_run_words"] = best_run_words(record, query, windows)
        parts[record.document.id] = of_document
    return parts


def answers_of(
    records: Sequence[Record], parts: dict[str, dict[str, float]], mode: str, weight: float
) -> list[Answer]:
    """The different texts of some documents, best first, each with its copies."""
    totals = {record.document.id: total(parts[record.document.id], weight) for record in records}
    texts = {record.document.id: record.document.text for record in records}
    answers: list[Answer] = []
    for record in best_of(records, totals):
        key = record.document.id
        if mode == "lexical" and totals[key] == 0:
            continue
        same = [answer for answer in answers if texts[answer.id] == texts[key]]
        if same:
            same[0].copies.append(key)
        else:
            answers.append(Answer(key, totals[key], parts[key], []))
    return answers


def terms_of(text: str) -> list[str]:
    """The terms of a text."""
    return text.replace(".", " ").split()


def dot(a: Sequence[float], b: Sequence[float]) -> float:
    """The cosine of two vectors of length 1."""
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def total(parts: dict[str, float], weight: float) -> float:
    """The weighted sum of the averages of both sides."""
    averages = []
    for names in (
        ("document_vector", "best_run"),
        ("document_words", "best_passage_words", "best_run_words"),
    ):
        values = [parts[name] for name in names if name in parts]
        averages.append(sum(values) / len(values) if values else 0.0)
    return weight * averages[0] + (1 - weight) * averages[1]


def idf_of(term: str, texts: Sequence[Sequence[str]]) -> float:
    """How rare a term is among some texts."""
    having = sum(term in text for text in texts)
    return math.log(1 + (len(texts) - having + 0.5) / (having + 0.5))


def best_share(query: str, own: Sequence[Sequence[str]], every: Sequence[Sequence[str]]) -> float:
    """BM25 of the best of some texts, as a share of what one with every term gets."""
    scores = dict(zip(map(tuple, every), bm25(query.split(), every), strict=True))
    highest = sum(idf_of(term, every) for term in query.split())
    return max(scores[tuple(text)] for text in own) / highest


def runs_of(record: Record) -> list[tuple[int, int]]:
    """The runs of a document from each of its sentences on."""
    assert record.units is not None
    words = [len(record.document.text[a:b].split()) for a, b in record.units.ranges]
    return [(first, run_end(words, [], first, RUN_WORDS)) for first in range(len(words))]


def best_run(record: Record, vector: Sequence[float]) -> float:
    """The highest cosine of a run."""
    units = record.units
    return max(
        cosine(units.vectors[first:end].tolist(), units.counts[first:end].tolist(), vector)
        for first, end in runs_of(record)
    )


def best_run_words(record: Record, query: str, windows: Sequence[Sequence[str]]) -> float:
    """The highest score of a run by words."""
    text, ranges = record.document.text, record.units.ranges.tolist()
    idf = {term: idf_of(term, windows) for term in query.split()}
    return max(
        share(
            query.split(), terms_of(text[ranges[first][0] : ranges[end - 1][1]]), RUN_WORDS, idf, 0
        )
        for first, end in runs_of(record)
    )
