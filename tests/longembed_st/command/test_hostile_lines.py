"""Command lines that nobody should type: each is refused in one line, or done; none ends in code 3.

Some lines quote names with control characters, which must not reach the terminal. A line that hangs
would hang the test run: nothing here waits.
"""

from __future__ import annotations

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
    *(("inspect", "MODEL", "--length", number) for number in NUMBERS if len(number) != 23),
    *(("inspect", model) for model in MODELS),
    *(("bake", model, "baked") for model in MODELS),
    *(("bake", "MODEL", path, "--method", "rp") for path in PATHS if path != "nowhere"),
    ("bake", "MODEL", "/proc/x", "--method", "rp"),
    ("bake", "MODEL", "/dev/full", "--method", "rp"),
    ("bake", "MODEL", "baked", "--method", "pcw"),
    *(("index", path, "--store", "new", "--model", "MODEL") for path in PATHS if path != "loop"),
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
    *(("calibrate", "MODEL", "--data", path) for path in PATHS),
    *(("calibrate", "MODEL", "--data", "docs", "--documents", n) for n in ("0", HUGE, "x")),
    *(("tune", "MODEL", "--data", path, "--out", "t", "--max-seq-length", "64") for path in PATHS),
    *(("tune", "MODEL", "--data", "docs", "--out", "t", "--max-seq-length", n) for n in NUMBERS),
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
