"""What an ingestion would do, without doing it: `longembed index --dry-run`."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from longembed_index.document import plain_left_out
from longembed_index.documents.readers import suffix_of
from longembed_index.documents.sources import content_of, readable_of
from longembed_index.maintain.embedding import Embedded, coverage_of, embedder_of
from longembed_st.base.texts import has_text
from longembed_st.errors import InputError

if TYPE_CHECKING:
    from longembed_index.documents.parsed import LeftOut
    from longembed_index.documents.sources import Source
    from longembed_st.loading.cache import CachedModel

SAMPLE_FILES = 5
SAMPLE_BYTES = 1_000_000
"""So many files of each type are read, or fewer if they have more bytes."""
SAMPLE_SECONDS = 5.0
"""More of them are read as long as reading a type takes no longer."""
SAMPLE_CHARACTERS = 40_000
"""Embedded to measure the speed, in halves: of 10,000 characters, a token takes longer."""
WARMING_CHARACTERS = 2_000


@dataclass
class DryRun:
    """What would be done; an estimate unless all new documents were read.

    Attributes:
        new: Ids of documents that would be embedded, changed ones among them, without those that
            failed.
        unchanged: The number of documents that the store has as they are.
        sampled: The number of new documents that were read; all other numbers follow from these, by
            the sizes of the files of each type.
        failed: Id and reason of each document that could not be read.
        skipped: Files that no reader knows.
        links: Links that lead out of the places of the run, and would not be followed.
        left_out: What was not read of the documents that were read, with their ids.
        characters: Characters of the new documents.
        tokens: Tokens of the new documents.
        tokens_read: How many of them would be read.
        tokens_unknown: How many of those the model does not know.
        reading_seconds: The time that reading the files would take.
        embedding_seconds: The time that embedding the texts would take; None if there are none.
    """

    new: list[str] = field(default_factory=list)
    unchanged: int = 0
    sampled: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    left_out: list[tuple[str, LeftOut]] = field(default_factory=list)
    characters: int = 0
    tokens: int = 0
    tokens_read: int = 0
    tokens_unknown: int = 0
    reading_seconds: float = 0.0
    embedding_seconds: float | None = None

    @property
    def is_estimate(self) -> bool:
        """Return whether some of the new documents were not read."""
        return self.sampled < len(self.new)

    @property
    def share_read(self) -> float:
        """Return the share of the tokens that would be read, from 0 to 1."""
        return self.tokens_read / self.tokens if self.tokens else 1.0

    @property
    def seconds(self) -> float | None:
        """Return the time that reading and embedding would take; None if there are no texts."""
        if self.embedding_seconds is None:
            return None
        return self.reading_seconds + self.embedding_seconds

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain data for JSON."""
        lists = {"new": self.new, "skipped": self.skipped, "links": self.links}
        return {
            **lists,
            "unchanged": self.unchanged,
            "sampled": self.sampled,
            "is_estimate": self.is_estimate,
            "failed": [{"document": name, "reason": reason} for name, reason in self.failed],
            "left_out": [
                {"document": name, **item}
                for name, part in self.left_out
                for item in plain_left_out([part])
            ],
            "characters": self.characters,
            "tokens": self.tokens,
            "read": self.tokens_read,
            "unknown": self.tokens_unknown,
            "reading_seconds": round(self.reading_seconds, 3),
            "seconds": None if self.seconds is None else round(self.seconds, 3),
        }


