"""Models that cost nothing, and small real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from index_fakes import FakeModel, use_fake_models

from longembed_index.maintain.embedding import storable_model
from longembed_index.store.memory import MemoryStore
from longembed_index.store.protocol import StoreInfo
from longembed_st.base.settings import ModelSettings


@pytest.fixture
def model() -> FakeModel:
    """A model that costs nothing."""
    return FakeModel()


@pytest.fixture
def store(model: FakeModel) -> MemoryStore:
    """An empty store of its vectors."""
    return MemoryStore(StoreInfo(model.provenance))


@pytest.fixture
def fake_models(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeModel]:
    """Lets every model that an index loads be a `FakeModel`; these are found by fingerprint."""
    return use_fake_models(monkeypatch)


@pytest.fixture(scope="session")
def minilm(minilm_folder: Path):
    """MiniLM with windows."""
    return storable_model(ModelSettings(model_name=str(minilm_folder), method="pcw"))


@pytest.fixture(scope="session")
def short_minilm(minilm_folder: Path):
    """MiniLM as it is: it reads the first 256 tokens."""
    return storable_model(
        ModelSettings(model_name=str(minilm_folder), method="none", on_overflow="truncate")
    )


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minilm_folder: Path) -> Callable:
    """Runs `longembed`; "MODEL" and "STORE" among the arguments stand for their folders."""
    from command_line import longembed

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    folders = {"MODEL": str(minilm_folder), "STORE": str(tmp_path / "store")}
    return lambda *line: longembed(*(folders.get(str(word), word) for word in line))
