"""Does the passage hold the answer? Needles at known places, and sentences out of books.

Of the documents that are found first, the share whose first passage contains the needle, or the
sentence that was looked up.

    python benchmarks/passages.py MODEL books.jsonl.gz [--method pcw] [--max-seq-length 4096]

The file has one long document a line, in the column `text`.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

import longembed_st as le
from longembed_bench.facts import FACTS
from longembed_bench.synthetic import needle_data, passkey_data
from longembed_index.documents import jsonl_rows
from longembed_index.passages import sentences_of

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
) -> tuple[float, float]:
    """The share of documents found first, and of these the share with the right passage."""
    found = [model.encode_spans([text])[0] for text in track(documents)]
    own = np.array([one.document for one in found])
    asked = model.encode_query([question.text for question in questions])
    hits = right = 0
    for question, query in zip(questions, asked, strict=True):
        each = [one.vectors @ query for one in found]
        best = np.array([scores.max() for scores in each])
        first = int(np.argmax((own @ query + best) / 2))
        if first != question.document:
            continue
        hits += 1
        start, end = found[first].spans[int(each[first].argmax())]
        right += start <= question.start and question.end <= end
    return hits / len(questions), right / max(hits, 1)


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
    for length in LENGTHS:
        hits, right = measure(model, *passkeys(length))
        print(f"passkey {length:5,}: found {hits:.0%}, of these with the key {right:.0%}")
    haystack = max((row["text"] for _, row in jsonl_rows(given.books)), key=len)
    for length in LENGTHS:
        hits, right = measure(model, *needles(length, haystack))
        print(f"needle {length:6,}: found {hits:.0%}, of these with the fact {right:.0%}")
    hits, right = measure(model, *quotes(given.books))
    print(f"quotes: found {hits:.1%}, of these with the sentence {right:.1%}")


if __name__ == "__main__":
    main()
