"""An index whitened by its own documents, and what follows."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from index_fakes import sources
from small_models import WORDS

import longembed_st as le
from longembed_index import Index
from longembed_index.maintain import reindex as reindexing
from longembed_index.maintain.whiten import LazyTexts
from longembed_st.errors import ConfigError, InputError, ModelError
from longembed_st.loading.whitening import Whitening


def text(draw: random.Random) -> str:
    """Return a document with three words of its own among passages of common words."""
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
def place(tmp_path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def create(place, small_model):
    """Opens the index, a new one with a small model."""
    return lambda **options: Index.open(
        place, small_model("bert", positions=64), method="pcw", **options
    )


@pytest.fixture
def passes(monkeypatch) -> list[int]:
    """How many passes each call of the model's own forward had."""
    counted: list[int] = []
    split = le.LongTransformer.passes_of

    def counting(self, features):
        passes = split(self, features)
        counted.append(len(passes))
        return passes

    monkeypatch.setattr(le.LongTransformer, "passes_of", counting)
    return counted


def vectors_of(index: Index) -> dict[str, np.ndarray]:
    ids, vectors = index._resources.existing_store().vectors()
    return dict(zip(ids, vectors, strict=True))


def whitening_of(index: Index) -> str | None:
    return index.info.provenance.settings.whitening


@pytest.mark.usefixtures("gains")
def test_an_index_is_whitened_by_its_own_documents(create, docs, place, passes) -> None:
    messages: list[str] = []
    steps: list[tuple[str, int, int]] = []
    with create() as index:
        index.add(
            docs,
            whiten=True,
            on_message=messages.append,
            on_step=lambda *step: steps.append(step),
        )
        assert "nDCG@10" in " ".join(messages)
        assert ("whitening", 40, 41) in steps
        assert len([count for count in passes if count == 4]) == 40, "each was read once"
        (file,) = place.glob("whitening-*.safetensors")
        assert whitening_of(index) == str(file)
        stored = vectors_of(index)
    # The vectors are those that the stored settings make.
    with Index.open(place) as index:
        model = le.load(index.model_name, "pcw", whitening=str(file))
        for document_id, vector in stored.items():
            expected = model.encode_document(Path(document_id).read_text())
            np.testing.assert_allclose(vector, expected, atol=2e-3)
        # Later runs and searches use it.
        (docs / "new.txt").write_text(text(random.Random(9)))
        assert index.add(docs, whiten=True).counts["added"] == 1, "whitened already: as it is"
        assert index.verify() == 5
        assert index.search(WORDS[0])
    assert list(place.glob("whitening-*")) == [file]


@pytest.mark.usefixtures("gains")
def test_a_whitening_is_found_beside_its_index(create, docs, place, tmp_path) -> None:
    with create() as index:
        index.add(docs, whiten=True)
        scores = [hit.score for hit in index.search(WORDS[0])]
    (file,) = place.glob("whitening-*")
    other = Whitening.read(str(file))
    other.map.matrix[0, 0] += 0.5
    other.write(tmp_path / "other.safetensors")
    with pytest.raises(ConfigError, match=r"whitening is .*other\.safetensors"):
        Index.open(place, whitening=str(tmp_path / "other.safetensors"))
    moved = shutil.move(place, tmp_path / "elsewhere")
    with Index.open(moved) as index:
        assert [hit.score for hit in index.search(WORDS[0])] == pytest.approx(scores, abs=1e-4)
        index.add(docs)
        assert Path(whitening_of(index)).parent == moved
    other.write(moved / file.name)
    with Index.open(moved) as index, pytest.raises(ConfigError, match="made differently"):
        _ = index.model
    (moved / file.name).unlink()
    with Index.open(moved) as index, pytest.raises(ConfigError, match="no whitening in"):
        _ = index.model


@pytest.mark.usefixtures("gains")
def test_reindexing_refits_and_switches(create, docs, place, passes) -> None:
    with create() as index:
        index.add(docs)
        with pytest.raises(ConfigError, match=r"not whitened.*reindex --whiten"):
            index.add(docs, whiten=True)
        before = vectors_of(index)
        passes.clear()
        index.reindex(whiten=True, method="pcw")
        assert len([count for count in passes if count == 4]) == 40
        after = vectors_of(index)
        assert all(abs(after[key] - before[key]).max() > 1e-3 for key in before)
        (file,) = place.glob("whitening-*")
        assert whitening_of(index) == str(file)
        # Other documents, another fit.
        for path in list(docs.iterdir())[:5]:
            path.write_text(text(random.Random(str(path))))
        index.add(docs)
        index.reindex(whiten=True, method="pcw")
        assert len(list(place.glob("whitening-*"))) == 2
        # And back.
        index.reindex(method="pcw")
        assert whitening_of(index) is None


@pytest.mark.usefixtures("gains")
def test_a_reindexing_that_was_cut_off_goes_on_with_its_own_fit(
    create, docs, place, monkeypatch
) -> None:
    class Killed(BaseException):
        pass

    seen: list[object] = []

    def die(outcome) -> None:
        seen.append(outcome)
        if len(seen) == 10:
            raise Killed

    with create() as index:
        index.add(docs)
        with monkeypatch.context() as patch:
            patch.setattr(reindexing, "BATCH_CHARACTERS", 5_000)
            with pytest.raises(Killed):
                index.reindex(whiten=True, method="pcw", on_outcome=die)
        result = index.reindex(whiten=True, method="pcw")
        assert result.report.counts["unchanged"] >= 10
        assert len(list(place.glob("whitening-*"))) == 1
        assert index.verify() == 5


def test_what_gains_nothing_is_not_done(create, place, tmp_path) -> None:
    folder = tmp_path / "glued"
    folder.mkdir()
    draw = random.Random(0)
    for number in range(40):
        (folder / f"{number}.txt").write_text(" ".join(draw.choices(WORDS[:8], k=240)))
    with create() as index:
        with pytest.raises(ModelError, match=r"gains nothing.*--whiten out"):
            index.add(folder, whiten=True)
        assert not place.exists()
        with pytest.raises(InputError, match="documents"):
            index.add(folder / "1.txt", whiten=True)
        assert index.add(folder).counts["added"] == 40


def test_texts_are_fetched_when_they_are_asked_for() -> None:
    fetched: list[int] = []
    texts = LazyTexts([lambda n=n: fetched.append(n) or str(n) for n in range(4)])
    assert fetched == []
    assert texts[2] == "2"
    assert list(texts) == ["0", "1", "2", "3"]
    assert list(texts[1:3]) == ["1", "2"]
    assert len(texts) == 4
    sample = LazyTexts.from_sources(sources(**{f"d{n}": str(n) for n in range(800)}))
    assert len(sample) == len(set(sample)) == 500
