"""`longembed repair`, and `index`, which repairs before it goes on."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from command_line import row


def lose_vectors(store: Path) -> None:
    """What a kill may leave: records without a vector that can be found, and no copy of them."""
    (store / "longembed.vectors.sqlite3").unlink()
    (store / "longembed.checked.json").unlink()
    database = sqlite3.connect(store / "chroma.sqlite3")
    with database:
        database.execute("DELETE FROM embeddings_queue")
    database.close()


def test_lost_vectors_are_named_by_search_and_written_anew_by_repair(run, docs, tmp_path) -> None:
    run("index", docs, "--store", "STORE", "--model", "MODEL")
    found = run("search", "animals", "--store", "STORE", "--json").stdout
    assert "5 vectors are there: nothing to repair" in run("repair", "--store", "STORE").stdout
    lose_vectors(tmp_path / "store")
    result = run("search", "animals", "--store", "STORE")
    assert result.exit_code == 1
    assert "longembed repair" in result.stderr
    result = run("repair", "--store", "STORE")
    assert result.exit_code == 0, result.output
    assert "All 5 vectors are there again" in result.stdout
    assert run("search", "animals", "--store", "STORE", "--json").stdout == found


def test_index_repairs_a_store_before_it_goes_on(run, docs, tmp_path) -> None:
    run("index", docs, "--store", "STORE", "--model", "MODEL")
    found = run("search", "animals", "--store", "STORE", "--json").stdout
    lose_vectors(tmp_path / "store")
    result = run("index", docs, "--store", "STORE", "--prune", "--strict")
    assert result.exit_code == 0, result.output
    assert "they are written anew" in result.stderr
    assert row(result, "documents unchanged") == "5"
    assert run("search", "animals", "--store", "STORE", "--json").stdout == found
