"""How many of the best documents by words are among the candidates that words name.

    python benchmarks/latency.py books.jsonl.gz --documents 10000 --keep FOLDER
    python benchmarks/candidates.py books.jsonl.gz FOLDER

Of the five and the ten best of all documents in the folder, scored one and all; for queries of 450
characters, and of ten words, of the books that the documents are slices of.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
from longembed_index.hybrid import CANDIDATES, word_shares

from longembed_index.documents import jsonl_rows
from longembed_index.lexical import WordFile

QUERIES = 20
BEST = (5, 10)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("books", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    draw = random.Random(7)
    books = [row["text"] for _, row in jsonl_rows(given.books)]

    def piece(characters: int) -> str:
        book = draw.choice(books)
        start = draw.randrange(len(book) - characters)
        return book[start : start + characters]

    words = WordFile(given.folder, "documents")
    ids = sorted(words.ids())
    kinds = {
        "450 characters": [piece(450) for _ in range(QUERIES)],
        "ten words": [" ".join(piece(200).split()[1:11]) for _ in range(QUERIES)],
    }
    for kind, queries in kinds.items():
        shares: dict[int, list[float]] = {count: [] for count in BEST}
        for query in queries:
            asked = words.ask(query)
            scores = word_shares(asked, ids)
            ordered = sorted(ids, key=lambda key: -scores[key].total)
            named = set(asked.candidates(CANDIDATES))
            for count in BEST:
                shares[count].append(len(named.intersection(ordered[:count])) / count)
        told = ", ".join(f"{np.mean(of):.1%} of the {count} best" for count, of in shares.items())
        print(f"{kind:15} {told}")


if __name__ == "__main__":
    main()
