"""What goes into an index and what comes out: documents, passages, hits."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from longembed_index.documents.parsed import LeftOut
from longembed_st.base.coverage import Coverage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Document:
    """A text with an id and metadata.

    Attributes:
        id: Its name in the index; of a file, the absolute path. Another document with this id
            replaces it.
        text: All of it.
        metadata: Values of any JSON type, kept as they are; a search can filter by them.
        title: What a person calls it; the last part of the id if it is not given.
    """

    id: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""

    def __post_init__(self) -> None:
        if not self.title:
            object.__setattr__(self, "title", PurePath(self.id).name or self.id)


@dataclass(frozen=True)
class Units:
    """The sentence units of one document: the smallest pieces that have a vector.

    The units i to j together have the vector `(counts * vectors).sum() / counts.sum()`, which is
    what the model gives for their tokens, read in the document.

    Attributes:
        ranges: Half-open ranges of characters of the text, in its order, not overlapping, shape
            (units, 2).
        counts: The tokens pooled into each, shape (units,); 0 for one that the tokenizer drops.
        vectors: The mean of each unit's token states, shape (units, width). They are neither
            normalised nor whitened, and may have more numbers than a whitened document's vector.
    """

    ranges: NDArray[np.int64]
    counts: NDArray[np.int64]
    vectors: NDArray[np.float32]


@dataclass(frozen=True)
class Record:
    """A document as a store keeps it.

    Attributes:
        document: The document.
        vector: A unit vector, shape (dimensions,).
        content_hash: SHA-256 of what it was read from, in hex: a change of it is a change of the
            document.
        coverage: How much of the text the vector was computed from.
        units: Its sentence units; None if it has none, or if they were not asked for.
        left_out: The parts of its file that are not in the text.
    """

    document: Document
    vector: NDArray[np.float32]
    content_hash: str
    coverage: Coverage
    units: Units | None = None
    left_out: tuple[LeftOut, ...] = ()

    @property
    def id(self) -> str:
        """Return the document's id."""
        return self.document.id

    @property
    def revision(self) -> str:
        """Return what changes with the text, as `Entry.revision`."""
        return _revision(self.content_hash, len(self.document.text), self.left_out)


@dataclass(frozen=True)
class Entry:
    """What a store tells of a document without its text and vectors.

    Attributes:
        id: The document's id.
        title: The document's title.
        metadata: The document's metadata.
        content_hash: The same as in `Record`.
        characters: The length of the text.
        tokens: The length of the text, in tokens.
        tokens_read: The number of tokens that the vector was computed from.
        windows: The number of passes through the model.
        tokens_unknown: The number of tokens, of those read, that the model does not know.
        left_out: The parts of the document's file that are not in the text.
    """

    id: str
    title: str
    metadata: Mapping[str, Any]
    content_hash: str
    characters: int
    tokens: int
    tokens_read: int
    windows: int
    tokens_unknown: int = 0
    left_out: tuple[LeftOut, ...] = ()

    @property
    def coverage(self) -> Coverage:
        """Return how much of the text the vector was computed from."""
        return Coverage(self.tokens, self.tokens_read, self.windows, unknown=self.tokens_unknown)

    @property
    def revision(self) -> str:
        """Return what changes with the text, also where the same file was read in another way."""
        return _revision(self.content_hash, self.characters, self.left_out)

    @property
    def share_read(self) -> float:
        """Return the share of the tokens that was read, from 0 to 1."""
        return self.coverage.share

    @property
    def is_read_whole(self) -> bool:
        """Return whether nothing of the document was left out, and most of its tokens are known."""
        is_cut = self.tokens_read < self.tokens
        return not (is_cut or self.left_out or self.coverage.is_unknown)

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as plain data for JSON."""
        return {
            "source": self.id,
            "title": self.title,
            "characters": self.characters,
            "tokens": self.tokens,
            "read": self.tokens_read,
            "share_read": self.share_read,
            "unknown": self.tokens_unknown,
            "left_out": plain_left_out(self.left_out),
            "metadata": dict(self.metadata),
        }

    @property
    def fields(self) -> dict[str, Any]:
        """Return everything that a filter can ask for: the metadata and the fields of our own.

        A document's own `folder` and `type` go before those of its file.
        """
        return {
            **_fields_of_file(self.id),
            **self.metadata,
            "id": self.id,
            "source": self.id,
            "title": self.title,
            "content_hash": self.content_hash,
            "tokens": self.tokens,
            "read": self.tokens_read,
            "windows": self.windows,
        }


FIELDS_OF_FILE = ("folder", "type")


def _fields_of_file(document_id: str) -> dict[str, str]:
    """Return the folder and the type of a file; empty if the document is not a file."""
    if not os.path.isabs(document_id):
        return {}
    suffix = os.path.splitext(document_id)[1]
    return dict(
        zip(FIELDS_OF_FILE, (os.path.dirname(document_id), suffix[1:].lower()), strict=True)
    )


def _revision(content_hash: str, characters: int, left_out: tuple[LeftOut, ...]) -> str:
    if not left_out:
        return content_hash
    # A command for scanned pages reads parts that were left out before.
    return hashlib.sha256(repr((content_hash, characters, left_out)).encode()).hexdigest()


def plain_left_out(left_out: Iterable[LeftOut]) -> list[dict[str, Any]]:
    """Return parts that were left out as plain data for JSON, of which `LeftOut(**item)` is made.

    Args:
        left_out: The parts.
    """
    return [dict(vars(part)) for part in left_out]


@dataclass(frozen=True)
class Passage:
    """A part of a document that answers a question.

    Attributes:
        start: Its first character in the document.
        end: The character after its last.
        text: The text between the two.
        score: How well it answers; comparable within one search.
        sentence: Start and end, in the document, of its best sentence; None if it was not looked
            for.
        share: The share of the document's characters that stand before the best sentence, from 0
            to 1.
        page: The page of the best sentence, counted from 1; None if the pages are not known.
        heading: The nearest heading above it; None if there is none, or it is not known.
    """

    start: int
    end: int
    text: str
    score: float
    sentence: tuple[int, int] | None = None
    share: float = 0.0
    page: int | None = None
    heading: str | None = None

    @property
    def sentence_text(self) -> str | None:
        """Return the text of its best sentence; None if it was not looked for."""
        if self.sentence is None:
            return None
        start, end = self.sentence
        return self.text[start - self.start : end - self.start]

    def to_dict(self) -> dict[str, Any]:
        """Return the passage as plain data for JSON."""
        return {**vars(self), "sentence": list(self.sentence) if self.sentence else None}


@dataclass(frozen=True)
class Citation:
    """A passage of a context.

    Attributes:
        number: The number before the passage in the text of the context, from 1.
        document_id: The document that it is from.
        title: The document's title.
        passage: The passage.
    """

    number: int
    document_id: str
    title: str
    passage: Passage


@dataclass(frozen=True)
class Context:
    """Passages for the prompt of a language model.

    Attributes:
        text: All of it: the title of each document, and its passages in the order of its text, each
            behind its number, page and heading.
        citations: The passages, in the order of the text.
        size: What the text takes of the budget, in words or tokens.
        is_answered: Whether something in the index seems to answer the question. If not, the
            passages are only the nearest. Always true for a search by vectors alone, whose scores
            do not tell.
    """

    text: str
    citations: tuple[Citation, ...]
    size: int
    is_answered: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the context as plain data for JSON."""
        citations = [
            {
                "number": citation.number,
                "source": citation.document_id,
                "title": citation.title,
                **citation.passage.to_dict(),
            }
            for citation in self.citations
        ]
        return {**vars(self), "citations": citations}


