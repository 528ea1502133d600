"""The words of a store: they follow it, find and score its documents, and are built again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from reference.bm25 import bm25, passages
from zipf import text

from longembed_index.errors import StoreError, StoreWarning
from longembed_index.lexical.file import WordFile
from longembed_index.lexical.index import WordIndex, missing_and_stale
from longembed_index.lexical.scores import STEP, WINDOW
from longembed_index.lexical.tables import create_schema
from longembed_index.store.conformance import INFO, record
from longembed_index.store.memory import MemoryStore
from longembed_index.store.sqlite import SqliteStores

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

QUERY = "w0 w3 w3 w50 w299 unknown"
PLAIN = replace(INFO, language="none")
LENGTHS = [0, 1, 5, 124, 125, 126, 249, 250, 251, 374, 375, 376, 500, 2_000, 60, 61, 62, 63]


def records(texts: dict[str, str]) -> list:
    return [
        replace(record(key, text=text), content_hash=sha256(text.encode()).hexdigest())
        for key, text in texts.items()
    ]


def store_of(texts: dict[str, str], info=PLAIN) -> MemoryStore:
    store = MemoryStore(info)
    store.write(records(texts))
    return store


def updated(directory: Path, store: MemoryStore) -> WordIndex:
    words = WordIndex(directory, "documents")
    words.update(store)
    return words


def in_child(work: Callable[[], object]) -> int:
    """Do some work in a forked child; its exit status, 0 if nothing was raised."""
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def scores_of(words: WordIndex, texts: dict[str, str], query: str = QUERY) -> dict:
    return words.query(query).scores(list(texts))


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return {f"id {number:02}": text(number, length) for number, length in enumerate(LENGTHS)}


@pytest.fixture
def store(texts) -> MemoryStore:
    return store_of(texts)


@pytest.fixture
def words(tmp_path, store) -> WordIndex:
    return updated(tmp_path, store)


# Scores and candidates.


def test_scores_are_those_of_the_formula(words, texts) -> None:
    terms = {key: text.split() for key, text in texts.items()}
    documents = dict(zip(terms, bm25(QUERY.split(), list(terms.values())), strict=True))
    parts = [(key, part) for key, of in terms.items() for part in passages(of, WINDOW, STEP)]
    of_parts = bm25(QUERY.split(), [part for _, part in parts])
    scores = scores_of(words, texts)
    assert scores.keys() == texts.keys()
    for key, score in scores.items():
        best = max(
            of_part for (other, _), of_part in zip(parts, of_parts, strict=True) if other == key
        )
        assert score.document == pytest.approx(documents[key], abs=1e-9)
        assert score.passage == pytest.approx(best, abs=1e-9)
    assert max(score.document for score in scores.values()) > 0
    assert scores_of(words, {"nobody": ""}) == {}


def test_candidates_are_the_best_documents_that_have_a_word(words, texts) -> None:
    scores = scores_of(words, texts, "w299 w298 w0")
    having = {key for key, text in texts.items() if {"w0", "w298", "w299"} & set(text.split())}
    best = sorted(having, key=lambda key: (-scores[key].document, key))
    query = words.query("w299 w298 w0")
    assert query.candidates(100) == best
    assert query.candidates(3) == best[:3]
    assert query.candidates(3, best[4:8]) == best[4:7]
    assert query.candidates(3, ["nobody"]) == []
    assert query.candidates(3, []) == []
    assert query.candidates(0) == []
    assert words.query("unknown").candidates(3) == []


def test_as_many_candidates_as_asked_for(tmp_path) -> None:
    # Frequent words are left out only while there are enough documents without them.
    texts = {f"{n:04}": "a b c d e f g h " + ("rare" if n < 5 else "") for n in range(700)}
    words = updated(tmp_path, store_of(texts))
    query = words.query("rare a b c d e f g h")
    assert query.candidates(7) == [f"{n:04}" for n in range(7)]
    assert len(query.candidates(500)) == 500
    assert len(query.candidates(10_000)) == 700
    assert query.candidates(2, [f"{n:04}" for n in (3, 600, 400)]) == ["0003", "0400"]


def test_documents_with_nothing_but_frequent_words_are_found_if_asked_for(tmp_path) -> None:
    texts = {
        f"{n:03}": " ".join(["a"] * (n < 60) + ["b"] * (n < 70) + ["c"] * (n >= 20))
        for n in range(100)
    }
    query = updated(tmp_path, store_of(texts)).query("a b c")
    assert sorted(query.candidates(100)) == sorted(texts)
    assert set(query.candidates(70)) == {f"{n:03}" for n in range(70)}


HOSTILE = [
    "", '"', 'a" OR "b', "NEAR(w1 w2)", "w1*", "\0", "the and of", "'; DROP TABLE terms; --",
    "w1 " * 30_000, " ".join(f"w{n}" for n in range(3_000)), "\ud800", "日本",
]  # fmt: skip


@pytest.mark.parametrize("query", HOSTILE, ids=range(len(HOSTILE)))
def test_a_query_is_text(words, texts, query) -> None:
    assert scores_of(words, texts, query).keys() == texts.keys()
    assert len(words.query(query).candidates(4)) <= 4
    found = words.find_phrase(query)
    assert found is None or found <= texts.keys()


def test_phrases_are_terms_in_a_row(tmp_path) -> None:
    texts = {
        "a": "The red house of the town.",
        "b": "A house, red as any town",
        "c": "red",
        "d": "Town, red town and house",
    }
    words = updated(tmp_path, store_of(texts, INFO))
    assert words.find_phrase("red houses") == {"a"}
    assert words.find_phrase("house of the town") == {"a"}
    assert words.find_phrase("red") == {"a", "b", "c", "d"}
    assert words.find_phrase("town red town") == {"d"}
    assert words.find_phrase("red red") == set()
    assert words.find_phrase("blue town") == set()
    assert words.find_phrase("of the") is None


def test_phrases_are_found_between_terms_only(tmp_path) -> None:
    # Terms are numbered in their order: these are such that the bytes of 5 and 6 stand in a row.
    names = [f"t{number:04}" for number in range(1_600)]
    apart = [6, 1_280, 1_536, 256, 5]
    texts = {"all": " ".join(names), "apart": " ".join(names[number - 1] for number in apart)}
    words = updated(tmp_path, store_of(texts))
    assert words.find_phrase("t0004 t0005") == {"all"}
    assert words.find_phrase("t1279 t1535") == {"apart"}


def test_parts_of_a_document_are_scored_as_passages(words, texts) -> None:
    key = "id 13"
    ranges = words.windows(key, len(texts[key]))
    assert ranges[0][0] == 0
    assert ranges[-1][1] == len(texts[key])
    assert [len(texts[key][start:end].split()) for start, end in ranges] == [
        len(part) for part in passages(texts[key].split(), WINDOW, STEP)
    ]
    query = words.query(QUERY)
    scores = query.range_scores(key, ranges)
    assert scores.max() == pytest.approx(query.scores([key])[key].passage)
    np.testing.assert_allclose(query.text_scores(texts[key], ranges), scores)
    assert words.windows("nobody", 5) == []
    assert query.range_scores("nobody", [(0, 5)]).tolist() == [0]


# Following the store.


def test_missing_and_stale() -> None:
    stored = {"same": "1", "changed": "2", "new": "3"}
    indexed = {"same": "1", "changed": "1", "gone": "4"}
    assert missing_and_stale(stored, indexed) == (["changed", "new"], ["changed", "gone"])


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
    (tmp_path / "fresh").mkdir()
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
    (tmp_path / "fresh").mkdir()
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


def test_a_query_goes_on_when_its_terms_have_other_numbers(words, store, texts) -> None:
    query = words.query(QUERY)
    before = query.scores(list(texts))
    store.write(records({"first": " ".join(f"new{n}" for n in range(50))}))
    store.update_info(replace(INFO, language="english"))
    words.update(store)
    assert query.scores(list(texts)) == words.query(QUERY).scores(list(texts)) != before


def test_two_that_update_at_once_agree(tmp_path, store, texts, monkeypatch) -> None:
    monkeypatch.setattr("longembed_index.lexical.index._DOCUMENTS_AT_ONCE", 3)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: updated(tmp_path, store), range(3)))
    words = updated(tmp_path, store)
    (tmp_path / "fresh").mkdir()
    assert len(words) == len(texts)
    fresh = updated(tmp_path / "fresh", store)
    for key, score in scores_of(words, texts).items():
        assert score == pytest.approx(scores_of(fresh, texts)[key])


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
    """Change the terms of a document, which SQLite cannot notice."""
    WordFile(path).write(lambda c: c.execute("UPDATE document_terms SET terms = x'00000000'"))


@pytest.mark.parametrize(
    "damage", [lambda path: path.write_bytes(b"junk" * 5_000), damage_pages, damage_terms]
)
@pytest.mark.parametrize("is_opened", [False, True])
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


def test_a_file_of_another_version_is_built_again(words, store, texts) -> None:
    before = scores_of(words, texts)
    words._file.write(lambda connection: connection.execute("PRAGMA user_version = 99"))
    with pytest.warns(StoreWarning, match="format 99"):
        again = updated(words.path.parent, store)
    assert scores_of(again, texts) == before


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


# Threads, forks, kills.


def test_threads_read_while_one_updates(words, store, texts) -> None:
    stop = threading.Event()

    def read() -> int:
        rounds = 0
        while not stop.is_set() or not rounds:
            assert scores_of(words, texts).keys() == texts.keys()
            assert words.query("w0").candidates(3)
            rounds += 1
        return rounds

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read) for _ in range(4)]
        try:
            for number in range(5):
                store.write(records({f"new {number}": f"zebra{number}"}))
                words.update(store)
                assert words.query(f"zebra{number}").candidates(1) == [f"new {number}"]
        finally:
            stop.set()
        assert all(reader.result() for reader in readers)


@needs_fork
def test_a_forked_child_goes_on(words, store, texts) -> None:
    before = scores_of(words, texts)

    def search() -> None:
        assert scores_of(words, texts) == before
        store.write(records({"new": "zebra"}))
        words.update(store)
        assert words.query("zebra").candidates(3) == ["new"]

    assert in_child(search) == 0
    # What the child wrote is seen; its generation is not that of this process's store in memory.
    assert words.query("zebra").candidates(3) == ["new"]
    words.update(store)
    assert scores_of(words, texts) == before


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
    (tmp_path / "fresh").mkdir()
    fresh = updated(tmp_path / "fresh", store)
    assert kills
    assert len(words) == len(now)
    expected = scores_of(fresh, now)
    for key, score in scores_of(words, now).items():
        assert score == pytest.approx(expected[key])
    assert words.query(QUERY).candidates(20) == fresh.query(QUERY).candidates(20)
    store.close()
