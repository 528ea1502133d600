"""Small models and texts to tune them on."""

from __future__ import annotations

import functools
import gc
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from small_models import WORDS


def _words(count: int, seed: object) -> str:
    """A text of so many tokens, special tokens not counted."""
    return " ".join(random.Random(str(seed)).choices(WORDS, k=count))


def _sentences(count: int, seed: object) -> str:
    """A text of so many sentences of 25 words, each long enough to be a passage."""
    return " ".join(f"{_words(25, (seed, index))}." for index in range(count))


@pytest.fixture(scope="module", autouse=True)
def _quick_collection() -> Iterator[None]:
    """The trainer collects garbage several times a run; what was imported need not be looked at."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def words() -> Callable[[int, object], str]:
    return _words


@pytest.fixture(scope="session")
def sentences() -> Callable[[int, object], str]:
    return _sentences


def pairs_in(folder: Path, short: int = 40, long: int = 20, negatives: int = 0) -> Path:
    """Write labelled pairs, some of them with documents longer than the original window."""
    rows = []
    for index in range(short + long):
        length = 28 if index < short else 90
        row = {"query": _words(6, ("q", index)), "document": _words(length, ("d", index))}
        if negatives:
            row["negatives"] = [_words(20, ("n", index, i)) for i in range(negatives)]
        rows.append(json.dumps(row))
    file = folder / "pairs.jsonl"
    file.write_text("\n".join(rows))
    return file


@pytest.fixture
def write_pairs(tmp_path: Path) -> Callable[..., Path]:
    """Writes labelled pairs; see `pairs_in`."""
    return functools.partial(pairs_in, tmp_path)


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The usual labelled pairs, written once."""
    return str(pairs_in(tmp_path_factory.mktemp("pairs")))


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes as long as training."""
    monkeypatch.setattr("longembed_tuning.record.plot_log", lambda log, folder: None)


@pytest.fixture(scope="session")
def small_bert(small_model: Callable[..., Path]) -> str:
    """L_o = 32."""
    return str(small_model("bert", positions=32))
