"""What tests of the registries share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from longembed_st.positions import family, method

PACKAGE = "brought_along"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Puts a package with entry points on the path, as pip would."""

    def installed(group: str, entry_points: str, code: str) -> Path:
        (tmp_path / f"{PACKAGE}.py").write_text(code)
        record = tmp_path / f"{PACKAGE}-1.0.dist-info"
        record.mkdir()
        (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n")
        (record / "entry_points.txt").write_text(f"[{group}]\n{entry_points}\n")
        return tmp_path

    monkeypatch.syspath_prepend(str(tmp_path))
    for registry in (method._registry, family._registry):
        # What is installed is looked up anew, here and after the test.
        monkeypatch.setattr(registry, "_installed", None)
        monkeypatch.setattr(registry, "_added", dict(registry._added))
    yield installed
    sys.modules.pop(PACKAGE, None)
