"""`longembed index`."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path

import pytest
from command_line import hits, row
from office_files import make_pptx
from pdf_files import PICTURE, at, pdf_of


def test_five_formats_are_indexed_and_found(run, docs) -> None:
    result = run("index", docs, "--store", "STORE", "--model", "MODEL", "--method", "pcw")
    assert result.exit_code == 0, result.stderr
    assert row(result, "documents added") == "5"
    assert row(result, "documents in the store") == "5"
    assert row(result, "share of tokens read") == "100%"
    assert int(row(result, "tokens embedded").replace(",", "")) > 600
    for query, title in {
        "how much may the town spend?": "budget.txt",
        "animals at home": "pets.md",
        "monetary policy": "bank.html",
        "will it be wet on Saturday?": "weather.pdf",
        "classical chamber music": "music.docx",
    }.items():
        assert hits(run("search", query, "--store", "STORE", "--json"))[0] == title


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


def test_metadata_is_given_and_filtered_by(run, docs) -> None:
    line = ("index", docs, "--store", "STORE", "--model", "MODEL")
    run(*line, "--meta", "department=legal", "--meta", "year=2019", "--meta", "file=007")
    entries = json.loads(run("list", "--store", "STORE", "--where", "year>=2019", "--json").stdout)
    metadata = {Path(entry["source"]).suffix: entry["metadata"] for entry in entries}
    assert metadata[".txt"] == {"department": "legal", "year": 2019, "file": "007"}
    assert metadata[".pdf"]["pages"] == 1
    found = run("search", "rain", "--store", "STORE", "--where", "type=pdf", "--json")
    assert hits(found) == ["weather.pdf"]
    wrong = run("list", "--store", "STORE", "--where", "dept=legal")
    assert "no document has the field 'dept'; there are" in wrong.stderr
    assert run(*line, "--meta", "legal").exit_code == 1


def test_metadata_of_an_earlier_run_stays_until_it_is_named_again(run, docs) -> None:
    line = ("index", docs, "--store", "STORE", "--model", "MODEL")
    (docs / "copy.md").write_text((docs / "pets.md").read_text())
    run(*line, "--meta", "project=trial", "--meta", "year=2019")
    assert run(*line, "--meta", "dep=x", "--meta", "year=2020").exit_code == 0
    entries = json.loads(run("list", "--store", "STORE", "--json").stdout)
    assert len(entries) == 6
    for entry in entries:
        metadata = {key: entry["metadata"][key] for key in ("project", "dep", "year")}
        assert metadata == {"project": "trial", "dep": "x", "year": 2020}


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


def test_what_is_not_stored_is_listed_with_the_reason(run, docs) -> None:
    (docs / "empty.txt").write_text("")
    (docs / "blank.md").write_text(" \n ")
    (docs / "pictures.html").write_text("<img src='a.png'>")
    (docs / "junk.txt").write_bytes(os.urandom(2000) + b"\0")
    (docs / "nul.txt").write_text("text\0\0\0\0")
    (docs / "broken.pdf").write_bytes(b"%PDF-1.4")
    (docs / "[red]odd.txt").write_text("")
    (docs / "table.ods").write_bytes(b"")
    undecodable = os.fsdecode(b"caf\xe9.txt")
    (docs / undecodable).write_text("coffee")
    arguments = ("index", docs, "--store", "STORE", "--model", "MODEL")
    result = run(*arguments)
    assert result.exit_code == 0
    assert row(result, "documents added") == "5"
    assert row(result, "documents failed") == "8"
    for line in (
        "docs/empty.txt: is empty",
        "docs/blank.md: is empty",
        "docs/pictures.html: has no text",
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


def test_a_folder_that_is_empty_now_is_not_pruned_unless_that_is_confirmed(run, docs) -> None:
    """Its drive may not be mounted."""
    run("index", docs, "--store", "STORE", "--model", "MODEL")
    docs.rename(docs.with_name("elsewhere"))
    docs.mkdir()
    assert row(run("index", docs, "--store", "STORE"), "documents in the store") == "5"
    result = run("index", docs, "--store", "STORE", "--prune")
    assert "--prune-empty-root" in result.stdout
    assert row(result, "documents in the store") == "5"
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


@pytest.fixture
def scan(tmp_path) -> Path:
    """A PDF whose second page is a picture."""
    file = tmp_path / "scans" / "scan.pdf"
    file.parent.mkdir()
    file.write_bytes(pdf_of(at(72, 720, "Annual report"), PICTURE))
    return file


def test_scanned_pages_are_read_by_a_command_though_they_are_stored(run, scan, tmp_path) -> None:
    (tmp_path / "reader.py").write_text("print('The quay wall leans.')")
    reader = f"{shlex.quote(sys.executable)} {shlex.quote(str(tmp_path / 'reader.py'))}"
    arguments = ("index", scan, "--store", "STORE", "--model", "MODEL")
    result = run(*arguments, "--ocr", reader)
    assert result.exit_code == 1
    assert "{image}" in result.stderr
    assert "page 2: pages with pictures and no text" in run(*arguments).stdout
    with_reader = (*arguments, "--ocr", f"{reader} {{image}}")
    assert json.loads(run(*with_reader, "--dry-run", "--json").stdout)["new"] == [str(scan)]
    result = run(*with_reader)
    assert row(result, "documents replaced") == "1"
    assert "no text" not in result.stdout
    assert "The quay wall leans" in run("search", "quay", "--store", "STORE").stdout
    assert row(run(*with_reader), "documents unchanged") == "1"


def test_what_was_not_read_is_shown_by_all_commands(run, scan) -> None:
    arguments = ("index", scan.parent, "--store", "STORE", "--model", "MODEL")
    named = "page 2: pages with pictures and no text (scanned? See --ocr)"
    assert run(*arguments, "--strict").exit_code == 1
    again = run(*arguments, "--strict")
    assert again.exit_code == 1, "an earlier run has stored it"
    assert f"scans/scan.pdf: {named}" in again.stdout
    plain = {"where": "page 2", "what": named.removeprefix("page 2: "), "count": 1}
    indexed = json.loads(run(*arguments, "--json").stdout)
    assert indexed["left_out"] == [{"document": str(scan), **plain}]
    assert json.loads(run("list", "--store", "STORE", "--json").stdout)[0]["left_out"] == [plain]
    (hit,) = json.loads(run("search", "report", "--store", "STORE", "--json").stdout)
    assert hit["left_out"] == [plain]
    for command in (("list",), ("search", "report"), ("search", "report", "--passages", "0")):
        shown = "".join(run(*command, "--store", "STORE").stdout.split())
        assert "page2:pageswithpictures" in shown, command
    stats = json.loads(run("stats", "--store", "STORE", "--json").stdout)
    assert stats["documents with parts left out"] == 1


def test_links_out_of_a_folder_are_named_or_followed(run, docs, scan) -> None:
    (docs / "away").symlink_to(scan.parent, target_is_directory=True)
    arguments = ("index", docs, "--store", "STORE", "--model", "MODEL", "--json")
    report = json.loads(run(*arguments).stdout)
    assert (report["documents"]["added"], report["links"]) == (5, [str(docs / "away")])
    report = json.loads(run(*arguments, "--follow-links").stdout)
    assert (report["documents"]["added"], report["links"]) == (1, [])


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


def test_mistakes_are_named_before_a_model_is_loaded(run, docs) -> None:
    run("index", docs / "pets.md", "--store", "STORE", "--model", "MODEL")
    for store in ("STORE", "new"):
        for option, word, message in (
            ("--method", "foo", "'foo' is not a method"),
            ("--model", "./nothing", "'./nothing' is not a folder"),
            ("--ocr", "no-such-command {image}", "there is no command 'no-such-command'"),
        ):
            result = run("index", docs, "--store", store, option, word)
            assert result.exit_code == 1
            assert message in result.stderr
            assert "Loading" not in result.stderr


def test_a_folder_without_files_is_said(run, docs, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    run("index", docs, "--store", "STORE", "--model", "MODEL")
    for store in ("STORE", "new"):
        result = run("index", tmp_path / "empty", "--store", store, "--model", "MODEL")
        assert result.exit_code == 1
        assert "there is no document to index under these paths" in result.stderr
