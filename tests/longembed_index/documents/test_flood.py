"""A thousand documents, most of them bad: each is stored with a finite vector or named."""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from longembed_index.embedding import document_embedder
from longembed_index.ingestion import ingest
from longembed_index.opening import open_store
from longembed_index.sources import TextSource, find_files
from longembed_index.verify import sample

SENTENCE = "the committee met on Tuesday and discussed the budget of the town once more"
WORDS = SENTENCE.split()
HEBREW_AND_ARABIC = [chr(c) for c in (*range(0x5D0, 0x5EB), *range(0x627, 0x64B))]
EMOJI = [*"😀🎉🚀🐈", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇫🇷", "❤️"]


def words(draw: random.Random, count: int) -> str:
    return " ".join(draw.choices(WORDS, k=count))


def letters(draw: random.Random, alphabet: list[str], count: int) -> str:
    return "".join(draw.choices(alphabet, k=count))


def with_inside(draw: random.Random, inside: str) -> str:
    return f"{words(draw, 5)}{inside}{words(draw, 5)}"


KINDS: dict[str, Callable[[random.Random], str]] = {
    "plain": lambda draw: words(draw, draw.randint(1, 80)),
    "empty": lambda draw: draw.choice(["", " ", "\n\t \r\n", "\ufeff", "\u200b\u2060"]),
    "binary": lambda draw: draw.randbytes(draw.randint(1, 300)).decode("latin-1"),
    "huge": lambda draw: words(draw, 4000),
    "surrogate": lambda draw: with_inside(draw, chr(draw.randint(0xD800, 0xDFFF))),
    "NUL": lambda draw: with_inside(draw, "\0" * draw.randint(1, 3)),
    "right to left": lambda draw: letters(
        draw, [*HEBREW_AND_ARABIC, " ", "\u200f"], draw.randint(1, 200)
    ),
    "emoji": lambda draw: letters(draw, EMOJI, draw.randint(1, 60)),
    "no space": lambda draw: letters(draw, list(string.ascii_letters), draw.randint(1, 3000)),
    "any": lambda draw: letters(draw, [chr(draw.randrange(0x11_0000)) for _ in range(50)], 50),
}
RARE = {"huge": 4}
"""These take seconds each."""

MUST_FAIL = {"empty", "surrogate"}
MUST_BE_STORED = {"plain", "huge", "no space"}


def flood(seed: int, count: int) -> list[tuple[str, str]]:
    """So many texts, each with the name of its kind."""
    draw = random.Random(seed)
    kinds = [kind for kind, times in RARE.items() for _ in range(times)]
    often = sorted(KINDS.keys() - RARE.keys())
    kinds += [often[i % len(often)] for i in range(count - len(kinds))]
    draw.shuffle(kinds)
    return [(kind, KINDS[kind](draw)) for kind in kinds]


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return {f"{kind} {i}": text for i, (kind, text) in enumerate(flood(seed=0, count=1000))}


def check(report, store, wanted: dict[str, str]) -> None:
    failed = dict(report.failed)
    assert all(failed.values()), "a failure without a reason"
    stored = {record.name: record for record in sample(store, len(wanted))}
    assert stored.keys() | failed.keys() == wanted.keys()
    assert not stored.keys() & failed.keys()
    assert len(store) == len(stored) == report.counts["added"]
    for name, record in stored.items():
        assert np.isfinite(record.vector).all(), name
        assert np.linalg.norm(record.vector) == pytest.approx(1, abs=1e-3), name
        assert record.metadata["read"] == record.metadata["tokens"] > 0
    for name in wanted:
        kind = Path(name).stem.rstrip(string.digits).rstrip()
        assert not (kind in MUST_FAIL and name in stored), name
        assert not (kind in MUST_BE_STORED and name in failed), failed.get(name)


@pytest.mark.slow
def test_texts_in_memory(texts, minilm, tmp_path) -> None:
    sources = [TextSource(*item) for item in texts.items()]
    with open_store(tmp_path / "store", minilm, write=True) as store:
        report = ingest(sources, store, document_embedder(minilm))
        check(report, store, texts)
        for record in sample(store, len(texts)):
            assert record.text == texts[record.name]


def test_files(texts, minilm, tmp_path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    some = list(texts.items())[:300]
    for name, text in some:
        encoding = "latin-1" if name.startswith("binary") else "utf-8"
        (folder / f"{name}.txt").write_bytes(text.encode(encoding, "surrogatepass"))
    names = {str(folder.resolve() / f"{name}.txt"): text for name, text in some}
    with open_store(tmp_path / "store", minilm, write=True) as store:
        report = ingest(find_files([folder]).files, store, document_embedder(minilm))
        check(report, store, names)
        # Binary junk in a text file is never taken for text.
        assert not [n for n in store.names() if "NUL" in n[1]]
