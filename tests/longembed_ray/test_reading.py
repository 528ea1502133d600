"""From files, tables and URLs to rows of documents."""

from __future__ import annotations

import gzip
import hashlib
import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from longembed_index.distributed.reading import Input, inputs_of, is_table, rows_of, tables_of
from longembed_index.ingestion import record_id_of
from longembed_index.parsing import DEFAULT_PARSER
from longembed_st.errors import InputError


def rows(path) -> list[dict]:
    return list(rows_of(str(path), 1, DEFAULT_PARSER))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.txt").write_text("a text")
    (tmp_path / "page.html").write_text("<title>A page</title><p>of words")
    (tmp_path / "empty.md").write_text("")
    (tmp_path / "image.png").write_bytes(b"\x89PNG")
    (tmp_path / ".hidden.txt").write_text("not this")
    parquet.write_table(pa.table({"text": ["one", None], "id": ["x", "y"]}), tmp_path / "t.parquet")
    return tmp_path


def test_a_document_has_the_id_that_an_index_without_ray_gives(folder) -> None:
    (row,) = rows(folder / "a.txt")
    digest = hashlib.sha256(b"a text").hexdigest()
    assert row["id"] == record_id_of(str(folder / "a.txt"), digest)
    assert (row["text"], row["title"], row["error"]) == ("a text", "a.txt", None)
    assert rows(folder / "page.html")[0]["title"] == "A page"


@pytest.mark.parametrize("name", ["empty.md", "absent.txt", "absent.jsonl", "absent.parquet"])
def test_what_cannot_be_read_is_a_row_with_the_reason(folder, name) -> None:
    (row,) = rows(folder / name)
    assert row["text"] is None
    assert row["error"]
    assert row["source"] == str(folder / name)


@pytest.mark.parametrize("by_url", [False, True])
def test_a_folder_has_documents_and_tables(folder, by_url) -> None:
    found, unreadable = inputs_of([folder.as_uri() if by_url else folder])
    names = [one.name.rpartition("/")[2] for one in found]
    assert [name for name in names if not name.startswith(".")] == [
        "a.txt",
        "empty.md",
        "page.html",
        "t.parquet",
    ]
    assert not unreadable
    assert rows(found[names.index("page.html")].name)[0]["title"] == "A page"
    assert [row["text"] for row in rows(found[-1].name)] == ["one", None]


@pytest.mark.parametrize("by_url", [False, True])
def test_what_is_written_is_not_read_again(folder, by_url) -> None:
    out = folder / "out"
    out.mkdir()
    (out / "longembed.json").write_text("{}")
    parquet.write_table(pa.table({"text": ["one"]}), out / "part-x.parquet")
    paths = [one.as_uri() if by_url else one for one in (folder, out)]
    every = {one.name for one in inputs_of(paths[:1])[0]}
    kept = {one.name for one in inputs_of(paths[:1], paths[1])[0]}
    assert {name.rpartition("/")[2] for name in every - kept} == {
        "longembed.json",
        "part-x.parquet",
    }


@pytest.mark.parametrize("path", ["absent", "file:///absent/x", "s9://bucket/x"])
def test_what_is_not_there_is_told(path) -> None:
    with pytest.raises(InputError):
        inputs_of([path])


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz", "parquet"])
def test_each_row_of_a_table_is_a_document(tmp_path, suffix) -> None:
    data = [
        {"text": "one\u2028line", "source": "s", "title": "T"},
        {"text": "two", "id": "i"},
        {"text": " \n"},
        {"text": None},
    ]
    path = tmp_path / f"t.{suffix}"
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in data).encode()
    if suffix == "parquet":
        columns = pa.schema([(name, pa.string()) for name in ("text", "source", "title", "id")])
        parquet.write_table(pa.Table.from_pylist(data, schema=columns), path)
    else:
        path.write_bytes(gzip.compress(lines) if suffix.endswith("gz") else lines)
    assert is_table(str(path))
    found = {row["text"]: row for row in rows(path) if row["text"]}
    assert (found["one\u2028line"]["source"], found["one\u2028line"]["title"]) == ("s", "T")
    assert found["two"]["source"] == "i"
    bad = [row for row in rows(path) if row["error"]]
    assert len(bad) == 2
    assert all(row["source"].startswith(f"{path}#") for row in bad)


def test_a_line_that_is_broken_ends_its_table_with_a_reason(tmp_path) -> None:
    (tmp_path / "t.jsonl").write_text('{"text": "one"}\n{"text": \n{"text": "three"}\n')
    one, broken = rows(tmp_path / "t.jsonl")
    assert (one["text"], broken["text"]) == ("one", None)
    assert "cannot be read to its end" in broken["error"]


def test_rows_come_in_tables_of_some(tmp_path) -> None:
    (tmp_path / "t.jsonl").write_text("".join(f'{{"text": "row {n}"}}\n' for n in range(70)))
    tables = list(tables_of(rows_of(str(tmp_path / "t.jsonl"), 1, DEFAULT_PARSER)))
    assert [len(table) for table in tables] == [32, 32, 6]
    assert len({table.schema for table in tables}) == 1
    assert Input("a", 1) == Input("a", 1)
