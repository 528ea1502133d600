"""All commands on a store in LanceDB, in a folder and by its URL."""

from __future__ import annotations

import json

import lancedb
import numpy as np
import pytest
from command_line import longembed
from longembed_index.finding import Finder
from longembed_index.opening import read_provenance

SUBJECTS = ("whales", "budgets", "courts", "gardens", "engines")


@pytest.fixture(scope="module")
def docs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    for subject in SUBJECTS:
        text = f"This report is about {subject} and what is known of {subject}.\n" * 60
        (folder / f"{subject}.txt").write_text(text + f"The end of the {subject} is near.")
    return folder


@pytest.fixture(params=["folder", "url"])
def store(request, tmp_path, monkeypatch) -> str:
    monkeypatch.setenv("LONGEMBED_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "store"
    return f"lancedb:{place}" if request.param == "folder" else f"lancedb:file://{place}"


def test_from_the_first_document_to_the_last(docs, store, small_model, tmp_path) -> None:
    def run(*line: object, code: int = 0) -> str:
        ended = longembed(*line)
        assert ended.exit_code == code, ended.output
        return ended.output

    run("index", docs, "--store", store, "--model", small_model("bert"), "--method", "pcw")
    again = json.loads(longembed("index", docs, "--store", store, "--json").stdout)
    assert (again["documents"]["unchanged"], again["in_store"]) == (5, 5)
    found = longembed("search", "what of whales?", "--store", store, "-k", 2, "--json")
    first = json.loads(found.stdout)[0]
    assert first["title"] == "whales.txt"
    assert first["passages"][0]["text"]
    only = run("search", '"end of the courts"', "--store", store, "--mode", "lexical", "--json")
    assert "courts.txt" in only
    assert "gardens.txt" not in only
    stats = json.loads(longembed("stats", "--store", store, "--json").stdout)
    assert (stats["documents"], stats["spans"], stats["words"]) == (5, 5, 5)
    assert stats["language of the words"] == "english"
    run("index", docs, "--store", store, "--language", "german", code=1)
    run("delete", "--store", store, "*engines*", "--yes")
    assert "engines" not in run("search", "engines", "--store", store, "--json")
    run("reindex", "--store", store, "--method", "pi", "--max-seq-length", 256)
    run("reindex", "--store", store, "--drop-old")
    assert "gardens.txt" in run("search", "gardens", "--store", store, "--json")
    hits, _ = Finder(store).find("gardens", k=1)
    assert hits[0].hit.title == "gardens.txt"
    run("repair", "--store", store)
    run("export", tmp_path / "out.jsonl", "--store", store)
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 4
    # Others read it with LanceDB alone.
    names = lancedb.connect(str(tmp_path / "store")).list_tables().tables
    assert sum(".spans." in name for name in names) == 1
    assert len(names) == 3


def test_whitened_vectors_are_found_again(docs, small_model, tmp_path, monkeypatch) -> None:
    many = tmp_path / "docs"
    many.mkdir()
    for number in range(40):
        subject = SUBJECTS[number % 5]
        (many / f"{number}.txt").write_text(f"report {number} about {subject} {number * 7} " * 30)
    place = tmp_path / "store"
    line = ["index", many, "--store", f"lancedb:{place}", "--model", small_model("bert")]
    ended = longembed(*line, "--method", "pcw", "--whiten")
    if ended.exit_code:
        # A random model may gain nothing; then nothing is stored.
        assert "gains nothing" in ended.stderr
        assert longembed(*line, "--method", "pcw").exit_code == 0
    hits, _ = Finder(place).find("report 7", k=1)
    assert hits
    found = read_provenance(place)
    assert found is not None
    assert np.isfinite(hits[0].hit.score)


def test_a_table_of_another_program_is_left_alone(docs, small_model, tmp_path) -> None:
    place = tmp_path / "store"
    lancedb.connect(str(place)).create_table("documents", [{"id": "x", "vector": [1.0, 2.0]}])
    line = ["index", docs, "--store", f"lancedb:{place}", "--model", small_model("bert")]
    refused = longembed(*line)
    assert refused.exit_code == 1
    assert "not made by longembed" in refused.stderr
    assert longembed(*line, "--collection", "ours").exit_code == 0
    assert lancedb.connect(str(place)).open_table("documents").count_rows() == 1


def test_a_name_that_lancedb_does_not_take_is_told(docs, small_model, tmp_path) -> None:
    line = ["index", docs, "--store", f"lancedb:{tmp_path / 's'}", "--model", small_model("bert")]
    refused = longembed(*line, "--collection", "a b/ü")
    assert (refused.exit_code, "does not take 'a b/ü'" in refused.stderr) == (1, True)


def test_two_names_of_kinds_must_agree(docs, small_model, tmp_path) -> None:
    line = ["index", docs, "--store", f"lancedb:{tmp_path / 's'}", "--model", small_model("bert")]
    refused = longembed(*line, "--store-kind", "chroma")
    assert (refused.exit_code, "--store-kind 'chroma'" in refused.stderr) == (1, True)
