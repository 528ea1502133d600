"""Read retrieval data and documents from the user's own folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from longembed_bench.data import RetrievalData
from longembed_index.documents.folder import jsonl_rows, read_documents
from longembed_st.errors import InputError

DOCUMENT_IDS = ("doc_id", "_id", "id")
QUERY_IDS = ("qid", "_id", "id")


def read_folder(folder: Path) -> RetrievalData:
    """Read `corpus`, `queries` and `qrels`, each as .jsonl or .jsonl.gz.

    Fields are `doc_id`/`text`, `qid`/`text` and `qid`/`doc_id`/`score`, or those of BEIR and mteb:
    `_id`, `query-id`, `corpus-id`. Without a score, the document is relevant. A `title` is put
    before the text. Queries without a relevant document are left out.

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
