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
import pytrec_eval
from longembed_index.hybrid import word_shares
from longembed_index.records import Record
from longembed_index.testing import MADE_BY
from longembed_index.word_index import WordIndex

from lancedb_longembed.store import LanceStore
from lancedb_longembed.tables import connect
from longembed_bench.data import RetrievalData
from longembed_bench.folders import read_folder
from longembed_index.lexical import WordFile


def ndcg(words: WordIndex, data: RetrievalData) -> tuple[float, float]:
    """Of all queries, in percent, and the milliseconds of each."""
    ids = sorted(data.documents)
    found = {}
    began = time.perf_counter()
    for key, query in data.queries.items():
        found[key] = {one: s.total for one, s in word_shares(words.ask(query), ids).items()}
    took = 1000 * (time.perf_counter() - began) / len(found)
    judge = pytrec_eval.RelevanceEvaluator(data.qrels, {"ndcg_cut.10"})
    scores = [one["ndcg_cut_10"] for one in judge.evaluate(found).values()]
    return 100 * float(np.mean(scores)), took


def main() -> None:
    """Measure both on every folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    for folder in parser.parse_args().folders:
        data = read_folder(folder)
        with tempfile.TemporaryDirectory() as place:
            file = WordFile(Path(place), "documents")
            file.add(data.documents)
            database = connect(f"{place}/lance")
            LanceStore.create(database, "documents", MADE_BY)
            store = LanceStore(database, "documents")
            store.write([Record(k, text, [1.0], {}) for k, text in data.documents.items()])
            store.tidy()
            for name, words in (("file", file), ("LanceDB", store.word_index)):
                score, took = ndcg(words, data)
                print(f"{folder.name}, {name}: nDCG@10 {score:.2f}, {took:.0f} ms a query")


if __name__ == "__main__":
    main()
