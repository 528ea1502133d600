"""What a store holds: listed, counted, taken elsewhere, removed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import watchfiles
from longembed_index.contents import export, records_of
from longembed_index.opening import COLLECTION, open_store
from longembed_index.records import Record
from longembed_index.sources import is_missing
from longembed_index.spans import SpanEmbedder, SpanFile
from small_models import WORDS

from longembed_index.lexical import WordFile


@pytest.fixture
def docs(tmp_path) -> Path:
    folder = tmp_path / "docs"
    for place in ("old", "new"):
        (folder / place).mkdir(parents=True)
        for number in range(3):
            words = " ".join(WORDS[number : number + 30] * 4)
            (folder / place / f"{number}.txt").write_text(f"{place} {words}", encoding="utf-8")
    return folder


@pytest.fixture
def filled(run_small, docs):
    assert run_small("index", docs, "--store", "STORE", "--model", "MODEL").exit_code == 0
    return run_small


def texts_embedded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is embedded from now on."""
    embedded: list[str] = []
    real = SpanEmbedder.__call__

    def embed(self, texts):
        embedded.extend(texts)
        return real(self, texts)

    monkeypatch.setattr(SpanEmbedder, "__call__", embed)
    return embedded


def listed(run, *words: str) -> list[dict]:
    result = run("list", *words, "--store", "STORE", "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_documents_are_listed_by_name(filled, docs) -> None:
    every = listed(filled)
    assert [one["source"] for one in every] == sorted(str(path) for path in docs.rglob("*.txt"))
    for one in every:
        assert one["characters"] == len(Path(one["source"]).read_text())
        assert one["read"] == one["tokens"] > 100
    assert [one["title"] for one in listed(filled, "*/old/*")] == ["0.txt", "1.txt", "2.txt"]
    assert len(listed(filled, "--where", "title=1.*")) == 2
    assert listed(filled, "nothing") == []
    shown = filled("list", "--store", "STORE")
    assert shown.stdout.count("100%") == 6


def test_stats(filled, docs, tmp_path) -> None:
    facts = json.loads(filled("stats", "--store", "STORE", "--json").stdout)
    every = listed(filled)
    assert (facts["documents"], facts["of other programs"]) == (6, 0)
    assert facts["tokens"] == sum(one["tokens"] for one in every) == facts["tokens read"]
    assert facts["spans"] == facts["words"] == 6
    files = [file for file in (tmp_path / "store").rglob("*") if file.is_file()]
    assert facts["bytes on disk"] == pytest.approx(sum(f.stat().st_size for f in files), rel=0.2)
    assert facts["settings"]["method"] == "pcw"
    assert "weight 0.4" in filled("stats", "--store", "STORE").stdout


def test_a_renamed_folder_can_be_removed(filled, docs, tmp_path) -> None:
    (docs / "old").rename(docs / "older")
    run = filled("index", docs / "new", "--store", "STORE")
    assert "longembed delete --gone" in " ".join(run.stderr.split())
    assert len(listed(filled, "--gone")) == 3
    named = filled("delete", "--gone", "--dry-run", "--store", "STORE")
    assert (named.exit_code, named.stderr.count("old/")) == (0, 3)
    assert len(listed(filled)) == 6
    done = filled("delete", "--gone", "--yes", "--store", "STORE")
    assert (done.exit_code, "Removed 3 documents; the store has 3" in done.stdout) == (0, True)
    assert [Path(one["source"]).parent.name for one in listed(filled)] == ["new"] * 3
    store = tmp_path / "store"
    ids = {one["id"] for one in listed(filled)}
    assert WordFile(store, COLLECTION).ids() == ids
    with open_store(store) as opened:
        assert SpanFile(store, COLLECTION).ids(opened.provenance.fingerprint) == ids
    assert "longembed delete" not in filled("index", docs / "new", "--store", "STORE").stderr


def test_removing_asks_first_and_names_what_it_means(filled) -> None:
    refused = filled("delete", "*/1.txt", "--store", "STORE")
    assert refused.exit_code != 0
    assert len(listed(filled)) == 6
    assert filled("delete", "--store", "STORE").exit_code == 1
    nothing = filled("delete", "absent", "--yes", "--store", "STORE")
    assert (nothing.exit_code, "No document" in nothing.stderr) == (0, True)
    done = filled("delete", "--where", "title=1.txt", "--yes", "--store", "STORE")
    assert (done.exit_code, len(listed(filled))) == (0, 4)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_what_is_exported_is_what_is_there(filled, tmp_path, suffix) -> None:
    with open_store(tmp_path / "store", write=True) as opened:
        foreign = Record("theirs", None, np.ones(32), {"by": "them", "café": 1})
        opened.write([foreign])
        records = {record.id: record for record in records_of(opened)}
    out = tmp_path / f"documents{suffix}"
    done = filled("export", out, "--store", "STORE")
    assert (done.exit_code, "7 documents" in done.stdout) == (0, True)
    if suffix == ".jsonl":
        rows = [json.loads(line) for line in out.read_text("utf8").splitlines()]
    else:
        parquet = pytest.importorskip("pyarrow.parquet")
        rows = parquet.read_table(out).to_pylist()
        rows = [{**row, "metadata": json.loads(row["metadata"])} for row in rows]
    assert {row["id"] for row in rows} == records.keys()
    for row in rows:
        record = records[row["id"]]
        assert (row["text"], row["metadata"]) == (record.text, dict(record.metadata))
        np.testing.assert_allclose(row["vector"], record.vector, rtol=1e-6)
    assert filled("export", out, "--no-vectors", "--store", "STORE").exit_code == 0
    assert filled("export", tmp_path / "x.csv", "--store", "STORE").exit_code == 1
    assert not (tmp_path / "x.csv").exists()


def test_an_export_that_breaks_off_leaves_no_file(tmp_path) -> None:
    def broken():
        yield Record("a", "text", [1.0], {})
        raise RuntimeError

    with pytest.raises(RuntimeError):
        export(broken(), tmp_path / "out.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_only_files_can_be_missing(tmp_path) -> None:
    (tmp_path / "there").write_text("")
    assert not is_missing(str(tmp_path / "there"))
    assert is_missing(str(tmp_path / "absent"))
    assert is_missing(str(tmp_path / "there" / "below"))
    assert not is_missing("a title, not a file")
    assert not is_missing("/\0")


def test_a_moved_folder_is_not_embedded_again(filled, docs, tmp_path, monkeypatch) -> None:
    before = {one["source"]: one for one in listed(filled)}
    store = tmp_path / "store"
    with open_store(store) as opened:
        fingerprint = str(opened.provenance.fingerprint)
        vectors = {r.name: np.array(r.vector) for r in records_of(opened)}
    spans = {one.id: one for one in SpanFile(store, COLLECTION).read(fingerprint)}
    (docs / "old").rename(docs / "older")
    (docs / "older" / "3.txt").write_text("ban cor dim fel")
    embedded = texts_embedded(monkeypatch)
    told = json.loads(filled("index", docs, "--store", "STORE", "--json").stdout)
    assert embedded == ["ban cor dim fel"]
    assert told["moved"] == [str(docs / "older" / f"{number}.txt") for number in range(3)]
    assert (told["documents"]["added"], told["documents"]["unchanged"]) == (4, 3)
    assert (told["gone"], told["in_store"]) == ([], 7)
    now = {one["source"]: one for one in listed(filled)}
    assert str(docs / "old" / "0.txt") not in now
    with open_store(store) as opened:
        records = {record.name: record for record in records_of(opened)}
    carried = {one.id: one for one in SpanFile(store, COLLECTION).read(fingerprint)}
    assert carried.keys() == {record.id for record in records.values()}
    assert WordFile(store, COLLECTION).ids() == carried.keys()
    for number in range(3):
        old, new = (str(docs / place / f"{number}.txt") for place in ("old", "older"))
        np.testing.assert_array_equal(records[new].vector, vectors[old])
        assert {**now[new], "id": 0, "source": 0} == {**before[old], "id": 0, "source": 0}
        np.testing.assert_array_equal(
            carried[records[new].id].vectors, spans[before[old]["id"]].vectors
        )
    again = json.loads(filled("index", docs, "--store", "STORE", "--json").stdout)
    assert (again["documents"]["unchanged"], again["moved"]) == (7, [])


def test_a_copy_is_not_taken_for_moved_and_is_embedded_once(filled, docs, monkeypatch) -> None:
    for name in ("copy", "again"):
        (docs / f"{name}.txt").write_text("ban cor dim fel")
    embedded = texts_embedded(monkeypatch)
    told = json.loads(filled("index", docs, "--store", "STORE", "--json").stdout)
    assert embedded == ["ban cor dim fel"], "equal contents are embedded once"
    assert (told["documents"]["added"], told["moved"], told["in_store"]) == (2, [], 8)
    every = listed(filled)
    assert {one["title"] for one in every} >= {"copy.txt", "again.txt"}
    facts = json.loads(filled("stats", "--store", "STORE", "--json").stdout)
    assert facts["spans"] == facts["words"] == 8
    (docs / "third.txt").write_text("ban cor dim fel")
    (docs / "fourth.md").write_text("ban cor dim fel")
    told = json.loads(filled("index", docs, "--store", "STORE", "--json").stdout)
    assert embedded == ["ban cor dim fel"] * 2, "only that of another type: it is read otherwise"
    assert (told["documents"]["added"], told["moved"], told["in_store"]) == (2, [], 10)
    facts = json.loads(filled("stats", "--store", "STORE", "--json").stdout)
    assert facts["spans"] == facts["words"] == 10


def test_copies_are_found_once_with_all_their_names(filled, docs) -> None:
    for name in ("copy", "again", "third"):
        (docs / f"{name}.txt").write_text("ban cor dim fel")
    assert filled("index", docs, "--store", "STORE").exit_code == 0
    for mode in ("hybrid", "dense", "lexical"):
        line = ["search", "ban cor dim fel", "--store", "STORE", "--mode", mode]
        found = json.loads(filled(*line, "-k", "3", "--json").stdout)
        assert len(found) == 3, "copies take no places"
        assert found[0]["source"] == str(docs / "again.txt")
        assert found[0]["also"] == [str(docs / "copy.txt"), str(docs / "third.txt")]
        assert "also" not in found[1]
        assert "copy.txt" in filled(*line).stdout
        # The last document that is shown has all its names, too.
        (one,) = json.loads(filled(*line, "-k", "1", "--json").stdout)
        assert one["also"] == found[0]["also"]


def test_a_watched_folder_is_indexed_again_when_it_changes(
    run_small, docs, tmp_path, monkeypatch
) -> None:
    asked: dict[str, object] = {}

    def watch(*paths, watch_filter, **options):
        asked.update(paths=paths, filter=watch_filter)
        (docs / "new" / "later.txt").write_text("ban cor dim fel")
        yield {(watchfiles.Change.added, str(docs / "new" / "later.txt"))}
        (docs / "new" / "later.txt").unlink()
        yield {(watchfiles.Change.deleted, str(docs / "new" / "later.txt"))}
        (docs / "new").rename(docs / "newer")
        yield {(watchfiles.Change.added, str(docs / "newer"))}

    monkeypatch.setattr(watchfiles, "watch", watch)
    line = ["index", docs, "--store", "STORE", "--model", "MODEL", "--watch", "--prune"]
    ended = run_small(*line)
    assert ended.exit_code == 0, ended.stderr

    def counts(of: str) -> list[str]:
        return [row.split()[-2] for row in ended.stdout.splitlines() if f"documents {of} " in row]

    assert counts("in the store") == ["6", "7", "6", "6"]
    assert counts("unchanged") == ["0", "0", "0", "0"], "only what has changed is looked at"
    assert counts("added") == ["6", "1", "0", "3"], "all of a folder that has another name"
    assert asked["paths"] == (docs,)
    # Our own writing is no change.
    assert not asked["filter"](watchfiles.Change.added, str(tmp_path / "store" / "chroma.sqlite3"))
    assert asked["filter"](watchfiles.Change.added, str(docs / "x.txt"))


def test_all_failures_are_named_if_asked_for(run_small, docs, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(30):
        (docs / f"empty{number}.txt").write_text("")
    line = ["index", docs, "--store", "STORE", "--model", "MODEL"]
    assert "and 10 more" in run_small(*line).stdout
    told = run_small(*line, "--verbose", "--failures", "lists/failed.jsonl").stdout
    assert all(f"empty{number}.txt: is empty" in told for number in range(30))
    written = list(map(json.loads, Path("lists/failed.jsonl").read_text().splitlines()))
    assert {row["document"] for row in written} == {str(docs / f"empty{n}.txt") for n in range(30)}
    assert {row["reason"] for row in written} == {"is empty"}


def test_an_interrupted_run_says_what_is_stored(run_small, docs, monkeypatch) -> None:
    real = SpanEmbedder.__call__
    calls: list[int] = []

    def embed(self, texts):
        calls.append(len(texts))
        if len(calls) > 1:
            raise KeyboardInterrupt
        return real(self, texts)

    monkeypatch.setattr(SpanEmbedder, "__call__", embed)
    for number in range(3):
        (docs / "new" / f"{number}.txt").write_text(f"{number} " + "ban cor " * 10_000)
    line = ["index", docs, "--store", "STORE", "--model", "MODEL"]
    ended = run_small(*line)
    assert ended.exit_code == 130
    assert "Interrupted. The store has" in ended.stderr
    assert "the same command goes on" in " ".join(ended.stderr.split())
    stored = len(listed(run_small))
    assert 0 < stored < 6
    monkeypatch.setattr(SpanEmbedder, "__call__", real)
    told = json.loads(run_small(*line, "--json").stdout)
    assert told["documents"]["unchanged"] == stored
    assert told["in_store"] == 6


def test_long_lists_are_cut(run_small, docs) -> None:
    for number in range(30):
        (docs / f"empty{number}.txt").write_text("")
    line = ["index", docs, "--store", "STORE", "--model", "MODEL"]
    shown = run_small(*line)
    assert shown.stdout.count("is empty") == 20
    assert "and 10 more; --json names all of them" in shown.stdout
    assert len(json.loads(run_small(*line, "--json").stdout)["failed"]) == 30
