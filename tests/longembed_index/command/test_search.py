"""`longembed search`."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path

import pytest
from command_line import hits


def test_search_shows_rank_score_document_length_and_share(run, docs, minilm_folder) -> None:
    run("index", docs, "--store", "STORE", "--model", "MODEL", "--method", "none")
    result = run(
        "search", "the budget of the town", "--store", "STORE", "-k", "2", "--mode", "dense"
    )
    assert result.exit_code == 0
    header, first, second = [line for line in result.stdout.splitlines() if line[0] in "┃│"]
    assert [cell.strip() for cell in header.split("┃")[1:-1]] == [
        "rank",
        "score",
        "document",
        "tokens",
        "read",
    ]
    rank, score, document, tokens, read = (cell.strip() for cell in first.split("│")[1:-1])
    assert (rank, document) == ("1", str(Path("docs/budget.txt")))
    assert 0.5 < float(score) <= 1
    assert int(tokens) > 600
    assert float(read.rstrip("%")) == pytest.approx(100 * 256 / int(tokens), abs=0.1)
    assert second.split("│")[1].strip() == "2"
    (hit, _) = json.loads(
        run("search", "the budget of the town", "--store", "STORE", "-k", "2", "--json").stdout
    )
    assert hit["source"] == str(Path("docs/budget.txt").resolve())
    assert hit["share_read"] == pytest.approx(256 / hit["tokens"], abs=1e-5)


def test_a_query_that_is_not_unicode_is_a_one_line_error(run, docs) -> None:
    run("index", docs / "pets.md", "--store", "STORE", "--model", "MODEL")
    result = run("search", os.fsdecode(b"caf\xe9"), "--store", "STORE")
    assert result.exit_code == 1
    assert "surrogate" in result.stderr


def test_a_model_that_was_moved_is_named_to_search(run, docs, minilm_folder, tmp_path) -> None:
    moved = tmp_path / "here"
    shutil.copytree(minilm_folder, moved)
    run("index", docs, "--store", "STORE", "--model", moved, "--method", "pcw")
    moved.rename(tmp_path / "there")
    # Longer than the window, so that the model itself is to read it.
    lost = run("search", "animals " * 300, "--store", "STORE")
    assert lost.exit_code == 1
    assert str(moved) in " ".join(lost.stderr.split())
    there = run("search", "animals", "--store", "STORE", "--model", tmp_path / "there", "--json")
    assert hits(there)[0] == "pets.md"
    # A run that writes remembers where the model is now.
    run("index", docs, "--store", "STORE", "--model", tmp_path / "there")
    assert hits(run("search", "animals", "--store", "STORE", "--json"))[0] == "pets.md"


def test_a_query_that_was_not_read_to_its_end_is_reported(run, docs) -> None:
    for policy in ("warn", "truncate"):
        arguments = ("--store", policy, "--model", "MODEL", "--method", "none")
        run("index", docs / "pets.md", *arguments, "--on-overflow", policy)
        result = run("search", "cats and dogs " * 200, "--store", policy, "--json")
        assert hits(result) == ["pets.md"]
        reported = "346 tokens of 1 text were not read" in result.stderr
        assert reported == (policy == "warn")


def test_interactive_json_is_a_line_for_each_question(run, docs, monkeypatch) -> None:
    run("index", docs, "--store", "STORE", "--model", "MODEL", "--meta", "text=a\nb")
    monkeypatch.setattr("sys.stdin", io.StringIO('cats\n"\nheavy rain\n'))
    result = run("search", "--store", "STORE", "--json", "--mode", "lexical")
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    found = {answer["query"]: [hit["title"] for hit in answer["hits"]] for answer in answers}
    assert found["cats"] == ["pets.md"]
    assert found["heavy rain"] == ["weather.pdf"]


def test_a_folder_without_an_index_is_said(run, tmp_path) -> None:
    for more in ((), ("--model", "MODEL"), ("--model", "MODEL", "--mode", "lexical")):
        result = run("search", "cats", "--store", tmp_path / "absent", *more)
        assert result.exit_code == 1
        assert "there is no index in" in result.stderr
    assert not (tmp_path / "absent").exists()


def test_a_question_that_nothing_fits_is_answered_by_that(run, docs) -> None:
    run("index", docs, "--store", "STORE", "--model", "MODEL")
    for more in ((), ("--context", "100")):
        result = run("search", "xqzzt blorf", "--store", "STORE", *more)
        assert "may not be answered here" in result.stderr
    for more in ((), ("--context", "100")):
        fitting = run("search", "cats and dogs", "--store", "STORE", *more)
        assert "may not be answered" not in fitting.stderr
        assert "\\n" not in fitting.stdout
        assert len(fitting.stdout.splitlines()) > 1


def test_without_a_hit_the_conditions_are_named(run, docs) -> None:
    run("index", docs, "--store", "STORE", "--model", "MODEL")
    for arguments, conditions in (
        (("pets", "--where", "type=PDF"), "meets --where"),
        (('"dogs and birds"',), "has each phrase in quotes"),
        (("xqzzt", "--mode", "lexical"), "has a word of the query"),
        (
            ('"xqzzt"', "--mode", "lexical", "--where", "type=pdf"),
            "meets --where and has each phrase in quotes and has a word of the query",
        ),
    ):
        result = run("search", *arguments, "--store", "STORE")
        assert result.stderr.splitlines()[-1] == f"No document of the store {conditions}."
