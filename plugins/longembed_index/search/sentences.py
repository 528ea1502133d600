"""The sentences of documents, their runs of neighbouring sentences, and a cache of both."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from longembed_index.documents.page_margins import page_margins
from longembed_index.documents.parsed import PAGE_END
from longembed_index.documents.places import capital_lines_in, headings_in
from longembed_index.documents.readers import MARKDOWN, suffix_of
from longembed_index.documents.sentences import sentence_units, word_counts
from longembed_index.lexical.scores import Floats, Integers

if TYPE_CHECKING:
    from longembed_index.document import Document, Units
    from longembed_index.store.protocol import Store

_LEADERS = re.compile(r"(?:[.·…][ \u00a0]?){5,}")
"""The dots between a title and its page number in a table of contents."""

_DOTS = tuple(f"{dot}{space}{dot}" for dot in ".·…" for space in ("", " ", "\u00a0"))
"""Two dots in a row, which most texts do not have; found faster than by the pattern."""

_WORDS_OF_ENTRY = 15
"""Of a sentence unit that is a part of a table of contents, each entry has fewer words."""

_ROWS = 32
"""Runs whose vectors are summed together, by one product of matrices."""

_TURN = re.compile(r"[ \t]*\[?([^\W_][\w .,'’()/&-]{0,60}?)\]? ?(?::[ \t]+|：[ \t]*)\S")
"""The beginning of a line at which someone begins to speak."""

_TURNS_EACH = 3
"""The least turns of a speaker. What begins fewer lines may be a key of a list, for instance."""

_FIXED_ORDER = 0.9
"""The least share of turns that follow as usual, if they are keys of records instead."""

_BATCH = 16
"""Documents that are read together; the text of each may have megabytes."""


class Runs(NamedTuple):
    """Runs of about the same number of words, one from each sentence of a document.

    Attributes:
        ends: The sentence after the last of each run, shape (sentences,).
        lengths: The norm of the sum of each run's token states, shape (sentences,); None without
            vectors.
    """

    ends: Integers
    lengths: Floats | None


@dataclass(frozen=True)
class Sentences:
    """The sentences of a document, prepared for any number of queries.

    Attributes:
        ranges: Half-open ranges of characters in text order, shape (sentences, 2).
        words: The number of words before each sentence, and of all, shape (sentences + 1,).
        levels: The level of each sentence that is a heading, from 1; 0 of the others. Shape
            (sentences,).
        sums: The sum of each sentence's token states, shape (sentences, dimensions); None without
            vectors.
        is_content: Whether each sentence is more than a heading, a part of a table of contents, or
            a header of a page, shape (sentences,). A passage has one at least, unless the document
            has none.
        is_transcript: Whether the document is a transcript.
        margins: The headers and footers of pages, whose words do not count, as ranges of
            characters, shape (lines, 2).
        page_ends: The places of the form feeds, shape (pages,).
        title: The title of the document.
        revision: Of the record that has the text.
    """

    ranges: Integers
    words: Integers
    levels: Integers
    sums: NDArray[np.float32] | None
    is_content: NDArray[np.bool_]
    is_transcript: bool
    margins: Integers = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))
    page_ends: Integers = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    title: str = ""
    revision: str = ""
    _runs: dict[int, Runs] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.ranges)

    @property
    def bytes(self) -> int:
        """Return the approximate memory of the sentences, in bytes."""
        vectors = 0 if self.sums is None else self.sums.nbytes
        return vectors + (64 + 16 * len(self._runs)) * len(self)

    @cached_property
    def borders(self) -> Integers:
        """Return the sentences at which sections begin, with one or several headings, ascending.

        A run ends before the next one.
        """
        is_heading = self.levels > 0
        return np.flatnonzero(is_heading[1:] & ~is_heading[:-1]) + 1

    @cached_property
    def headings_above(self) -> Integers:
        """Return the headings above each sentence, one of each level; -1 without one.

        Shape (sentences, the highest level).
        """
        current = np.full(self.levels.max(initial=0), -1)
        above = np.tile(current, (len(self), 1))
        rows = np.flatnonzero(self.levels).tolist()
        for row, end in zip(rows, [*rows[1:], len(self)], strict=False):
            level = self.levels[row]
            current[level - 1 :] = -1
            above[row] = current
            current[level - 1] = row
            above[row + 1 : end] = current
        return above

    def have_content(self, ends: Integers) -> NDArray[np.bool_]:
        """Return whether some sentence of each run has content, shape (sentences,)."""
        before = np.append(0, np.cumsum(self.is_content))
        return before[ends] > before[:-1]

    def content_in(self, first: int, end: int) -> Integers:
        """Return those of some neighbouring sentences that have content."""
        return first + np.flatnonzero(self.is_content[first:end])

    def runs(self, words: int) -> Runs:
        """Return the runs of about so many words, which are computed once."""
        if words not in self._runs:
            ends = self._ends(words)
            self._runs[words] = Runs(ends, self._lengths(np.arange(len(self)), ends))
        return self._runs[words]

    def around(self, words: int, around_words: int) -> Integers:
        """Return the sentence at which the text around each run begins, shape (sentences,).

        The run is in the middle of this text, unless the document begins or ends before.
        """
        middles = (self.words[:-1] + self.words[self.runs(words).ends]) / 2
        firsts = np.searchsorted(self.words, middles - around_words / 2)
        last = np.searchsorted(self.words, self.words[-1] - around_words)
        return np.minimum(np.minimum(firsts, last), np.arange(len(self)))

    def _ends(self, words: int) -> Integers:
        """Return the ends with which the runs are nearest to a number of words."""
        begins = self.words[:-1]
        own = np.arange(len(self))
        limits = np.append(self.borders, len(self))[
            np.searchsorted(self.borders, own, side="right")
        ]
        ends = np.maximum(np.searchsorted(self.words, begins + words, side="right") - 1, own + 1)
        longer = np.minimum(ends + 1, len(self))
        missing, excess = begins + words - self.words[ends], self.words[longer] - begins - words
        return np.minimum(np.where(excess < missing, longer, ends), limits)

    def _lengths(self, firsts: Integers, ends: Integers) -> Floats | None:
        if self.sums is None:
            return None
        lengths = np.zeros(len(firsts))
        for start in range(0, len(firsts), _ROWS):
            part = slice(start, start + _ROWS)
            first, end = int(firsts[part].min()), int(ends[part].max())
            own = np.arange(first, end)
            inside = (own >= firsts[part, None]) & (own < ends[part, None])
            sums = inside.astype(np.float64) @ self.sums[first:end].astype(np.float64)
            lengths[part] = np.sqrt(np.einsum("ij,ij->i", sums, sums))
        return np.where(lengths > 0, lengths, 1.0)

    @cached_property
    def lengths(self) -> Floats | None:
        """Return the norm of the sum of each sentence's token states, shape (sentences,)."""
        return self._lengths(np.arange(len(self)), np.arange(len(self)) + 1)


