"""The site is built without a warning, and its examples are true."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")

    def built(builder: str) -> Path:
        command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", builder]
        folders = ["-d", str(out / "doctrees"), str(DOCS), str(out / builder)]
        done = subprocess.run([*command, *folders], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return out / builder

    return built


@pytest.mark.slow
def test_every_page_is_built_and_reached(build) -> None:
    site = build("html")
    contents = (site / "index.html").read_text("utf8")
    for page in DOCS.glob("*.md"):
        assert (site / f"{page.stem}.html").is_file()
        assert page.stem == "index" or f'href="{page.stem}.html"' in contents
    assert "longembed reindex" in (site / "commands.html").read_text("utf8")
    assert "encode_with_coverage" in (site / "REFERENCE.html").read_text("utf8")


@pytest.mark.slow
def test_examples_are_true(build) -> None:
    told = (build("doctest") / "output.txt").read_text("utf8")
    assert "0 failures in tests" in told
    assert "1 passed" in told or "items passed" in told
