from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from index_fakes import FakeModel, embed_with, records_of

from longembed_index.document import Document
from longembed_index.documents.parsed import LeftOut
from longembed_index.documents.sources import TextSource
from longembed_index.maintain.export import export
from longembed_index.maintain.ingest import ingest
from longembed_st.errors import ConfigError

LEFT_OUT = (LeftOut("page 3", "pictures", 2),)


@pytest.fixture
def filled(store, model):
    documents = [Document(f"d{i:02}", f"text {i} café", {"n": i, "é": [i]}) for i in range(40)]
    ingest([TextSource(document) for document in documents], store, embed_with(model))
    store.write([replace(record, left_out=LEFT_OUT) for record in store.get(["d07"])])
    return store


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_what_is_exported_is_what_is_there(filled, tmp_path, suffix) -> None:
    path = tmp_path / f"documents{suffix}"
    assert export(filled, path) == 40
    if suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text("utf8").splitlines()]
    else:
        rows = pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()
        rows = [
            {**row, **{name: json.loads(row[name]) for name in ("metadata", "left_out")}}
            for row in rows
        ]
    records = records_of(filled)
    assert [row["id"] for row in rows] == sorted(records)
    for row in rows:
        record = records[row["id"]]
        assert (row["text"], row["metadata"]) == (record.document.text, record.document.metadata)
        assert (row["tokens"], row["read"]) == (record.coverage.tokens, record.coverage.read)
        np.testing.assert_allclose(row["vector"], record.vector, rtol=1e-6)
        assert tuple(LeftOut(**part) for part in row["left_out"]) == record.left_out
    assert rows[7]["left_out"] == [{"where": "page 3", "what": "pictures", "count": 2}]


def test_some_documents_without_vectors(filled, tmp_path) -> None:
    path = tmp_path / "some.jsonl"
    assert export(filled, path, {"n": {"lt": 3}}, vectors=False) == 3
    rows = [json.loads(line) for line in path.read_text("utf8").splitlines()]
    assert [row["title"] for row in rows] == ["d00", "d01", "d02"]
    assert "vector" not in rows[0]
    assert export(filled, tmp_path / "none.parquet", {"n": -1}) == 0


def test_a_lone_surrogate_is_written(store, tmp_path) -> None:
    (record,) = [
        *embed_with(FakeModel())(["x"]),
    ]
    store.write([record.record_of(Document("a", "bad \ud800 text"), "0")])
    export(store, tmp_path / "a.jsonl")
    assert json.loads((tmp_path / "a.jsonl").read_text())["text"] == "bad \ud800 text"


def test_what_breaks_off_or_is_refused_leaves_no_file(filled, tmp_path, monkeypatch) -> None:
    with pytest.raises(ConfigError, match=r"'x\.csv' must end in \.jsonl or \.parquet"):
        export(filled, tmp_path / "x.csv")

    def broken(ids):
        raise RuntimeError

    monkeypatch.setattr(filled, "get", broken)
    with pytest.raises(RuntimeError):
        export(filled, tmp_path / "out.jsonl")
    assert list(tmp_path.iterdir()) == []