def read_sentences(document: Document, units: Units | None, language: str | None) -> Sentences:
    """Return the sentences of a document.

    Args:
        document: The document with its text.
        units: Its sentence units; None to split the text, without vectors.
        language: The language of the documents; None to guess it from the text.
    """
    text = document.text
    ranges = sentence_units(text, language) if units is None else np.asarray(units.ranges)
    counts = word_counts(text, ranges)
    sums = None
    if units is not None:
        sums = np.asarray(units.vectors, dtype=np.float32) * np.asarray(units.counts)[:, None]
    margins = page_margins(text)
    is_margin = are_inside(ranges[:, 0], margins) & are_inside(ranges[:, 1] - 1, margins)
    is_markdown = suffix_of(PurePath(document.id)) in MARKDOWN
    marked = {heading.start: heading.level for heading in headings_in(text)} if is_markdown else {}
    headings = marked or dict.fromkeys(capital_lines_in(text), 1)
    levels = np.array([headings.get(start, 0) for start in ranges[:, 0].tolist()], dtype=np.int64)
    levels[is_margin] = 0
    # Lines in capitals may be shown: some are not headings.
    is_heading = (levels > 0) & bool(marked)
    is_content = ~(is_heading | _are_contents(text, ranges, counts) | is_margin)
    if not is_content.any():
        is_content[:] = True
    words = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(np.where(is_margin, 0, counts))])
    return Sentences(
        ranges,
        words,
        levels,
        sums,
        is_content,
        is_transcript(_without(text, margins)),
        margins,
        np.array([match.start() for match in re.finditer(PAGE_END, text)], dtype=np.int64),
        document.title,
    )


def are_inside(characters: NDArray[np.integer[Any]], ranges: Integers) -> NDArray[np.bool_]:
    """Return whether each of some characters is in one of some ranges, shape (characters,).

    Args:
        characters: Their places in a text.
        ranges: Half-open ranges of its characters, ascending, shape (ranges, 2).
    """
    begun = np.searchsorted(ranges[:, 0], characters, side="right")
    return np.asarray(begun > np.searchsorted(ranges[:, 1], characters, side="right"))


