"""A thousand documents, most of them bad: each is stored with a finite vector or named."""

from __future__ import annotations

import random
import string
from collections.abc import Callable

import numpy as np
import pytest

from longembed_index.document import Document
from longembed_index.documents.sources import TextSource
from longembed_index.maintain.embedding import embedder_of
from longembed_index.maintain.ingest import ingest
from longembed_index.store.kinds import open_store
from longembed_index.store.protocol import StoreInfo

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


@pytest.mark.slow
def test_each_text_is_stored_with_a_finite_vector_or_named(minilm, tmp_path) -> None:
    texts = {f"{kind} {i}": text for i, (kind, text) in enumerate(flood(seed=0, count=1000))}
    info = StoreInfo(minilm.provenance, units=True)
    store = open_store(tmp_path / "store", create=info, write=True)
    sources = [TextSource(Document(*item)) for item in texts.items()]
    report = ingest(sources, store, embedder_of(minilm, units=True))
    failed = dict(report.failed)
    assert all(failed.values()), "a failure without a reason"
    entries = {entry.id: entry for entry in store.entries()}
    assert entries.keys() | failed.keys() == texts.keys()
    assert not entries.keys() & failed.keys()
    assert len(store) == len(entries) == report.counts["added"]
    assert all(entry.tokens_read == entry.tokens > 0 for entry in entries.values())
    ids, vectors = store.vectors()
    assert ids == list(entries)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    for document_id in texts:
        kind = document_id.rpartition(" ")[0]
        assert not (kind in MUST_FAIL and document_id in entries), document_id
        assert not (kind in MUST_BE_STORED and document_id in failed), failed.get(document_id)
    for record in store.get(list(texts)):
        assert record.document.text == texts[record.document.id]
    store.close()
