"""What an ingestion would do, without doing it: `longembed index --dry-run`."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from longembed_index.ingestion import record_id_of
from longembed_index.sources import content_of, readable_of
from longembed_st.base.texts import has_text
from longembed_st.errors import InputError

if TYPE_CHECKING:
    from longembed_index.embedding import Embed
    from longembed_index.sources import Source

SAMPLE_CHARACTERS = 20_000
"""Embedded to measure the speed."""


@dataclass
class Foresight:
    """What would be done.

    Attributes:
        new: Names of documents that would be embedded, changed ones among them.
        unchanged: How many the store has as they are.
        failed: Name and reason of each that would not be stored.
        characters: Of the new ones.
        tokens: Of these.
        read: How many of the tokens would be read.
        seconds: That embedding them would take; None if there are none.
    """

    new: list[str] = field(default_factory=list)
    unchanged: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    characters: int = 0
    tokens: int = 0
    read: int = 0
    seconds: float | None = None


def foresee(
    sources: Iterable[Source],
    has: Callable[[str], bool],
    count: Callable[[str], tuple[int, int]],
    embed: Embed,
    on_document: Callable[[], None] = lambda: None,
) -> Foresight:
    """Read all documents, count their tokens, and measure the speed on a beginning of them.

    Args:
        sources: The documents; read one at a time.
        has: Whether the store has a record of this id.
        count: From a text to its tokens, and how many of them would be read.
        embed: Gives the vectors of the sample.
        on_document: Called for each document.
    """
    found, sample = Foresight(), ""
    for source in sources:
        try:
            content = content_of(source)
            if has(record_id_of(source.name, hashlib.sha256(content).hexdigest())):
                found.unchanged += 1
                continue
            text = readable_of(source, content).text
            tokens, read = count(text)
        except InputError as error:
            found.failed.append((source.name, str(error)))
        else:
            found.new.append(source.name)
            found.characters += len(text)
            found.tokens += tokens
            found.read += read
            sample += text[: SAMPLE_CHARACTERS - len(sample)]
        finally:
            on_document()
    if has_text(sample):
        # The first run sets things up.
        embed([sample[:200]])
        begin = time.perf_counter()
        coverage = embed([sample]).coverages[0]
        found.seconds = (time.perf_counter() - begin) * found.read / max(coverage.read, 1)
    return found
