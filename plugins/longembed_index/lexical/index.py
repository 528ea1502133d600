"""The words of a store's documents, in a file beside the store, and their BM25 scores.

The file is derived from the store, as that of the spans is. SQLite's full-text index finds which
of many documents have words of the query; scores are exact, from the terms of each. A document
is scored twice: as a whole, and by its best passage, a window of terms.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from longembed_index.bm25 import idf
from longembed_index.derived import DerivedFile, id_of, key_of
from longembed_index.embedding import batches
from longembed_index.errors import StoreError
from longembed_index.word_index import WordScores
from longembed_index.word_scores import (
    Numbers,
    Statistics,
    range_scores_of,
    scores_of,
    window_count,
    window_lengths,
    window_ranges,
    windows_of,
)
from longembed_index.words import NO_LANGUAGE, Terms, guess_language, words_of

_TABLES = (
    "CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS words (
        number INTEGER PRIMARY KEY, term TEXT UNIQUE, documents INTEGER, passages INTEGER
    )""",
    """CREATE TABLE IF NOT EXISTS documents (
        number INTEGER PRIMARY KEY, id BLOB UNIQUE, checksum INTEGER, terms BLOB, starts BLOB
    )""",
    """CREATE TABLE IF NOT EXISTS totals (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        documents INTEGER, length INTEGER, passages INTEGER, passage_length INTEGER
    )""",
    "INSERT OR IGNORE INTO totals VALUES (1, 0, 0, 0, 0)",
    "CREATE VIRTUAL TABLE IF NOT EXISTS found USING fts5(numbers, content='')",
)
_AT_ONCE = 500
"""Values in one statement."""
_TOGETHER = 16
"""Documents whose terms are in memory together."""
_TERMS_TOGETHER = 2_000_000
"""Terms of documents that are scored together."""
_MATCHED = 64
"""The most words of a query that documents are looked up by; all of them together, the rarest
first, are in no more documents, counted each time, than there are."""


class WordFile:
    """The lexical index of one collection.

    Args:
        directory: The folder of the store.
        collection: The collection in it.
    """

    def __init__(self, directory: Path, collection: str) -> None:
        name = f"longembed.words.{quote(collection, safe='')}.sqlite3"
        self._file = DerivedFile(directory / name, *_TABLES)

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._file.path

    @property
    def language(self) -> str | None:
        """The language of the stop words and the stemmer; None as long as there is no document."""
        for (value,) in self.rows("SELECT value FROM settings WHERE name = 'language'"):
            return str(value)
        return None

    def __len__(self) -> int:
        """How many documents it has; none if it is damaged, so that it is made anew."""
        with suppress(_DamagedError):
            return next((int(row[0]) for row in self.rows("SELECT documents FROM totals")), 0)
        return 0

    def ids(self) -> set[str]:
        """The documents that it has; none if it is damaged."""
        with suppress(_DamagedError):
            return {id_of(row[0]) for row in self.rows("SELECT id FROM documents")}
        return set()

    def add(self, texts: Mapping[str, str], language: str | None = None) -> None:
        """Take in some documents; those that are there already are left as they are.

        Args:
            texts: By id.
            language: One of `words.LANGUAGES`, for the first documents; None to guess it from them.
                Later ones are taken as of the same language.

        Raises:
            StoreError: If they cannot be written.
        """
        self._file.change(lambda database: _add(database, texts, language))

    def delete(self, ids: Iterable[str]) -> None:
        """Forget some documents; raises `StoreError` if that cannot be written."""
        keys = [key_of(one) for one in ids]
        if keys and self.path.is_file():
            self._file.change(lambda database: _delete(database, keys))

    def ask(self, query: str) -> FileQuery:
        """Put a query.

        Args:
            query: Any text.
        """
        return FileQuery(self, query)

    def with_phrase(self, phrase: str) -> set[str] | None:
        """The documents that have the terms of a phrase in a row, stop words aside.

        Args:
            phrase: Any text.

        Returns:
            None if the phrase has no terms.
        """
        terms = self.cut(phrase).terms
        if not terms:
            return None
        known = {row[1]: row[0] for row in self.counted(terms)}
        if not all(term in known for term in terms):
            return set()
        wanted = " ".join(str(known[term]) for term in terms)
        rows = self.rows(
            "SELECT id FROM found JOIN documents ON number = found.rowid WHERE found MATCH ?",
            f'"{wanted}"',
        )
        return {id_of(row[0]) for row in rows}

    def windows(self, record_id: str, characters: int) -> list[tuple[int, int]]:
        """The passages of a document, for whoever has no spans.

        Args:
            record_id: The document.
            characters: Of its text.

        Returns:
            Half-open ranges of characters, each beginning in the middle of the one before it.
        """
        for _, _, packed in self.terms([record_id]):
            return window_ranges(_places(packed), characters)
        return []

    def cut(self, text: str) -> Terms:
        """The terms of a text, in the language of the documents.

        Args:
            text: Any.
        """
        return words_of(self.language or NO_LANGUAGE).of(text)

    def counted(self, terms: Iterable[str]) -> list[tuple[int, str, int, int]]:
        """Number, term, and how many documents and passages have it, of those that some have.

        Args:
            terms: Any.
        """
        return [
            row
            for part in batches(list(dict.fromkeys(terms)), _AT_ONCE)
            for row in self.rows(
                "SELECT number, term, documents, passages FROM words "
                f"WHERE documents > 0 AND term IN ({', '.join('?' * len(part))})",
                *part,
            )
        ]

    def terms(self, ids: Sequence[str]) -> Iterator[tuple[str, Numbers, bytes]]:
        """Id, terms and their packed places of the documents that are there and not damaged.

        Args:
            ids: The documents.
        """
        for part in batches(ids, _AT_ONCE):
            rows = self.rows(
                "SELECT id, checksum, terms, starts FROM documents "
                f"WHERE id IN ({', '.join('?' * len(part))})",
                *map(key_of, part),
            )
            for key, checksum, terms, starts in rows:
                if zlib.crc32(terms + starts) == checksum:
                    yield id_of(key), _unpacked(terms), starts

    def rows(self, query: str, *values: object) -> list[Any]:
        """What a query in SQL gives; nothing if the file is not there.

        Args:
            query: With a mark for each value.
            *values: The values.

        Raises:
            StoreError: If the file is damaged, or locked for long.
        """
        try:
            with self._file.reading() as database:
                return database.execute(query, values).fetchall()
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise StoreError(f"{self.path.name} is being written to: try again") from error
            return []
        except sqlite3.DatabaseError as error:
            raise _DamagedError(
                f"{self.path.name} is damaged ({error}). Delete it: the next search makes it anew"
            ) from error


