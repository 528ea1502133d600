"""The tutorial runs from an empty folder, line by line, to its end."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from command_line import longembed
from docs_snippets import page_blocks

from longembed_index.command import options

MINUTES = """Minutes of the council.
The budget for the bridge was approved by the finance committee in May.
The ferry was damaged in a storm, and did not run for eleven days.
"""


def test_every_block_of_the_tutorial_runs(tmp_path, monkeypatch, minilm_folder, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(options, "DEFAULT_MODEL", str(minilm_folder))
    # The reader's own folder is all that the page takes for granted.
    Path("reports").mkdir()
    Path("reports/minutes.txt").write_text(MINUTES)
    Path("reports/garden.txt").write_text("Tomatoes need sun and water. " * 30)
    variables: dict[str, object] = {}
    ran = []
    for block in page_blocks():
        if block.page != "TUTORIAL.md" or block.not_run:
            continue
        ran.append(block.language)
        if block.language == "python":
            exec(compile(block.code, block.page, "exec"), variables)
            assert "finance committee" in capsys.readouterr().out
        elif block.language == "json":
            Path("questions.jsonl").write_text(block.code)
            assert all(json.loads(line)["question"] for line in block.code.splitlines())
        else:
            for line in block.code.splitlines():
                program, *words = shlex.split(line, comments=True)
                assert program == "longembed"
                result = longembed(*words)
                assert result.exit_code == 0, f"{line}\n{result.output}"
    assert ran[-2:] == ["json", "bash"]
    assert ran.count("python") == 2
    assert "this index" in result.stdout
    assert "100%" in result.stdout
