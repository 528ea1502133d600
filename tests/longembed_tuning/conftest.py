"""Small models and texts to tune them on."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from small_models import WORDS


def _words(count: int, seed: object) -> str:
    """A text of so many tokens, special tokens not counted."""
    return " ".join(random.Random(str(seed)).choices(WORDS, k=count))


def _sentences(count: int, seed: object) -> str:
    """A text of so many sentences of 25 words, each long enough to be a passage."""
    return " ".join(f"{_words(25, (seed, index))}." for index in range(count))


@pytest.fixture(scope="session")
def words() -> Callable[[int, object], str]:
    return _words


@pytest.fixture(scope="session")
def sentences() -> Callable[[int, object], str]:
    return _sentences


@pytest.fixture
def write_pairs(tmp_path: Path) -> Callable[..., Path]:
    """Writes labelled pairs, some of them with documents longer than the original window."""

    def write(short: int = 40, long: int = 20, negatives: int = 0) -> Path:
        rows = []
        for index in range(short + long):
            length = 28 if index < short else 90
            row = {"query": _words(6, ("q", index)), "document": _words(length, ("d", index))}
            if negatives:
                row["negatives"] = [_words(20, ("n", index, i)) for i in range(negatives)]
            rows.append(json.dumps(row))
        file = tmp_path / "pairs.jsonl"
        file.write_text("\n".join(rows))
        return file

    return write


@pytest.fixture
def small_bert(small_model: Callable[..., Path]) -> str:
    """L_o = 32."""
    return str(small_model("bert", positions=32))
