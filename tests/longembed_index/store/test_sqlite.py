"""The store in one SQLite file: what it promises beyond what every store does."""

from __future__ import annotations

import os
import shutil
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from word_stores import in_child

from longembed_index.document import Document
from longembed_index.errors import StoreError
from longembed_index.store import connections, sqlite, sqlite_tables
from longembed_index.store.conformance import (
    INFO,
    OTHER_INFO,
    StoreKindTests,
    StoreTests,
    contents,
    expected,
    record,
)
from longembed_index.store.filters import matches
from longembed_index.store.sqlite import FILE_NAME, SqliteStore, SqliteStores
from longembed_st.errors import InputError

NAN, DEEP = "x'007e007e007e'", '{"a": ' + "[" * 90_000
ENDLESS = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers)"
QUERY = np.array([1, 0, 0], dtype=np.float32)


def open_store(folder: Path, write: bool = False) -> SqliteStore:
    return SqliteStores().open(folder, "documents", create=None, write=write)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStores().open(tmp_path, "documents", create=INFO, write=True)
    yield store
    store.close()


def execute(folder: Path, statement: str, *values: object) -> list[tuple]:
    """What another program does to the file."""
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection, connection:
        connection.create_function("crc32", -1, lambda *parts: zlib.crc32(b"".join(parts)))
        return connection.execute(statement, values).fetchall()


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


class TestSqliteStore(StoreTests):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[SqliteStore]:
        self.folder = tmp_path
        self.opened = [SqliteStores().open(tmp_path, "documents", create=INFO, write=True)]
        yield self.opened[0]
        for store in self.opened:
            store.close()

    def reopen(self, store: SqliteStore) -> SqliteStore:
        self.opened.append(open_store(self.folder))
        return self.opened[-1]


class TestSqliteStores(StoreKindTests):
    @pytest.fixture
    def kind(self) -> SqliteStores:
        return SqliteStores()


# Files.


def test_a_closed_store_is_one_file_that_can_be_copied(store, tmp_path) -> None:
    store.write([record("a")])
    reader = open_store(tmp_path)
    assert contents(reader) == expected(record("a"))
    store.close()
    assert os.path.getsize(f"{tmp_path / FILE_NAME}-wal") == 0
    reader.close()
    open_store(tmp_path, write=True).close()
    assert files(tmp_path) == {FILE_NAME}
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(tmp_path / FILE_NAME, copy)
    assert contents(open_store(copy)) == expected(record("a"))


def test_a_text_is_kept_once_and_goes_with_its_last_document(store, tmp_path) -> None:
    def texts() -> int:
        return execute(tmp_path, "SELECT count(*) FROM texts")[0][0]

    store.write([record("a", text="same"), record("b", text="same"), record("c", text="other")])
    store.stage(OTHER_INFO).write([record("a", text="same")])
    assert texts() == 2
    store.switch()
    store.drop_replaced()
    assert texts() == 1
    store.write([record("a", text="changed")])
    assert texts() == 1
    store.write([], delete=["a"])
    assert texts() == 0


def test_a_dropped_store_gives_its_room_back(store, tmp_path) -> None:
    texts = [chr(0x4E00 + number) * 20_000 for number in range(50)]
    store.write([record(str(number), text=text) for number, text in enumerate(texts)])
    store.stage(OTHER_INFO).write([record("a")])
    store.switch()
    before = SqliteStores().size(tmp_path)
    store.drop_replaced()
    assert SqliteStores().size(tmp_path) < before / 10
    assert contents(store) == expected(record("a"))


# What other programs, disks and people do to the file.


