"""The words of a store follow it, and are built again if they are damaged."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from word_stores import PLAIN, QUERY, in_child, records, scores_of, store_of, updated
from zipf import text

from longembed_index.documents.parsed import LeftOut
from longembed_index.errors import StoreError, StoreWarning
from longembed_index.lexical.file import WordFile
from longembed_index.lexical.index import WordIndex
from longembed_index.lexical.tables import create_schema
from longembed_index.store.conformance import INFO
from longembed_index.store.connections import DiskError
from longembed_index.store.sqlite import SqliteStores

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


# Following the store.


def test_an_index_that_followed_equals_a_fresh_one(tmp_path, texts) -> None:
    draw = random.Random(0)
    store = store_of(texts)
    words = updated(tmp_path, store)
    now = dict(texts)
    for step in range(12):
        names = [*draw.sample(sorted(now), 2), f"new {step}"]
        changed = {key: text(100 * step + n, draw.randrange(600)) for n, key in enumerate(names)}
        gone = draw.sample(sorted(now.keys() - changed), 1)
        store.write(records(changed), delete=gone)
        now = {key: value for key, value in (now | changed).items() if key not in gone}
        assert not words.is_current(store)
        words.update(store)
        assert words.is_current(store)
    fresh = updated(tmp_path / "fresh", store_of(now))
    assert len(words) == len(fresh) == len(now)
    scores, expected = scores_of(words, now), scores_of(fresh, now)
    assert scores.keys() == expected.keys() == now.keys()
    for key in now:
        assert scores[key] == pytest.approx(expected[key])
    assert words.query(QUERY).candidates(5) == fresh.query(QUERY).candidates(5)
    store.write([], delete=list(now))
    words.update(store)
    assert len(words) == 0
    assert words.query(QUERY).candidates(5) == []


def test_a_new_document_and_the_last_of_the_old_ones_are_written_together(words, store) -> None:
    changed = records({"a new one": "first", max(entry.id for entry in store.entries()): "second"})
    store.write(changed)
    words.update(store)
    assert words.query("first second").candidates(5) == [r.document.id for r in changed]


def test_words_that_do_not_fit_on_the_disk_are_made_elsewhere(tmp_path, store, monkeypatch) -> None:
    words, write = WordIndex(tmp_path, "documents"), WordFile.write

    def refuse(file: WordFile, work):
        if file.path.parent == tmp_path:
            raise DiskError(f"{file.path} cannot grow: the disk is full")
        return write(file, work)

    monkeypatch.setattr(WordFile, "write", refuse)
    with pytest.warns(StoreWarning, match="temporary folder"):
        words.update(store)
    assert scores_of(words) == scores_of(updated(tmp_path / "other", store))


def test_what_is_read_in_another_way_from_the_same_file_is_found(words, store) -> None:
    """Scanned pages that were left out and are read now: the file's hash stays."""
    (scanned, *_) = records({"id 00": "zebra"})
    (before,) = store.get(["id 00"])
    left_out = replace(before, left_out=(LeftOut("page 2", "pages without text"),))
    for record in (left_out, replace(scanned, content_hash=before.content_hash)):
        store.write([record])
        words.update(store)
    assert words.query("zebra").candidates(5) == ["id 00"]


def test_a_current_index_reads_nothing_of_the_store(words, store, monkeypatch) -> None:
    monkeypatch.setattr(store, "entries", lambda: pytest.fail("the documents were listed"))
    words.update(store)
    WordIndex(words.path.parent, "documents").update(store)


def test_what_is_written_meanwhile_is_taken_in_next_time(tmp_path, store, monkeypatch) -> None:
    entries = store.entries

    def write_after_listing():
        listed = list(entries())
        store.write(records({"late": "zebra"}))
        return iter(listed)

    monkeypatch.setattr(store, "entries", write_after_listing)
    words = updated(tmp_path, store)
    assert not words.is_current(store)
    monkeypatch.setattr(store, "entries", entries)
    words.update(store)
    assert words.query("zebra").candidates(3) == ["late"]


def test_an_update_that_was_cut_off_goes_on(tmp_path, texts, store, monkeypatch) -> None:
    monkeypatch.setattr("longembed_index.lexical.index._DOCUMENTS_AT_ONCE", 4)
    words = WordIndex(tmp_path, "documents")
    taken: list[int] = []

    def stop_after_six() -> None:
        taken.append(1)
        if len(taken) == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        words.update(store, stop_after_six)
    assert len(words) == 8
    assert not words.is_current(store)
    taken.clear()
    words.update(store, lambda: taken.append(1))
    assert len(taken) == len(texts) - 8
    assert words.is_current(store)
    assert scores_of(words, texts) == scores_of(updated(tmp_path / "fresh", store), texts)


