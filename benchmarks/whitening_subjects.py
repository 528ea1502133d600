"""Whitening where documents have a subject of their own, and where they have none.

"sections" are 1,800 words out of one book each; "glued" are six passages of 200 words each, out of
books drawn at random. A query is 60 words of a document with every second one dropped. nDCG@10 in
percent; the whitening is fitted on the documents that are searched.

    python benchmarks/whitening_subjects.py MODEL books.jsonl.gz

The file has one long document a line, in the column `text`.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from samples import read_texts
from whitening import Task

import longembed_st as le
from longembed_tuning.samples import read_windows
from longembed_tuning.wccn import fit_map

RIDGES = (0.03, 0.1, 0.2, 0.3)
GLUED, PASSAGES, PASSAGE_WORDS = 150, 6, 200
SECTION_WORDS = 1_800
QUERY_WORDS = 60
QUERIES = 2


def part(draw: random.Random, words: list[str], length: int) -> list[str]:
    """Draw so many words that stand in a row."""
    start = draw.randrange(max(1, len(words) - length))
    return words[start : start + length]


def sections(draw: random.Random, books: list[list[str]]) -> list[list[list[str]]]:
    """Return documents of one passage each."""
    return [[part(draw, words, SECTION_WORDS)] for words in books]


def glued(draw: random.Random, books: list[list[str]]) -> list[list[list[str]]]:
    """Return documents of several passages each, of several books."""
    return [
        [part(draw, draw.choice(books), PASSAGE_WORDS) for _ in range(PASSAGES)]
        for _ in range(GLUED)
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("books", type=Path)
    arguments = parser.parse_args()
    model = le.load(arguments.model, "pcw", model_kwargs={"dtype": torch.float32})
    books = [text.split() for text in read_texts(arguments.books)]
    draw = random.Random(0)
    for name, make in (("sections", sections), ("glued", glued)):
        documents = make(draw, books)
        queries = [
            (number, " ".join(part(draw, draw.choice(passages), QUERY_WORDS)[::2]))
            for number, passages in enumerate(documents)
            for _ in range(QUERIES)
        ]
        texts = [" ".join(word for words in passages for word in words) for passages in documents]
        read = [read_windows([model], text)[0] for text in track(texts)]
        task = Task(
            windows=[windows.vectors for windows in read],
            documents=np.array([windows.document for windows in read]),
            queries=model.encode_query([text for _, text in queries]),
            right=np.array([number for number, _ in queries]),
        )
        print(f"{name}: {len(texts)} documents, {len(queries)} queries")
        print(f"  one vector  {task.one_vector():5.1f}   best window {task.best_window():5.1f}")
        for ridge in RIDGES:
            map_ = fit_map(task.scatter(), ridge=ridge)
            one, best = task.one_vector(map_), task.best_window(map_)
            both = task.best_window(map_, average=True)
            print(f"  ridge {ridge:<5} {one:5.1f}   best window {best:5.1f}   average {both:5.1f}")


if __name__ == "__main__":
    main()