DAMAGE = [
    "UPDATE vectors SET vector = zeroblob(6) WHERE document = 1",
    "UPDATE units SET vectors = zeroblob(12) WHERE document = 1",
    "UPDATE units SET places = zeroblob(16) WHERE document = 1",
    "UPDATE texts SET text = x'00' WHERE number = 1",
    "UPDATE documents SET metadata = '{' WHERE number = 1",
    "DELETE FROM vectors WHERE document = 1",
    "DELETE FROM texts WHERE number = 1",
    # With the right checksum, as somebody writes them who means it.
    f"UPDATE vectors SET vector = {NAN}, checksum = crc32({NAN}) WHERE document = 1",
    "UPDATE vectors SET vector = 'text', checksum = 7 WHERE document = 1",
    "UPDATE vectors SET vector = zeroblob(4), checksum = crc32(zeroblob(4)) WHERE document = 1",
    f"UPDATE units SET vectors = {NAN}, checksum = crc32(places, {NAN}) WHERE document = 1",
    "UPDATE documents SET characters = 3 WHERE number = 1",
    "UPDATE documents SET read = 50000068 WHERE number = 1",
    "UPDATE documents SET tokens = 'many' WHERE number = 1",
    "UPDATE documents SET title = x'ff' WHERE number = 1",
    f"UPDATE documents SET metadata = '{DEEP}' WHERE number = 1",
    """UPDATE documents SET metadata = '{"score": NaN}' WHERE number = 1""",
    "UPDATE documents SET left_out = '[7]' WHERE number = 1",
]


def test_what_is_damaged_is_named_and_can_be_written_again(store, tmp_path) -> None:
    records = [record("/reports/a", text="first"), record("/reports/b", text="second")]
    for statement in DAMAGE:
        store.stage(INFO)
        store.switch()
        store.drop_replaced()
        store.write(records)
        execute(tmp_path, statement)
        with pytest.raises(StoreError, match=rf"{FILE_NAME}.*/reports/a.*index it again"):
            contents(store)
        store.write([], delete=["/reports/a"])
        store.write(records[:1])
        assert contents(store) == expected(*records), statement


def test_a_damaged_page_is_an_error_of_ours(store, tmp_path) -> None:
    store.write([record(str(number), text=str(number) * 9_000) for number in range(50)])
    store.close()
    path = tmp_path / FILE_NAME
    data = bytearray(path.read_bytes())
    data[8192:] = os.urandom(len(data) - 8192)
    path.write_bytes(data)
    with pytest.raises(StoreError, match=f"{FILE_NAME}.*damaged"):
        contents(open_store(tmp_path))


def test_a_file_whose_end_is_missing_is_refused(store, tmp_path) -> None:
    store.write([record(str(number), text=str(number) * 9_000) for number in range(5)])
    store.close()
    path = tmp_path / FILE_NAME
    size = path.stat().st_size
    for missing in (1, 3000, 8192, 20_000):
        os.truncate(path, size - missing)
        for write in (False, True):
            with pytest.raises(StoreError, match=f"{FILE_NAME}.*damaged"):
                open_store(tmp_path, write)


def test_another_file_of_the_name_is_refused(tmp_path) -> None:
    for content, reason in (
        (b"not a database" * 1000, "not a SQLite file"),
        (b"", "there is no collection"),
    ):
        (tmp_path / FILE_NAME).write_bytes(content)
        with pytest.raises(StoreError, match=reason):
            open_store(tmp_path)
        assert (tmp_path / FILE_NAME).read_bytes() == content


OTHER_TABLES = [
    ("PRAGMA user_version = 99", "newer version of longembed-st.*Update"),
    ("PRAGMA application_id = 7", "another program"),
    ("CREATE TABLE more (x)", "other tables"),
    (f"CREATE VIEW v AS {ENDLESS} SELECT n FROM numbers", "other tables"),
    ("CREATE TRIGGER t AFTER INSERT ON texts BEGIN SELECT 1; END", "other tables"),
    ("DROP TABLE units", "other tables"),
]


def test_other_tables_are_refused(store, tmp_path) -> None:
    store.close()
    data = (tmp_path / FILE_NAME).read_bytes()
    for statement, reason in OTHER_TABLES:
        (tmp_path / FILE_NAME).write_bytes(data)
        execute(tmp_path, statement)
        for write in (False, True):
            with pytest.raises(StoreError, match=reason):
                open_store(tmp_path, write)
        with pytest.raises(StoreError, match=reason):
            SqliteStores().read_info(tmp_path, "documents")
    # A trigger with a name like those of SQLite itself.
    (tmp_path / FILE_NAME).write_bytes(data)
    trigger = "CREATE TRIGGER sqlite_t AFTER INSERT ON texts BEGIN DELETE FROM documents; END"
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection, connection:
        connection.execute("PRAGMA writable_schema = ON")
        row = ("trigger", "sqlite_t", "texts", trigger)
        connection.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, 0, ?)", row)
    with pytest.raises(StoreError, match="other tables"):
        open_store(tmp_path)


