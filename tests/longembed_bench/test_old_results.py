"""Results of version 0.1.0: they are opened, shown and added to, and not measured again."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from command_line import longembed

import longembed_st as le
from longembed_bench import runner
from longembed_bench.results import ResultFolder
from longembed_bench.vectors import VectorCache
from longembed_st.base.extension import ExtensionConfig

FIXTURES = Path(__file__).parents[1] / "fixtures" / "v0_1"
METHODS = ("-m", "none", "-m", "pcw", "-m", "chunks")
LABELS = ("tiny none", "tiny pcw", "tiny chunks")


@pytest.fixture
def old(tmp_path) -> Path:
    """A folder with `bench` and `bench_data` of the old version, and the models."""
    for name in ("bench", "bench_data", "models"):
        with zipfile.ZipFile(FIXTURES / f"{name}.zip") as archive:
            archive.extractall(tmp_path)
    return tmp_path


@pytest.fixture
def bench(old, monkeypatch):
    """Runs the command of old once more."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("longembed_bench.report.draw_all", lambda results, folder: [])

    def call():
        model = f"tiny={old / 'plain'}"
        words = [model, *METHODS, "--data", str(old / "bench_data"), "--no-baselines"]
        result = longembed("bench", *words, "--out", old / "bench", "--device", "cpu")
        assert result.exit_code == 0, result.stderr
        return result.stdout

    return call


@pytest.fixture
def nothing_is_encoded(monkeypatch) -> None:
    def refuse(*_, **__):
        raise AssertionError("a text was encoded")

    monkeypatch.setattr(le.LongSentenceTransformer, "encode", refuse)
    monkeypatch.setattr(le.LongSentenceTransformer, "encode_with_coverage", refuse)


def scores(folder: Path) -> dict[str, float]:
    return {result.label: result.score for result in ResultFolder(folder).results()}


def test_the_folder_is_read(old) -> None:
    found = scores(old / "bench")
    assert found.keys() == {*LABELS, "BM25"}
    readings = {r.label: r.reading for r in ResultFolder(old / "bench").results()}
    assert readings["tiny pcw"].coverage == 1 > readings["tiny none"].coverage
    for run in ResultFolder(old / "bench").settings():
        if run["model"]:
            names = set(run["settings"]) & {*ExtensionConfig.model_fields, "options"}
            assert ExtensionConfig(**{name: run["settings"][name] for name in names}).is_resolved


def test_nothing_is_measured_again(bench, old, nothing_is_encoded, monkeypatch) -> None:
    monkeypatch.setattr(runner.mteb, "evaluate", None)
    before, settings = scores(old / "bench"), ResultFolder(old / "bench").settings()
    lines = [line.split()[:-4] for line in bench().splitlines()]
    assert scores(old / "bench") == before
    for label, score in before.items():
        assert [*label.split(), f"{100 * score:.1f}"] in lines
    # Described anew, under the same names.
    again = ResultFolder(old / "bench").settings()
    assert [run["mteb_revision"] for run in again] == [run["mteb_revision"] for run in settings]
    for new, former in zip(again, settings, strict=True):
        # Options are written in full now.
        written = {"path": str(old / "plain"), "options": new["settings"].get("options")}
        assert new["settings"] == {**former["settings"], **(written if new["model"] else {})}
    assert "tiny pcw" in (old / "bench" / "report.html").read_text()


def test_its_vectors_are_used(bench, old, nothing_is_encoded) -> None:
    """The scores are gone, so they are computed from what was embedded then."""
    before = scores(old / "bench")
    for result in (old / "bench" / "mteb" / "results").glob("*tiny*"):
        shutil.rmtree(result)
    bench()
    assert scores(old / "bench") == before


def test_new_vectors_equal_the_old_ones(old, tmp_path) -> None:
    texts = [json.loads(row)["text"] for row in (old / "bench_data/corpus.jsonl").open()]
    for method in ("none", "pcw"):
        model = le.load(str(old / "plain"), method, on_overflow="truncate", device="cpu")
        known = ResultFolder(old / "bench").vectors.of(le.fingerprint(model))
        kept = known.embed(None, texts, "document")
        new = VectorCache(tmp_path / method).embed(model, texts, "document")
        assert np.abs(new.vectors - kept.vectors).max() < 1e-5
        assert new.tokens.tolist() == kept.tokens.tolist()
        assert new.read.tolist() == kept.read.tolist()


def test_an_old_choice_is_loaded_and_chosen_again_under_the_same_names(old, monkeypatch) -> None:
    choice = json.loads((FIXTURES / "calibrate.json").read_text())
    model = le.load(**{**choice, "model_name_or_path": str(old / "plain")}, device="cpu")
    extension = model.long_transformer.extension
    assert (extension.method, extension.method_options) == (
        "pcw",
        {"overlap": 4, "window_size": 32},
    )
    methods = ("-m", "none", "-m", "pcw:window_size=32,overlap=4")
    given = [str(old / "plain"), "--data", str(old / "bench_data"), *methods]
    result = longembed("calibrate", *given, "--device", "cpu", "--out", old / "new.json")
    assert result.exit_code == 0, result.stderr
    # The precision is a setting now, and no longer an argument of loading.
    assert choice.pop("model_kwargs") == {"dtype": "float32"}
    assert json.loads((old / "new.json").read_text())["model"] == {
        **choice,
        "dtype": "float32",
        "model_name_or_path": str(old / "plain"),
    }
