"""Documents of five formats."""

from __future__ import annotations

from pathlib import Path

import pytest
from office_files import make_docx, make_pdf

LONG = "The committee met on Tuesday to discuss the budget of the town. " * 60


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "budget.txt").write_text(LONG)
    (folder / "pets.md").write_text("# Pets\n\ncats and dogs and hamsters")
    (folder / "bank.html").write_text("<p>the central bank raised interest rates</p>")
    (folder / "weather.pdf").write_bytes(make_pdf("heavy rain is forecast for the weekend"))
    (folder / "music.docx").write_bytes(make_docx("a string quartet by Beethoven"))
    return folder
