"""A file of words is read, written in transactions, and known to be damaged or not."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

import pytest

from longembed_index.errors import StoreError
from longembed_index.lexical.file import (
    DamagedError,
    WordFile,
    create_temporary_file,
    remove_folder,
    temporary_file,
)
from longembed_index.lexical.tables import read_settings


def set_language(connection: sqlite3.Connection, language: str) -> None:
    connection.execute("UPDATE settings SET language = ?", (language,))


@pytest.fixture
def file(tmp_path) -> WordFile:
    return WordFile(tmp_path / "words.sqlite3")


def test_a_write_is_one_transaction(file) -> None:
    file.write(lambda connection: set_language(connection, "german"))

    def fail(connection: sqlite3.Connection) -> None:
        set_language(connection, "french")
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="middle"):
        file.write(fail)
    assert file.settings.language == "german"
    log = file.path.with_name("words.sqlite3-wal")
    assert not log.exists() or not log.stat().st_size


def test_a_reader_sees_a_file_that_was_made_anew(file) -> None:
    file.write(lambda connection: set_language(connection, "german"))
    before = file.settings
    other = WordFile(file.path)
    other.discard()
    assert file.settings.language is None
    other.write(lambda connection: set_language(connection, "french"))
    assert file.settings.language == "french"
    assert file.settings.edition != before.edition


def test_a_locked_file_is_not_damaged(file, monkeypatch) -> None:
    monkeypatch.setattr("longembed_index.store.connections.BUSY_SECONDS", 0.05)
    file.write(lambda connection: set_language(connection, "german"))
    with closing(sqlite3.connect(file.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"words\.sqlite3 is locked") as error:
            file.write(lambda connection: set_language(connection, "french"))
        assert not isinstance(error.value, DamagedError)
        assert file.settings.language == "german"


def test_damage_is_told_from_other_errors(file) -> None:
    file.write(lambda connection: set_language(connection, "german"))
    good = file.path.read_bytes()
    for damage in ("junk", "pages", "no table", "other version"):
        file.path.write_bytes(good)
        if damage == "junk":
            file.path.write_bytes(b"not a database" * 1_000)
        elif damage == "pages":
            file.path.write_bytes(good[:4096] + bytes(len(good) - 4096))
        else:
            statement = "DROP TABLE settings" if damage == "no table" else "PRAGMA user_version = 1"
            with closing(sqlite3.connect(file.path)) as other, other:
                other.execute(statement)
        with pytest.raises(DamagedError, match=r"words\.sqlite3 is damaged"):
            WordFile(file.path).read(read_settings)
        with pytest.raises(DamagedError):
            WordFile(file.path).write(lambda connection: set_language(connection, "french"))


def test_a_file_in_a_temporary_folder_stands_in(file) -> None:
    file.write(lambda connection: set_language(connection, "german"))
    assert temporary_file(file) is None
    stand_in = create_temporary_file(file)
    assert temporary_file(WordFile(file.path)) is stand_in
    file.copy_to(stand_in.path)
    assert stand_in.settings == file.settings
    assert stand_in.path.parent != file.path.parent
    # A child of a fork, which has another number, leaves it to its parent.
    remove_folder(stand_in.path.parent, os.getpid() + 1)
    assert stand_in.settings.language == "german"
    remove_folder(stand_in.path.parent, os.getpid())
    assert not stand_in.path.parent.exists()


def test_a_copy_that_cannot_be_written_is_an_error_of_ours(file, tmp_path) -> None:
    with pytest.raises(StoreError, match=r"copy\.sqlite3 cannot be opened"):
        file.copy_to(tmp_path / "no folder" / "copy.sqlite3")
