"""Every command without a library of its extra ends in the pip command that installs it."""

from __future__ import annotations

import pytest
from fresh_process import run_fresh

COMMANDS = {
    "bench": ["bench", "MODEL", "-m", "none", "--task", "passkey", "--out", "OUT"],
    "calibrate": ["calibrate", "MODEL", "--data", "DATA", "--out", "OUT/longembed.json"],
    "tune": ["tune", "MODEL", "--data", "DATA", "--max-seq-length", "128", "--out", "OUT/tuned"],
    "index": ["index", "DATA", "--store", "OUT/store", "--model", "MODEL"],
    "search": ["search", "the number of documents", "--store", "STORE", "--mode", "lexical"],
    "delete": ["delete", "*0.txt", "--store", "STORE", "--yes"],
    "serve": ["serve", "--store", "STORE"],
    "mcp": ["mcp", "--store", "STORE"],
    "chroma": ["index", "DATA", "--store", "chroma:OUT/chroma", "--model", "MODEL"],
    "lancedb": ["index", "DATA", "--store", "lancedb:OUT/lance", "--model", "MODEL"],
    "ray": ["index", "DATA", "--store", "parquet:OUT/files", "--ray", "local", "--model", "MODEL"],
    "engine": ["inspect", "MODEL", "--backend", "openvino"],
}
BENCH = ["Stemmer", "bm25s", "matplotlib", "pytrec_eval"]
LIBRARIES = {
    "bench": BENCH,
    "calibrate": ["Stemmer", "bm25s"],
    "tune": ["accelerate", "datasets", "matplotlib"],
    "index": ["Stemmer"],
    "search": ["regex", "Stemmer"],
    "delete": ["filelock"],
    "chroma": ["chromadb"],
    "serve": ["fastapi", "mcp", "prometheus_client", "uvicorn"],
    "mcp": ["mcp"],
    "lancedb": ["lancedb"],
    "ray": ["ray"],
    # What is compiled cannot be imported twice, so it comes last.
    "engine": ["platformdirs", "openvino"],
}
EXTRAS = {
    "tune": {"train"},
    "bench": {"bench"},
    "calibrate": {"bench"},
    "engine": {"openvino"},
    "serve": {"serve"},
    "mcp": {"mcp"},
    "chroma": {"chroma"},
    "lancedb": {"lancedb"},
    "ray": {"ray"},
}

CODE = """
import contextlib, io, os, sys
from longembed_st.command.app import run

OURS = ("longembed", "chroma_longembed", "lancedb_longembed")
found = {}
for library in given["libraries"]:
    for name in [n for n in sys.modules if n.split(".")[0] == library or n.startswith(OURS)]:
        del sys.modules[name]
    sys.modules[library] = None
    from longembed_st.command.app import run
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = run(given["line"])
    found[library] = [code, out.getvalue()]
    del sys.modules[library]
answer(found)
"""


@pytest.fixture(scope="module")
def places(small_model, tmp_path_factory) -> dict[str, str]:
    from longembed_st.command.app import run

    folder = tmp_path_factory.mktemp("places")
    data, out, store = (folder / name for name in ("data", "out", "store"))
    data.mkdir()
    for number in range(3):
        (data / f"{number}.txt").write_text(
            f"This is the document that has the number {number}. " * 30
        )
    model = str(small_model("bert"))
    assert run(["index", str(data), "--store", str(store), "--model", model]) == 0
    return {"MODEL": model, "DATA": str(data), "OUT": str(out), "STORE": str(store)}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_missing_library_is_named_with_the_way_to_install_it(name, places, tmp_path) -> None:
    line = []
    for word in COMMANDS[name]:
        first, slash, rest = word.partition("/")
        line.append(places.get(first, first) + slash + rest)
    given = {"line": line, "libraries": LIBRARIES[name]}
    found = run_fresh(CODE, tmp_path, given=given, HF_HUB_OFFLINE="1", COLUMNS="200")
    assert found.keys() == set(LIBRARIES[name])
    for library, (code, output) in found.items():
        said = " ".join(output.split())
        assert code == 1, (library, output)
        assert "Traceback" not in output
        assert f"{library} is not installed" in said
        extras = EXTRAS.get(name, {"index"})
        assert any(f'pip install "longembed-st[{extra}]"' in said for extra in extras), said
