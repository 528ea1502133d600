"""Command lines that nobody should type: each is refused in one line, or done; none ends in code 3.

Some lines quote names with control characters, which must not reach the terminal.
"""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from command_line import longembed

HUGE = "9" * 5000
ESCAPES = "a\x1b[2J\n\x07\u202eb"
LINES = {
    "escapes for an option": ("inspect", "MODEL", "-o", f"{ESCAPES}=1"),
    "a number beyond any": ("inspect", "MODEL", "--max-seq-length", HUGE),
    "nesting without end": ("inspect", "MODEL", "-o", "window_size=" + "[" * 100_000),
    "a dtype that is none": ("inspect", "MODEL", "-o", 'model_kwargs={"dtype": "float3"}'),
    "a surrogate for a model": ("inspect", "\ud800"),
    "a loop of links for a folder": ("bake", "MODEL", "loop", "--method", "rp"),
    "a path beyond any": ("index", "docs", "--store", "x" * 5000, "--model", "MODEL"),
    "a surrogate for a query": ("search", "\ud800", "--store", "STORE"),
    "a file for a store": ("search", "dog", "--store", "file.txt"),
    "no number for a time": ("index", "docs", "--store", "STORE", "--wait", "nan"),
    "escapes for a command": (ESCAPES,),
    "a device for a folder": ("whiten", "MODEL", "--data", "docs", "--out", "/dev/null"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory, small_model) -> Path:
    """A folder with a few documents, a store of them, a file and a loop of links."""
    folder = tmp_path_factory.mktemp("hostile")
    docs = folder / "docs"
    docs.mkdir()
    for name, text in {"dogs.txt": "dogs bark", "cats.md": "cats purr"}.items():
        (docs / name).write_text(text)
    (folder / "file.txt").write_text("a file")
    (folder / "loop").symlink_to(folder / "loop")
    ended = longembed("index", docs, "--store", folder / "store", "--model", small_model("bert"))
    assert ended.exit_code == 0, ended.output
    return folder


def assert_ended_well(ended) -> None:
    assert ended.exit_code in (0, 1, 2), ended.output
    assert "Traceback" not in ended.output
    if ended.exit_code:
        last = ended.stderr.splitlines()[-1]
        assert last.startswith("Error: ") or "Not stored" in ended.output, ended.output
    for character in set(ended.output) - {"\n"}:
        assert unicodedata.category(character) not in {"Cc", "Cf", "Cs"}, ended.output


def test_a_hostile_line_is_refused_in_one_line(place, small_model, monkeypatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("COLUMNS", "120")
    stands_for = {"MODEL": str(small_model("bert")), "STORE": str(place / "store")}
    for name, line in LINES.items():
        ended = longembed(*(stands_for.get(word, word) for word in line))
        assert_ended_well(ended)
        assert ended.exit_code != 0, name


def test_a_working_folder_that_is_gone(place, tmp_path, monkeypatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for line in (("search", "dog"), ("index", ".")):
        assert_ended_well(longembed(*line, "--store", place / "store"))


HOSTILE_NAMES = (
    "a\x1b[2Jb.txt",
    "two\nlines.md",
    "\x1b]52;c;aGVsbG8=\x07.html",
    "right\u202eto-left.txt",
    "[bold]markup.txt",
    ":smiley: 日本語.txt",
    "-k.txt",
    "bell\x07.pdf",
)


def test_hostile_names_are_indexed_and_found_and_never_act_on_the_terminal(
    tmp_path, small_model, monkeypatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    docs = tmp_path / "docs"
    docs.mkdir()
    for number, name in enumerate(HOSTILE_NAMES):
        (docs / name).write_text("" if name.endswith(".pdf") else f"ban bar \x1b[31m{number}")
    lines = (
        ("index", docs, "--store", tmp_path / "store", "--model", small_model("bert")),
        ("search", "ban bar", "--store", tmp_path / "store", "-k", "50"),
        ("search", "ban bar", "--store", tmp_path / "store", "-k", "50", "--json"),
    )
    for line in lines:
        ended = longembed(*line)
        assert ended.exit_code == 0, ended.output
        assert_ended_well(ended)
    names = {Path(hit["source"]).name for hit in json.loads(ended.stdout)}
    assert names == {name for name in HOSTILE_NAMES if not name.endswith(".pdf")}
