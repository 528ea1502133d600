"""A small collection for `longembed bench`."""

from __future__ import annotations

import json
import random
from pathlib import Path

from small_models import WORDS

from longembed_bench.data import RetrievalData
from longembed_bench.tasks import HUB_TASKS


def write_data(folder: Path, documents: int = 20) -> Path:
    """Documents of 100 words in which four words of the last half are the query."""
    draw = random.Random(1)
    folder.mkdir()
    corpus, queries, qrels = [], [], []
    for number in range(documents):
        words = [draw.choice(WORDS) for _ in range(100)]
        corpus.append({"doc_id": f"d{number}", "text": " ".join(words)})
        queries.append({"qid": f"q{number}", "text": " ".join(words[80:84])})
        qrels.append({"qid": f"q{number}", "doc_id": f"d{number}"})
    for stem, rows in {"corpus": corpus, "queries": queries, "qrels": qrels}.items():
        (folder / f"{stem}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def mteb_task(name: str, data: RetrievalData, titles: list[str] | None = None):
    """A task of mteb with other data, as its `load_data` would leave it."""
    import mteb
    from datasets import Dataset

    task = mteb.get_task(HUB_TASKS[name])
    corpus = {"id": list(data.documents), "text": list(data.documents.values())}
    queries = {"id": list(data.queries), "text": list(data.queries.values())}
    split = {
        "corpus": Dataset.from_dict(corpus | ({"title": titles} if titles else {})),
        "queries": Dataset.from_dict(queries),
        "relevant_docs": data.qrels,
        "top_ranked": None,
    }
    task.dataset = {"default": {task.metadata.eval_splits[0]: split}}
    task.data_loaded = True
    return task
