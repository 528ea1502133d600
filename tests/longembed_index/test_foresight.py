"""What an ingestion would do, and which files it takes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from longembed_index.foresight import SAMPLE_CHARACTERS, foresee
from longembed_index.ingestion import record_id_of
from longembed_index.sources import TextSource, find_files
from longembed_st.base.coverage import Coverage, Encoded


def test_nothing_is_embedded_but_a_sample() -> None:
    texts = {"old": "known", "empty": " ", "short": "a b c", "long": "word " * 30_000}
    sources = [TextSource(name, text) for name, text in texts.items()]
    known = record_id_of("old", hashlib.sha256(b"known").hexdigest())
    embedded: list[str] = []
    looked: list[int] = []

    def embed(given: list[str]) -> Encoded:
        embedded.extend(given)
        words = [len(text.split()) for text in given]
        return Encoded(np.ones((len(given), 2)), [Coverage(n, n, 1) for n in words])

    seen = foresee(
        sources,
        known.__eq__,
        lambda text: (len(text.split()), min(len(text.split()), 20_000)),
        embed,
        lambda: looked.append(1),
    )
    assert (seen.new, seen.unchanged) == (["short", "long"], 1)
    assert seen.failed == [("empty", "is empty")]
    assert (seen.tokens, seen.read) == (30_003, 20_003)
    assert seen.characters == 5 + 150_000
    assert len(looked) == 4
    assert sum(map(len, embedded)) <= SAMPLE_CHARACTERS + 200
    assert seen.seconds is not None


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in ("a.md", "b.txt", "2019/c.txt", "2019/drafts/d.txt", "2020/e.md"):
        path = tmp_path / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"ban cor {name}")
    return tmp_path / "docs"


@pytest.mark.parametrize(
    ("only", "but", "expected"),
    [
        ([], [], {"a.md", "b.txt", "c.txt", "d.txt", "e.md"}),
        (["*.md"], [], {"a.md", "e.md"}),
        (["2019/*"], [], {"c.txt", "d.txt"}),
        (["2019/*", "*.md"], ["*/drafts/*"], {"c.txt", "a.md", "e.md"}),
        ([], ["*.txt", "2020/*"], {"a.md"}),
        (["nothing"], [], set()),
    ],
)
def test_patterns_choose_files_of_folders(folder, only, but, expected) -> None:
    found = find_files([folder], only=only, but=but)
    assert {file.path.name for file in found.files} == expected
    assert found.skipped == []


def test_a_file_that_is_named_is_always_taken(folder) -> None:
    found = find_files([folder / "b.txt", folder], only=["*.md"])
    assert {file.path.name for file in found.files} == {"a.md", "b.txt", "e.md"}


def test_a_dry_run_writes_nothing(run_small, folder, tmp_path) -> None:
    line = ["index", folder, "--store", "STORE", "--model", "MODEL", "--exclude", "2019/*"]
    seen = run_small(*line, "--dry-run")
    assert seen.exit_code == 0, seen.stderr
    rows = [[cell.strip() for cell in row.split("│")[1:-1]] for row in seen.stdout.splitlines()]
    told = {row[0]: row[1] for row in rows if len(row) == 2}
    assert (told["documents to read"], told["documents unchanged"]) == ("3", "0")
    assert int(told["tokens"]) > 6
    assert not (tmp_path / "store").exists()
    assert run_small(*line).exit_code == 0
    (folder / "a.md").write_text("another text")
    before = sorted(
        (p, p.stat().st_mtime_ns) for p in (tmp_path / "store").glob("longembed.*.sqlite3")
    )
    again = " ".join(run_small(*line, "--dry-run").stdout.split())
    assert "documents to read │ 1 " in again
    assert "documents unchanged │ 2 " in again
    assert before == sorted(
        (p, p.stat().st_mtime_ns) for p in (tmp_path / "store").glob("longembed.*.sqlite3")
    )


def test_what_was_done_as_json(run_small, folder) -> None:
    (folder / "empty.txt").write_text("")
    (folder / "picture.png").write_bytes(b"x")
    (folder / "Größe.txt").write_text("ban cor")
    line = ["index", folder, "--store", "STORE", "--model", "MODEL", "--json"]
    told = json.loads(run_small(*line).stdout)
    assert told["documents"] == {"added": 6, "replaced": 0, "unchanged": 0, "failed": 1}
    assert told["in_store"] == 6
    assert told["tokens"] == told["read"] > 0
    assert told["failed"] == [{"document": str(folder / "empty.txt"), "reason": "is empty"}]
    assert told["skipped"] == [str(folder / "picture.png")]
    (folder / "b.txt").unlink()
    again = run_small(*line, "--prune", "--verify")
    told = json.loads(again.stdout)
    assert (told["documents"]["unchanged"], told["in_store"]) == (5, 5)
    assert told["gone"] == told["removed"] == [str(folder / "b.txt")]
    assert "Verified: 5" in again.stderr
    done = run_small("reindex", "--store", "STORE", "--method", "pi", "--json")
    told = json.loads(done.stdout)
    assert (told["documents"]["added"], told["in_store"], told["dropped"]) == (5, 5, [])
    assert told["kept_as"]
    listed = run_small("list", "--store", "STORE", "--json").stdout
    assert "Größe.txt" in listed
