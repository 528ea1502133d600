from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import chromadb
import pytest
from click.testing import Result
from office_files import make_docx, make_pdf, make_pptx

from longembed_index.opening import COLLECTION

LONG = "The committee met on Tuesday to discuss the budget of the town. " * 60


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "budget.txt").write_text(LONG)
    (folder / "pets.md").write_text("# Pets\n\ncats and dogs and hamsters")
    (folder / "bank.html").write_text("<p>the central bank raised interest rates</p>")
    (folder / "weather.pdf").write_bytes(make_pdf("heavy rain is forecast for the weekend"))
    (folder / "music.docx").write_bytes(make_docx("a string quartet by Beethoven"))
    return folder


def row(result: Result, label: str) -> str:
    """The value beside a label in the closing table."""
    (line,) = [line for line in result.stdout.splitlines() if f"│ {label} " in line]
    return line.split("│")[2].strip()


def hits(result: Result) -> list[str]:
    assert result.exit_code == 0, result.stderr
    return [hit["title"] for hit in json.loads(result.stdout)]


def test_five_formats_are_indexed_and_found(run, docs) -> None:
    result = run("index", docs, "--store", "STORE", "--model", "MODEL", "--method", "pcw")
    assert result.exit_code == 0, result.stderr
    assert row(result, "documents added") == "5"
    assert row(result, "documents in the store") == "5"
    assert row(result, "share of tokens read") == "100%"
    assert int(row(result, "tokens embedded").replace(",", "")) > 600
    assert "Found 5 documents" in result.stderr
    for query, title in {
        "how much may the town spend?": "budget.txt",
        "animals at home": "pets.md",
        "monetary policy": "bank.html",
        "will it be wet on Saturday?": "weather.pdf",
        "classical chamber music": "music.docx",
    }.items():
        assert hits(run("search", query, "--store", "STORE", "--json"))[0] == title


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


def test_a_second_run_adds_nothing_and_a_changed_file_is_replaced(run, docs) -> None:
    run("index", docs, "--store", "STORE", "--model", "MODEL")
    result = run("index", docs, "--store", "STORE")
    assert row(result, "documents unchanged") == "5"
    assert row(result, "documents added") == "0"
    assert row(result, "tokens embedded") == "0"
    (docs / "pets.md").write_text("a study of medieval castles")
    result = run("index", docs, "--store", "STORE", "--verify")
    assert row(result, "documents replaced") == "1"
    assert row(result, "documents in the store") == "5"
    assert "Verified: 5 stored vectors" in result.stdout
    found = json.loads(run("search", "fortresses", "--store", "STORE", "-k", "9", "--json").stdout)
    assert len(found) == 5
    assert found[0]["title"] == "pets.md"


