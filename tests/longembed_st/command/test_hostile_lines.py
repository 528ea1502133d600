"""Command lines that nobody should type: each is refused in one line, or done; none ends in code 3.

Some lines quote names with control characters, which must not reach the terminal. A line that hangs
would hang the test run: nothing here waits.
"""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from command_line import longembed

HUGE = "9" * 5000
ESCAPES = "a\x1b[2J\n\x07\u202eb"
NUMBERS = ("", "x", "0", "-1", "1e3", "0x10", HUGE, f"-{HUGE}", str(10**22), "١٢", "nan", ESCAPES)
MODELS = ("", ".", "/", "~", "no/model", "a/b/c", "..", ESCAPES, "x" * 5000, "/dev/null", "\ud800")
PATHS = ("", "nowhere", "\ud800", ESCAPES, "x" * 5000, "a/" * 3000, "/dev/null", "loop", "file.txt")
OPTIONS = (
    "",
    "=",
    "x",
    "=1",
    "1=1",
    "a b=1",
    "window_size",
    "window_size=",
    "window_size=null",
    "window_size=[]",
    "window_size={}",
    "window_size=-1",
    "window_size=true",
    f"window_size={HUGE}",
    "window_size=" + "[" * 100_000,
    "overlap=1e400",
    "overlap=NaN",
    "model_kwargs=5",
    "model_kwargs=null",
    'model_kwargs={"dtype": 5}',
    'model_kwargs={"dtype": "float3"}',
    'model_kwargs={"attn_implementation": "nope"}',
    "processor_kwargs=x",
    "config_kwargs=[1]",
    "truncate_dim=-1",
    "truncate_dim=x",
    "trust_remote_code=maybe",
    "backend=nope",
    "revision=5",
    "prompts=5",
    'prompts={"a": 5}',
    "device=x",
    "method=nope",
    "model_name=x",
    "method_options=5",
    "token_budget=0",
    ESCAPES + "=1",
    "x=" + ESCAPES,
)
BENCH = ("--no-baselines", "-t", "passkey", "-l", "64")
SETTINGS = (
    *(("--window-size", number) for number in NUMBERS),
    *(("--max-seq-length", number) for number in NUMBERS),
    *(("--token-budget", number) for number in ("0", "-5", HUGE, str(10**22))),
    *(("--original-max-seq-length", number) for number in ("0", "1", "-5", "10000", HUGE)),
    *(("-o", option) for option in OPTIONS),
    *(("--device", device) for device in ("", "cuda", "cuda:99", "cpu:7", "tpu", "x", ESCAPES)),
    *(("--method", method) for method in ("", "nope", "PCW", ESCAPES, "x" * 5000)),
    ("--on-overflow", "maybe"),
    ("--method", "pi", "--max-seq-length", str(10**9)),
    ("--method", "gp", "-o", "G=0"),
    ("--query-prompt", "\ud800"),
    ("--query-prompt", "p " * 5000),
    ("--method", "pcw", "--window-size", "4", "--document-prompt", "a long prompt " * 9),
)
LINES = (
    *(("inspect", "MODEL", *setting) for setting in SETTINGS),
    *(("inspect", "MODEL", "--length", number) for number in NUMBERS),
    *(("inspect", model) for model in MODELS),
    *(("bake", model, "baked") for model in MODELS),
    *(("bake", "MODEL", path, "--method", "rp") for path in PATHS if path != "nowhere"),
    ("bake", "MODEL", "/proc/x", "--method", "rp"),
    ("bake", "MODEL", "/dev/full", "--method", "rp"),
    ("bake", "MODEL", "baked", "--method", "pcw"),
    *(("index", path, "--store", "new", "--model", "MODEL") for path in PATHS),
    *(("index", "docs", "--store", path, "--model", "MODEL") for path in PATHS if path != "nowhere"),  # noqa: E501
    ("index", "docs", "--store", "/proc/x", "--model", "MODEL"),
    ("index", "docs", "--store", "new", "--model", ""),
    *(("index", "docs", "--store", "STORE", "--wait", number) for number in NUMBERS),
    ("index", "docs", "--store", "STORE", "--store-kind", ESCAPES),
    *(("search", "dog", "--store", "STORE", "-k", number) for number in NUMBERS),
    *(("search", "dog", "--store", path) for path in PATHS),
    *(("search", query, "--store", "STORE") for query in ("", "\u200b\u3164", "\ud800", "\0")),
    ("search", "dog", "--store", "STORE", "--model", ESCAPES),
    ("search", "dog", "--store", "STORE", "--device", "cuda:99"),
    *(("reindex", "--store", path, "--method", "pi") for path in PATHS),
    *(("reindex", "--store", "STORE", "--collection", name) for name in ("", "x", ESCAPES, HUGE)),
    ("reindex", "--store", "STORE"),
    ("reindex", "--store", "STORE", "--method", "nope"),
    *(("bench", model, "--out", "b", *BENCH) for model in MODELS if model not in ("/dev/null",)),
    *(("bench", "MODEL", "--out", path, "--data", path) for path in PATHS if path != "nowhere"),
    *(("bench", "MODEL", "--out", "b", "-m", name, *BENCH) for name in ("", ":", "x:y", ESCAPES)),
    *(("bench", "MODEL", "--out", "b", "-t", name) for name in ("", "=", "qmsum=", ESCAPES)),
    *(("repair", "--store", path) for path in PATHS),
    *(("repair", "--store", "STORE", "--wait", number) for number in NUMBERS),
    *(("index", "docs", "--store", "STORE", "--reader-memory", number) for number in NUMBERS),
    *(("calibrate", "MODEL", "--data", path) for path in PATHS),
    *(("calibrate", "MODEL", "--data", "docs", "--documents", n) for n in ("0", HUGE, "x")),
    *(("tune", "MODEL", "--data", path, "--out", "t", "--max-seq-length", "64") for path in PATHS),
    *(("tune", "MODEL", "--data", "docs", "--out", "t", "--max-seq-length", n) for n in NUMBERS),
    *(("whiten", "MODEL", "--data", path, "--out", "w") for path in PATHS),
    *(("whiten", "MODEL", "--data", "docs", "--out", path) for path in PATHS),
    *(("whiten", "MODEL", "--data", "docs", "--out", "w", "--ridge", n) for n in NUMBERS),
    *(("whiten", "MODEL", "--data", "docs", "--out", "w", "--dimensions", n) for n in NUMBERS),
    ("", ),
    ("--", ),
    ("-", ),
    ("--version", "--version", "x"),
    ("x" * 5000, ),
    (ESCAPES, ),
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory, small_model) -> Path:
    """A folder with a few documents, a store of them, a file and a loop of links."""
    here = tmp_path_factory.mktemp("hostile")
    docs = here / "docs"
    docs.mkdir()
    for name, text in {"dogs.txt": "dogs bark", "cats.md": "cats purr"}.items():
        (docs / name).write_text(text)
    (here / "file.txt").write_text("a file")
    (here / "loop").symlink_to(here / "loop")
    model = small_model("bert")
    ended = longembed("index", docs, "--store", here / "store", "--model", model)
    assert ended.exit_code == 0, ended.output
    return here


