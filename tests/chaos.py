"""Kill what changes an index at random moments, and compare what is left with a fresh index.

    python tests/chaos.py --kind sqlite --kills 1000

Each run is a forked child that adds files, synchronizes rows, deletes, reindexes or whitens, and
gets a SIGKILL: after a random time, before a random SQL statement, or while a commit is written.
After each kill, before anything else is written, another child searches the index by vectors, by
words, by both and for contexts. The answers must be those of a new index of the documents that the
store says it holds, and each document must be as it was before the run or as the run was to leave
it. A third of the runs is then repeated to its end. The models cost nothing (`index_fakes`), and
kinds other than SQLite are killed by time alone.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from index_fakes import use_fake_models

import longembed_st as le
from longembed_index import Index
from longembed_index.maintain import ingest, reindex
from longembed_st.errors import ConfigError

FILES = 60
TOPICS = ("harbour", "orchard", "railway", "library", "glacier")
QUESTIONS = ("harbour crane 17", "which orchard has version 3", "railway gate", "glacier 42 ice")
SECONDS = 120
"""A run or a check that takes longer hangs."""

Versions = dict[str, int]
"""What an index holds: versions of files by path."""


def text_of(path: str, version: int) -> str:
    """Return a version of a file: three sentences, in words that other files share."""
    number = int(Path(path).stem)
    topic = TOPICS[number % len(TOPICS)]
    return (
        f"The {topic} number {number} needs a new gate and a crane. It is version {version} of the "
        f"plan for the {topic}. In the winter of year {version} the ice of {number} was thick.\n"
    )


class Whitening:
    """Stands for a fitted whitening: another one for every fit."""

    def __init__(self) -> None:
        self.digest = os.urandom(16).hex()

    def write(self, file: Path) -> None:
        file.write_text(self.digest)


def fit_whitening(*arguments: object, **options: object) -> SimpleNamespace:
    return SimpleNamespace(whitening=Whitening(), gains=True, variant="", summary=list)


class Harness:
    """An index changed by children that are killed; the seed decides on the moments."""

    def __init__(self, folder: Path, kind: str, seed: int) -> None:
        self.folder, self.kind, self.draw = folder, kind, random.Random(seed)
        self.place, self.files = folder / "store", folder / "files"
        self.files.mkdir()
        self.versions: Versions = {}
        self.outcomes: Counter[str] = Counter()
        self.longest = 0.2

    def run(self, kills: int) -> None:
        """Kill so many children.

        Raises:
            AssertionError: If something was lost, or an answer differs.
        """
        while self.outcomes["killed"] < kills:
            if self.draw.random() < 0.1:
                shutil.rmtree(self.place, ignore_errors=True)
                self.versions = {}
            is_new = not self.versions
            action = (
                "index"
                if is_new
                else self.draw.choice(["index", "index", "sync", "delete", "reindex", "whiten"])
            )
            change, after = getattr(self, f"_{action}")()
            moments = ["time", "statement", "commit"] if self.kind == "sqlite" else ["time"]
            moment = self.draw.choice(moments)
            status, seconds = self._in_child(change, moment)
            assert status in (0, signal.SIGKILL), f"{action} ended with {status}"
            if status == 0:
                self.longest = 0.8 * self.longest + 0.2 * seconds
            name = "a first index" if is_new else action
            self.outcomes[f"{name}, by {moment}" if status else f"{name}, not killed in time"] += 1
            self.outcomes["killed"] += bool(status)
            print(f"\r{self.outcomes['killed']} killed", end="", file=sys.stderr, flush=True)
            held = self.check()
            for path in self.versions.keys() | after.keys() | held.keys():
                allowed = (self.versions.get(path), after.get(path))
                assert held.get(path) in allowed, f"{path}: {held.get(path)}, not in {allowed}"
            self.versions = held
            if self.draw.random() < 1 / 3:
                status, _ = self._in_child(change, None)
                assert status == 0, f"{action} again ended with {status}"
                self.versions = self.check()
                assert self.versions == after, f"{action} again left something else"
                self.outcomes["repeated"] += 1

    # What the children do.

    def _index(self) -> tuple[Callable[[], object], Versions]:
        """Bring the index up to date with files, of which some are new, changed or gone."""
        number = self.draw.randrange(1000)
        for name in range(FILES):
            path, choice = self.files / f"{name}.txt", self.draw.random()
            if choice < 0.2:
                path.unlink(missing_ok=True)
            elif choice < 0.6 or not path.exists():
                path.write_text(text_of(str(path), number))
        wanted = {str(path): version_of(path.read_text()) for path in self.files.iterdir()}

        def change() -> None:
            with self._open() as index:
                index.add(self.files, prune=True)

        return change, {**self._rows(), **wanted}

    def _sync(self) -> tuple[Callable[[], object], Versions]:
        """Bring the index up to date with rows, of which some are new, changed or gone."""
        number, rows = self.draw.randrange(1000), self._rows()
        for name in map(str, range(FILES // 2)):
            choice = self.draw.random()
            if choice < 0.2:
                rows.pop(name, None)
            elif choice < 0.6:
                rows[name] = number
        texts = [(name, text_of(name, version), {}, version) for name, version in rows.items()]

        def change() -> None:
            with self._open() as index:
                index.sync(texts, name="rows", allow_empty=True)

        files = {key: v for key, v in self.versions.items() if key not in self._rows()}
        return change, {**files, **rows}

    def _rows(self) -> Versions:
        return {key: version for key, version in self.versions.items() if key.isdigit()}

    def _delete(self) -> tuple[Callable[[], object], Versions]:
        ids = self.draw.sample(sorted(self.versions), k=len(self.versions) // 3)

        def change() -> None:
            with self._open() as index:
                index.delete(ids)

        return change, {path: v for path, v in self.versions.items() if path not in ids}

    def _reindex(self) -> tuple[Callable[[], object], Versions]:
        window = self.draw.randrange(10, 100)

        def change() -> None:
            with self._open() as index:
                if index.info.provenance.settings.max_seq_length != window:
                    index.reindex(max_seq_length=window, units=True, restart=True, drop_old=True)

        return change, self.versions

    def _whiten(self) -> tuple[Callable[[], object], Versions]:
        def change() -> None:
            with self._open() as index:
                try:
                    index.reindex(whiten=True, units=True)
                except ConfigError:
                    # A reindexing with other settings was killed.
                    index.reindex(whiten=True, units=True, restart=True)

        return change, self.versions

    def _open(self) -> Index:
        return Index.open(
            self.place, "some/one", kind=self.kind, units=True, language="english", wait=SECONDS
        )

    # Children.

    def _in_child(self, work: Callable[[], object], moment: str | None) -> tuple[int, float]:
        """Fork; return the exit status or the signal of the child, and how long it took."""
        delay, seed = self.draw.uniform(0, 1.2 * self.longest), self.draw.random()
        sys.stdout.flush()
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            try:
                if moment in ("statement", "commit"):
                    kill_in_sql(random.Random(seed), moment)
                work()
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        while True:
            is_over, status = os.waitpid(child, os.WNOHANG)
            seconds = time.monotonic() - began
            if is_over:
                return os.WTERMSIG(status) or os.WEXITSTATUS(status), seconds
            assert seconds < SECONDS, "hangs"
            if moment == "time" and seconds > delay:
                os.kill(child, signal.SIGKILL)
            time.sleep(0.0005)

    def check(self) -> Versions:
        """Compare the index with a new one of the same documents, and return what it holds."""
        answer = self.folder / "answer.json"
        answer.unlink(missing_ok=True)

        def compare() -> None:
            held: Versions = {}
            if self.place.exists():
                with Index.open(self.place, "some/one", kind=self.kind) as index:
                    held = self._compare(index) if index.exists else {}
            answer.write_text(json.dumps(held))

        status, _ = self._in_child(compare, None)
        assert status == 0, "the index is not what it should be: see above"
        held: Versions = json.loads(answer.read_text())
        return held

    def _compare(self, index: Index) -> Versions:
        documents = [index.get(entry.id) for entry in index.documents()]
        held = {d.id: version_of(d.text) for d in documents if d is not None}
        assert all(d is not None and d.text == text_of(d.id, held[d.id]) for d in documents)
        assert len(index) == len(held)
        assert index.info.units, "what the store is meant to hold was forgotten"
        if not held:
            return {}
        assert index.verify(len(held)) == len(held)
        with tempfile.TemporaryDirectory(dir=self.folder) as fresh_place:
            settings = index.info.provenance.settings
            options = {"max_seq_length": settings.max_seq_length, "whitening": settings.whitening}
            with Index.open(
                fresh_place, "some/one", kind=self.kind, units=True, language="english", **options
            ) as fresh:
                fresh.add_documents([d for d in documents if d is not None])
                for question in QUESTIONS:
                    for mode in ("dense", "lexical", "hybrid"):
                        ask = found if self.kind == "lancedb" and mode != "dense" else answers
                        got, expected = (ask(i, question, mode) for i in (index, fresh))
                        assert got == expected, f"{question!r}, {mode}:\n{got}\n{expected}"
        return held


def answers(index: Index, question: str, mode: Any) -> list[Any]:
    """Return what is found, with scores that are compared within rounding."""
    hits = index.search(question, k=8, passages=2, mode=mode)
    context = index.context(question, max_words=60, mode=mode)
    documents = [
        (hit.document, pytest.approx(hit.score, abs=1e-4), [(p.start, p.end) for p in hit.passages])
        for hit in hits
    ]
    return [*documents, context.text]


def found(index: Index, question: str, mode: Any) -> dict[str, Any]:
    """Return all that is found, and about the scores: LanceDB counts words of deleted documents."""
    hits = index.search(question, k=FILES, passages=0, mode=mode)
    return {hit.document.id: pytest.approx(hit.score, abs=0.05) for hit in hits}


def version_of(text: str) -> int:
    """Return the version that `text_of` was given."""
    return int(text.split("version ")[1].split()[0])


def kill_in_sql(draw: random.Random, moment: str) -> None:
    """Let this process die before some SQL statement, or while it commits."""
    left = draw.randrange(1, 12) if moment == "commit" else int(math.exp(draw.uniform(0, 8)))
    connect = sqlite3.connect

    def die(seconds: float = 0) -> None:
        time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGKILL)

    def count(statement: str) -> None:
        nonlocal left
        if moment == "commit" and statement != "COMMIT":
            return
        left -= 1
        if left == 0 and moment == "commit":
            threading.Thread(target=die, args=[draw.uniform(0, 0.004)], daemon=True).start()
        elif left == 0:
            die()

    def connect_and_count(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **options)
        connection.set_trace_callback(count)
        return connection

    sqlite3.connect = connect_and_count


def warm_up(kind: str) -> None:
    """Import what every child would import; no store of a kind that does not fork is opened."""
    with tempfile.TemporaryDirectory() as folder:
        harness = Harness(Path(folder), "sqlite", 0)
        change, _ = harness._index()
        change()
        with harness._open() as index:
            harness._compare(index)
    if kind != "sqlite":
        importlib.import_module(f"{kind}_longembed.{'store' if kind == 'lancedb' else 'mirror'}")


def main() -> None:
    """Run it, and print how often each kind of run was killed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kind", default="sqlite")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="Where to work; kept.")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    use_fake_models()
    le.fit_whitening = fit_whitening
    # Many small commits.
    ingest.BATCH_DOCUMENTS, reindex.BATCH_CHARACTERS = 7, 500
    with tempfile.TemporaryDirectory(prefix="chaos-") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        warm_up(options.kind)
        harness = Harness(folder, options.kind, options.seed)
        began = time.monotonic()
        try:
            harness.run(options.kills)
        finally:
            print(json.dumps(dict(sorted(harness.outcomes.items())), indent=2))
            print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