def _are_contents(text: str, ranges: Integers, counts: Integers) -> NDArray[np.bool_]:
    """Return whether each sentence is a part of a table of contents, shape (sentences,)."""
    if not any(dots in text for dots in _DOTS):
        return np.zeros(len(ranges), dtype=bool)
    leaders = [match.start() for match in _LEADERS.finditer(text)]
    entries = np.diff(np.searchsorted(leaders, ranges), axis=1)[:, 0]
    return np.asarray((entries > 0) & (counts < _WORDS_OF_ENTRY * entries))


def _without(text: str, ranges: Integers) -> str:
    """Return a text without some of its characters, for instance headers with a colon."""
    ends = [0, *ranges[:, 1].tolist()]
    starts = [*ranges[:, 0].tolist(), len(text)]
    return "".join(text[end:start] for end, start in zip(ends, starts, strict=True))


def is_transcript(text: str) -> bool:
    """Return whether most of a text is turns of speakers, such as "Chair: Good morning."."""
    spoken, turns, following = Counter[str](), Counter[str](), Counter[tuple[str, str]]()
    speaker = last = ""
    for line in text.splitlines():
        # Most lines have no colon: to look for it takes a tenth of the time of the pattern.
        if begins := _speaker(line) if ":" in line or "：" in line else "":
            following[last, begins] += 1
            speaker = last = begins
            turns[speaker] += 1
        elif not line or line.isspace():
            speaker = ""
        # A turn may go on in the next lines.
        spoken[speaker] += len(line)
    of_speakers = sum(spoken[name] for name in turns if turns[name] >= _TURNS_EACH)
    return 2 * of_speakers > len(text) and not _are_keys(turns, following)


def _are_keys(turns: Counter[str], following: Counter[tuple[str, str]]) -> bool:
    """Return whether names take turns in a fixed order, as "Name: ", "Price: ", "Weight: " do."""
    usual = Counter[str]()
    for (name, _), count in following.items():
        usual[name] = max(usual[name], count)
    return len(turns) > 2 and usual.total() > _FIXED_ORDER * turns.total()


def _speaker(line: str) -> str:
    """Return the speaker's name with which a line begins; empty without one."""
    match = _TURN.match(line)
    return match[1] if match and not match[1][0].islower() else ""


class _Kept(NamedTuple):
    """What is kept of one generation of the store.

    Attributes:
        generation: The generation.
        sentences: By id.
        bytes: Of the sentences, by id.
    """

    generation: int
    sentences: dict[str, Sentences]
    bytes: dict[str, int]


class SentenceCache:
    """Reads the sentences of documents that are asked for, and keeps them in memory.

    Threads may share it: at worst, two of them read the same document.
    """

    def __init__(self, store: Store, budget: int) -> None:
        self._store, self._budget = store, budget
        self._kept = _Kept(-1, {}, {})
        self._last: list[str] = []

    def read(
        self, ids: Sequence[str], language: str | None, *, units: bool
    ) -> dict[str, Sentences]:
        """Return the sentences of documents by id; of those that exist.

        Args:
            ids: The documents.
            language: In which they are split, if the store has no sentence units.
            units: Whether a document without sentence units is left out.
        """
        kept = self._kept
        generation = self._store.generation
        if kept.generation != generation:
            kept = self._kept = _Kept(generation, {}, {})
        missing = [key for key in ids if key not in kept.sentences]
        for start in range(0, len(missing), _BATCH):
            part = missing[start : start + _BATCH]
            records = self._store.get(part, units=True)
            if not units:
                having = {record.document.id for record in records}
                records += self._store.get([key for key in part if key not in having])
            for record in records:
                sentences = read_sentences(record.document, record.units, language)
                sentences = replace(sentences, revision=record.revision)
                kept.sentences[record.document.id] = sentences
        read = {key: kept.sentences[key] for key in ids if key in kept.sentences}
        # Those of the last call have grown meanwhile, by the runs that were asked of them.
        for key in (*self._last, *read):
            if key in kept.sentences:
                kept.bytes[key] = kept.sentences[key].bytes
        self._last = list(read)
        # A copy of the values: other threads may add to them.
        if sum(list(kept.bytes.values())) > self._budget:
            self._kept = _Kept(generation, {}, {})
        if units:
            return {key: each for key, each in read.items() if each.sums is not None}
        return read