def test_deleting_that_was_cut_off_goes_on(words, texts, store, monkeypatch) -> None:
    monkeypatch.setattr("longembed_index.lexical.index._DOCUMENTS_AT_ONCE", 4)
    store.write([], delete=list(texts)[:-1])
    write, calls = WordFile.write, []

    def fail_later(file, work):
        calls.append(work)
        if len(calls) == 4:
            raise StoreError("cut off")
        return write(file, work)

    monkeypatch.setattr(WordFile, "write", fail_later)
    with pytest.raises(StoreError, match="cut off"):
        words.update(store)
    assert 1 < len(words) < len(texts)
    assert not words.is_current(store)
    words.update(store)
    assert len(words) == 1
    assert words.is_current(store)


def test_changed_documents_take_no_new_numbers(words, store, texts) -> None:
    for version in range(3):
        store.write(records({"id 00": f"version {version}"}))
        words.update(store)
    largest = words.read(lambda c: c.execute("SELECT max(number) FROM documents").fetchone())
    assert largest == (len(texts),)


def test_a_file_that_is_emptied_meanwhile_is_not_taken_for_complete(
    tmp_path, store, texts, monkeypatch
) -> None:
    get = store.get

    def empty_and_get(ids):
        WordFile(tmp_path / "longembed.words.documents.sqlite3").write(create_schema)
        return get(ids)

    monkeypatch.setattr(store, "get", empty_and_get)
    with pytest.raises(StoreError, match="another process"):
        updated(tmp_path, store)
    monkeypatch.undo()
    words = updated(tmp_path, store)
    assert len(words) == len(texts)


def test_the_language_is_guessed_unless_it_is_given(tmp_path) -> None:
    texts = {"a": "Der Hund ist in dem Haus und nicht auf der Straße.", "b": "die Häuser"}
    guessing = store_of(texts, replace(INFO, language=None))
    words = WordIndex(tmp_path, "documents")
    assert words.language is None
    words.update(guessing)
    assert words.language == "german"
    assert set(words.query("Häusern").candidates(3)) == {"a", "b"}
    # Later documents are taken as of the same language.
    guessing.write(records({"c": "The dog is in the house and it is not in the street."}))
    words.update(guessing)
    assert words.language == "german"
    guessing.update_info(replace(INFO, language="none"))
    words.update(guessing)
    assert words.language == "none"
    assert words.query("Häusern").candidates(3) == []
    assert words.query("der").candidates(3) == ["a"]


def test_collections_and_unusual_ids(tmp_path) -> None:
    ids = ["日本", "x'y", "", "a\0b", "/a/b.txt"]
    first, second = WordIndex(tmp_path, "a/b"), WordIndex(tmp_path, "a b")
    first.update(store_of(dict.fromkeys(ids, "word")))
    assert sorted(first.query("word").candidates(9)) == sorted(ids)
    assert len(second) == 0
    assert second.query("word").candidates(9) == []


# Damage, and folders that cannot be written.


def damage_pages(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:4096] + bytes(len(data) - 4096))


def damage_terms(path: Path) -> None:
    """Change the lists of terms, which SQLite cannot notice."""
    WordFile(path).write(lambda c: c.execute("UPDATE postings SET positions = x'00000000'"))


@pytest.mark.parametrize(
    ("damage", "is_opened"), [(damage_pages, False), (damage_pages, True), (damage_terms, False)]
)
def test_a_damaged_file_is_built_again_with_a_warning(
    words, store, texts, damage, is_opened
) -> None:
    before = scores_of(words, texts)
    damage(words.path)
    if not is_opened:
        words = WordIndex(words.path.parent, "documents")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        words.update(store)
        assert scores_of(words, texts) == before
        words.update(store)
        assert scores_of(words, texts) == before
    assert len(caught) <= 1
    # A reader that has all pages in memory does not notice at once.
    assert is_opened or len(caught) == 1
    assert all(warning.category is StoreWarning for warning in caught)
    assert all(words.path.name in str(warning.message) for warning in caught)


def test_a_damaged_file_without_a_known_store_is_an_error(words) -> None:
    damage_pages(words.path)
    with pytest.raises(StoreError, match=words.path.name):
        WordIndex(words.path.parent, "documents").query("w1").candidates(3)


