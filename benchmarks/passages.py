"""Does the passage hold the answer? Needles at known places, and sentences out of books.

Of the documents that are found first, by vectors alone and with words beside them, the share whose
first passage contains the needle, or the sentence that was looked up.

    python benchmarks/passages.py MODEL books.jsonl.gz [--method pcw] [--max-seq-length 4096]

The file has one long document a line, in the column `text`.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import track
from samples import read_texts

from longembed_bench.data import RetrievalData
from longembed_bench.facts import FACTS
from longembed_bench.synthetic import needle_data, passkey_data
from longembed_index.document import Document
from longembed_index.index import Index
from longembed_index.search.passages import sentences_of

LENGTHS = (1024, 2048, 4096)
SECTION_CHARACTERS = 20_000
SENTENCES = 1_000
WORDS = range(8, 31)


MODES = ("dense", "hybrid")
QUOTES = str.maketrans("", "", '"“”')
"""In a query, a quoted phrase would have to stand in the document."""


@dataclass(frozen=True)
class Question:
    """What is looked up, and where it stands."""

    text: str
    document: int
    start: int
    end: int


def passkeys(length: int) -> tuple[list[str], list[Question]]:
    """Return documents of one length, and the place of each pass key that is asked for."""

    def place(question: str, text: str) -> tuple[int, int]:
        name = question.removeprefix("what is the pass key for ").removesuffix("?")
        start = text.index(name)
        end = text.find("\n", start)
        return start, len(text) if end < 0 else end

    return with_places(passkey_data(length), place)


def needles(length: int, haystack: str) -> tuple[list[str], list[Question]]:
    """Return documents of one long text with another fact in each, and the places of the facts."""
    facts = {question: fact for fact, question in FACTS}

    def place(question: str, text: str) -> tuple[int, int]:
        start = text.index(facts[question])
        return start, start + len(facts[question])

    return with_places(needle_data(length, haystack), place)


def with_places(
    data: RetrievalData, place: Callable[[str, str], tuple[int, int]]
) -> tuple[list[str], list[Question]]:
    """Return the documents, and each question with the place of its answer."""
    numbers = {key: number for number, key in enumerate(data.documents)}
    questions = []
    for key, question in data.queries.items():
        (document,) = (name for name, grade in data.qrels[key].items() if grade)
        start, end = place(question, data.documents[document])
        questions.append(Question(question, numbers[document], start, end))
    return list(data.documents.values()), questions


def quotes(books: list[str], most: int) -> tuple[list[str], list[Question]]:
    """Return a section of each book, and sentences out of them."""
    draw = random.Random(0)
    sections = []
    for book in books:
        start = draw.randrange(max(1, len(book) - SECTION_CHARACTERS))
        sections.append(book[start : start + SECTION_CHARACTERS])
    sentences = [
        Question(text[start:end], number, start, end)
        for number, text in enumerate(sections)
        for start, end in sentences_of(text)
        if len(text[start:end].split()) in WORDS
    ]
    return sections, draw.sample(sentences, min(most, len(sentences)))


def measure(settings: dict[str, Any], texts: list[str], questions: list[Question]) -> str:
    """Return the share of documents found first, and of these the share with the right passage."""
    counts: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as folder, Index.open(folder, **settings) as index:
        index.add_documents([Document(f"{number:09}", text) for number, text in enumerate(texts)])
        for question in track(questions):
            for mode in MODES:
                (hit,) = index.search(question.text.translate(QUOTES), k=1, mode=mode)
                if int(hit.document.id) == question.document:
                    passage = hit.passages[0]
                    counts[mode, "first"] += 1
                    counts[mode, "right"] += (
                        passage.start <= question.start and question.end <= passage.end
                    )
    return "; ".join(
        f"{mode}: {counts[mode, 'first'] / len(questions):.1%} found first, of these "
        f"{counts[mode, 'right'] / max(counts[mode, 'first'], 1):.1%} with the right passage"
        for mode in MODES
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("books", type=Path)
    parser.add_argument("--method", default="pcw")
    parser.add_argument("--max-seq-length", type=int)
    parser.add_argument("--lengths", type=int, nargs="*", default=LENGTHS)
    parser.add_argument("--sentences", type=int, default=SENTENCES)
    arguments = parser.parse_args()
    settings = {
        "model": arguments.model,
        "method": arguments.method,
        "max_seq_length": arguments.max_seq_length,
        "dtype": "float32",
        "on_overflow": "truncate",
        "units": True,
    }
    settings = {name: value for name, value in settings.items() if value is not None}
    books = read_texts(arguments.books)
    for length in arguments.lengths:
        print(f"passkey {length:,}: {measure(settings, *passkeys(length))}", flush=True)
        haystack = max(books, key=len)
        print(f"needle {length:,}: {measure(settings, *needles(length, haystack))}", flush=True)
    if arguments.sentences:
        print(f"quotes: {measure(settings, *quotes(books, arguments.sentences))}")


if __name__ == "__main__":
    main()
