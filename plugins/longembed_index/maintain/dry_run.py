"""What an ingestion would do, without doing it: `longembed index --dry-run`."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from longembed_index.documents.sources import content_of, readable_of
from longembed_index.maintain.embedding import Embedded, coverage_of, embedder_of
from longembed_st.base.texts import has_text
from longembed_st.errors import InputError

if TYPE_CHECKING:
    from longembed_index.documents.sources import Source
    from longembed_st.loading.cache import CachedModel

SAMPLE_CHARACTERS = 20_000
"""Embedded to measure the speed."""


@dataclass
class DryRun:
    """What would be done.

    Attributes:
        new: Ids of documents that would be embedded, changed ones among them.
        unchanged: The number of documents that the store has as they are.
        failed: Id and reason of each document that would not be stored.
        skipped: Files that no reader knows.
        characters: Characters of the new documents.
        tokens: Tokens of the new documents.
        tokens_read: How many of them would be read.
        seconds: The time that embedding them would take; None if there are none.
    """

    new: list[str] = field(default_factory=list)
    unchanged: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    characters: int = 0
    tokens: int = 0
    tokens_read: int = 0
    seconds: float | None = None

    @property
    def share_read(self) -> float:
        """Return the share of the tokens that would be read, from 0 to 1."""
        return self.tokens_read / self.tokens if self.tokens else 1.0


def dry_run(
    sources: Iterable[Source],
    stored: Mapping[str, str],
    model: CachedModel,
    on_document: Callable[[], None] = lambda: None,
) -> DryRun:
    """Read all documents, count their tokens, and measure the speed on a beginning of them.

    Args:
        sources: The documents; read one at a time.
        stored: Content hashes of the store's documents by id.
        model: The model of the index.
        on_document: Called for each document.
    """
    result, sample = DryRun(), ""
    for source in sources:
        try:
            content = content_of(source)
            if stored.get(source.id) == hashlib.sha256(content).hexdigest():
                result.unchanged += 1
                continue
            text = readable_of(source, content).text
            (coverage,) = coverage_of(model, [text])
        except InputError as error:
            result.failed.append((source.id, str(error)))
        else:
            result.new.append(source.id)
            result.characters += len(text)
            result.tokens += coverage.tokens
            result.tokens_read += coverage.read
            sample += text[: SAMPLE_CHARACTERS - len(sample)]
        finally:
            on_document()
    if has_text(sample):
        embed = embedder_of(model, units=False)
        # The first call sets things up.
        embed([sample[:200]])
        began = time.perf_counter()
        (embedded,) = embed([sample])
        seconds = time.perf_counter() - began
        if isinstance(embedded, Embedded):
            result.seconds = seconds * result.tokens_read / max(embedded.coverage.read, 1)
    return result
