"""Connections that threads share and children do not inherit."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from longembed_index.errors import StoreError
from longembed_index.store.conformance import INFO, contents, expected, record
from longembed_index.store.connections import Connections, store_error
from longembed_index.store.sqlite import FILE_NAME, SqliteStore, SqliteStores

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

WRITES = 40


def open_store(folder: Path, write: bool = False) -> SqliteStore:
    return SqliteStores().open(folder, "documents", create=INFO if write else None, write=write)


def batch(number: int) -> list:
    """Three documents that are written together, and say by which write."""
    return [record(key, text=f"{number} {key}", number=number) for key in "abc"]


def read_one_commit(store: SqliteStore) -> int:
    """Read all documents, which must be of one write; return its number."""
    numbers = {entry.metadata["number"] for entry in store.entries()}
    assert len(numbers) == 1
    assert len({found.document.text.split()[0] for found in store.get("abc")}) == 1
    assert store.vectors()[1].shape == (3, 3)
    assert len(store.nearest(store.vectors()[1][0], 2)) == 2
    return numbers.pop()


def read_until(store: SqliteStore, last: int) -> None:
    """Read until the last write shows; what is shown never goes back."""
    shown = generation = 0
    while shown < last:
        before = store.generation
        number = read_one_commit(store)
        assert number >= shown
        assert before >= generation
        shown, generation = number, before


def cut_off_write(path: Path) -> None:
    """Leave the file and the journal of a process that was killed before the file had a log."""
    copies = [(Path(f"{path}{end}"), path.with_name(f"copy{end}")) for end in ("", "-journal")]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE unfinished (content)")
        connection.executemany("INSERT INTO unfinished VALUES (?)", [(bytes(3000),)] * 50)
        for file, copy in copies:
            shutil.copy(file, copy)
    for file, copy in copies:
        copy.replace(file)


def in_child(work: Callable[[], object]) -> int:
    """Fork and work; the child's number. It exits with 0 if the work raised nothing."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return child


def here() -> dict[str, str]:
    """The environment of a process that can import this module."""
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    return {**os.environ, "PYTHONPATH": path}


