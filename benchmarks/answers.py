"""Is the answer among the words that a prompt gets? Runs of sentences beside chunks.

What is handed over of the evidence and of the answer at several budgets, inside the right document
and over all documents: by chunks of 1,000 characters, as LangChain's splitter cuts them, ranked by
vectors, by BM25, and by reciprocal ranks; by windows of the model's length with words and vectors,
as this package had them before; and by `Index.context`.

    python benchmarks/answers.py MODEL DATA [--documents 50] [--keep FOLDER]

DATA has corpus, queries or questions, and evidence as .jsonl.gz: texts, or pages counted from 0.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import bm25s
import numpy as np
from langchain_text_splitters import RecursiveCharacterTextSplitter
from measure import reciprocal_ranks
from rich.progress import track
from samples import read_rows

from longembed_bench.evaluate import BUDGETS, Part, cut
from longembed_index.document import Document
from longembed_index.index import Index
from longembed_index.lexical.analyzer import get_analyzer

OLD_WEIGHT = 0.4
"""Of the vectors, in the version that searched by windows."""

RUNS = "runs of sentences"


class Measured(NamedTuple):
    """What is handed over for a question.

    Attributes:
        hit: Whether it is something of the evidence.
        share: The share of the evidence, in characters.
        answer: Whether it is the text of the answer; None if that is not in the document.
    """

    hit: bool
    share: float
    answer: bool | None


@dataclass(frozen=True)
class Question:
    """A question, and where its answer stands in a document."""

    text: str
    document: str
    evidence: list[tuple[int, int]]
    answer: str

    def measure(self, parts: Sequence[Part], texts: dict[str, str]) -> Measured:
        """Return what of the evidence and of the answer some parts of documents hold."""
        own = [(part.start, part.end) for part in parts if part.document_id == self.document]
        wanted = {place for start, end in self.evidence for place in range(start, end)}
        common = len(wanted.intersection(set().union(*(range(*each) for each in own))))
        text, answer = texts[self.document], None
        if self.answer and self.answer in normal(text):
            answer = any(self.answer in normal(text[start:end]) for start, end in own)
        return Measured(common > 0, common / len(wanted), answer)


def normal(text: str) -> str:
    """Return a text in lower case, with single spaces."""
    return " ".join(text.casefold().split())


def read_data(folder: Path, most: int | None) -> tuple[dict[str, str], list[Question]]:
    """Return the texts by id, and the questions about them."""
    texts = {row["doc_id"]: row["text"] for row in read_rows(folder, "corpus")[:most]}
    name = "questions" if (folder / "questions.jsonl.gz").exists() else "queries"
    evidence = defaultdict(list)
    for row in read_rows(folder, "evidence"):
        evidence[row["qid"]].append(row)
    questions = []
    visible = {
        key: [n for n, c in enumerate(text) if not c.isspace()] for key, text in texts.items()
    }
    for row in read_rows(folder, name):
        rows = evidence.get(row["qid"], [])
        if not rows or rows[0]["doc_id"] not in texts:
            continue
        key = rows[0]["doc_id"]
        text, places = texts[key], visible[key]
        if "page" in rows[0]:
            pages = [match.span() for match in re.finditer(r"[^\f]*\f?", text)]
            ranges = [pages[row["page"]] for row in rows]
        else:
            ranges = [located("".join(text.split()), places, piece["text"]) for piece in rows]
        questions.append(Question(row["text"], key, ranges, normal(row.get("answer", ""))))
    return texts, questions


def located(squeezed: str, places: Sequence[int], piece: str) -> tuple[int, int]:
    """Return where a piece stands in a text, white space aside."""
    wanted = "".join(piece.split())
    start = squeezed.index(wanted)
    return places[start], places[start + len(wanted) - 1] + 1


class Pieces:
    """Chunks or windows of all documents, ranked by vectors and by BM25."""

    def __init__(self, texts: dict[str, str], parts: list[Part], vectors: np.ndarray) -> None:
        self.parts = parts
        self.owners = np.array([part.document_id for part in parts])
        self.vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        self.bm25 = bm25s.BM25()
        tokens = [terms(texts[part.document_id][part.start : part.end]) for part in parts]
        self.bm25.index(tokens, show_progress=False)

    def ranked(
        self, question: Question, vector: np.ndarray, inside: bool, fuse: Callable[..., np.ndarray]
    ) -> Iterator[Part]:
        """Yield the pieces, best first."""
        rows = np.arange(len(self.parts))
        if inside:
            rows = rows[self.owners == question.document]
        known = [term for term in terms(question.text) if term in self.bm25.vocab_dict]
        words = self.bm25.get_scores(known) if known else np.zeros(len(self.parts))
        scores = fuse(words[rows], self.vectors[rows] @ vector)
        yield from (self.parts[row] for row in rows[np.argsort(-scores, kind="stable")])


def terms(text: str) -> list[str]:
    """Return the terms of an English text."""
    return list(get_analyzer("english").tokens(text).scoring())


def chunks_of(index: Index, texts: dict[str, str], keep: Path) -> Pieces:
    """Return LangChain's chunks."""
    splitter = RecursiveCharacterTextSplitter(
        chunk_size=1_000, chunk_overlap=200, add_start_index=True
    )
    parts, contents = [], []
    for key, text in texts.items():
        for chunk in splitter.create_documents([text]):
            start = chunk.metadata["start_index"]
            parts.append(Part(key, start, start + len(chunk.page_content)))
            contents.append(chunk.page_content)
    file = keep / "chunks.npy"
    if not file.exists():
        np.save(file, np.asarray(index.model.model.encode_document(contents)))
    return Pieces(texts, parts, np.load(file))


