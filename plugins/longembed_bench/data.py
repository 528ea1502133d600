"""Documents and queries with known answers: from folders, or made of passages."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from longembed_index.documents.folder import jsonl_rows, read_documents
from longembed_st.errors import InputError

DOCUMENT_IDS = ("doc_id", "_id", "id")
QUERY_IDS = ("qid", "_id", "id")
PASSAGE_WORDS = 60
GOLDEN_RATIO = 0.618034


@dataclass(frozen=True)
class RetrievalData:
    """Documents and queries with known answers.

    Attributes:
        documents: Text by document id.
        queries: Text by query id.
        qrels: By query id, the grade of each judged document; above 0 is relevant.
        depths: In generated documents, where the needle is: the share of the other words that
            stand before it, from 0 to 1.
    """

    documents: dict[str, str]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]
    depths: dict[str, float] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return the data as JSON lines: each document, then each query, then each grade."""
        rows: list[list[Any]] = []
        for key, text in self.documents.items():
            rows.append(["document", key, text, self.depths.get(key)])
        rows += [["query", key, text] for key, text in self.queries.items()]
        rows += [["grade", key, *pair] for key, row in self.qrels.items() for pair in row.items()]
        return "".join(json.dumps(row) + "\n" for row in rows).encode("ascii")

    def digest(self) -> str:
        """Return a hash of all of it, 64 hexadecimal digits."""
        return hashlib.sha256(self.to_bytes()).hexdigest()


def read_folder(folder: Path) -> RetrievalData:
    """Read `corpus`, `queries` and `qrels`, each as .jsonl or .jsonl.gz.

    Fields are `doc_id`/`text`, `qid`/`text` and `qid`/`doc_id`/`score`, or those of BEIR and mteb:
    `_id`, `query-id`, `corpus-id`. Without a score, the document is relevant. A `title` is put
    before the text. Queries without a relevant document are left out.

    Args:
        folder: Where the three files are.

    Raises:
        InputError: If a file is missing or a line is malformed; the message names the line.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    documents = _read_texts(_only_file(folder, "corpus"), DOCUMENT_IDS)
    queries = _read_texts(_only_file(folder, "queries"), QUERY_IDS)
    qrels = _read_qrels(_only_file(folder, "qrels"), documents, queries)
    answered = {key: text for key, text in queries.items() if any(qrels.get(key, {}).values())}
    if not answered:
        raise InputError(f"{folder}: no query has a relevant document")
    return RetrievalData(documents, answered, {key: qrels[key] for key in answered})


def read_corpus(folder: Path) -> dict[str, str]:
    """Read the documents of a folder: its corpus file, or else all documents below it.

    Args:
        folder: Searched recursively if there is no `corpus.jsonl` or `.jsonl.gz`.

    Returns:
        Text by document id.

    Raises:
        InputError: If there is no document, or one cannot be read.
    """
    if files_of(folder, "corpus"):
        return _read_texts(_only_file(folder, "corpus"), DOCUMENT_IDS)
    documents = read_documents(folder)
    if not documents:
        raise InputError(f"{folder} holds no corpus.jsonl and no document with a text")
    return documents


def files_of(folder: Path, stem: str) -> list[Path]:
    """Return the files STEM.jsonl and STEM.jsonl.gz of a folder, as far as they exist."""
    paths = (folder / f"{stem}.jsonl", folder / f"{stem}.jsonl.gz")
    return [path for path in paths if path.is_file()]


def _only_file(folder: Path, stem: str) -> Path:
    paths = files_of(folder, stem)
    if len(paths) != 1:
        count = "both" if paths else "neither"
        raise InputError(f"{folder} has {count} of {stem}.jsonl and {stem}.jsonl.gz: give one")
    return paths[0]


def _read_texts(path: Path, id_names: Sequence[str]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for where, row in jsonl_rows(path):
        key = _field(where, row, id_names)
        text = row.get("text")
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"{where}: there is no text in the field 'text'")
        if key in texts:
            raise InputError(f"{where}: the id {key!r} occurs twice")
        texts[key] = f"{row['title']} {text}" if row.get("title") else text
    if not texts:
        raise InputError(f"{path} is empty")
    return texts


def _read_qrels(
    path: Path, documents: dict[str, str], queries: dict[str, str]
) -> dict[str, dict[str, int]]:
    qrels: dict[str, dict[str, int]] = {}
    for where, row in jsonl_rows(path):
        query = _field(where, row, ("qid", "query-id", "query_id"))
        document = _field(where, row, ("doc_id", "corpus-id", "corpus_id"))
        for kind, key, known in (("query", query, queries), ("document", document, documents)):
            if key not in known:
                raise InputError(f"{where}: there is no {kind} {key!r}")
        score = row.get("score", 1)
        if not isinstance(score, int) or score < 0:
            raise InputError(f"{where}: score {score!r} is not a whole number from 0 on")
        qrels.setdefault(query, {})[document] = score
    return qrels


def _field(where: str, row: dict[str, Any], names: Sequence[str]) -> str:
    for name in names:
        if isinstance(row.get(name), (str, int)):
            return str(row[name])
    raise InputError(f"{where}: one of the fields {', '.join(names)} is needed")


def passages_as_queries(documents: Mapping[str, str], queries: int, seed: int = 0) -> RetrievalData:
    """Draw passages from all depths of the documents and drop half of their words.

    Depths go evenly from beginning to end, so that a method that reads only beginnings has no
    advantage; no two neighbouring words of a query are neighbours in its document.

    Args:
        documents: Text by id.
        queries: How many.
        seed: Of the places and of the words that are dropped.

    Returns:
        The documents with a query for each passage.

    Raises:
        InputError: If no document is long enough to take a passage from.
    """
    long_enough = [key for key, text in documents.items() if len(text.split()) > 2 * PASSAGE_WORDS]
    if not long_enough:
        raise InputError(
            f"no document has more than {2 * PASSAGE_WORDS} words: there is nothing to calibrate"
        )
    draw = random.Random(f"passages {seed}")
    texts: dict[str, str] = {}
    qrels: dict[str, dict[str, int]] = {}
    for number in range(queries):
        key = long_enough[number % len(long_enough)]
        words = documents[key].split()
        # Steps of the golden ratio spread the passages of one document, too, over its length.
        depth = (draw.random() / queries + number * GOLDEN_RATIO) % 1.0
        start = 1 + int(depth * (len(words) - PASSAGE_WORDS))
        passage = words[start : start + PASSAGE_WORDS]
        # Of every two neighbours one is dropped: no two words follow each other as they did.
        kept = [passage[i + int(draw.random() * 2)] for i in range(0, len(passage) - 1, 2)]
        texts[f"q-{number:04d}"] = " ".join(kept)
        qrels[f"q-{number:04d}"] = {key: 1}
    return RetrievalData(dict(documents), texts, qrels)
