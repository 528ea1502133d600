"""Reading a folder of documents, queries and grades."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from longembed_bench.folders import read_corpus, read_folder
from longembed_st.errors import InputError

CORPUS = [{"doc_id": "a", "text": "first"}, {"doc_id": "b", "text": "second"}]
QUERIES = [{"qid": "q", "text": "which?"}]
QRELS = [{"qid": "q", "doc_id": "b"}]


def write(folder: Path, suffix: str = ".jsonl", **files: list) -> Path:
    for stem, rows in files.items():
        content = "".join(
            row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) + "\n"
            for row in rows
        ).encode()
        path = folder / f"{stem}{suffix}"
        path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    return folder


def test_our_fields(tmp_path) -> None:
    for suffix in (".jsonl", ".jsonl.gz"):
        folder = tmp_path / suffix
        folder.mkdir()
        data = read_folder(write(folder, suffix, corpus=CORPUS, queries=QUERIES, qrels=QRELS))
        assert data.documents == {"a": "first", "b": "second"}
        assert data.queries == {"q": "which?"}
        assert data.qrels == {"q": {"b": 1}}


def test_fields_of_beir(tmp_path) -> None:
    folder = write(
        tmp_path,
        corpus=[{"_id": "a", "title": "Title", "text": "body"}, {"_id": 7, "text": "x"}],
        queries=[{"_id": "q", "text": "which?"}, {"_id": "unjudged", "text": "?"}],
        qrels=[
            {"query-id": "q", "corpus-id": "a", "score": 2},
            {"query-id": "q", "corpus-id": 7, "score": 0},
        ],
    )
    data = read_folder(folder)
    assert data.documents == {"a": "Title body", "7": "x"}
    assert data.queries == {"q": "which?"}
    assert data.qrels == {"q": {"a": 2, "7": 0}}


def test_separators_inside_a_text_do_not_end_its_line(tmp_path) -> None:
    text = "one\u2028two\x85three"
    corpus = [{"doc_id": "b", "text": text}]
    data = read_folder(write(tmp_path, corpus=corpus, queries=QUERIES, qrels=QRELS))
    assert data.documents["b"] == text


def test_equal_data_have_equal_digests(tmp_path) -> None:
    def digest(text: str) -> str:
        corpus = [CORPUS[0], {"doc_id": "b", "text": text}]
        return read_folder(write(tmp_path, corpus=corpus, queries=QUERIES, qrels=QRELS)).digest()

    assert digest("second") == digest("second")
    assert digest("second") != digest("second ")


def test_mistakes_are_named(tmp_path) -> None:
    good = {"corpus": CORPUS, "queries": QUERIES, "qrels": QRELS}
    for files, message in (
        ({"corpus": ["{broken\n"]}, r"corpus.jsonl, line 1: no valid JSON"),
        ({"corpus": [{"doc_id": "b", "text": " "}]}, "no text in the field 'text'"),
        ({"corpus": [*CORPUS, CORPUS[0]]}, "line 3: the id 'a' occurs twice"),
        ({"qrels": [{"qid": "z", "doc_id": "b"}]}, "there is no query 'z'"),
        ({"qrels": [{"qid": "q", "doc_id": "b", "score": "high"}]}, "score 'high'"),
        ({"qrels": [{"qid": "q", "doc_id": "b", "score": 0}]}, "no query has a relevant document"),
    ):
        with pytest.raises(InputError, match=message):
            read_folder(write(tmp_path, **{**good, **files}))


def test_missing_double_and_damaged_files(tmp_path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"neither of corpus\.jsonl"):
        read_folder(tmp_path)
    write(tmp_path, corpus=CORPUS, queries=QUERIES, qrels=QRELS)
    (tmp_path / "corpus.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(InputError, match=r"both of corpus\.jsonl"):
        read_folder(tmp_path)
    (tmp_path / "corpus.jsonl").unlink()
    with pytest.raises(InputError, match="cannot be read"):
        read_folder(tmp_path)


def test_documents_from_files_or_a_corpus(tmp_path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.md").write_text("# B")
    (tmp_path / "a.txt").write_text("A")
    (tmp_path / "blank.txt").write_text(" \n")
    (tmp_path / "c.png").write_bytes(b"\x89PNG")
    assert read_corpus(tmp_path) == {"a.txt": "A", "sub/b.md": "# B"}
    write(tmp_path, corpus=CORPUS)
    assert read_corpus(tmp_path) == {"a": "first", "b": "second"}


def test_documents_that_cannot_be_read(tmp_path) -> None:
    with pytest.raises(InputError, match=r"no corpus\.jsonl and no document with a text"):
        read_corpus(tmp_path)
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(InputError, match=r"a\.txt is not UTF-16 text"):
        read_corpus(tmp_path)
