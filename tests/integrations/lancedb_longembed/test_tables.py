from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pytest

from lancedb_longembed import tables
from lancedb_longembed.tables import Database, Rows, one_of
from longembed_index.errors import StoreError

SCHEMA = pa.schema([pa.field("id", pa.string()), pa.field("n", pa.int64())])


@pytest.fixture
def rows(tmp_path) -> Rows:
    database = Database(str(tmp_path))
    database.create("some", SCHEMA)
    rows = Rows(database, "some")
    rows.index()
    return rows


def put(rows: Rows, *numbers: int) -> None:
    rows.write(pa.Table.from_pylist([{"id": str(n), "n": n} for n in numbers], schema=SCHEMA))


def test_many_writes_leave_few_files(rows, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tables, "_OLD", timedelta(0))
    for number in range(250):
        put(rows, number)
    rows.tidy()
    assert len(rows) == 250
    assert len(list((tmp_path / "some.lance" / "data").iterdir())) <= 5
    assert rows.table.index_stats("id_idx").num_unindexed_rows == 0


def test_rows_that_a_killed_run_left_out_of_the_indices_are_noticed(rows, tmp_path) -> None:
    """Another process sees no writes of its own, and asks the table."""
    rows.tidy()
    put(rows, *range(50))
    assert rows.table.index_stats("id_idx").num_unindexed_rows == 50
    Rows(Database(str(tmp_path)), "some").tidy()
    assert rows.table.index_stats("id_idx").num_unindexed_rows == 0


def test_who_began_to_read_is_not_stopped_by_a_tidying(rows) -> None:
    put(rows, *range(5000))
    reading = rows.read("n")
    first = next(reading)
    for number in range(5):
        put(rows, 10_000 + number)
    rows.tidy()
    assert len(first) + sum(map(len, reading)) == 5000


def test_keys_may_be_any_text(rows) -> None:
    keys = ["it's", 'a " b', "\n", "%", "\\", "日本", "\u2028", "a\0b", ""]
    rows.write(pa.Table.from_pylist([{"id": key, "n": 1} for key in keys], schema=SCHEMA))
    for key in keys:
        (batch,) = rows.read("id", where=one_of([key]))
        assert batch["id"].to_pylist() == [key]
    rows.write(None, delete=keys[:3])
    assert len(rows) == 6


def test_there_may_be_many_tables(tmp_path) -> None:
    database = Database(str(tmp_path))
    for number in range(120):
        database.create(f"t{number}", SCHEMA)
    assert len(database.table_names()) == 120


def test_a_damaged_table_is_a_store_error(rows, tmp_path) -> None:
    put(rows, 1, 2, 3)
    for file in (tmp_path / "some.lance" / "data").iterdir():
        file.write_bytes(b"junk")
    with pytest.raises(StoreError, match="cannot read the store") as caught:
        list(Rows(Database(str(tmp_path)), "some").read("n"))
    assert "\n" not in str(caught.value)


def test_a_panic_in_rust_is_a_store_error_with_a_way_out(tmp_path) -> None:
    for name, base in (("RustPanic", Exception), ("PanicException", BaseException)):
        panic = type(name, (base,), {})("rust future panicked: this should not have happened")
        with (
            pytest.raises(StoreError, match=r"make sense of its files.*from a copy") as caught,
            Database(str(tmp_path)).errors("read"),
        ):
            raise panic
        assert "should not have happened" not in str(caught.value)
