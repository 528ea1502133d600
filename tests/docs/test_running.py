"""The pieces of Python in README, docs and docstrings are run, on a small index of their own.

Those of a page run one after the other and share their variables, in a folder with documents and a
store. Small models stand in for those of the hub. What cannot be run is marked on the page.
"""

from __future__ import annotations

import json
import shlex
import shutil
import textwrap
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest
from class_models import late, pairs, splade
from docs.test_snippets import KNOWN
from docs_snippets import docstring_snippets, page_blocks
from serving import running

from longembed_index import Document, Index

MOST_NOT_RUN = 3
"""Pieces that the pages mark as not run; raise it only for a reason that holds."""

PYTHON = [block for block in page_blocks() if block.language == "python"]
PAGES = sorted({block.page for block in PYTHON})
DOCSTRINGS = dict(docstring_snippets())
BEFORE = {
    "BENCH.md": """
        calibrated = {"model": {"model_name_or_path": MODEL}}
        Path("longembed.json").write_text(json.dumps(calibrated))""",
    "STORES.md": """
        with Index.open("chroma:store2", model=MODEL) as index:
            index.add("reports/")
        with Index.open("lancedb:lance", model=MODEL) as index:
            index.add("reports/")""",
    "WHITENING.md": """
        from longembed_tuning.whiten import fit_whitening
        documents = [f"Report {n} of a council with {n} towns. " * 70 for n in range(24)]
        fit = fit_whitening(le.load("thenlper/gte-small"), documents)
        fit.whitening.write(Path("gte-reports"))""",
    "TUNING.md": "le.load(MODEL, 'pi', max_seq_length=2048).save_pretrained('model-2k')",
}
"""What the text of a page has made before its first piece."""


@pytest.fixture(scope="module")
def models(small_model, minilm_folder) -> dict[str, str]:
    """Folders that stand in for models of the hub, by name."""
    small = str(small_model("bert", positions=64))
    return {
        "thenlper/gte-small": small,
        "intfloat/e5-base-v2": small,
        "sentence-transformers/all-MiniLM-L6-v2": str(minilm_folder),
        "naver/splade-v3": str(splade("bert")),
        "lightonai/GTE-ModernColBERT-v1": str(late("bert")),
        "cross-encoder/ms-marco-MiniLM-L6-v2": str(pairs("bert")),
        "lancedb:s3://bucket/reports": "lancedb:lance",
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory, models) -> Path:
    """Documents and a store, as the pages take them for granted."""
    folder = tmp_path_factory.mktemp("reader")
    for name in ("2019/budget.txt", "2020/contracts/minutes.md"):
        path = folder / "reports" / name
        path.parent.mkdir(parents=True)
        path.write_text(f"Who approved the budget of {name}? The council did. " * 20)
    for name in ("notes.md", "contract.txt"):
        (folder / name).write_text("A contract of forty pages about the budget. " * 20)
    with Index.open(folder / "store", model=models["thenlper/gte-small"]) as index:
        index.add(folder / "reports")
        index.add_documents([Document("letter", "The budget of the year.", {"year": 2019})])
    return folder


@pytest.fixture
def run(folder, models, tmp_path, monkeypatch):
    """Runs pieces of code with common variables, in a copy of the folder."""
    shutil.copytree(folder, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    if find_spec("llama_index.core") is not None:
        from llama_index.core import Settings
        from llama_index.core.llms import MockLLM

        monkeypatch.setattr(Settings, "_llm", MockLLM())
    variables: dict[str, object] = {"MODEL": models["thenlper/gte-small"]}
    exec("import json, longembed_st as le\nfrom pathlib import Path", variables)
    exec("from longembed_index import Index", variables)

    def running(code: str, **more: str) -> None:
        for name, folder in {**models, **more}.items():
            code = code.replace(f'"{name}', f'"{folder}')
        # Not with the annotations of this file.
        exec(compile(code, "<piece>", "exec", dont_inherit=True), variables)

    return running


def lines_of(text: str) -> str:
    return "\n".join(line.strip() for line in text.splitlines())


def known_before(name: str) -> str:
    """What the text around a piece has introduced, with models and texts of this test."""
    known = [lines_of(text) for start, text in KNOWN.items() if name == start]
    known += [lines_of(text) for start, text in KNOWN.items() if name.startswith(f"{start}_")]
    code = "\n".join(known).replace('"m"', '"thenlper/gte-small"')
    code = code.replace("['']", "documents") if name == "whitening_0" else code
    return code.replace("''", "'A report of a council. ' * 50").replace('""', '"A report."')


def test_few_pieces_are_not_run() -> None:
    marked = [block.not_run for block in PYTHON if block.not_run]
    assert len(marked) <= MOST_NOT_RUN
    assert all(reasons.keys() == {""} for reasons in marked)


@pytest.mark.parametrize("page", [page for page in PAGES if page != "SERVING.md"])
def test_pieces_of_a_page(page, run, models, capsys, gains) -> None:
    # Whitening needs vectors of a real width.
    real = models["sentence-transformers/all-MiniLM-L6-v2"]
    more = {"thenlper/gte-small": real} if page == "WHITENING.md" else {}
    run(textwrap.dedent(BEFORE.get(page, "")), **more)
    for number, block in enumerate(block for block in PYTHON if block.page == page):
        if not block.not_run:
            run(known_before(f"{page[:-3].lower()}_{number}"), **more)
            capsys.readouterr()
            run(block.code, **more)
            assert ("print(" in block.code) <= bool(capsys.readouterr().out)


def test_pieces_about_the_server(run, folder) -> None:
    pytest.importorskip("fastapi")
    from longembed_serve.application import application
    from longembed_serve.service import Service

    app = application(
        Service(Index.open(folder / "store")), max_bytes=10**6, key=None, hosts=["127.0.0.1"]
    )
    with running(app) as address:
        for block in PYTHON:
            if block.page == "SERVING.md":
                run(block.code, **{"http://127.0.0.1:8080": address})
        commands = [b.code for b in page_blocks() if "curl http" in b.code]
        lines = [line for code in commands for line in code.strip().splitlines()]
        for line in lines:
            _, url, option, body = shlex.split(line.replace("http://127.0.0.1:8080", address))
            assert option == "-d"
            # As curl sends it: with the content type of a form.
            with urllib.request.urlopen(url, data=body.encode()) as answer:
                assert json.load(answer).keys() & {"data", "hits"}


@pytest.mark.parametrize("name", DOCSTRINGS)
def test_pieces_of_docstrings(name, run) -> None:
    run(known_before(name))
    if "mteb" not in name:
        run(DOCSTRINGS[name])
