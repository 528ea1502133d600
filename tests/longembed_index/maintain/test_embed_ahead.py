"""A watcher embeds before it locks the store, so that others can write meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from longembed_index import Index
from longembed_index.maintain.embed_ahead import embed_ahead

TESTS = Path(__file__).parents[2]
FAKE_COMMAND = """
import sys
from index_fakes import use_fake_models
from longembed_st.command import app, display
use_fake_models()
sys.exit(app.run(sys.argv[1:]))
"""


@pytest.fixture
def docs(tmp_path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for word in ("one", "two", "three"):
        (folder / f"{word}.txt").write_text(f"{word} text")
    return folder


def test_others_write_while_a_watcher_embeds(tmp_path, docs, fake_models, monkeypatch) -> None:
    is_embedding, may_go_on = threading.Event(), threading.Event()
    with Index.open(tmp_path / "store", "some/one") as index:
        index.add(docs)
        encode = index.model.model.encode_units

        def wait_and_encode(texts, ranges):
            is_embedding.set()
            may_go_on.wait()
            return encode(texts, ranges)

        monkeypatch.setattr(index.model.model, "encode_units", wait_and_encode)
        (docs / "new.txt").write_text("a new text")
        reports = []
        watcher = threading.Thread(
            target=lambda: reports.extend(index.watch(docs, changes=[{docs.resolve()}]))
        )
        watcher.start()
        is_embedding.wait()
        # Nobody is waited for: `wait` is 0.
        with Index.open(tmp_path / "store") as other:
            assert other.delete([str(docs / "one.txt")]) == 1
        may_go_on.set()
        watcher.join()
        assert [report.counts["added"] for report in reports] == [2]
        assert len(index) == 4


def test_what_was_embedded_ahead_is_not_embedded_again(tmp_path, docs, fake_models) -> None:
    with Index.open(tmp_path / "store", "some/one") as index:
        index.add(docs)
        (docs / "new.txt").write_text("a new text")
        index.model.model.calls.clear()
        (report,) = index.watch(docs, changes=[{docs.resolve()}])
        assert (report.counts["added"], index.model.model.embedded) == (1, ["a new text"])


def test_vectors_of_an_earlier_model_are_not_written(tmp_path, docs, fake_models) -> None:
    with Index.open(tmp_path / "store", "some/one") as index:
        index.add(docs)
        ahead = embed_ahead([], index)
        assert ahead is not None
        index.reindex("some/other")
        embed = index._resources.embedder(index._resources.existing_store(), lambda *step: None)
        assert ahead.before(embed, index.info) is embed


def run_fake(*words: object) -> subprocess.Popen[str]:
    """Start the command with a model that costs nothing."""
    return subprocess.Popen(
        [sys.executable, "-u", "-c", FAKE_COMMAND, *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_commands_work_beside_a_watcher(tmp_path, docs) -> None:
    store, other = tmp_path / "store", tmp_path / "other"
    other.mkdir()
    (other / "four.txt").write_text("four texts")
    models = [tmp_path / "first", tmp_path / "second"]
    for model in models:
        model.mkdir()
        (model / "config.json").write_text("{}")
    watcher = run_fake("index", docs, "--store", store, "--model", models[0], "--watch", "--json")
    try:
        assert watcher.stderr is not None
        assert any("Watching" in line for line in watcher.stderr)
        for line in (
            ("index", other, "--store", store),
            ("delete", docs / "one.txt", "--store", store, "--yes"),
            ("reindex", "--store", store, "--method", "pcw", "--model", models[1]),
        ):
            done = run_fake(*line)
            _, errors = done.communicate()
            assert done.returncode == 0, errors
        write_until_stored(docs / "five.txt", store)
    finally:
        watcher.kill()
        watcher.communicate()


def write_until_stored(file: Path, store: Path) -> None:
    """Write a file again and again: nothing tells when the system begins to watch."""
    with Index.open(store) as index:
        for number in range(600):
            file.write_text(f"five texts, {number}")
            for _ in range(20):
                if index.get(str(file)) is not None:
                    return
                threading.Event().wait(0.1)
    pytest.fail("a change was not noticed")
