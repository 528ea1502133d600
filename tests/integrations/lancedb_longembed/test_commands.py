"""All commands on a store in LanceDB, in a folder and by its URL."""

from __future__ import annotations

import json

import lancedb
import pytest
from command_line import longembed

from longembed_index import Index

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
    assert (stats["documents"], stats["units"], stats["words"]) == (5, True, 5)
    assert stats["language"] == "english"
    run("index", docs, "--store", store, "--language", "german", code=1)
    run("delete", "--store", store, "*engines*", "--yes")
    assert "engines" not in run("search", "engines", "--store", store, "--json")
    run("reindex", "--store", store, "--method", "pi", "--max-seq-length", 256)
    run("reindex", "--store", store, "--drop-old")
    assert "gardens.txt" in run("search", "gardens", "--store", store, "--json")
    with Index.open(store) as index:
        assert index.search("gardens", k=1)[0].document.title == "gardens.txt"
    run("export", tmp_path / "out.jsonl", "--store", store)
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 4
    assert not list(tmp_path.rglob("longembed.words.*")), "the words are in LanceDB"
    # Other programs read it with LanceDB alone.
    names = lancedb.connect(str(tmp_path / "store")).list_tables().tables
    assert len(names) == 2
