"""A store whitened by its own documents: `index --whiten`, `reindex --whiten`, and what follows."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from longembed_index.embedding import storable_model
from longembed_index.opening import kind_of, open_store, read_provenance
from longembed_index.sources import TextSource
from longembed_index.whitening import Texts, located
from small_models import WORDS

import longembed_st as le
from longembed_st.base.settings import ModelSettings
from longembed_st.loading.whitening import Whitening


def text(draw: random.Random) -> str:
    """A document with three words of its own among passages of common words."""
    own = draw.sample(WORDS, 3)
    words: list[str] = []
    for _ in range(4):
        common = draw.sample(WORDS, 4)
        words += draw.choices([*own, *common, *common], k=60)
    return " ".join(words)


@pytest.fixture
def docs(tmp_path) -> Path:
    draw = random.Random(0)
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number:02}.txt").write_text(text(draw))
    (folder / "binary.txt").write_bytes(b"\x00\x01\xff")
    return folder


@pytest.fixture
def run(run_small):
    return run_small


@pytest.fixture
def passes(monkeypatch) -> list[int]:
    """How many passes each call of the model's own forward had."""
    counted: list[int] = []
    kind = le.LongTransformer
    split = kind.passes_of

    def counting(self, features):
        passes = split(self, features)
        counted.append(len(passes))
        return passes

    monkeypatch.setattr(kind, "passes_of", counting)
    return counted


def index(run, docs, *more):
    return run("index", docs, "--store", "STORE", "--model", "MODEL", "--method", "pcw", *more)


def vectors(store: Path) -> dict[str, np.ndarray]:
    with open_store(store) as opened:
        records = opened.get([record_id for record_id, _ in opened.names()])
    return {record.name: np.asarray(record.vector) for record in records}


@pytest.mark.usefixtures("gains")
def test_a_store_is_whitened_by_its_own_documents(run, docs, tmp_path, passes) -> None:
    ended = index(run, docs, "--whiten")
    assert ended.exit_code == 0, ended.output
    assert "40 documents" in ended.stderr
    assert "nDCG@10" in ended.stderr
    store = tmp_path / "store"
    long_reads = [count for count in passes if count == 4]
    assert len(long_reads) == 40, "each document was read once"
    settings = read_provenance(store).settings
    (file,) = store.glob("whitening-*.safetensors")
    assert settings.whitening == str(file)
    # The vectors are those that the stored settings make.
    model = le.load(settings.model_name, "pcw", whitening=str(file))
    for name, vector in vectors(store).items():
        expected = model.encode_document(Path(name).read_text())
        np.testing.assert_allclose(vector, expected, atol=1e-4)
    # Later runs and searches use it.
    (docs / "new.txt").write_text(text(random.Random(9)))
    ended = run("index", docs, "--store", "STORE", "--verify")
    assert ended.exit_code == 0, ended.output
    assert file.name in ended.stderr
    assert run("search", WORDS[0], "--store", "STORE", "--json").exit_code == 0
    assert index(run, docs, "--whiten").exit_code == 0, "whitened already: as it is"
    assert list(store.glob("whitening-*")) == [file]


@pytest.mark.usefixtures("gains")
def test_vectors_that_were_whitened_otherwise_are_refused(run, docs, tmp_path) -> None:
    assert index(run, docs, "--whiten").exit_code == 0
    (file,) = (tmp_path / "store").glob("whitening-*")
    other = Whitening.read(str(file))
    other.map.matrix[0, 0] += 0.5
    other.write(tmp_path / "other.safetensors")
    ended = run("index", docs, "--store", "STORE", "--whitening", "other.safetensors")
    assert ended.exit_code == 1
    assert "whitening is" in ended.stderr
    assert "other.safetensors" in ended.stderr


def test_a_store_that_is_not_whitened_says_the_way(run, docs) -> None:
    assert index(run, docs).exit_code == 0
    ended = index(run, docs, "--whiten")
    assert ended.exit_code == 1
    assert "longembed reindex --whiten" in ended.stderr


@pytest.mark.usefixtures("gains")
def test_a_store_may_be_moved(run, docs, tmp_path) -> None:
    assert index(run, docs, "--whiten").exit_code == 0
    before = json.loads(run("search", WORDS[0], "--store", "STORE", "--json").stdout)
    shutil.move(tmp_path / "store", tmp_path / "elsewhere")
    moved = run("search", WORDS[0], "--store", "elsewhere", "--json")
    assert json.loads(moved.stdout) == before
    ended = run("index", docs, "--store", "elsewhere")
    assert ended.exit_code == 0, ended.output
    stored = read_provenance(tmp_path / "elsewhere")
    assert Path(stored.settings.whitening).parent == tmp_path / "elsewhere"
    Path(stored.settings.whitening).unlink()
    ended = run("search", WORDS[0], "--store", "elsewhere")
    assert ended.exit_code == 1
    assert "there is no whitening in" in ended.stderr