def test_other_errors_do_not_build_anything_again(words, store, monkeypatch) -> None:
    store.write(records({"new": "zebra"}))
    edition = words._file.settings.edition

    def fail(*_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(WordFile, "write", fail)
    with pytest.raises(StoreError, match="disk is full"):
        words.update(store)
    monkeypatch.undo()
    assert words._file.settings.edition == edition
    words.update(store)
    assert words._file.settings.edition == edition
    assert words.query("zebra").candidates(3) == ["new"]


def test_words_of_a_folder_that_cannot_be_written(words, store, texts, monkeypatch) -> None:
    folder = words.path.parent
    own = words.path.read_bytes()
    monkeypatch.setattr(WordFile, "is_writable", lambda file: file.path.parent != folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # They are up to date, and need not be written.
        assert updated(folder, store).path == words.path
    before = scores_of(words, texts)
    for word in ("zebra", "tiger"):
        store.write(records({word: word}))
        with pytest.warns(StoreWarning, match="cannot be written") as caught:
            words.update(store)
        assert len(caught) == 1
        with warnings.catch_warnings():
            # Once in each process, for each generation.
            warnings.simplefilter("error")
            words.update(store)
            assert updated(folder, store).query(word).candidates(3) == [word]
    assert words.path.parent != folder
    assert scores_of(words, texts).keys() == before.keys()
    assert (folder / words.path.name).read_bytes() == own


def test_words_of_a_folder_that_cannot_be_written_and_are_damaged(
    words, store, texts, monkeypatch
) -> None:
    folder = words.path.parent
    before = scores_of(words, texts)
    damage_pages(words.path)
    monkeypatch.setattr(WordFile, "is_writable", lambda file: file.path.parent != folder)
    words = WordIndex(folder, "documents")
    with pytest.warns(StoreWarning, match="is damaged"):
        words.update(store)
    assert words.path.parent != folder
    assert scores_of(words, texts) == before
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert scores_of(updated(folder, store), texts) == before


@needs_fork
def test_a_folder_without_permission(store, monkeypatch) -> None:
    """A user who may not write there finds new documents all the same."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        monkeypatch.setattr("tempfile.tempdir", name)
        folder = Path(name, "store")
        folder.mkdir()
        updated(folder, store)
        store.write(records({"new": "zebra"}))
        folder.chmod(0o555)
        before = sorted(folder.iterdir())

        def search() -> None:
            if os.geteuid() == 0:
                os.setuid(65_534)
            with pytest.warns(StoreWarning, match="cannot be written"):
                assert updated(folder, store).query("zebra").candidates(3) == ["new"]

        assert in_child(search) == 0
        assert sorted(folder.iterdir()) == before
        assert list(Path(name).glob("longembed-*/longembed.words.*"))
        folder.chmod(0o755)


# Other processes.


KILLED = """
import sys
from pathlib import Path
from longembed_index.lexical import index
from longembed_index.store.sqlite import SqliteStores

index._DOCUMENTS_AT_ONCE = 5
folder = Path(sys.argv[1])
store = SqliteStores().open(folder, "documents", create=None, write=False)
print("begun", flush=True)
index.WordIndex(folder, "documents").update(store)
"""


@pytest.mark.slow
def test_kills_lose_nothing(tmp_path) -> None:
    draw = random.Random(3)
    store = SqliteStores().open(tmp_path, "documents", create=PLAIN, write=True)
    now: dict[str, str] = {}
    kills = 0
    for step in range(40):
        changed = {f"id {draw.randrange(60)}": text(50 * step + n, 400) for n in range(20)}
        gone = draw.sample(sorted(now.keys() - changed), min(5, len(now.keys() - changed)))
        store.write(records(changed), delete=gone)
        now = {key: value for key, value in (now | changed).items() if key not in gone}
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        time.sleep(draw.random() * 0.3)
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
    words = updated(tmp_path, store)
    fresh = updated(tmp_path / "fresh", store)
    assert kills
    assert len(words) == len(now)
    expected = scores_of(fresh, now)
    for key, score in scores_of(words, now).items():
        assert score == pytest.approx(expected[key])
    assert words.query(QUERY).candidates(20) == fresh.query(QUERY).candidates(20)
    store.close()


def test_two_that_update_at_once_agree(tmp_path, store, texts, monkeypatch) -> None:
    monkeypatch.setattr("longembed_index.lexical.index._DOCUMENTS_AT_ONCE", 3)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: updated(tmp_path, store), range(3)))
    words = updated(tmp_path, store)
    assert len(words) == len(texts)
    fresh = updated(tmp_path / "fresh", store)
    for key, score in scores_of(words, texts).items():
        assert score == pytest.approx(scores_of(fresh, texts)[key])