class FileQuery:
    """One query, put to a file of words; what it needs of the collection is read once.

    Args:
        words: The file.
        query: Any text.
    """

    def __init__(self, words: WordFile, query: str) -> None:
        self._words, self._terms = words, words.cut(query).terms

    @cached_property
    def _counted(self) -> list[tuple[int, str, int, int]]:
        return sorted(self._words.counted(self._terms))

    @cached_property
    def _statistics(self) -> Statistics:
        times = Counter(self._terms)
        found = next(iter(self._words.rows("SELECT * FROM totals")), (1, 0, 0, 0, 0))
        _, documents, length, passages, passage_length = map(int, found)
        often = np.array([times[row[1]] for row in self._counted], dtype=np.float64)
        having = np.array([row[2:] for row in self._counted], dtype=np.float64).reshape(-1, 2)
        return Statistics(
            np.array([row[0] for row in self._counted], dtype=np.int32),
            often * idf(having[:, 0], documents),
            often * idf(having[:, 1], passages),
            length / max(documents, 1),
            passage_length / max(passages, 1),
        )

    def candidates(self, most: int) -> list[str]:
        """Documents that have words of the query, the likeliest first; all if there are few.

        Args:
            most: How many.
        """
        if len(self._words) <= most:
            return sorted(self._words.ids())
        # The words that few documents have decide; the others cost the time.
        by_rarity = sorted(self._counted, key=lambda row: row[2])[:_MATCHED]
        together = np.cumsum([row[2] for row in by_rarity])
        rare = by_rarity[: max(1, int(np.searchsorted(together, len(self._words), "right")))]
        wanted = " OR ".join(f'"{row[0]}"' for row in rare)
        rows = self._words.rows(
            "SELECT id FROM found JOIN documents ON number = found.rowid "
            "WHERE found MATCH ? ORDER BY rank LIMIT ?",
            wanted,
            most,
        )
        return [id_of(row[0]) for row in rows] if rare else []

    def scores(self, ids: Sequence[str]) -> dict[str, WordScores]:
        """The scores of some documents.

        Args:
            ids: The documents; those that are not there have no score.

        Returns:
            By id.
        """
        found: dict[str, WordScores] = {}
        waiting: list[tuple[str, Numbers]] = []
        together = 0
        for key, terms, _ in self._words.terms(ids):
            waiting.append((key, terms))
            together += len(terms)
            if together > _TERMS_TOGETHER:
                found |= scores_of(self._statistics, waiting)
                waiting, together = [], 0
        return found | scores_of(self._statistics, waiting)

    def range_scores(
        self, record_id: str, ranges: Sequence[tuple[int, int]]
    ) -> NDArray[np.float64]:
        """The scores of parts of a document, as if they were passages.

        Args:
            record_id: The document.
            ranges: Half-open ranges of its characters.

        Returns:
            Shape (ranges,); zeros of a document that is not there.
        """
        for _, terms, starts in self._words.terms([record_id]):
            return range_scores_of(self._statistics, terms, _places(starts), ranges)
        return np.zeros(len(ranges))

    def text_scores(self, text: str, ranges: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
        """The same of parts of any text, the sentences of a passage for instance.

        Args:
            text: The text.
            ranges: Half-open ranges of its characters.

        Returns:
            Shape (ranges,).
        """
        numbers = {row[1]: row[0] for row in self._counted}
        cut = self._words.cut(text)
        terms = np.array([numbers.get(term, -1) for term in cut.terms], dtype=np.int32)
        return range_scores_of(self._statistics, terms, cut.starts, ranges)


class _DamagedError(StoreError):
    """What is in the file cannot be read."""


def _add(database: sqlite3.Connection, texts: Mapping[str, str], language: str | None) -> None:
    there = {id_of(key) for (key,) in _of_ids(database, "id", map(key_of, texts))}
    new = {key: text for key, text in texts.items() if key not in there}
    settings = dict(database.execute("SELECT name, value FROM settings").fetchall())
    if not settings and new:
        settings["language"] = language or guess_language(new.values())
        database.execute("INSERT INTO settings VALUES ('language', ?)", (settings["language"],))
    words = words_of(settings["language"]) if new else None
    for batch in batches(list(new.items()), _TOGETHER):
        assert words is not None
        counted: list[Numbers] = []
        cut = {key: words.of(text) for key, text in batch}
        numbers = _numbers(database, {term for one in cut.values() for term in one.terms})
        for key, one in cut.items():
            terms = np.array([numbers[term] for term in one.terms], dtype=np.int32)
            packed, starts = _packed(terms), _packed(np.diff(one.starts, prepend=np.int32(0)))
            number = database.execute(
                "INSERT INTO documents (id, checksum, terms, starts) VALUES (?, ?, ?, ?)",
                (key_of(key), zlib.crc32(packed + starts), packed, starts),
            ).lastrowid
            database.execute(
                "INSERT INTO found (rowid, numbers) VALUES (?, ?)", (number, _as_text(terms))
            )
            counted.append(terms)
        _count(database, counted, 1)


def _delete(database: sqlite3.Connection, keys: Sequence[bytes]) -> None:
    for number, packed in _of_ids(database, "number, terms", keys):
        terms = _unpacked(packed)
        # An index without contents has to be told what it is to forget.
        database.execute(
            "INSERT INTO found (found, rowid, numbers) VALUES ('delete', ?, ?)",
            (number, _as_text(terms)),
        )
        database.execute("DELETE FROM documents WHERE number = ?", (number,))
        _count(database, [terms], -1)


def _of_ids(database: sqlite3.Connection, columns: str, keys: Iterable[bytes]) -> list[Any]:
    return [
        row
        for part in batches(list(keys), _AT_ONCE)
        for row in database.execute(
            f"SELECT {columns} FROM documents WHERE id IN ({', '.join('?' * len(part))})", part
        ).fetchall()
    ]


def _numbers(database: sqlite3.Connection, terms: set[str]) -> dict[str, int]:
    """The numbers of some terms, new ones for those that are not there yet."""
    database.executemany(
        "INSERT OR IGNORE INTO words (term, documents, passages) VALUES (?, 0, 0)",
        [(term,) for term in sorted(terms)],
    )
    found: dict[str, int] = {}
    for part in batches(sorted(terms), _AT_ONCE):
        marks = ", ".join("?" * len(part))
        rows = database.execute(f"SELECT term, number FROM words WHERE term IN ({marks})", part)
        found |= dict(rows.fetchall())
    return found


def _count(database: sqlite3.Connection, texts: Sequence[Numbers], sign: int) -> None:
    """Count some documents in, or out."""
    documents: Counter[int] = Counter()
    passages: Counter[int] = Counter()
    totals = np.zeros(4, dtype=np.int64)
    for terms in texts:
        count = int(window_count(len(terms)))
        windows, repeated = windows_of(np.arange(len(terms)), count)
        # A term and a passage as one number: each pair counts once.
        pairs = np.unique(terms[repeated].astype(np.int64) * count + windows)
        numbers, having = np.unique(pairs // count, return_counts=True)
        documents.update(numbers.tolist())
        passages.update(dict(zip(numbers.tolist(), having.tolist(), strict=True)))
        totals += [1, len(terms), count, int(window_lengths(len(terms)).sum())]
    database.executemany(
        "UPDATE words SET documents = documents + ?, passages = passages + ? WHERE number = ?",
        [(sign * count, sign * passages[number], number) for number, count in documents.items()],
    )
    database.execute(
        "UPDATE totals SET documents = documents + ?, length = length + ?, "
        "passages = passages + ?, passage_length = passage_length + ?",
        (sign * totals).tolist(),
    )


def _as_text(terms: Numbers) -> str:
    return " ".join(map(str, terms.tolist()))


def _packed(numbers: Numbers) -> bytes:
    return zlib.compress(np.asarray(numbers, dtype="<i4").tobytes(), level=1)


def _places(packed: bytes) -> Numbers:
    return np.cumsum(_unpacked(packed), dtype=np.int32)


def _unpacked(packed: bytes) -> Numbers:
    return np.frombuffer(zlib.decompress(packed), dtype="<i4")
