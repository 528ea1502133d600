"""A small collection for `longembed bench`."""

from __future__ import annotations

import json
import random
from pathlib import Path

from small_models import WORDS


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
