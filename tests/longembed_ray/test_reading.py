"""From files, tables and URLs to rows of documents."""

from __future__ import annotations

import gzip
import hashlib
import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from longembed_index.documents.parsing import DEFAULT_PARSER
from longembed_ray.columns import version_key
from longembed_ray.reading import Input, Row, find_inputs, rows_of_file, sorted_keys, tables_of
from longembed_st.errors import InputError


def rows(path) -> list[Row]:
    return list(rows_of_file(Input(str(path), 1), DEFAULT_PARSER))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.txt").write_text("a text")
    (tmp_path / "page.html").write_text("<title>A page</title><p>of words")
    (tmp_path / "empty.md").write_text("")
    (tmp_path / "image.png").write_bytes(b"\x89PNG")
    (tmp_path / ".hidden.txt").write_text("not this")
    parquet.write_table(pa.table({"text": ["one", None], "id": ["x", "y"]}), tmp_path / "t.parquet")
    return tmp_path


def test_a_document_has_the_id_and_hash_that_an_index_without_ray_gives(folder) -> None:
    (row,) = rows(folder / "a.txt")
    assert row.id == str(folder / "a.txt")
    assert row.content_hash == hashlib.sha256(b"a text").hexdigest()
    assert (row.text, row.title, row.error) == ("a text", "a.txt", None)
    assert rows(folder / "page.html")[0].title == "A page"
    (folder / "b.md").write_text("---\ndepartment: legal\n---\nA text.")
    assert json.loads(rows(folder / "b.md")[0].metadata) == {"department": "legal"}


def test_what_cannot_be_read_is_a_row_with_the_reason(folder) -> None:
    for name in ("empty.md", "absent.txt", "absent.jsonl"):
        (row,) = rows(folder / name)
        assert (row.id, row.text) == (str(folder / name), None)
        assert row.error


def test_a_folder_has_documents_and_tables(folder) -> None:
    for place in (folder, folder.as_uri()):
        inputs, unreadable = find_inputs([place])
        names = {file.name.rpartition("/")[2]: file.name for file in inputs}
        wanted = ["a.txt", "empty.md", "page.html", "t.parquet"]
        assert [name for name in names if not name.startswith(".")] == wanted
        assert not unreadable
        assert rows(names["page.html"])[0].title == "A page"


def test_what_is_written_is_not_read_again(folder) -> None:
    out = folder / "out"
    out.mkdir()
    (out / "longembed.json").write_text("{}")
    parquet.write_table(pa.table({"text": ["one"]}), out / "part-x.parquet")
    for place, excluded in ((folder, out), (folder.as_uri(), out.as_uri())):
        every = {file.name for file in find_inputs([place])[0]}
        kept = {file.name for file in find_inputs([place], excluded)[0]}
        left_out = {name.rpartition("/")[2] for name in every - kept}
        assert left_out == {"longembed.json", "part-x.parquet"}


def test_a_path_that_does_not_exist_is_an_error() -> None:
    for path in ("absent", "file:///absent/x", "s9://bucket/x"):
        with pytest.raises(InputError):
            find_inputs([path])


def test_a_parquet_file_that_would_end_the_run_is_found_before(tmp_path) -> None:
    (tmp_path / "junk.parquet").write_bytes(b"PAR1 junk")
    parquet.write_table(pa.table({"words": ["one"]}), tmp_path / "other.parquet")
    parquet.write_table(pa.table({"text": ["one"]}), tmp_path / "good.parquet")
    inputs, unreadable = find_inputs([tmp_path])
    assert [file.name for file in inputs] == [str(tmp_path / "good.parquet")]
    junk, other = unreadable
    assert "cannot be read" in junk[1]
    assert other == (str(tmp_path / "other.parquet"), "has no column 'text'")


@pytest.mark.parametrize(("suffix", "by_url"), [("jsonl", False), ("jsonl.gz", True)])
def test_each_json_line_is_a_document(tmp_path, suffix, by_url) -> None:
    items = [
        {"text": "one\u2028line", "source": "s", "title": "T", "metadata": {"year": 2019}},
        {"text": "two", "id": 7},
        {"text": "three"},
    ]
    lines = "\n".join(json.dumps(item, ensure_ascii=False) for item in items).encode()
    path = tmp_path / f"t.{suffix}"
    path.write_bytes(gzip.compress(lines) if suffix.endswith("gz") else lines)
    name = path.as_uri() if by_url else str(path)
    one, two, three = rows(name)
    assert (one.id, one.title, one.text) == ("s", "T", "one\u2028line")
    assert json.loads(one.metadata) == {"year": 2019}
    assert (two.id, two.metadata) == ("7", "{}")
    assert three.id.startswith(f"{name}#")


def test_a_bad_line_fails_alone(tmp_path) -> None:
    path = tmp_path / "t.jsonl"
    for line, reason in (
        (b'{"text": ', "is not valid JSON"),
        (b"\xff", "is not valid JSON"),
        (b"[1]", "is not a JSON object, but a list"),
        (b'{"text": " "}', "has no text"),
        (b'{"text": null, "id": "x"}', "has no text in the column 'text'"),
        (b'{"text": "t", "metadata": [1]}', "has a list as metadata"),
        (b'{"text": "t", "metadata": {"a": NaN}}', "not JSON"),
    ):
        path.write_bytes(b'{"text": "before"}\n' + line + b'\n{"text": "after"}\n')
        before, bad, after = rows(path)
        assert (before.text, bad.text, after.text) == ("before", None, "after")
        assert reason in bad.error
        assert bad.id in ("x", f"{path}, line 2")


def test_half_a_character_fails_alone(tmp_path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"text": "half \\ud83d", "id": "\\ud83d"}\n{"text": "whole"}\n')
    (table,) = tables_of(rows(path), sorted_keys([]))
    half, whole = table.to_pylist()
    assert (half["text"], half["id"]) == (None, "\\ud83d")
    assert "not valid Unicode" in half["error"]
    assert whole["error"] is None


def test_a_damaged_archive_is_read_as_far_as_it_goes(tmp_path) -> None:
    path = tmp_path / "t.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text": "one"}\n' * 100_000)[:-20])
    *good, bad = rows(path)
    assert good[0].text == "one"
    assert "cannot be read to its end" in bad.error


def test_rows_come_in_small_tables_of_one_schema(tmp_path) -> None:
    (tmp_path / "t.jsonl").write_text("".join(f'{{"text": "row {n}"}}\n' for n in range(70)))
    tables = list(tables_of(rows(tmp_path / "t.jsonl"), sorted_keys([])))
    assert [len(table) for table in tables] == [32, 32, 6]
    (empty,) = tables_of([], sorted_keys([]))
    assert {table.schema for table in [*tables, empty]} == {empty.schema}


def test_what_is_known_has_no_text(tmp_path) -> None:
    known = "ac"
    (tmp_path / "t.jsonl").write_text(
        "".join(f'{{"text": "{letter}", "id": "{letter}"}}\n' for letter in "abc")
    )
    found = rows(tmp_path / "t.jsonl")
    keys = [version_key(row.id, row.content_hash) for row in found if row.id in known]
    (table,) = tables_of(found, sorted_keys([*keys, version_key("z", "other")]))
    for row in table.to_pylist():
        assert row["known"] == (row["id"] in known)
        assert (row["text"] is None) == row["known"]