def test_what_takes_for_ever_is_stopped(store, monkeypatch) -> None:
    monkeypatch.setattr(connections, "_LEAST_STEPS", 10_000_000)
    with (
        pytest.raises(StoreError, match=f"{FILE_NAME} takes more steps"),
        store._connections.borrow() as connection,
    ):
        connection.execute(f"{ENDLESS} SELECT max(n) FROM numbers").fetchall()
    store.write([record("a")])
    assert contents(store) == expected(record("a"))


def test_a_damaged_collection_is_named(store, tmp_path) -> None:
    store.write([record("a")])
    for value in ("-1", "'three'", "x'00'", 1 << 60):
        execute(tmp_path, f"UPDATE collections SET dimensions = {value}")
        with pytest.raises(StoreError, match=f"{FILE_NAME}: the collection documents is damaged"):
            contents(store)


def test_a_full_disk_is_read(store, tmp_path) -> None:
    """Not even the files fit on it that SQLite makes beside its own."""
    store.write([record("a")])
    store.close()

    resource = pytest.importorskip("resource")

    def read() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        assert contents(open_store(tmp_path)) == expected(record("a"))
        with pytest.raises(StoreError, match=r"disk is full.* Make room"):
            open_store(tmp_path, write=True)

    assert in_child(read) == 0
    assert contents(open_store(tmp_path)) == expected(record("a"))


def test_an_empty_file_of_a_killed_run_becomes_a_store(tmp_path) -> None:
    (tmp_path / FILE_NAME).touch()
    assert SqliteStores().read_info(tmp_path, "documents") is None
    store = SqliteStores().open(tmp_path, "documents", create=INFO, write=True)
    store.write([record("a")])
    assert contents(store) == expected(record("a"))
    store.close()


def test_a_file_that_is_deleted_or_replaced_is_noticed(store, tmp_path) -> None:
    store.write([record("a")])
    reader = open_store(tmp_path)
    assert len(reader) == 1
    (tmp_path / FILE_NAME).rename(tmp_path / "elsewhere")
    for opened in (store, reader):
        with pytest.raises(StoreError, match="was deleted while it was open"):
            opened.get(["a"])
    shutil.copy(tmp_path / "elsewhere", tmp_path / FILE_NAME)
    with pytest.raises(StoreError, match="was replaced by another file"):
        store.write([record("b")])


def test_a_locked_file_is_waited_for_and_then_an_error(store, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0.1)
    store.close()
    writer, reader = open_store(tmp_path, write=True), open_store(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked by another program"):
            writer.write([record("a")])
        assert contents(reader) == {}
        other.execute("ROLLBACK")
    writer.write([record("a")])
    assert contents(reader) == expected(record("a"))
    writer.close()


def test_nothing_of_a_write_is_kept_when_the_disk_is_full(store) -> None:
    store.write([record("a")])
    with store._connections.borrow() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreError, match="disk is full"):
        store.write([record("b", text="long " * 100_000)], delete=["a"])
    assert contents(store) == expected(record("a"))
    store.write([record("b")])
    assert contents(store) == expected(record("a"), record("b"))


def test_a_folder_that_cannot_be_written_is_read(store, tmp_path, monkeypatch) -> None:
    store.write([record("a")])
    store.close()
    monkeypatch.setattr(connections.os, "access", lambda *arguments: False)
    reader = open_store(tmp_path)
    assert contents(reader) == expected(record("a"))
    # SQLite has made no files to share with other processes.
    assert files(tmp_path) == {FILE_NAME}
    # Somebody else may write to it after all.
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as other, other:
        other.execute("PRAGMA synchronous = OFF")
        other.execute("DELETE FROM documents")
    assert reader.get(["a"]) == []
    reader.close()


def test_an_unfinished_write_is_finished_by_a_reader(store, tmp_path) -> None:
    store.write([record("a")])
    with store._connections.borrow() as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM documents")
        # As a killed process leaves it: one commit in the log, and the rest of another.
        copy = tmp_path / "copy"
        copy.mkdir()
        for name in (FILE_NAME, f"{FILE_NAME}-wal"):
            shutil.copy(tmp_path / name, copy)
        connection.execute("ROLLBACK")
    assert os.path.getsize(copy / f"{FILE_NAME}-wal") > 0
    assert contents(open_store(copy)) == expected(record("a"))


