"""Compiled models on disk: found again, made anew if damaged, never half written."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from compare import difference

import longembed_st as le
from longembed_st.backends import openvino
from longembed_st.backends.graph_files import graphs_folder
from longembed_st.files import CACHE

TEXTS = ["ban cor dim", "fel gan " * 60]


@pytest.fixture
def graphs(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    # As in a new process.
    monkeypatch.setattr(openvino, "_all_compiled", {})
    return graphs_folder()


@pytest.fixture
def load(small_model, monkeypatch):
    name = str(small_model("bert"))

    def loaded(**settings):
        monkeypatch.setattr(openvino, "_all_compiled", {})
        return le.load(name, "pcw", backend="openvino", **settings)

    return loaded


@pytest.fixture
def traced_models(monkeypatch) -> list[str]:
    """What is traced."""
    traced_models: list[str] = []
    real = openvino.traced

    def traced(model, *arguments):
        traced_models.append(model.config.model_type)
        return real(model, *arguments)

    monkeypatch.setattr(openvino, "traced", traced)
    return traced_models


def test_a_graph_is_made_once(graphs, load, traced_models) -> None:
    first = load().encode(TEXTS)
    assert difference(load().encode(TEXTS), first) < 1e-6
    assert traced_models == ["bert"]
    load(dtype="bfloat16")
    assert traced_models == ["bert"], "precision is that of compiling"
    assert len(list(graphs.iterdir())) == 1
    assert not [file for file in graphs.rglob("*") if file.name.endswith(".tmp")]


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("graph.bin", "changed"),
        pytest.param("graph.xml", "gone", marks=pytest.mark.slow),
        pytest.param("digests.json", "emptied", marks=pytest.mark.slow),
    ],
)
def test_a_damaged_graph_is_made_anew(graphs, load, traced_models, name, damage, caplog) -> None:
    expected = load().encode(TEXTS)
    (file,) = graphs.glob(f"*/{name}")
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle] ^= 0xFF
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(b"" if damage == "emptied" else bytes(content))
    with caplog.at_level(logging.WARNING):
        assert difference(load().encode(TEXTS), expected) < 1e-6
    assert traced_models == ["bert", "bert"]
    assert damage == "gone" or "is damaged" in caplog.text
    load()
    assert traced_models == ["bert", "bert"]


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path, monkeypatch, load, caplog):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(CACHE, str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        assert load().encode(TEXTS).shape[0] == 2
    assert CACHE in caplog.text


@pytest.mark.slow
def test_two_processes_do_not_fight(graphs, small_model, tmp_path) -> None:
    code = (
        "import json, sys\nimport longembed_st as le\n"
        "model = le.load(sys.argv[1], 'pcw', backend='openvino')\n"
        "print(json.dumps(model.encode(json.loads(sys.argv[2])).tolist()))"
    )
    line = [sys.executable, "-c", code, str(small_model("bert")), json.dumps(TEXTS)]
    both = [
        subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=600) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert not any("damaged" in said for _, said in outputs)
    vectors = [json.loads(out) for out, _ in outputs]
    assert difference(*vectors) < 1e-6
    (folder,) = graphs.iterdir()
    assert sorted(file.name for file in folder.iterdir()) == [
        "digests.json",
        "graph.bin",
        "graph.xml",
    ]


def test_the_users_own_folder_for_caches_is_the_default(monkeypatch) -> None:
    monkeypatch.delenv(CACHE)
    assert graphs_folder().parts[-2:] == ("longembed-st", "graphs")
    assert os.path.isabs(graphs_folder())
