"""The commands of README and docs: each is run, or the page says above it why it is not."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
from pathlib import Path

import chromadb
import pytest
import typer
from class_models import late, pairs
from command_line import longembed
from docs_snippets import ROOT, shell_lines

from longembed_st.command import app as command_line

LINES = {tuple(shlex.split(line, comments=True)): page for page, line, _ in shell_lines()}
NOT_RUN = {tuple(shlex.split(line, comments=True)): why for _, line, why in shell_lines()}
"""Why commands are not run, as the pages say above their blocks; None for those that are."""
MODELS = ("thenlper/gte-small", "intfloat/e5-base-v2", "MODEL")
"""Of the hub; a small one stands in for them."""
RERANKERS = {"cross-encoder/ms-marco-MiniLM-L6-v2": pairs, "lightonai/GTE-ModernColBERT-v1": late}
"""Of the hub, and what stands in for them."""

MOST_NOT_RUN = 39
"""Commands that the pages mark as not run; raise it only for a reason that holds."""


def is_run(line: tuple[str, ...]) -> bool:
    return line[0] == "longembed" and line[1] != "calibrate" and NOT_RUN[line] is None


@pytest.fixture(scope="module")
def place(tmp_path_factory, small_model) -> Path:
    """A working folder with what the pages take for granted."""
    folder = tmp_path_factory.mktemp("reader")
    for name in ("2019/budget.txt", "2020/budget.md", "drafts/new.txt"):
        path = folder / "reports" / name
        path.parent.mkdir(parents=True)
        path.write_text(f"The medical man rose. Who approved the budget of {name}? " * 20)
    for name, kind in (("old", "chroma"), ("old-lance", "lancedb")):
        shutil.unpack_archive(ROOT / "tests" / "fixtures" / "v0_2" / f"{kind}.zip", folder)
        (folder / kind).rename(folder / name)
    # As `longembed calibrate` writes it.
    calibrated = {"model": {}, "search": {"mode": "hybrid", "weight": 0.3}}
    (folder / "longembed.json").write_text(json.dumps(calibrated))
    question = {"question": "Who approved the budget?", "answer": "The medical man"}
    (folder / "questions.jsonl").write_text(json.dumps(question))
    chromadb.PersistentClient(str(folder / "chroma")).create_collection(
        "reports", embedding_function=None
    ).add(ids=["1"], documents=["The budget."], metadatas=[{"source": "a"}], embeddings=[[1.0]])
    return folder


def test_all_commands_are_there() -> None:
    assert len(LINES) >= 30
    for line, page in LINES.items():
        if line[0] == "make":
            assert re.search(rf"^{line[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), page
        elif line[0] == "python":
            assert (ROOT / line[1]).is_file(), f"{page}: {line}"
        else:
            assert line[0] in ("longembed", "pip", "curl"), f"{page}: {line}"
        assert line[0] in ("longembed", "curl") or NOT_RUN[line], f"{page}: {line}"
    assert sum(why is not None for why in NOT_RUN.values()) <= MOST_NOT_RUN


def test_options_are_those_of_the_command() -> None:
    if not command_line.app.registered_commands:
        command_line._register_commands()
    group = typer.main.get_command(command_line.app)
    for program, name, *words in LINES:
        if program == "longembed":
            # Parses, and raises what the command line would refuse.
            group.commands[name].make_context(name, words)


def test_commands_end_well(place, monkeypatch, small_model) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    model = str(small_model("bert", positions=64))
    run = [line for line in LINES if is_run(line)]
    assert len(run) >= 15
    # Whatever page it is on, a store is made before it is searched.
    order = (
        "index",
        "search",
        "list",
        "stats",
        "export",
        "reindex",
        "delete",
        "inspect",
        "models",
        "import",
        "evaluate",
        "convert",
    )
    first = longembed("index", "reports/", "--store", "./store", "--model", model)
    assert first.exit_code == 0, first.stderr
    for line in sorted(run, key=lambda one: order.index(one[1])):
        words = [model if word in MODELS else word for word in line[1:]]
        words = [str(RERANKERS[word]("bert")) if word in RERANKERS else word for word in words]
        done = longembed(*words)
        assert done.exit_code == 0, f"{' '.join(line)}\n{done.output}"


@pytest.mark.slow
def test_commands_that_take_a_while_end_well(place, monkeypatch, small_model) -> None:
    monkeypatch.chdir(place)
    for number in range(40):
        words = f"Paper {number} tells what the committee of {number} towns approved. " * 40
        (place / "reports" / f"paper{number}.txt").write_text(words)
    run = [one for one in LINES if one[:2] == ("longembed", "calibrate")]
    assert run
    model = str(small_model("bert", positions=64))
    for line in run:
        done = longembed(*(model if word in MODELS else word for word in line[1:]))
        assert done.exit_code == 0, f"{' '.join(line)}\n{done.output}"
