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
from dataclasses import dataclass
from pathlib import Path

import torch
from longembed_index.hybrid import catch_up, question_of, search_hybrid
from longembed_index.memory import MemoryStore
from longembed_index.passages import search_dense, sentences_of
from longembed_index.records import Record
from longembed_index.spans import SpanEmbedder, SpanFile, SpannedStore
from longembed_index.testing import MADE_BY
from rich.progress import track

import longembed_st as le
from longembed_bench.facts import FACTS
from longembed_bench.synthetic import needle_data, passkey_data
from longembed_index.documents import jsonl_rows
from longembed_index.lexical import WordFile

LENGTHS = (1024, 2048, 4096)
SECTION_CHARACTERS = 20_000
SENTENCES = 1_000
WORDS = range(8, 31)


@dataclass(frozen=True)
class Question:
    """What is looked up, and where it stands."""

    text: str
    document: int
    start: int
    end: int


def passkeys(length: int) -> tuple[list[str], list[Question]]:
    """Documents of one length, and the place of each key that is asked for."""
    data = passkey_data(length)
    numbers = {key: number for number, key in enumerate(data.documents)}
    questions = []
    for key, text in data.queries.items():
        (document,) = (name for name, grade in data.qrels[key].items() if grade)
        whole = data.documents[document]
        start = whole.index(text.removeprefix("what is the pass key for ").removesuffix("?"))
        end = whole.index("\n", start) if "\n" in whole[start:] else len(whole)
        questions.append(Question(text, numbers[document], start, end))
    return list(data.documents.values()), questions


def needles(length: int, haystack: str) -> tuple[list[str], list[Question]]:
    """The same with facts of all kinds in one text, of which every document has another."""
    data = needle_data(length, haystack)
    facts = {question: fact for fact, question in FACTS}
    numbers = {key: number for number, key in enumerate(data.documents)}
    questions = []
    for key, text in data.queries.items():
        (document,) = (name for name, grade in data.qrels[key].items() if grade)
        start = data.documents[document].index(facts[text])
        questions.append(Question(text, numbers[document], start, start + len(facts[text])))
    return list(data.documents.values()), questions


def quotes(books: Path) -> tuple[list[str], list[Question]]:
    """A section of each book, and sentences out of them."""
    draw = random.Random(0)
    sections = []
    for _, row in jsonl_rows(books):
        begin = draw.randrange(max(1, len(row["text"]) - SECTION_CHARACTERS))
        sections.append(row["text"][begin : begin + SECTION_CHARACTERS])
    every = [
        Question(text[start:end], number, start, end)
        for number, text in enumerate(sections)
        for start, end in sentences_of(text)
        if len(text[start:end].split()) in WORDS
    ]
    return sections, draw.sample(every, min(SENTENCES, len(every)))


def measure(
    model: le.LongSentenceTransformer, documents: list[str], questions: list[Question]
) -> str:
    """The share of documents found first, and of these the share with the right passage."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        embedder = SpanEmbedder(model.encode_spans)
        store = SpannedStore(MemoryStore(MADE_BY), SpanFile(place, "documents"), embedder)
        for number, text in enumerate(track(documents)):
            (vector,) = embedder([text]).vectors
            store.write([Record(f"{number:09}", text, vector, {})])
        words = WordFile(place, "documents")
        catch_up(store, words)
        asked = model.encode_query([question.text for question in questions])
        counts: Counter[tuple[str, str]] = Counter()
        for question, query in zip(questions, asked, strict=True):
            found = {
                "vectors": search_dense(store, query, 1),
                "both": search_hybrid(store, words, question_of(question.text), query, 1),
            }
            for way, hits in found.items():
                if int(hits[0].hit.source) == question.document:
                    passage = hits[0].passages[0]
                    has = passage.start <= question.start and question.end <= passage.end
                    counts[way, "found"] += 1
                    counts[way, "right"] += has
    return "; ".join(
        f"by {way} {counts[way, 'found'] / len(questions):.1%} found, of these "
        f"{counts[way, 'right'] / max(counts[way, 'found'], 1):.1%} with the right passage"
        for way in ("vectors", "both")
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("books", type=Path)
    parser.add_argument("--method", default="pcw")
    parser.add_argument("--max-seq-length", type=int)
    given = parser.parse_args()
    settings = {"model_kwargs": {"dtype": torch.float32}, "on_overflow": "truncate"}
    if given.max_seq_length:
        settings["max_seq_length"] = given.max_seq_length
    model = le.load(given.model, given.method, **settings)
    haystack = max((row["text"] for _, row in jsonl_rows(given.books)), key=len)
    for length in LENGTHS:
        print(f"passkey {length:,}: {measure(model, *passkeys(length))}")
        print(f"needle {length:,}: {measure(model, *needles(length, haystack))}")
    print(f"quotes: {measure(model, *quotes(given.books))}")


if __name__ == "__main__":
    main()