def windows_of(index: Index, texts: dict[str, str], size: int) -> Pieces:
    """Return windows of so many tokens, made of whole sentence units."""
    parts, vectors = [], []
    with index.writing() as store:
        stored = list(store.units())
    for key, units in stored:
        windows = (np.cumsum(units.counts) - 1) // size
        for number in np.unique(windows):
            rows = windows == number
            own = units.ranges[rows]
            parts.append(Part(key, int(own[0, 0]), int(own[-1, 1])))
            vectors.append((units.counts[rows][:, None] * units.vectors[rows]).sum(axis=0))
    return Pieces(texts, parts, np.array(vectors))


def fuse_shares(words: np.ndarray, cosines: np.ndarray) -> np.ndarray:
    """Return the weighted sum that earlier versions made."""
    return (1 - OLD_WEIGHT) * words / (words.max() or 1) + OLD_WEIGHT * cosines


FUSIONS: dict[str, tuple[str, Callable[..., np.ndarray]]] = {
    "windows, words and vectors (before)": ("windows", fuse_shares),
    "chunks, vectors": ("chunks", lambda words, cosines: cosines),
    "chunks, BM25": ("chunks", lambda words, cosines: words),
    "chunks, reciprocal ranks": (
        "chunks",
        lambda words, cosines: (
            reciprocal_ranks(words[None])[0] + reciprocal_ranks(cosines[None])[0]
        ),
    ),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("--documents", type=int)
    parser.add_argument("--every", type=int, default=1, help="ask every n-th question only")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--backend", default="torch")
    parser.add_argument("--dtype", default="float32")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        keep = arguments.keep or Path(temporary)
        keep.mkdir(parents=True, exist_ok=True)
        texts, questions = read_data(arguments.data, arguments.documents)
        settings = {"backend": arguments.backend, "dtype": arguments.dtype}
        with Index.open(keep / "store", model=arguments.model, **settings) as index:
            began = time.perf_counter()
            index.add_documents([Document(key, text) for key, text in texts.items()])
            print(f"indexed in {time.perf_counter() - began:.0f} s")
            measure(index, texts, questions[:: arguments.every], keep)


def measure(index: Index, texts: dict[str, str], questions: list[Question], keep: Path) -> None:
    """Print the tables, and how often the highlighted sentence holds the answer."""
    model = index.model.model
    pieces = {
        "windows": windows_of(index, texts, model.long_transformer.extension.context.original),
        "chunks": chunks_of(index, texts, keep),
    }
    documents = {key: Document(key, text) for key, text in texts.items()}
    measured: dict[tuple[str, bool, int], list[Measured]] = defaultdict(list)
    highlighted, seconds = [], []
    for question in track(questions):
        vector = model.encode_query([question.text])[0]
        vector = vector / np.linalg.norm(vector)
        for inside in (True, False):
            for name, (kind, fuse) in FUSIONS.items():
                ranked = list(pieces[kind].ranked(question, vector, inside, fuse))
                for budget in BUDGETS:
                    parts = cut(ranked, documents.__getitem__, budget)
                    measured[name, inside, budget].append(question.measure(parts, texts))
            where = {"id": question.document} if inside else None
            for budget in BUDGETS:
                began = time.perf_counter()
                citations = index.context(question.text, budget, where=where).citations
                seconds.append(time.perf_counter() - began)
                parts = [Part(c.document_id, c.passage.start, c.passage.end) for c in citations]
                measured[RUNS, inside, budget].append(question.measure(parts, texts))
        text = texts[question.document]
        if question.answer and question.answer in normal(text):
            (hit,) = index.search(question.text, 1, where={"id": question.document})
            start, end = hit.passages[0].sentence or (0, 0)
            highlighted.append(question.answer in normal(text[start:end]))
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
