"""What holds for all commands on a store."""

from __future__ import annotations

import subprocess
import sys

MISTAKES = [
    (("index", "nowhere", "--store", "STORE"), 1, "nowhere does not exist"),
    (("index", "docs", "--store", "docs"), 1, "docs is not a store"),
    (("index", "docs", "--store", "STORE", "--model", "no/model"), 1, "'no/model'"),
    (("index", "docs", "--store", "STORE", "--model", "MODEL", "-o", "x"), 1, "name=value"),
    (
        ("index", "docs", "--store", "STORE", "--model", "MODEL", "--on-overflow", "x"),
        1,
        "on_overflow='x'",
    ),
    (("index", "docs"), 2, "--store"),
    (("search", "  ", "--store", "STORE"), 1, "query is blank"),
    (("search", "q", "--store", "STORE", "-k", "-1"), 2, "-k"),
]


def test_mistakes_end_in_one_line_and_leave_nothing_behind(run, docs, tmp_path) -> None:
    before = sorted(tmp_path.rglob("*"))
    for arguments, code, message in MISTAKES:
        result = run(*arguments)
        assert result.exit_code == code
        assert message in result.stderr
        assert "Traceback" not in result.output
        if code == 1:
            assert len(result.complaints.strip().splitlines()) == 1
            assert result.complaints.startswith("Error: ")
        assert sorted(tmp_path.rglob("*")) == before


def test_help_teaches_with_an_example(run) -> None:
    for command, words in (
        ("index", ("PATH", "--store", "--model", "--method", "--prune", "longembed index")),
        ("search", ("QUERY", "--store", "-k", "--json", "longembed search")),
        ("reindex", ("--store", "--method", "--drop-old", "--restart", "longembed reindex")),
    ):
        result = run(command, "--help")
        assert result.exit_code == 0
        for word in ("Examples:", *words):
            assert word in result.stdout


def test_the_commands_import_nothing_heavy_until_they_run() -> None:
    code = (
        "import sys; from longembed_index.command import contents, convert, index, reindex, search;"
        "print([m for m in ('torch', 'chromadb', 'lxml', 'transformers', 'numpy')"
        " if m in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
