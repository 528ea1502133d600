"""The words of a store are used by threads and forked children, and survive kills."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from word_stores import PLAIN, QUERY, in_child, records, scores_of, updated
from zipf import text

from longembed_index.store.sqlite import SqliteStores

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


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