def test_documents_go_by_their_own_titles_and_passages_by_their_pages(run, tmp_path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    slides = {"Weather": "Rain fell all week.", "Cats": "The cat slept on the warm stove."}
    (folder / "a.pptx").write_bytes(make_pptx("Year in review", slides))
    (folder / "b.md").write_text("---\ntitle: On budgets\n---\nThe town may spend ten thousand.\n")
    (folder / "c.eml").write_text("From: a@b.org\nSubject: Monday\n\nThe train is late.\n")
    (folder / "d.json").write_text('{"dish": "cr\\u00eape with lemon"}')
    result = run("index", folder, "--store", "STORE", "--model", "MODEL")
    assert row(result, "documents added") == "4"
    found = {
        query: json.loads(run("search", query, "--store", "STORE", "--json").stdout)[0]
        for query in ("where is the cat", "money of the town", "late train", '"crêpe"')
    }
    assert [hit["title"] for hit in found.values()] == [
        "Year in review",
        "On budgets",
        "Monday",
        "d.json",
    ]
    assert found["where is the cat"]["passages"][0]["page"] in (1, 2)
    shown = " ".join(run("search", "where is the cat", "--store", "STORE").stdout.split())
    assert "1. Year in review a.pptx" in shown
    (folder / "b.md").rename(folder / "e.md")
    (folder / "d.json").rename(folder / "f.json")
    moved = run("index", folder, "--store", "STORE")
    assert row(moved, "of these moved, not embedded again") == "2"
    assert hits(run("search", "money of the town", "--store", "STORE", "--json"))[0] == "On budgets"
    assert hits(run("search", '"crêpe"', "--store", "STORE", "--json")) == ["f.json"]


def test_what_is_not_stored_is_listed_with_the_reason(run, docs) -> None:
    (docs / "empty.txt").write_text("")
    (docs / "blank.md").write_text(" \n ")
    (docs / "junk.txt").write_bytes(os.urandom(2000) + b"\0")
    (docs / "nul.txt").write_text("text\0text")
    (docs / "broken.pdf").write_bytes(b"%PDF-1.4")
    (docs / "[red]odd.txt").write_text("")
    (docs / "table.ods").write_bytes(b"")
    undecodable = os.fsdecode(b"caf\xe9.txt")
    (docs / undecodable).write_text("coffee")
    arguments = ("index", docs, "--store", "STORE", "--model", "MODEL")
    result = run(*arguments)
    assert result.exit_code == 0
    assert row(result, "documents added") == "5"
    assert row(result, "documents failed") == "7"
    for line in (
        "docs/empty.txt: is empty",
        "docs/blank.md: is empty",
        "docs/junk.txt: is binary, not text",
        "docs/nul.txt: is binary, not text: it has NUL characters",
        "docs/broken.pdf: cannot be read as PDF",
        "docs/[red]odd.txt: is empty",
        "docs/caf\\udce9.txt: its name has the lone surrogate",
        ".ods: 1 (table.ods)",
    ):
        assert line in result.stdout
    assert run(*arguments, "--strict").exit_code == 1
    assert len(hits(run("search", "coffee", "--store", "STORE", "-k", "20", "--json"))) == 5


def test_a_document_that_is_too_long_is_refused_or_named(run, docs, tmp_path) -> None:
    (docs / "huge.txt").write_text("all work and no play " * 24_000)
    arguments = ("index", docs, "--store", "STORE", "--model", "MODEL", "--method", "none")
    result = run(*arguments, "--on-overflow", "error")
    assert row(result, "documents added") == "4"
    assert "docs/huge.txt: a text of more than 256 tokens" in result.stdout
    assert "docs/budget.txt: a text of" in result.stdout
    result = run("index", docs / "budget.txt", "--store", "STORE", "--on-overflow", "warn")
    assert row(result, "documents added") == "1"
    assert "docs/budget.txt: 256 of " in result.stdout
    assert float(row(result, "share of tokens read").rstrip("%")) < 50


def test_files_that_are_gone_are_listed_and_pruned(run, docs) -> None:
    run("index", docs, "--store", "STORE", "--model", "MODEL")
    (docs / "pets.md").unlink()
    result = run("index", docs, "--store", "STORE")
    assert row(result, "documents whose file is gone") == "1"
    assert "docs/pets.md" in result.stdout
    assert row(result, "documents in the store") == "5"
    result = run("index", docs / "bank.html", "--store", "STORE", "--prune")
    assert row(result, "documents in the store") == "5"
    result = run("index", docs, "--store", "STORE", "--prune")
    assert row(result, "documents removed") == "1"
    assert row(result, "documents in the store") == "4"


def test_a_folder_that_is_empty_now_is_not_pruned_unless_that_is_confirmed(run, docs) -> None:
    """Its drive may not be mounted."""
    run("index", docs, "--store", "STORE", "--model", "MODEL")
    docs.rename(docs.with_name("elsewhere"))
    docs.mkdir()
    assert row(run("index", docs, "--store", "STORE"), "documents in the store") == "5"
    result = run("index", docs, "--store", "STORE", "--prune")
    assert result.exit_code == 1
    assert "the store has 5 documents from there" in result.stderr
    assert "--prune-empty-root" in result.stderr
    assert row(run("index", docs, "--store", "STORE"), "documents in the store") == "5"
    result = run("index", docs, "--store", "STORE", "--prune", "--prune-empty-root")
    assert row(result, "documents removed") == "5"
    assert row(result, "documents in the store") == "0"


def test_the_limits_of_parsing_can_be_set(run, docs) -> None:
    arguments = ("index", docs, "--store", "STORE", "--model", "MODEL")
    result = run(*arguments, "--reader-characters", "3")
    assert result.exit_code == 0
    assert "more than the 3 that a file may give" in result.stdout
    assert row(result, "documents failed") != "0"
    assert row(run(*arguments), "documents failed") == "0"


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


def test_the_store_remembers_its_settings(run, docs) -> None:
    options = ("--method", "pcw", "--window-size", "128", "-o", "overlap=16")
    run("index", docs / "pets.md", "--store", "STORE", "--model", "MODEL", *options)
    assert run("index", docs, "--store", "STORE", *options).exit_code == 0
    assert run("index", docs, "--store", "STORE", "--method", "auto").exit_code == 0
    for changed, named in (
        (("--method", "pi"), "method is 'pcw' in the store, 'pi' now"),
        (("-o", "overlap=8"), "overlap is 16 in the store, 8 now"),
        (("--document-prompt", "d: "), "prompts is None in the store, {'document': 'd: '} now"),
    ):
        result = run("index", docs, "--store", "STORE", *changed)
        assert result.exit_code == 1
        assert named in result.stderr
        assert "Traceback" not in result.stderr
    assert run("index", docs, "--store", "STORE", "--on-overflow", "error").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("index", "nowhere", "--store", "STORE"), 1, "nowhere does not exist"),
        (("index", "docs", "--store", "docs"), 1, "docs is not a store"),
        (("index", "docs", "--store", "docs/pets.md"), 1, "is a file"),
        (("index", "docs", "--store", "STORE", "--model", "no/model"), 1, "'no/model'"),
        (("index", "docs", "--store", "STORE", "--store-kind", "x"), 1, "no store kind 'x'"),
        (("index", "docs", "--store", "STORE", "--model", "docs"), 1, "docs'"),
        (("index", "docs", "--store", "STORE", "--model", "MODEL", "--method", "x"), 1, "'x'"),
        (("index", "docs", "--store", "STORE", "--model", "MODEL", "-o", "x"), 1, "name=value"),
        (("index", "docs", "--store", "STORE", "--model", "MODEL", "-o", "x=1"), 1, "x=1"),
        (("index", "docs", "--store", "STORE", "--model", "MODEL", "--window-size", "0"), 1, "0"),
        (
            ("index", "docs", "--store", "STORE", "--model", "MODEL", "--max-seq-length", "-5"),
            1,
            "-5",
        ),
        (
            ("index", "docs", "--store", "STORE", "--model", "MODEL", "--on-overflow", "x"),
            1,
            "on_overflow='x'",
        ),
        (("index", "empty", "--store", "STORE", "--model", "MODEL"), 1, "no document"),
        (("index", "--store", "STORE"), 2, "PATH"),
        (("index", "docs"), 2, "--store"),
        (("search", "q", "--store", "STORE"), 1, "no store in"),
        (("search", "q", "--store", "docs"), 1, "not a store"),
        (("search", "  ", "--store", "STORE"), 1, "query is blank"),
        (("search", "q", "--store", "STORE", "-k", "0"), 2, "-k"),
        (("search", "q", "--store", "STORE", "-k", "-1"), 2, "-k"),
    ],
)
def test_mistakes_end_in_one_line_and_leave_nothing_behind(
    run, docs, tmp_path, arguments, code, message
) -> None:
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    result = run(*arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.output
    if code == 1:
        assert len(result.complaints.strip().splitlines()) == 1
        assert result.complaints.startswith("Error: ")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_store_where_nothing_could_be_stored_is_empty(run, tmp_path) -> None:
    (tmp_path / "empty.txt").write_text("")
    assert run("index", "empty.txt", "--store", "STORE", "--model", "MODEL").exit_code == 0
    result = run("search", "q", "--store", "STORE")
    assert result.exit_code == 1
    assert "is empty" in result.stderr


def test_a_query_that_is_not_unicode_is_a_one_line_error(run, docs) -> None:
    run("index", docs / "pets.md", "--store", "STORE", "--model", "MODEL")
    result = run("search", os.fsdecode(b"caf\xe9"), "--store", "STORE")
    assert result.exit_code == 1
    assert "surrogate" in result.stderr


def test_reindex_changes_the_settings_of_a_store(run, docs) -> None:
    run("index", docs, "--store", "STORE", "--model", "MODEL", "--method", "none")
    refused = run("index", docs, "--store", "STORE", "--method", "pcw")
    assert refused.exit_code == 1
    assert "longembed reindex" in refused.stderr
    result = run("reindex", "--store", "STORE", "--method", "pcw", "--window-size", "128")
    assert result.exit_code == 0, result.stderr
    assert row(result, "documents embedded") == "5"
    assert row(result, "share of tokens read") == "100%"
    assert "kept as 'documents.old'" in result.stdout
    assert "Loading " in result.stderr
    assert hits(run("search", "animals", "--store", "STORE", "--json"))[0] == "pets.md"
    again = run("index", docs, "--store", "STORE")
    assert row(again, "documents unchanged") == "5"
    assert "method pcw" in again.stderr
    verified = run("index", docs, "--store", "STORE", "--verify")
    assert "Verified: 5" in verified.stdout
    dropped = run("reindex", "--store", "STORE", "--drop-old")
    assert dropped.stdout == "Deleted: documents.old\n"
    assert run("reindex", "--store", "STORE", "--drop-old").stdout == "There are no old vectors.\n"


def test_reindex_keeps_the_old_vectors_if_a_document_does_not_fit(run, docs) -> None:
    run("index", docs, "--store", "STORE", "--model", "MODEL", "--method", "pcw")
    result = run("reindex", "--store", "STORE", "--method", "none", "--on-overflow", "error")
    assert result.exit_code == 1
    assert row(result, "documents failed") == "1"
    assert "budget.txt: a text of" in result.stdout
    assert "keeps its old vectors" in result.stdout
    assert "method pcw" in run("index", docs, "--store", "STORE").stderr
    command = ("reindex", "--store", "STORE", "--method", "none", "--on-overflow", "error")
    assert run(*command, "--allow-missing").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--store", "STORE"), "name what is to change"),
        (("--store", "nowhere", "--method", "pi"), "no collection 'documents' in a store in"),
        (("--store", "STORE", "--method", "pcw"), "have these settings already"),
        (("--store", "STORE", "--collection", "papers", "--method", "pi"), "no collection 'pap"),
        (("--store", "STORE", "--method", "ntk"), "ntk"),
    ],
)
def test_mistakes_with_reindex_end_in_one_line(run, docs, arguments, message) -> None:
    run("index", docs, "--store", "STORE", "--model", "MODEL", "--method", "pcw")
    result = run("reindex", *arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert hits(run("search", "animals", "--store", "STORE", "--json"))[0] == "pets.md"


def test_a_model_that_was_moved_is_named_to_search(run, docs, minilm_folder, tmp_path) -> None:
    moved = tmp_path / "here"
    shutil.copytree(minilm_folder, moved)
    run("index", docs, "--store", "STORE", "--model", moved, "--method", "pcw")
    moved.rename(tmp_path / "there")
    lost = run("search", "animals", "--store", "STORE")
    assert lost.exit_code == 1
    there = run("search", "animals", "--store", "STORE", "--model", tmp_path / "there", "--json")
    assert hits(there)[0] == "pets.md"
    assert hits(run("search", "animals", "--store", "STORE", "--json"))[0] == "pets.md"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("index", ("PATH", "--store", "--model", "--method", "--prune", "longembed index")),
        ("search", ("QUERY", "--store", "-k", "--json", "longembed search")),
        ("reindex", ("--store", "--method", "--drop-old", "--restart", "longembed reindex")),
    ],
)
def test_help_teaches_with_an_example(run, command, words) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "Example:" in result.stdout
    for word in words:
        assert word in result.stdout


