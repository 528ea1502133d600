"""A store of long documents that the retrievers of all frameworks are tested with."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, minilm_folder: Path) -> Path:
    """Three documents of some thousand words, each of which answers a question."""
    from integrations.answering import indexed

    return indexed(tmp_path_factory.mktemp("answers"), minilm_folder)
