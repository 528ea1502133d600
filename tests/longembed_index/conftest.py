"""A model that costs nothing, and the real one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from longembed_index.embedding import storable_model
from longembed_index.memory import MemoryStore
from longembed_st.base.coverage import Coverage, Encoded
from longembed_st.base.provenance import Provenance
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError, InputError
from longembed_st.loading.cache import CachedModel


class FakeModel:
    """Stands for a loaded model and for its embedder: words are tokens, vectors are hashes.

    Args:
        fingerprint: Models of one fingerprint make the same vectors.
        limit: Most words that are read of a text; None for all.
        refuse_longer: Whether a longer text is an error.
        fails_at: A word that no vector can be made of.
    """

    def __init__(
        self,
        fingerprint: str = "one",
        limit: int | None = None,
        refuse_longer: bool = False,
        fails_at: str = "",
    ) -> None:
        settings = ModelSettings(model_name=f"some/{fingerprint}", max_seq_length=limit)
        self.provenance = Provenance(settings, fingerprint)
        self._limit, self._refuse_longer, self._fails_at = limit, refuse_longer, fails_at
        self.calls: list[list[str]] = []

    def __call__(self, texts: list[str]) -> Encoded:
        self.calls.append(list(texts))
        coverages = [self._coverage(text) for text in texts]
        return Encoded(np.stack([self.vector(text) for text in texts]), coverages)

    def vector(self, text: str) -> np.ndarray:
        digest = hashlib.sha256(f"{self.provenance.fingerprint} {text}".encode()).digest()
        vector = np.frombuffer(digest, dtype=np.uint8).astype(np.float32) - 127.5
        return vector / np.linalg.norm(vector)

    def _coverage(self, text: str) -> Coverage:
        if self._fails_at and self._fails_at in text:
            raise InputError("no vector for this one")
        tokens = len(text.split())
        read = min(tokens, self._limit or tokens)
        if self._refuse_longer and read < tokens:
            raise InputError(f"a text of {tokens} words is longer than the window of {read}")
        return Coverage(tokens, read, 1 + read // 100)

    def is_compatible(self, stored: Provenance) -> bool:
        return stored.fingerprint == self.provenance.fingerprint

    def refuse_incompatible(self, stored: Provenance, what: str) -> None:
        if not self.is_compatible(stored):
            raise ConfigError(f"{what} holds vectors that were made differently")


@pytest.fixture
def fake_model() -> type[FakeModel]:
    """Makes models that cost nothing."""
    return FakeModel


@pytest.fixture
def model() -> FakeModel:
    """A model that costs nothing."""
    return FakeModel()


@pytest.fixture
def store(model: FakeModel) -> MemoryStore:
    """An empty store of its vectors."""
    return MemoryStore(model.provenance)


@pytest.fixture(scope="session")
def minilm(minilm_folder: Path) -> CachedModel:
    """MiniLM with windows."""
    return storable_model(ModelSettings(model_name=str(minilm_folder), method="pcw"))


@pytest.fixture(scope="session")
def short_minilm(minilm_folder: Path) -> CachedModel:
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
    stands_for = {"MODEL": str(minilm_folder), "STORE": str(tmp_path / "store")}

    def call(*arguments: str | Path):
        return longembed(*(stands_for.get(str(a), a) for a in arguments))

    return call


@pytest.fixture
def run_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_model: Callable) -> Callable:
    """Runs `longembed`; "MODEL" stands for a small model's folder, "STORE" for a store's."""
    from command_line import longembed

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    folders = {"MODEL": str(small_model("bert", positions=64)), "STORE": str(tmp_path / "store")}
    return lambda *line: longembed(*(folders.get(str(word), word) for word in line))


@pytest.fixture
def gains(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights tell nothing apart: let the judgement say that whitening helps."""
    from longembed_tuning import whiten
    from longembed_tuning.judging import Judgement

    some = Judgement(50, 60, 5, 15, 99, 40)
    monkeypatch.setattr(whiten, "compare", lambda *arguments: some)
