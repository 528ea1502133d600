"""An index whose writers are killed at random moments: nothing is lost, and nothing is silent.

After each kill, before anything is written again, the index is compared with what it says that it
holds: each document has the vector, the spans and the words of its text.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from index_fakes import FakeModel

from longembed_index import Document, Index
from longembed_st.base.settings import ModelSettings

DOCUMENTS = 60

# What a killed process does: one change of the index, of some milliseconds to a second.
WRITER = """
import sys
from types import SimpleNamespace
from index_fakes import FakeModel
sys.modules["longembed_st.loading.cache"] = SimpleNamespace(cached_model=FakeModel)
from longembed_index import Index
from longembed_index.maintain import embedding, ingest
from test_kills import documents, models

place, change, version = sys.argv[1], sys.argv[2], int(sys.argv[3])
ingest.BATCH_CHARACTERS = 2000
print("ready", flush=True)
with Index.open(place, "some/one" if change == "add" else None) as index:
    if change == "add":
        index.add_documents(documents(version))
    elif change == "delete":
        index.delete([document.id for document in documents(version)[::3]])
    else:
        model, settings = models(version)
        index.reindex(model, drop_old=version % 4 == 0, restart=True, **settings)
"""


def documents(version: int) -> list[Document]:
    """Return the documents of one version: every second one is the same in all versions."""
    return [
        Document(
            f"document {number}",
            f"word{version if number % 2 else 0}x{number} " + "of a town and its council " * 8,
            {"number": number},
        )
        for number in range(DOCUMENTS)
    ]


def models(version: int) -> tuple[str, dict[str, object]]:
    """Return one of two models, which make other vectors."""
    return ("some/one", {}) if version % 2 else ("some/one", {"method": "pi", "max_seq_length": 9})


def check(place: Path) -> int:
    """Compare an index with what it says that it holds, and return the number of documents."""
    if not (place / "longembed.sqlite3").exists():
        return 0
    with Index.open(place) as index:
        entries = list(index.documents())
        if not entries:
            return 0
        model = FakeModel(index.info.provenance.settings)
        assert index.info.provenance.fingerprint == model.fingerprint
        store = index._resources.existing_store()
        records = store.get([entry.id for entry in entries])
        spans = dict(store.spans())
        assert [record.document.id for record in records] == [entry.id for entry in entries]
        for record in records:
            text = record.document.text
            np.testing.assert_allclose(record.vector, model.vector(text), atol=2e-3)
            assert len(spans[record.document.id].ranges), "each document has its spans"
        some = random.Random(len(entries)).sample(records, min(5, len(records)))
        for record in some:
            word = record.document.text.split()[0]
            assert index.search(word, 1, mode="lexical")[0].document == record.document
            nearest, score = store.nearest(record.vector, 1)[0]
            assert score == pytest.approx(1, abs=2e-3)
            assert store.get([nearest])[0].document.text == record.document.text
    return len(entries)


def start(place: Path, change: str, version: int) -> subprocess.Popen[str]:
    tests = Path(__file__).parent
    code = f"import sys; sys.path[:0] = [{str(tests.parent)!r}, {str(tests)!r}]\n{WRITER}"
    line = [sys.executable, "-c", code, str(place), change, str(version)]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("kills", [6, pytest.param(200, marks=pytest.mark.slow)])
def test_a_killed_writer_loses_nothing_and_is_repeated(tmp_path, kills, capsys) -> None:
    draw = random.Random(kills)
    place = tmp_path / "store"
    assert start(place, "add", 0).wait() == 0
    began = time.monotonic()
    assert start(place, "reindex", 2).wait() == 0
    longest = time.monotonic() - began
    assert check(place) == DOCUMENTS
    interrupted = 0
    for number in range(kills):
        change = ("add", "delete", "add", "reindex")[number % 4]
        process = start(place, change, number // 2)
        time.sleep(draw.uniform(0, longest))
        process.kill()
        interrupted += process.wait() != 0
        check(place)
        if number % 4 == 3:
            # The same command again ends as if nobody had killed it.
            assert start(place, "add", number).wait() == 0
            assert check(place) == DOCUMENTS
    with capsys.disabled():
        print(f"\n{interrupted} of {kills} kills hit a run at work")


@pytest.mark.slow
def test_a_killed_whitening_leaves_the_old_vectors_or_the_new_ones(small_model, tmp_path) -> None:
    """Eight kills of `reindex --whiten`, and then one run to its end."""
    model, place = str(small_model("bert", positions=64)), tmp_path / "store"
    with Index.open(place, model) as index:
        index.add_documents(documents(0))
        plain = index.info.provenance.fingerprint
    code = """
        import sys
        from longembed_index import Index
        from longembed_tuning import whiten
        from longembed_tuning.judging import Judgement
        whiten.compare = lambda *arguments: Judgement(50, 60, 5, 15, 99, 40)
        print("ready", flush=True)
        with Index.open(sys.argv[1]) as index:
            index.reindex(whiten=True, restart=True)
    """
    code = "\n".join(line[8:] for line in code.splitlines())

    def run() -> subprocess.Popen[str]:
        line = [sys.executable, "-c", code, str(place)]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    draw = random.Random(0)
    for _ in range(8):
        process = run()
        time.sleep(draw.uniform(0, 12))
        process.kill()
        process.wait()
        with Index.open(place) as index:
            assert len(index) == DOCUMENTS
            whitened = index.info.provenance.settings.whitening is not None
            assert (index.info.provenance.fingerprint != plain) == whitened
            assert index.verify() > 0
            if whitened:
                return
    assert run().wait() == 0
    with Index.open(place) as index:
        assert index.info.provenance.settings.whitening is not None
        assert index.verify() > 0


def test_the_fake_model_tells_settings_apart() -> None:
    fingerprints = {
        FakeModel(ModelSettings(model_name=name, **settings)).fingerprint
        for name, settings in map(models, range(4))
    }
    assert len(fingerprints) == 2