def test_the_commands_import_nothing_heavy_until_they_run() -> None:
    code = (
        "import sys, longembed_index.cli;"
        "print([m for m in ('torch', 'chromadb', 'markitdown', 'transformers', 'numpy')"
        " if m in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("library", "extra"), [("chromadb", "chroma"), ("markitdown", "index"), ("filelock", "index")]
)
def test_without_the_extra_the_command_to_install_it_is_printed(
    run, docs, monkeypatch, tmp_path, library, extra
) -> None:
    # Web pages are read in another process, which does not have this one's modules.
    (tmp_path / "missing").mkdir()
    missing = tmp_path / "missing" / f"{library}.py"
    missing.write_text(f"raise ModuleNotFoundError('none', name={library!r})")
    monkeypatch.syspath_prepend(missing.parent)
    for name in list(sys.modules):
        if name.split(".")[0] in {library, "chroma_longembed"}:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    result = run("index", docs / "bank.html", "--store", "STORE", "--model", "MODEL")
    assert f'pip install "longembed-st[{extra}]"' in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("bare", [True, False])
def test_records_of_other_programs_are_shown_by_their_id(run, docs, tmp_path, bare) -> None:
    line = ("index", docs, "--store", "STORE", "--model", "MODEL", "--method", "pcw")
    run(*line, "--no-spans")
    record = {} if bare else {"documents": ["their text"], "metadatas": [{"tokens": "many"}]}
    with chromadb.PersistentClient(str(tmp_path / "store")) as client:
        collection = client.get_collection(COLLECTION, embedding_function=None)
        collection.add(ids=["theirs/1"], embeddings=[[0.1] * 384], **record)
    result = run("search", "animals", "--store", "STORE", "-k", "9", "--mode", "dense")
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.stdout.splitlines() if "theirs/1" in line]
    assert [cell.strip() for cell in line.split("│")[3:6]] == ["theirs/1", "-", "-"]
    found = json.loads(run("search", "animals", "--store", "STORE", "-k", "9", "--json").stdout)
    (theirs,) = [hit for hit in found if hit["source"] == "theirs/1"]
    assert theirs["title"] == "theirs/1"
    assert theirs["tokens"] is theirs["share_read"] is None
    again = run("index", docs, "--store", "STORE", "--prune")
    assert row(again, "documents unchanged") == "5"
    assert row(again, "documents in the store") == "6"
    reindexed = run("reindex", "--store", "STORE", "--method", "none")
    assert reindexed.exit_code == (1 if bare else 0)
    assert ("theirs/1: has a vector and no text" in reindexed.stdout) == bare


@pytest.mark.parametrize(("policy", "told"), [("warn", True), ("truncate", False)])
def test_a_query_that_was_not_read_to_its_end_is_told(run, docs, policy, told) -> None:
    arguments = ("--store", "STORE", "--model", "MODEL", "--method", "none")
    run("index", docs / "pets.md", *arguments, "--on-overflow", policy)
    result = run("search", "cats and dogs " * 200, "--store", "STORE", "--json")
    assert hits(result) == ["pets.md"]
    assert ("256 of 602 tokens were read" in result.stderr) == told
