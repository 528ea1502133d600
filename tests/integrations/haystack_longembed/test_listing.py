"""The page for Haystack's list of integrations."""

from __future__ import annotations

import pytest
import yaml
from docs_snippets import ROOT, blocks

pytest.importorskip("haystack")

TEXT = (ROOT / "integrations/longembed-haystack/longembed.md").read_text("utf8")


def test_it_has_the_fields_that_the_list_asks_for() -> None:
    _, head, body = TEXT.split("---\n", 2)
    fields = yaml.safe_load(head)
    asked = ("layout", "name", "description", "authors", "pypi", "repo", "type", "report_issue")
    assert all(fields[name] for name in (*asked, "version", "toc"))
    assert (fields["layout"], fields["type"]) == ("integration", "Model Provider")
    for line in body.splitlines():
        if line.startswith("- ["):
            name = line[3 : line.index("]")]
            assert f"## {name}\n" in body


def test_its_pieces_of_code_run(store, minilm_folder) -> None:
    pieces = [block.code for block in blocks(TEXT) if block.language == "python"]
    for piece in pieces:
        code = piece.replace("thenlper/gte-small", str(minilm_folder))
        variables: dict[str, object] = {}
        exec(compile(code.replace("./store", str(store)), "<piece>", "exec"), variables)
        assert variables["result"]