def dry_run(
    sources: Iterable[Source],
    stored: Mapping[str, str],
    model: CachedModel,
    on_document: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
    *,
    units: bool = False,
) -> DryRun:
    """Read some documents of each type, and infer from them what all would take.

    Documents that are stored are compared by their content, whole.
    """
    result = DryRun()
    by_type: dict[str, list[Source]] = {}
    for source in sources:
        if source.id in stored and _is_unchanged(source, stored[source.id]):
            result.unchanged += 1
            on_document()
        else:
            result.new.append(source.id)
            by_type.setdefault(suffix_of(PurePath(source.id)), []).append(source)
    text = ""
    for group in by_type.values():
        text += _estimate_type(result, group, model, on_document, clock)[
            : SAMPLE_CHARACTERS - len(text)
        ]
    failed = {name for name, _ in result.failed}
    result.new = [name for name in result.new if name not in failed]
    if has_text(text):
        embed = embedder_of(model, units)
        # The first call sets things up.
        embed([text[:WARMING_CHARACTERS]])
        speeds = []
        # The faster half counts: what else the machine does only slows it down.
        halves = (text[: len(text) // 2], text[len(text) // 2 :])
        for half in filter(has_text, halves):
            began = clock()
            (embedded,) = embed([half])
            if isinstance(embedded, Embedded):
                speeds.append((clock() - began) / max(embedded.coverage.read, 1))
        if speeds:
            result.embedding_seconds = min(speeds) * result.tokens_read
    return result


def _is_unchanged(source: Source, content_hash: str) -> bool:
    try:
        return hashlib.sha256(content_of(source)).hexdigest() == content_hash
    except InputError:
        return False


def _estimate_type(
    result: DryRun,
    sources: Sequence[Source],
    model: CachedModel,
    on_document: Callable[[], None],
    clock: Callable[[], float],
) -> str:
    """Add what all files of a type would take, and return the beginning of their texts."""
    text, size, seconds = "", 0, 0.0
    characters = tokens = tokens_read = tokens_unknown = 0
    is_started = False
    for source, is_needed in _sample(sources):
        # What was read so far says how long this one will take.
        if not is_needed and seconds * (1 + source.size / max(size, 1)) > SAMPLE_SECONDS:
            continue
        try:
            if not is_started:
                # The first time, the parser is started.
                readable_of(source, content_of(source))
                is_started = True
            size += source.size
            began = clock()
            parsed = readable_of(source, content_of(source))
            seconds += clock() - began
            (coverage,) = coverage_of(model, [parsed.text])
        except InputError as error:
            result.failed.append((source.id, str(error)))
        else:
            characters += len(parsed.text)
            tokens += coverage.tokens
            tokens_read += coverage.read
            tokens_unknown += coverage.unknown
            result.left_out += [(source.id, part) for part in parsed.left_out]
            text += parsed.text[: SAMPLE_CHARACTERS - len(text)]
            result.sampled += 1
        finally:
            on_document()
    failed = {name for name, _ in result.failed}
    scale = sum(source.size for source in sources if source.id not in failed) / max(size, 1)
    result.characters += round(scale * characters)
    result.tokens += round(scale * tokens)
    result.tokens_read += round(scale * tokens_read)
    result.tokens_unknown += round(scale * tokens_unknown)
    result.reading_seconds += scale * seconds
    return text


def _sample(sources: Sequence[Source]) -> Iterator[tuple[Source, bool]]:
    """Yield the files in the order in which they are read, and whether they are needed.

    Needed are a few of all sizes, as long as they are not too large.
    """
    by_size = sorted(sources, key=lambda source: (source.size, source.id))
    small = [source for source in by_size if source.size <= SAMPLE_BYTES] or by_size[:1]
    count = min(SAMPLE_FILES, len(small))
    needed: list[Source] = []
    size = 0
    for number in range(count):
        source = small[(2 * number + 1) * len(small) // (2 * count)]
        size += source.size
        if number and size > SAMPLE_BYTES:
            break
        needed.append(source)
    yield from ((source, True) for source in needed)
    ids = {source.id for source in needed}
    others = [source for source in sources if source.id not in ids]
    # In an order that has nothing to do with their names or sizes.
    others.sort(key=lambda source: hashlib.sha256(source.id.encode("utf-8", "replace")).digest())
    yield from ((source, False) for source in others)