def exit_code(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@needs_fork
def test_threads_and_children_read_while_one_writes(tmp_path) -> None:
    writer = open_store(tmp_path, write=True)
    writer.write(batch(0))
    reader = open_store(tmp_path)
    read_one_commit(reader)
    with ThreadPoolExecutor(8) as pool:
        threads = [pool.submit(read_until, reader, WRITES) for _ in range(8)]
        children = [in_child(lambda: read_until(reader, WRITES)) for _ in range(4)]
        for number in range(1, WRITES + 1):
            writer.write(batch(number))
        for thread in threads:
            thread.result()
    assert [exit_code(child) for child in children] == [0] * 4
    writer.close()
    assert contents(reader) == expected(*batch(WRITES))
    reader.close()


@needs_fork
def test_a_child_sees_what_is_written_after_its_parent_has_closed(tmp_path) -> None:
    # With a connection open over the fork, SQLite takes locks in the child for granted that it
    # does not have, and another process then moves the log into the file beneath it.
    records = [record(str(number), text=str(number) * 30_000) for number in range(6)]
    with closing(open_store(tmp_path, write=True)) as writer:
        writer.write(records[:1])
    reader = open_store(tmp_path)
    assert contents(reader) == expected(*records[:1])
    (child_has_read, tell_parent), (parent_has_written, tell_child) = os.pipe(), os.pipe()

    def child() -> None:
        stores = [reader, open_store(tmp_path)]
        for store in stores:
            assert contents(store) == expected(*records[:1])
        os.write(tell_parent, b".")
        os.read(parent_has_written, 1)
        for store in stores:
            assert contents(store) == expected(*records)

    process = in_child(child)
    os.read(child_has_read, 1)
    reader.close()
    code = (
        "import sys; from pathlib import Path\n"
        "import test_connections as test\n"
        "for number in range(1, 6):\n"
        "    store = test.open_store(Path(sys.argv[1]), write=True)\n"
        "    store.write([test.record(str(number), text=str(number) * 30_000)]); store.close()"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=here())
    os.write(tell_child, b".")
    assert exit_code(process) == 0


@needs_fork
def test_a_fork_waits_for_a_write_and_the_child_can_write(tmp_path) -> None:
    store = open_store(tmp_path, write=True)
    store.write(batch(0))
    begun, go_on = threading.Event(), threading.Event()

    def write() -> None:
        with store._write() as (connection, _):
            begun.set()
            go_on.wait()
            connection.execute("UPDATE documents SET content_hash = 'changed'")

    thread = threading.Thread(target=write)
    thread.start()
    begun.wait()
    threading.Timer(0.2, go_on.set).start()
    child = in_child(lambda: store.write([record("d")]))
    assert go_on.is_set()
    thread.join()
    assert exit_code(child) == 0
    assert {entry.content_hash for entry in store.entries()} == {"changed", "hash of d"}
    store.close()


@needs_fork
def test_processes_of_a_pool_can_use_a_store(tmp_path) -> None:
    store = open_store(tmp_path, write=True)
    store.write(batch(7))
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(len, [store.get([key]) for key in "abc"]) == [1, 1, 1]
    assert read_one_commit(store) == 7
    store.close()


def test_the_first_write_of_a_killed_process_is_undone_by_who_comes_next(tmp_path) -> None:
    cut_off_write(tmp_path / FILE_NAME)
    assert (tmp_path / FILE_NAME).stat().st_size > 100_000
    assert SqliteStores().read_info(tmp_path, "documents") is None
    store = open_store(tmp_path, write=True)
    store.write([record("a")])
    store.close()

    cut_off_write(tmp_path / FILE_NAME)
    assert contents(open_store(tmp_path)) == expected(record("a"))


def test_an_unfinished_write_is_not_read_where_it_cannot_be_undone(tmp_path, monkeypatch) -> None:
    open_store(tmp_path, write=True).close()
    cut_off_write(tmp_path / FILE_NAME)
    monkeypatch.setattr(os, "access", lambda *arguments: False)
    with pytest.raises(StoreError, match=r"a write to it was cut off.* Copy the folder"):
        open_store(tmp_path)
    monkeypatch.undo()
    assert contents(open_store(tmp_path)) == {}


def test_threads_have_a_connection_each_and_leave_it_to_the_next(tmp_path) -> None:
    opened: list[sqlite3.Connection] = []
    pool = Connections(tmp_path / "file", write=True, prepare=opened.append)
    together = threading.Barrier(3, timeout=300)

    def use() -> int:
        with pool.borrow() as connection:
            together.wait()
            return id(connection)

    with ThreadPoolExecutor(3) as threads:
        for _ in range(5):
            used = [thread.result() for thread in [threads.submit(use) for _ in range(3)]]
            assert len(set(used)) == 3
    assert len(opened) == 3
    pool.close()
    with pytest.raises(StoreError, match="was closed"), pool.borrow():
        pass


def test_what_is_not_committed_is_rolled_back(tmp_path) -> None:
    pool = Connections(tmp_path / "file", write=True)

    def insert_and_fail() -> None:
        with pool.borrow() as connection:
            connection.execute("BEGIN")
            connection.execute("INSERT INTO numbers VALUES (1)")
            raise ZeroDivisionError

    with pool.borrow() as connection:
        connection.execute("CREATE TABLE numbers (number)")
    with pytest.raises(ZeroDivisionError):
        insert_and_fail()
    with pool.borrow() as connection:
        assert connection.execute("SELECT * FROM numbers").fetchall() == []
    pool.close()


MEANINGS = [
    ("database is locked", "locked by another program"),
    ("database or disk is full", "disk is full"),
    ("attempt to write a readonly database", "permissions"),
    ("database disk image is malformed", "is damaged. Restore it"),
    ("file is not a database", "is not a SQLite file"),
    ("unable to open database file", "cannot be opened"),
    ("disk I/O error", "the disk is full, or reports an error"),
    ("something new", "something new"),
]


def test_each_error_names_the_file_and_a_way_out() -> None:
    for message, meaning in MEANINGS:
        error = store_error(sqlite3.OperationalError(message), Path("folder") / FILE_NAME)
        assert FILE_NAME in str(error)
        assert meaning in str(error)


# Kills.

_WRITE_FOR_EVER = """
import sys
from itertools import count
from pathlib import Path
import test_connections as test

store = test.open_store(Path(sys.argv[1]), write=True)
first = int(sys.argv[2])
for number in count(first):
    if number % 5 == 4:
        store.stage(test.INFO).write(test.batch(number))
        store.switch()
        store.drop_replaced()
    else:
        store.write(test.batch(number), delete=[f"extra {number - 1}"])
    print(number, flush=True)
"""


def kill_writers(folder: Path, kills: int) -> None:
    """Kill a writer again and again; what is there is what it wrote last, or the next."""
    number = 0
    for kill in range(kills):
        command = [sys.executable, "-c", _WRITE_FOR_EVER, str(folder), str(number)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=here()) as writer:
            assert writer.stdout is not None
            lines = [writer.stdout.readline() for _ in range(1 + 7 * kill % 11)]
            # Another moment of a write each time; none is waited for.
            threading.Event().wait(0.0007 * (kill % 13))
            writer.kill()
            lines += writer.stdout.readlines()
        last = int(lines[-1])
        with closing(open_store(folder)) as reader:
            number = read_one_commit(reader)
            assert number in (last, last + 1)
            assert contents(reader) == expected(*batch(number))
        with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        number += 1


def test_after_a_kill_all_of_a_commit_is_there(tmp_path) -> None:
    kill_writers(tmp_path, 4)


@pytest.mark.slow
def test_after_a_hundred_kills_all_of_a_commit_is_there(tmp_path) -> None:
    kill_writers(tmp_path, 100)
