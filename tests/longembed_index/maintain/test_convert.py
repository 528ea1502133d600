"""Stores that version 0.2 wrote answer after a conversion as they did before."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from longembed_index import Index
from longembed_index.errors import StoreError
from longembed_index.maintain.convert import OF_ANOTHER_PROGRAM, VECTOR_LOST, convert
from longembed_index.store.kinds import open_store, read_info
from longembed_st.errors import ConfigError

FIXTURES = Path(__file__).parents[2] / "fixtures"
CONTENT = json.loads((FIXTURES / "v0_2" / "answers.json").read_text())

# Chroma looks for the model where it was.
pytestmark = pytest.mark.filterwarnings("ignore:Could not reconstruct embedding function")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """The model that all old stores were made with."""
    folder = tmp_path_factory.mktemp("models")
    zipfile.ZipFile(FIXTURES / "v0_1" / "models.zip").extractall(folder)
    return folder / "plain"


def unpack(name: str, folder: Path, version: str = "v0_2") -> Path:
    zipfile.ZipFile(FIXTURES / version / f"{name}.zip").extractall(folder)
    return folder / name


@pytest.mark.parametrize(
    ("name", "kind"),
    [("chroma", "sqlite"), ("whitened", "sqlite"), ("lancedb", "lancedb"), ("chroma", "chroma")],
)
def test_a_converted_store_answers_the_same(tmp_path, model, name, kind) -> None:
    pytest.importorskip("lancedb" if kind == "lancedb" else "chromadb")
    old, new = unpack(name, tmp_path), tmp_path / "new"
    files = {path: path.stat().st_size for path in old.rglob("longembed.*")}
    outcomes = []
    done = convert(old, f"{kind}:{new}", on_outcome=outcomes.append)
    expected = CONTENT["stores"][name]
    assert done.report.counts == {"added": 9, "replaced": 0, "unchanged": 0, "failed": 1}
    assert done.report.failed == [("theirs", OF_ANOTHER_PROGRAM)]
    assert (len(outcomes), done.report.in_store, done.other_collections) == (10, 9, [])
    assert {path: path.stat().st_size for path in old.rglob("longembed.*")} == files
    with Index.open(new, model) as index:
        info = index.info
        # Vectors of spans do not become units: `longembed reindex --units` makes them.
        assert (info.units, info.language) == (False, "english")
        assert (info.ranking.mode, info.ranking.weight) == ("hybrid", 0.6)
        assert info.provenance.fingerprint == expected["fingerprint"]
        for query, answer in zip(CONTENT["queries"], expected["answers"]["lexical"], strict=True):
            assert index.search(query, 1, mode="lexical")[0].document.id == answer[0][0]
            assert index.search(query, 1)
        # Nothing is embedded again, and what is stored is compared with what is there.
        report = index.add_documents([index.get(entry.id) for entry in index.documents()])
        assert report.counts["failed"] == 0
        assert report.tokens == 0
    with_vectors = open_store(new)
    ids, vectors = with_vectors.vectors()
    for key, vector in zip(ids, vectors, strict=True):
        before = np.array(expected["vectors"][key])
        np.testing.assert_allclose(vector, before / np.linalg.norm(before), atol=1e-3)
    assert list(with_vectors.units()) == []


def assert_same_order(hits: list[tuple[str, float]], expected: list[tuple[str, float]]) -> None:
    """Compare the scores place by place, and the scores of each document."""
    assert [score for _, score in hits] == pytest.approx([s for _, s in expected], abs=1e-3)
    before, now = dict(map(tuple, expected)), dict(hits)
    # Of two documents with one text, either may be shown.
    both = before.keys() & now.keys()
    assert len(both) >= len(before) - 1
    assert [now[key] for key in both] == pytest.approx([before[key] for key in both], abs=1e-3)


@pytest.mark.parametrize("name", ["store", "store_unfinished"])
def test_stores_of_version_0_1_are_converted_too(tmp_path, model, name) -> None:
    """Without units, words and copies of vectors; what an unfinished reindexing made is left."""
    pytest.importorskip("chromadb")
    then = json.loads((FIXTURES / "v0_1" / "stores.json").read_text())[name]
    done = convert(unpack(name, tmp_path, "v0_1"), tmp_path / "new")
    assert (done.report.counts["added"], done.other_collections) == (5, [])
    with Index.open(tmp_path / "new", model) as index:
        assert index.info.provenance.fingerprint == then["fingerprint"]
        hits = index.search(then["query"], mode="dense")
    assert_same_order(
        [(hit.document.id, hit.score) for hit in hits],
        [(hit["source"], hit["score"]) for hit in then["hits"]],
    )


def test_a_conversion_that_was_cut_off_is_finished(tmp_path) -> None:
    pytest.importorskip("chromadb")
    old, new = unpack("chroma", tmp_path), tmp_path / "new"
    convert(old, new)
    info = read_info(new)
    assert info is not None
    store = open_store(new, write=True)
    (first, second, *_) = [entry.id for entry in store.entries()]
    store.write([], delete=[first, second])
    store.close()
    assert convert(old, new).report.counts["unchanged"] == 7
    assert len(open_store(new)) == 9


def test_lost_vectors_are_named(tmp_path, monkeypatch) -> None:
    pytest.importorskip("chromadb")
    from chroma_longembed import version_0_2

    old = unpack("chroma", tmp_path)
    (old / version_0_2.COPIES).unlink()
    assert convert(old, tmp_path / "read from Chroma").report.counts["added"] == 9
    monkeypatch.setattr(version_0_2, "_readable_vectors", lambda collection, ids: {})
    failed = dict(convert(old, tmp_path / "lost").report.failed)
    assert failed["/documents/copy.txt"] == VECTOR_LOST
    assert len(failed) == 10


def test_an_old_store_is_not_opened_as_it_is(tmp_path) -> None:
    for name in ("chroma", "lancedb"):
        with pytest.raises(StoreError, match=r"made by version 0\.2\. Convert it"):
            Index.open(unpack(name, tmp_path))


def test_what_cannot_be_converted_is_refused(tmp_path, model) -> None:
    pytest.importorskip("chromadb")
    old = unpack("chroma", tmp_path)
    with pytest.raises(ConfigError, match="another place"):
        convert(old, old)
    with pytest.raises(StoreError, match="no collection 'papers'"):
        convert(old, tmp_path / "new", collection="papers")
    with pytest.raises(StoreError, match=r"of version 0\.2 in"):
        convert(tmp_path / "nothing", tmp_path / "new")
    with Index.open(tmp_path / "other", model, method="pi", max_seq_length=256) as index:
        index.add_documents([{"id": "a", "text": "ban bar"}])
    with pytest.raises(ConfigError, match="made differently"):
        convert(old, tmp_path / "other")