# Records.


def test_what_cannot_be_stored_is_refused_with_the_document(store) -> None:
    store.write([record("a")])
    for wrong, reason in (
        (record("\ud800"), "not valid Unicode"),
        (record("b", value=float("nan")), "metadata of b"),
        (record("b", value={1, 2}), "metadata of b"),
    ):
        with pytest.raises(InputError, match=reason):
            store.write([record("c"), wrong])
    assert contents(store) == expected(record("a"))


def test_a_reader_in_the_middle_goes_on_with_what_is_replaced(store, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sqlite, "_UNITS_AT_ONCE", 2)
    store.write([record(key) for key in "abcdef"])
    reader = open_store(tmp_path)
    units, dropped = reader.units(), reader.units()
    assert next(units)[0] == next(dropped)[0] == "a"
    store.stage(OTHER_INFO).write([record("z")])
    store.switch()
    assert [key for key, _ in units] == list("bcdef")
    store.drop_replaced()
    with pytest.raises(StoreError, match="another process has replaced it"):
        list(dropped)
    reader.close()


@pytest.mark.parametrize("most", [0, 1 << 30])
def test_nearest_is_exact_in_memory_and_from_the_file(store, monkeypatch, most) -> None:
    monkeypatch.setattr(sqlite, "MATRIX_BYTES", most)
    monkeypatch.setattr(sqlite_tables, "_VECTORS_AT_ONCE", 7)
    vectors = np.random.default_rng(0).normal(size=(100, 3))
    store.write([record(f"{n:03}", *vector) for n, vector in enumerate(vectors)])
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for k in (1, 10, 1000):
        nearest = store.nearest(QUERY, k)
        assert [score for _, score in nearest] == pytest.approx(
            sorted(units[:, 0], reverse=True)[:k], abs=1e-3
        )
        assert all(units[int(key), 0] == pytest.approx(score, abs=1e-3) for key, score in nearest)


_numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-3, 3)
_scalars = st.none() | st.booleans() | _numbers
_texts = st.sampled_from(["", "a", "ab", "2019", "true", "[a]", "é\ud800\0", '"', "\\"]) | st.text(
    "ab*?[", max_size=3
)
_values = _scalars | _texts
_metadata = st.dictionaries(
    st.sampled_from(["k", "é", "title", 'q"']),
    _values | st.lists(_values, max_size=3) | st.just({"k": "a"}),
    max_size=3,
)
_bounds = _numbers | st.sampled_from([1e400, -1e400]) | _texts
_conditions = (
    _values
    | st.lists(_values, max_size=2)
    | st.dictionaries(st.sampled_from(["gt", "gte", "lt", "lte"]), _bounds, min_size=1)
    | st.builds(lambda value: {"ne": value}, _values)
)
_keys = st.sampled_from(["k", "é", 'q"', "id", "source", "title", "content_hash", "tokens"])


@settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    documents=st.dictionaries(st.text("ab*\U0010ffff\ud7ff", max_size=4), _metadata, max_size=4),
    where=st.dictionaries(_keys, _conditions, max_size=2),
)
def test_filters_in_sql_select_what_matches(store, documents, where) -> None:
    store.write(
        [
            replace(record(key), document=Document(key, "a text", metadata))
            for key, metadata in documents.items()
        ],
        delete=[entry.id for entry in store.entries()],
    )
    ids = sorted(e.id for e in store.entries() if matches(e.fields, where))
    assert [entry.id for entry in store.entries(where)] == ids


def test_a_restored_backup_never_reaches_a_generation_again(tmp_path) -> None:
    """Words that were made from the lost documents would count as current."""
    with closing(SqliteStores().open(tmp_path, "documents", create=INFO, write=True)) as store:
        store.write([record("a")])
    backup = (tmp_path / FILE_NAME).read_bytes()
    with closing(open_store(tmp_path, write=True)) as store:
        store.write([record("lost")])
        lost = store.generation
    (tmp_path / FILE_NAME).write_bytes(backup)
    with closing(open_store(tmp_path, write=True)) as store:
        store.write([record("new")])
        assert store.generation > lost
