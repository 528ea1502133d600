"""Searches by words alone: LanceDB's full-text index beside the package's own file of words.

    python benchmarks/native_words.py FOLDER [FOLDER ...]

nDCG@10 over all queries of folders, as `longembed bench --data` reads them, and milliseconds each.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from samples import INFO, record_of, word_index

from longembed_bench.data import RetrievalData
from longembed_bench.folders import read_folder
from longembed_bench.metrics import ndcg_by_query
from longembed_index.search.scores import lexical_scores
from longembed_index.store.kinds import open_store
from longembed_index.store.protocol import LexicalIndex


def measure(words: LexicalIndex, data: RetrievalData) -> str:
    """Return nDCG@10 in percent, and the milliseconds of a query."""
    ids = sorted(data.documents)
    results = {}
    began = time.perf_counter()
    for key, text in data.queries.items():
        query = words.query(text)
        totals = lexical_scores(ids, query.scores(ids), query.highest).totals
        results[key] = dict(zip(ids, totals.tolist(), strict=True))
    milliseconds = 1000 * (time.perf_counter() - began) / len(results)
    score = 100 * np.mean(list(ndcg_by_query(data.qrels, results, 10).values()))
    return f"nDCG@10 {score:.2f}, {milliseconds:.0f} ms a query"


def main() -> None:
    """Measure both on every folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    for folder in parser.parse_args().folders:
        data = read_folder(folder)
        with tempfile.TemporaryDirectory() as place:
            print(f"{folder.name}, file: {measure(word_index(place, data.documents), data)}")
            database, vector = Path(place, "lancedb"), np.ones(1, dtype=np.float32)
            store = open_store(database, kind="lancedb", create=INFO, write=True)
            store.write([record_of(key, text, vector) for key, text in data.documents.items()])
            # Closing completes the index.
            store.close()
            store = open_store(database)
            print(f"{folder.name}, LanceDB: {measure(store.lexical(), data)}")
            store.close()


if __name__ == "__main__":
    main()
