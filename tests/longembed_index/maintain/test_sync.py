"""An index that follows a source: folders, files of JSON lines, and functions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from longembed_index import Document, Index
from longembed_st.errors import ConfigError, InputError

PAGES = {"budget": "The council approved the budget.", "pets": "Cats and dogs are kept as pets."}


@pytest.fixture
def index(tmp_path, fake_models):
    with Index.open(tmp_path / "store", "some/one") as index:
        index.add_documents([Document("letter", "A letter about the rain.")])
        yield index


def pages(**texts: str) -> list[tuple[str, str]]:
    return list({**PAGES, **texts}.items())


def ids(index: Index) -> list[str]:
    return [entry.id for entry in index.documents()]


def test_a_source_is_followed_and_other_documents_are_left_alone(index) -> None:
    report = index.sync(pages(rain="Heavy rain is forecast."), name="wiki")
    assert report.counts == {"added": 3, "replaced": 0, "unchanged": 0, "failed": 0}
    report = index.sync(pages(pets="Birds live in a cage."), name="wiki")
    assert report.counts == {"added": 0, "replaced": 1, "unchanged": 1, "failed": 0}
    assert (report.removed, report.in_store) == (["rain"], 3)
    assert ids(index) == ["budget", "letter", "pets"]
    assert index.get("pets").text == "Birds live in a cage."
    # A second source has documents of its own, of which the first knows nothing.
    index.sync([Document("news", "The harbour was closed.")], name="paper")
    assert index.sync(pages(), name="wiki").removed == []
    assert ids(index) == ["budget", "letter", "news", "pets"]
    assert index.search("budget", where={"synced_from": "wiki"})[0].document.id == "budget"


def test_a_name_is_not_a_pattern(index) -> None:
    index.sync(pages(), name="wiki")
    index.sync([("news", "The harbour was closed."), ("old", "The old news.")], name="w*")
    assert index.sync([("news", "The harbour was closed.")], name="w*").removed == ["old"]
    assert ids(index) == ["budget", "letter", "news", "pets"]


def test_a_source_that_vanished_empties_nothing(index) -> None:
    index.sync(pages(), name="wiki")
    for source in ([], [("other", "")], lambda: iter(())):
        report = index.sync(source, name="wiki")
        assert report.removed == []
        assert "none of the 2 documents" in report.kept_because
        assert ids(index) == ["budget", "letter", "pets"]

    def broken():
        yield from pages()[:1]
        raise ConnectionError("the server is gone")

    with pytest.raises(ConnectionError):
        index.sync(broken, name="wiki")
    assert ids(index) == ["budget", "letter", "pets"]
    report = index.sync([], name="wiki", allow_empty=True)
    assert (report.removed, ids(index)) == (["budget", "pets"], ["letter"])


def test_a_text_of_a_known_version_is_not_fetched(index, fake_models) -> None:
    fetched = []

    def page(name: str, version: int) -> tuple:
        def fetch() -> str:
            fetched.append(name)
            return f"{PAGES[name]} Version {version}."

        # Versions of two documents may be equal.
        return name, fetch, {"version_of": version}, version

    assert index.sync([page("budget", 1), page("pets", 1)], name="wiki").counts["added"] == 2
    assert index.sync([page("budget", 1), page("pets", 2)], name="wiki").counts == {
        "added": 0,
        "replaced": 1,
        "unchanged": 1,
        "failed": 0,
    }
    assert fetched == ["budget", "pets", "pets"]
    assert index.get("budget").text.startswith("The council")
    assert index.get("pets").metadata == {"version_of": 2, "synced_from": "wiki"}


def test_a_text_that_cannot_be_fetched_keeps_its_earlier_version(index) -> None:
    index.sync([("a", "The first.", {}, 1), ("b", "The second.", {}, 1)], name="wiki")

    def fails() -> str:
        raise TimeoutError("no answer")

    report = index.sync([("a", fails, {}, 2), ("b", lambda: None, {}, 2)], name="wiki")
    assert [(i, "no answer" in why or "has no text" in why) for i, why in report.failed] == [
        ("a", True),
        ("b", True),
    ]
    assert (index.get("a").text, index.get("b").text) == ("The first.", "The second.")


def test_a_file_of_json_lines(index, tmp_path) -> None:
    path = tmp_path / "pages.jsonl"
    rows = [{"id": name, "text": text, "year": 2019} for name, text in PAGES.items()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert index.sync(path).counts["added"] == 2
    assert index.get("pets").metadata == {"year": 2019, "synced_from": str(path)}
    path.write_text(json.dumps(rows[0]))
    assert index.sync(str(path)).removed == ["pets"]
    path.write_text("{")
    with pytest.raises(InputError, match="line 1"):
        index.sync(path)
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        index.sync(path)
    assert ids(index) == ["budget", "letter"]


def test_a_folder(index, tmp_path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, text in PAGES.items():
        Path(folder, f"{name}.txt").write_text(text)
    assert index.sync(folder, exclude=["pets*"]).counts["added"] == 1
    assert index.sync(folder).counts["added"] == 1
    (folder / "pets.txt").unlink()
    assert index.sync(folder).removed == [str(folder / "pets.txt")]
    (folder / "budget.txt").unlink()
    assert index.sync(folder).kept_because
    shutil.rmtree(folder)
    with pytest.raises(InputError, match="does not exist"):
        index.sync(folder)
    assert len(index) == 2


def test_other_keys_of_a_mapping_are_metadata(index) -> None:
    pages = [{"id": "a", "text": "Rain.", "year": 2019, "metadata": {"kind": "log"}, "version": 3}]
    for status in ("added", "unchanged"):
        assert index.sync(pages, name="wiki").counts[status] == 1
    expected = {"year": 2019, "kind": "log", "synced_from": "wiki"}
    assert index.get("a").metadata == expected


def test_mistakes(index) -> None:
    with pytest.raises(ConfigError, match="give the source a name"):
        index.sync(pages())
    with pytest.raises(ConfigError, match="exclude: only for a folder"):
        index.sync(pages(), name="wiki", exclude=["*"])
    with pytest.raises(ConfigError, match="a source yields"):
        index.sync(["text"], name="wiki")
    for item in (("id",), {"id": "a", "txt": "t"}):
        with pytest.raises(ConfigError, match="a document needs id and text; this one has 'id'"):
            index.sync([item], name="wiki")
    with pytest.raises(ConfigError, match="the metadata of a document is a Mapping, not a str"):
        index.sync([("a", "t", "year=2019")], name="wiki")


async def test_the_asynchronous_forms_do_the_same(index) -> None:
    await index.aadd_documents([{"id": "pets", "text": PAGES["pets"]}])
    (hit,) = await index.asearch("cats and dogs", k=1)
    assert hit.document.id == "pets"
    context = await index.acontext("cats and dogs", max_words=50)
    assert context == index.context("cats and dogs", max_words=50)
    with pytest.raises(ConfigError, match="blank"):
        await index.asearch(" ")
