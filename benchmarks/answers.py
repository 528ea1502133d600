"""Is the answer among the words that a prompt gets? Runs of sentences beside chunks.

What the prompt has of the evidence and of the answer at several budgets, inside the right document
and over all documents: by chunks of 1,000 characters, as LangChain's splitter cuts them, ranked by
vectors, by BM25, and by reciprocal ranks; by windows of the model's length with words and vectors,
as this package had them before; and by `Index.context`. Before that, nDCG@10 of documents, and how
often nothing seems to answer.

    python benchmarks/answers.py MODEL DATA [DATA ...] [--pdf] [--documents 50] [--keep FOLDER]

DATA is a folder with corpus, queries and qrels as .jsonl.gz. It may have evidence: texts, or pages
counted from 0; and questions with the ids of the queries. All folders are searched in one store.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath
from typing import NamedTuple, TypeVar

import numpy as np
from pieces import FUSIONS, Pieces, chunks_of, windows_of
from rich.progress import track
from samples import read_rows

from longembed_bench.evaluate import BUDGETS, Part, cut
from longembed_index.document import Document, Hit
from longembed_index.index import Index

Row = TypeVar("Row")

RUNS = "runs of sentences"

RANKED = 50
"""Documents whose scores are looked at."""

LIMITS = (0.06, 0.08, 0.1, 0.12, 0.15, 0.2)
"""Of the score by words below which nothing seems to answer."""


class Measured(NamedTuple):
    """What the prompt for a question has.

    Attributes:
        hit: Whether it has some of the evidence.
        share: The share of the evidence, in characters.
        answer: Whether it has the text of the answer; None without one.
    """

    hit: bool
    share: float
    answer: bool | None


@dataclass(frozen=True)
class Question:
    """A question, and where its answer stands in a document.

    Attributes:
        text: The question.
        document: The id of the document.
        evidence: Ranges of its characters.
        answer: The text of the answer, as `normal` returns it; empty if the document lacks it.
    """

    text: str
    document: str
    evidence: list[tuple[int, int]]
    answer: str

    def measure(self, parts: Sequence[Part], texts: dict[str, str]) -> Measured:
        """Return what of the evidence and of the answer some parts of documents hold."""
        own = [(part.start, part.end) for part in parts if part.document_id == self.document]
        wanted = {place for start, end in self.evidence for place in range(start, end)}
        common = len(wanted.intersection(set().union(*(range(*each) for each in own))))
        answer = None
        if self.answer:
            answer = self.is_in([texts[self.document][start:end] for start, end in own])
        return Measured(common > 0, common / len(wanted), answer)

    def is_in(self, parts: Iterable[str]) -> bool:
        """Return whether some part of a text has the answer."""
        return any(self.answer in normal(part) for part in parts)


def normal(text: str) -> str:
    """Return a text in lower case, with single spaces."""
    return " ".join(text.casefold().split())


def index_data(index: Index, folder: Path, most: int | None, pdf: bool) -> None:
    """Add the documents of a folder: its texts, or its PDF files."""
    metadata = {"data": folder.name}
    if pdf:
        index.add(folder / "pdf", metadata=metadata)
    else:
        rows = read_rows(folder, "corpus")[:most]
        index.add_documents(Document(row["doc_id"], row["text"], metadata) for row in rows)


def kinds_of(folder: Path) -> list[str]:
    """Return which queries a folder has; the first are those with evidence."""
    names = ("questions", "queries")
    return [name for name in names if (folder / f"{name}.jsonl.gz").exists()]


def read_questions(folder: Path, texts: dict[str, str], ids: dict[str, str]) -> list[Question]:
    """Return the questions with evidence.

    Args:
        folder: The data.
        texts: The texts by id.
        ids: The id of each document by its name in the data.
    """
    evidence = defaultdict(list)
    for row in read_rows(folder, "evidence"):
        evidence[row["qid"]].append(row)
    questions = []
    for row in read_rows(folder, kinds_of(folder)[0]):
        rows = evidence.get(row["qid"], [])
        if not rows or rows[0]["doc_id"] not in ids:
            continue
        key = ids[rows[0]["doc_id"]]
        text = texts[key]
        if "page" in rows[0]:
            pages = [match.span() for match in re.finditer(r"[^\f]*\f?", text)]
            ranges = [pages[row["page"]] for row in rows]
        else:
            ranges = [located(*visible(text), piece["text"]) for piece in rows]
        answer = normal(row.get("answer", ""))
        answer = answer if answer in normal(text) else ""
        questions.append(Question(row["text"], key, ranges, answer))
    return questions


@cache
def visible(text: str) -> tuple[str, list[int]]:
    """Return the characters of a text that are not white space, and where they stand."""
    return "".join(text.split()), [n for n, c in enumerate(text) if not c.isspace()]


def located(squeezed: str, places: Sequence[int], piece: str) -> tuple[int, int]:
    """Return where a piece stands in a text, white space aside."""
    wanted = "".join(piece.split())
    start = squeezed.index(wanted)
    return places[start], places[start + len(wanted) - 1] + 1


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--pdf", action="store_true", help="read DATA/pdf instead of the texts")
    parser.add_argument("--documents", type=int, help="so many of each folder")
    parser.add_argument("--questions", type=int, help="ask so many of each folder, evenly chosen")
    parser.add_argument("--only-documents", action="store_true", help="no contexts, no chunks")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--backend", default="torch")
    parser.add_argument("--dtype", default="float32")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        keep = arguments.keep or Path(temporary)
        keep.mkdir(parents=True, exist_ok=True)
        settings = {"backend": arguments.backend, "dtype": arguments.dtype}
        with Index.open(keep / "store", model=arguments.model, **settings) as index:
            began = time.perf_counter()
            for folder in arguments.data:
                index_data(index, folder, arguments.documents, arguments.pdf)
            print(f"indexed in {time.perf_counter() - began:.0f} s")
            for folder in arguments.data:
                rank_documents(index, folder, arguments.questions, others=len(arguments.data) > 1)
            if not arguments.only_documents:
                measure_all(index, arguments.data, arguments.questions, keep)


def ids_by_name(index: Index) -> dict[str, str]:
    """Return the id of each document by its name in the data."""
    ids = [entry.id for entry in index.documents()]
    return {PurePath(key).name.removesuffix(".pdf"): key for key in ids}


def evenly(rows: list[Row], most: int | None) -> list[Row]:
    """Return some rows, evenly chosen; all if there is no limit."""
    return rows[:: -(-len(rows) // (most or len(rows)))]


def rank_documents(index: Index, folder: Path, most: int | None, others: bool) -> None:
    """Print nDCG@10 of documents, and how often nothing seems to answer.

    Args:
        index: The index.
        folder: The data.
        most: The most queries of a kind.
        others: Whether to ask the documents of other folders, too.
    """
    ids, weight = ids_by_name(index), index.ranking.weight
    right = {row["qid"]: ids.get(row["doc_id"]) for row in read_rows(folder, "qrels")}

    def by_words(hit: Hit) -> float:
        return (hit.scores["document_words"] + hit.scores["best_passage_words"]) / 2

    def without_runs(hit: Hit) -> float:
        return (1 - weight) * by_words(hit) + weight * hit.scores["document_vector"]

    ways = {"by words": by_words, "without runs": without_runs, RUNS: lambda hit: hit.score}
    for kind in kinds_of(folder):
        rows = [row for row in read_rows(folder, kind) if right.get(row["qid"])]
        rows = evenly(rows, most)
        gains: dict[str, list[float]] = {way: [] for way in ways}
        best: dict[str, list[float]] = defaultdict(list)
        for row in track(rows):
            own = right[row["qid"]]
            hits = index.search(row["text"], RANKED, passages=0)
            for way, score in ways.items():
                ranked = [hit.document.id for hit in sorted(hits, key=score, reverse=True)[:10]]
                gains[way].append(1 / np.log2(ranked.index(own) + 2) if own in ranked else 0)
            best["all documents"].append(best_words(hits))
            rest = [hit for hit in hits if hit.document.id != own]
            best["its document left out"].append(best_words(rest))
            if others:
                where = {"data": {"ne": folder.name}}
                hits = index.search(row["text"], RANKED, passages=0, where=where)
                best["other folders"].append(best_words(hits))
        cells = [f"{way} {100 * np.mean(gains[way]):.1f}" for way in ways]
        print(f"{folder.name}, {len(rows)} {kind}: nDCG@10 {', '.join(cells)}")
        if kind == kinds_of(folder)[0]:
            print_unanswered(best)


def best_words(hits: Iterable[Hit]) -> float:
    """Return the highest score by words of all runs."""
    return max((hit.scores.get("best_run_words", 0.0) for hit in hits), default=0.0)


def print_unanswered(best: dict[str, list[float]]) -> None:
    """Print for how many questions nothing seems to answer, by the limit."""
    for name, scores in best.items():
        shares = [f"{limit} {100 * np.mean(np.less(scores, limit)):.0f}%" for limit in LIMITS]
        print(f"nothing seems to answer, {name}: {', '.join(shares)}")
    asked, removed = (np.array(best[name]) for name in ("all documents", "its document left out"))
    print(f"area under the ROC curve: {np.mean(asked[:, None] > removed):.2f}")


def measure_all(index: Index, folders: Sequence[Path], most: int | None, keep: Path) -> None:
    """Measure the questions of all folders that have evidence."""
    ids = ids_by_name(index)
    records = [(key, index.get(key)) for key in ids.values()]
    texts = {key: document.text for key, document in records if document is not None}
    model = index.model.model
    pieces = {
        "windows": windows_of(index, texts, model.long_transformer.extension.context.original),
        "chunks": chunks_of(index, texts, keep),
    }
    for folder in folders:
        if (folder / "evidence.jsonl.gz").exists():
            print(folder.name)
            measure(index, texts, evenly(read_questions(folder, texts, ids), most), pieces)


def measure(
    index: Index, texts: dict[str, str], questions: list[Question], pieces: dict[str, Pieces]
) -> None:
    """Print the tables, and how often the highlighted sentence holds the answer."""
    documents = {key: Document(key, text) for key, text in texts.items()}
    measured: dict[tuple[str, bool, int], list[Measured]] = defaultdict(list)
    highlighted, seconds = [], []
    for question in track(questions):
        vector = index.model.model.encode_query([question.text])[0]
        vector = vector / np.linalg.norm(vector)
        for inside in (True, False):
            document = question.document if inside else None
            for name, (kind, fuse) in FUSIONS.items():
                ranked = list(pieces[kind].ranked(question.text, vector, document, fuse))
                for budget in BUDGETS:
                    parts = cut(ranked, documents.__getitem__, budget)
                    measured[name, inside, budget].append(question.measure(parts, texts))
            where = {"id": document} if inside else None
            for budget in BUDGETS:
                began = time.perf_counter()
                citations = index.context(question.text, budget, where=where).citations
                seconds.append(time.perf_counter() - began)
                parts = [Part(c.document_id, c.passage.start, c.passage.end) for c in citations]
                measured[RUNS, inside, budget].append(question.measure(parts, texts))
        if question.answer:
            (hit,) = index.search(question.text, 1, where={"id": question.document})
            sentence = slice(*(hit.passages[0].sentence or (0, 0)))
            highlighted.append(question.is_in([texts[question.document][sentence]]))
    for name in Measured._fields:
        print_table(name, measured)
    if highlighted:
        print(f"the sentence holds the answer: {np.sum(highlighted)} of {len(highlighted)}")
    print(f"a context takes {1_000 * np.median(seconds):.0f} ms")


def print_table(field: str, measured: dict[tuple[str, bool, int], list[Measured]]) -> None:
    """Print one of the measures in percent, of the questions that it can be computed for."""
    values = {
        key: [getattr(row, field) for row in rows if getattr(row, field) is not None]
        for key, rows in measured.items()
    }
    (count,) = {len(rows) for rows in values.values()}
    if not count:
        return
    print(f"{field}, {count} questions; inside the document, over all:")
    for name in [*FUSIONS, RUNS]:
        cells = [
            " ".join(f"{100 * np.mean(values[name, inside, budget]):5.1f}" for budget in BUDGETS)
            for inside in (True, False)
        ]
        print(f"{name:36} {'  |  '.join(cells)}")


if __name__ == "__main__":
    main()