@pytest.mark.usefixtures("gains")
def test_reindexing_refits_and_switches(run, docs, tmp_path, passes) -> None:
    assert index(run, docs).exit_code == 0
    before = vectors(tmp_path / "store")
    passes.clear()
    ended = run("reindex", "--store", "STORE", "--whiten", "--method", "pcw")
    assert ended.exit_code == 0, ended.output
    assert len([count for count in passes if count == 4]) == 40
    after = vectors(tmp_path / "store")
    assert after.keys() == before.keys()
    assert all(abs(after[name] - before[name]).max() > 1e-3 for name in after)
    (file,) = (tmp_path / "store").glob("whitening-*")
    assert read_provenance(tmp_path / "store").settings.whitening == str(file)
    # Other documents, another fit.
    for path in list(docs.iterdir())[:5]:
        path.write_text(text(random.Random(str(path))))
    assert run("index", docs, "--store", "STORE").exit_code == 0
    assert run("reindex", "--store", "STORE", "--whiten", "--method", "pcw").exit_code == 0
    assert len(list((tmp_path / "store").glob("whitening-*"))) == 2
    # And back.
    assert run("reindex", "--store", "STORE", "--method", "pcw").exit_code == 0
    assert read_provenance(tmp_path / "store").settings.whitening is None


@pytest.mark.usefixtures("gains")
def test_a_reindexing_that_was_cut_off_goes_on_with_its_own_fit(
    run, docs, tmp_path, monkeypatch
) -> None:
    assert index(run, docs).exit_code == 0
    from longembed_index import reindexing

    class Killed(BaseException):
        pass

    write, written = reindexing._Run._write, []

    def dies(self, batch):
        if written:
            raise Killed
        written.append(len(batch[:10]))
        return write(self, batch[:10])

    monkeypatch.setattr(reindexing._Run, "_write", dies)
    monkeypatch.setattr(reindexing, "BATCH_CHARACTERS", 5_000)
    with pytest.raises(Killed):
        run("reindex", "--store", "STORE", "--whiten", "--method", "pcw")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    ended = run("reindex", "--store", "STORE", "--whiten", "--method", "pcw")
    assert ended.exit_code == 0, ended.output
    assert len(list((tmp_path / "store").glob("whitening-*"))) == 1


def test_what_gains_nothing_is_not_done(run, tmp_path) -> None:
    """And the folder can still become a store."""
    folder = tmp_path / "glued"
    folder.mkdir()
    draw = random.Random(0)
    for number in range(40):
        (folder / f"{number}.txt").write_text(" ".join(draw.choices(WORDS[:8], k=240)))
    ended = index(run, folder, "--whiten")
    assert ended.exit_code == 1
    assert "gains nothing" in ended.stderr
    assert "--whiten out" in ended.stderr
    assert index(run, folder).exit_code == 0


def test_too_few_documents_are_refused(run, tmp_path) -> None:
    folder = tmp_path / "few"
    folder.mkdir()
    (folder / "one.txt").write_text(text(random.Random(0)))
    ended = index(run, folder, "--whiten")
    assert ended.exit_code == 1
    assert "documents" in ended.stderr


def test_a_whitening_left_by_a_kill_is_no_store_and_no_hindrance(tmp_path) -> None:
    (tmp_path / "whitening-0123456789abcdef.safetensors").write_bytes(b"")
    assert kind_of(tmp_path)


def test_texts_are_fetched_when_they_are_asked_for(tmp_path) -> None:
    asked = []
    texts = Texts([lambda n=n: asked.append(n) or str(n) for n in range(4)])
    assert asked == []
    assert texts[2] == "2"
    assert list(texts) == ["0", "1", "2", "3"]
    assert list(texts[1:3]) == ["1", "2"]
    assert len(texts) == 4
    sources = [TextSource(f"d{n}", str(n)) for n in range(800)]
    sample = Texts.of_sources(sources)
    assert len(sample) == len(set(sample)) == 500


def test_a_whitening_is_found_beside_its_store_alone(tmp_path, small_model) -> None:
    model = storable_model(ModelSettings(model_name=str(small_model("bert"))))
    assert located(model.provenance, tmp_path) == model.provenance