@dataclass(frozen=True)
class Hit:
    """A document that a search found.

    Attributes:
        document: The document, with its text.
        score: By which the hits are ordered.
        passages: Its best passages, best first.
        scores: The parts of the score, as far as they were computed: `document_vector`, `best_run`,
            `document_words`, `best_passage_words`, `best_run_words`; with a reranker `reranker`,
            and `search` for the score before it.
        tokens: The length of the document, in tokens.
        tokens_read: The number of tokens that its vector was computed from.
        copies: Ids of other documents with the same text, which are not among the hits.
        tokens_unknown: The number of tokens, of those read, that the model does not know.
        left_out: The parts of the document's file that were not read: the answer may be there.
        is_answer: Whether it seems to answer. If not, it is only the nearest document. Always true
            without passages, and for a search by vectors alone.
    """

    document: Document
    score: float
    passages: tuple[Passage, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    tokens: int = 0
    tokens_read: int = 0
    copies: tuple[str, ...] = ()
    tokens_unknown: int = 0
    left_out: tuple[LeftOut, ...] = ()
    is_answer: bool = True

    @property
    def coverage(self) -> Coverage:
        """Return how much of the text the vector was computed from; the passes are not known."""
        return Coverage(self.tokens, self.tokens_read, 0, unknown=self.tokens_unknown)

    @property
    def share_read(self) -> float:
        """Return the share of the document's tokens that was read, from 0 to 1."""
        return self.coverage.share

    def passage_metadata(self, passage: Passage) -> dict[str, Any]:
        """Return what a framework is told of a passage beside its text, not nested.

        Args:
            passage: One of the passages. Its best sentence is given as a text.
        """
        place = {name: value for name, value in vars(passage).items() if name != "text"}
        return {
            **self.document.metadata,
            **place,
            "sentence": passage.sentence_text,
            "source": self.document.id,
            "title": self.document.title,
            "document_score": self.score,
            "is_answer": self.is_answer,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the hit as plain data for JSON, without the text of the document."""
        return {
            "score": self.score,
            "source": self.document.id,
            "title": self.document.title,
            "metadata": dict(self.document.metadata),
            "characters": len(self.document.text),
            "tokens": self.tokens,
            "read": self.tokens_read,
            "share_read": self.share_read,
            "unknown": self.tokens_unknown,
            "left_out": plain_left_out(self.left_out),
            "scores": dict(self.scores),
            "passages": [passage.to_dict() for passage in self.passages],
            "copies": list(self.copies),
            "is_answer": self.is_answer,
        }
