"""Stores of texts in memory, and their words."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from zipf import text

from longembed_index.document import Record
from longembed_index.lexical.index import WordIndex
from longembed_index.lexical.scores import WordScores
from longembed_index.store.conformance import INFO, record
from longembed_index.store.memory import MemoryStore
from longembed_index.store.protocol import Store, StoreInfo

QUERY = "w0 w3 w3 w50 w299 unknown"
PLAIN = replace(INFO, language="none")
LENGTHS = [0, 1, 5, 174, 175, 176, 349, 350, 351, 524, 525, 526, 700, 2_000, 60, 61, 62, 63]
TEXTS = {f"id {number:02}": text(number, length) for number, length in enumerate(LENGTHS)}


def records(texts: dict[str, str]) -> list[Record]:
    return [
        replace(record(key, text=text), content_hash=sha256(text.encode()).hexdigest())
        for key, text in texts.items()
    ]


def store_of(texts: dict[str, str], info: StoreInfo = PLAIN) -> MemoryStore:
    store = MemoryStore(info)
    store.write(records(texts))
    return store


def updated(directory: Path, store: Store) -> WordIndex:
    directory.mkdir(exist_ok=True)
    words = WordIndex(directory, "documents")
    words.update(store)
    return words


def scores_of(
    words: WordIndex, texts: dict[str, str] = TEXTS, query: str = QUERY
) -> dict[str, WordScores]:
    return words.query(query).scores(list(texts))


def in_child(work: Callable[[], object]) -> int:
    """Do some work in a forked child; its exit status, 0 if nothing was raised."""
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
