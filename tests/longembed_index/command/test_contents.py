from __future__ import annotations

import sqlite3
from contextlib import closing

from longembed_index import Document, Index
from longembed_index.store.sqlite import FILE_NAME


def test_a_document_that_cannot_be_read_is_deleted_by_its_name(run, tmp_path, fake_models) -> None:
    place = tmp_path / "store"
    with Index.open(place, "some/one") as index:
        index.add_documents([Document("a", "a text"), Document("b", "another text")])
    with closing(sqlite3.connect(place / FILE_NAME)) as connection, connection:
        connection.execute("""UPDATE documents SET metadata = '{"n": NaN}' WHERE id = 'a'""")
    for arguments in (("list",), ("delete", "--yes", "?"), ("search", "text", "--mode", "lexical")):
        result = run(*arguments, "--store", "STORE")
        assert result.exit_code == 1
        assert (
            f"{FILE_NAME}: the metadata of the document a cannot be read. Delete" in result.stderr
        )
    result = run("delete", "--yes", "a", "--store", "STORE")
    assert (result.exit_code, "the store has 1" in result.stdout) == (0, True)
    assert run("list", "--store", "STORE").exit_code == 0


def test_a_name_that_no_document_has_is_answered_by_a_pattern(run, tmp_path, fake_models) -> None:
    with Index.open(tmp_path / "store", "some/one") as index:
        index.add_documents([Document("/reports/a.pdf", "a text")])
    for command in ("list", "delete"):
        result = run(command, "a.pdf", "--store", "STORE")
        assert "No document matched" in result.stderr
        assert "Try '*/a.pdf'." in result.stderr
    assert "/reports/a.pdf" in run("list", "*/a.pdf", "--store", "STORE").stdout