def assert_ended_well(ended) -> None:
    assert ended.exit_code in (0, 1, 2), ended.output
    assert "Traceback" not in ended.output
    if ended.exit_code:
        last = ended.stderr.splitlines()[-1]
        assert last.startswith("Error: ") or "Not stored" in ended.output, ended.output
    for character in set(ended.output) - {"\n"}:
        assert unicodedata.category(character) not in {"Cc", "Cf", "Cs"}, ended.output


def test_there_are_enough_of_them() -> None:
    assert len(set(LINES)) > 200


@pytest.mark.parametrize("number", range(len(LINES)))
def test_a_hostile_line_is_refused_in_one_line(number: int, place, small_model, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setenv("COLUMNS", "120")
    stands_for = {"MODEL": str(small_model("bert")), "STORE": str(place / "store")}
    assert_ended_well(longembed(*(stands_for.get(word, word) for word in LINES[number])))


@pytest.mark.parametrize(
    "line",
    [
        ("inspect", "MODEL"),
        ("search", "dog", "--store", "STORE"),
        ("index", "DOCS", "--store", "STORE"),
        ("index", ".", "--store", "STORE"),
        ("index", "DOCS", "--store", "new", "--model", "MODEL"),
        ("bake", "MODEL", "baked", "--method", "rp"),
        ("repair", "--store", "STORE"),
    ],
    ids=" ".join,
)
def test_a_working_folder_that_is_gone(line, place, small_model, tmp_path, monkeypatch) -> None:
    stands_for = {
        "MODEL": str(small_model("bert")),
        "STORE": str(place / "store"),
        "DOCS": str(place / "docs"),
    }
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert_ended_well(longembed(*(stands_for.get(word, word) for word in line)))


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
    found = {Path(hit["source"]).name for hit in json.loads(ended.stdout)}
    assert found == {name for name in HOSTILE_NAMES if not name.endswith(".pdf")}


def test_records_of_another_program_are_shown_by_their_id(tmp_path, small_model) -> None:
    import chromadb

    (tmp_path / "a.txt").write_text("ban bar")
    store = tmp_path / "store"
    longembed("index", tmp_path / "a.txt", "--store", store, "--model", small_model("bert"))
    with chromadb.PersistentClient(str(store)) as client:
        collection = client.get_collection("documents", embedding_function=None)
        vector = collection.get(include=["embeddings"])["embeddings"][0]
        collection.add(ids=["\x1b[2Jtheirs"], embeddings=[vector])
    ended = longembed("search", "ban bar", "--store", store)
    assert ended.exit_code == 0
    assert_ended_well(ended)
    assert "theirs" in ended.stdout
    for line in (("index", tmp_path / "a.txt", "--store", store), ("repair", "--store", store)):
        assert longembed(*line).exit_code == 0
