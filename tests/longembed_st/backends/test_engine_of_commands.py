"""`--backend` of the commands: an engine is chosen once, and a store remembers it."""

from __future__ import annotations

import json
from contextlib import closing

import pytest
from command_line import longembed
from compare import cosine

import longembed_st as le
from longembed_index.store.kinds import open_store


@pytest.fixture
def docs(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    for number, word in enumerate(("budget", "garden", "river")):
        (folder / f"{number}.txt").write_text(f"The committee spoke of the {word}. " * 200)
    return folder


def test_a_store_remembers_its_engine(docs, tmp_path, minilm_folder) -> None:
    store = str(tmp_path / "store")
    line = ["index", str(docs), "--store", store, "--model", str(minilm_folder), "--json"]
    done = longembed(*line, "--backend", "openvino", "--dtype", "bfloat16")
    assert done.exit_code == 0, done.stderr
    result = longembed("search", "river", "--store", store, "--mode", "dense", "--json")
    assert json.loads(result.stdout)[0]["title"] == "2.txt"
    again = longembed(*line)
    assert json.loads(again.stdout)["documents"]["unchanged"] == 3
    with closing(open_store(tmp_path / "store")) as opened:
        settings = opened.info.provenance.settings
        (record,) = opened.get([str((docs / "0.txt").resolve())])
    assert (settings.backend, settings.dtype) == ("openvino", "bfloat16")
    plain = le.load(str(minilm_folder), "pcw").encode_document(record.document.text)
    assert cosine(plain, record.vector) > 0.999
    search = ["search", "river", "--store", store, "--mode", "dense"]
    assert longembed(*search, "--backend", "torch").exit_code == 0, "the engines agree"
    refused = longembed(*search, "--dtype", "float32")
    assert refused.exit_code == 1
    assert "dtype is 'bfloat16' in the store, 'float32' now" in refused.stderr


def test_engines_that_agree_share_a_store(docs, tmp_path, minilm_folder) -> None:
    store = str(tmp_path / "store")
    model = ["--model", str(minilm_folder)]
    assert longembed("index", str(docs), "--store", store, *model).exit_code == 0
    (docs / "3.txt").write_text("The committee spoke of the harbour. " * 200)
    done = longembed("index", str(docs), "--store", store, "--backend", "openvino", "--verify")
    assert done.exit_code == 0, done.stderr
    result = longembed(
        *("search", "harbour", "--store", store, "--mode", "dense", "--json"),
        *("--backend", "openvino"),
    )
    assert json.loads(result.stdout)[0]["title"] == "3.txt"


@pytest.mark.slow
def test_the_bench_measures_an_engine(tmp_path, minilm_folder) -> None:
    done = longembed(
        *("bench", str(minilm_folder), "-m", "none", "-m", "pcw:backend=openvino,dtype=bfloat16"),
        *("-t", "passkey", "-l", "256", "--no-baselines", "--out", str(tmp_path / "out")),
    )
    assert done.exit_code == 0, done.stderr
    runs = [json.loads(file.read_text()) for file in (tmp_path / "out").rglob("run.json")]
    settings = [run["settings"] for run in runs]
    assert {
        (settings_of_run.get("backend"), settings_of_run["dtype"]) for settings_of_run in settings
    } == {
        (None, "float32"),
        ("openvino", "bfloat16"),
    }
