"""Does an index hand over what answers a user's own questions? Beside a plain splitter.

A question names what answers it: a text, or pages of a document. It is answered if the passages
within a budget of words contain the text, or something of a page. The plain splitter is what most
pipelines begin with: chunks of about 1,000 characters that overlap by 200, the nearest ones first,
embedded by the index's own model.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path, PurePath
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from longembed_index.document import Document, Entry
from longembed_index.documents.parsed import PAGE_END
from longembed_index.store.vectors import unit_vectors
from longembed_st.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from longembed_index.index import Index
    from longembed_st.base.long_model import Role

BUDGETS = (150, 300, 600, 1_200)
"""Words of the prompt."""

FOUND = 5
"""Among so many documents the right one is looked for."""

CHUNK, OVERLAP = 1_000, 200
"""Characters of a chunk, and of its overlap with the one before it."""

_KEYS = ("question", "document", "page", "answer")
_SEPARATORS = ("\n\n", "\n", ". ", " ")
_CHANCE = 2.0
"""Standard errors: a smaller difference may be chance."""


class Part(NamedTuple):
    """A part of a document in the prompt, as a range of its characters."""

    document_id: str
    start: int
    end: int


@dataclass(frozen=True)
class Question:
    """A question with what is known of its answer.

    Attributes:
        text: The question.
        document: The id, title or file name of the document that answers it; None if any may.
        pages: The pages that answer it, from 1; empty if they are not known.
        answer: The text that answers it; None if it is not known.
    """

    text: str
    document: str | None = None
    pages: tuple[int, ...] = ()
    answer: str | None = None

    def is_about(self, document: Document | Entry) -> bool:
        """Return whether a document is the one that answers."""
        path = PurePath(document.id)
        return self.document in (document.id, document.title, path.name, path.stem)

    def is_answered(self, parts: Iterable[Part], documents: Callable[[str], Document]) -> bool:
        """Return whether some parts of documents hold the answer."""
        for part in parts:
            document = documents(part.document_id)
            if self.document is not None and not self.is_about(document):
                continue
            text = document.text[part.start : part.end]
            if self.answer is not None:
                if _normal(self.answer) in _normal(text):
                    return True
            elif not self.pages:
                return True
            else:
                first = document.text.count(PAGE_END, 0, part.start) + 1
                pages = {first + n for n, page in enumerate(text.split(PAGE_END)) if page.strip()}
                if pages & set(self.pages):
                    return True
        return False


@dataclass(frozen=True)
class Line:
    """What one way to search reaches.

    Attributes:
        first: The share of the questions whose first document is the right one; None if no question
            names a document.
        found: The share of those with the right one among the first five.
        answered: For each budget and question, whether the answer is in the prompt.
        milliseconds: The median time of a question.
    """

    first: float | None
    found: float | None
    answered: dict[int, NDArray[np.bool_]]
    milliseconds: float


def read_questions(path: Path) -> list[Question]:
    """Read questions, one JSON object a line: `question`, and `document`, `page` or `answer`.

    Raises:
        InputError: If the file cannot be read, or a line cannot be used; the message names it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    questions = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                questions.append(_question(json.loads(line)))
            except json.JSONDecodeError as error:
                raise InputError(f"{path}, line {number} is not JSON: {error}") from error
            except (ValueError, InputError) as error:
                raise InputError(f"{path}, line {number}: {error}") from error
    if not questions:
        raise InputError(f"{path} has no questions")
    return questions


def _question(row: Any) -> Question:
    if not isinstance(row, dict) or not isinstance(row.get("question"), str):
        raise InputError('a line must be an object with a text "question"')
    unknown = sorted(row.keys() - set(_KEYS))
    if unknown:
        raise InputError(f"{unknown[0]!r} is not a key; there are {', '.join(_KEYS)}")
    pages = row.get("page", ())
    pages = tuple(pages) if isinstance(pages, list) else (pages,) if pages else ()
    if not all(isinstance(page, int) for page in pages):
        raise InputError(f"page must be a number or a list of numbers, not {row['page']!r}")
    question = Question(row["question"], row.get("document"), pages, row.get("answer"))
    if question.pages and question.document is None:
        raise InputError("a page needs the document that it is in")
    if question.document is None and question.answer is None:
        raise InputError("say what answers: a document, a page of it, or the text of the answer")
    return question


def unanswerable(index: Index, questions: Iterable[Question]) -> list[str]:
    """Return, for each question that no search can answer, a phrase that says why."""
    missing = dict.fromkeys(questions, "")
    for question in missing:
        missing[question] = f"the index does not have the document {question.document!r}"
        if question.document is None:
            missing[question] = f"no document has the text {question.answer!r}"
    for entry in index.documents():
        asked = [q for q in missing if q.document is None or q.is_about(entry)]
        document = index.get(entry.id) if asked else None
        if document is None:
            continue
        text, pages = _normal(document.text), document.text.count(PAGE_END) + 1
        for question in asked:
            if question.answer is not None and _normal(question.answer) not in text:
                if question.document is not None:
                    missing[question] = (
                        f"{document.title} does not have the text {question.answer!r}"
                    )
            elif question.answer is None and question.pages and min(question.pages) > pages:
                missing[question] = f"{document.title} has {pages} pages, not {min(question.pages)}"
            else:
                del missing[question]
    return [f"{question.text!r}: {reason}" for question, reason in missing.items()]


Found = tuple[list[Document], Callable[[int], list[Part]]]
"""The best documents for a question, and the parts that fill a budget of words."""


def ask(index: Index, questions: Sequence[Question], on_question: Callable[[], None]) -> Line:
    """Return what an index reaches."""

    def search(question: str) -> Found:
        def within(budget: int) -> list[Part]:
            cited = index.context(question, budget).citations
            return [Part(c.document_id, c.passage.start, c.passage.end) for c in cited]

        return [hit.document for hit in index.search(question, FOUND)], within

    return _measure(search, questions, _reader(index), on_question)


class Chunks:
    """The plain splitter's chunks of all documents, with their vectors."""

    def __init__(self, index: Index, on_document: Callable[[], None]) -> None:
        self._index, self._model = index, index.model.model
        self._parts: list[Part] = []
        vectors = []
        for entry in index.documents():
            document = index.get(entry.id)
            if document is not None:
                parts = [Part(entry.id, *edges) for edges in split(document.text)]
                texts = [document.text[part.start : part.end] for part in parts]
                if texts:
                    vectors.append(self._embed(texts, "document"))
                self._parts += parts
            on_document()
        self._vectors = np.concatenate(vectors) if vectors else np.zeros((0, 1))

    def _embed(self, texts: list[str], role: Role) -> NDArray[np.float32]:
        return unit_vectors(self._model.encode_with_coverage(texts, role=role).vectors)

    def ask(self, questions: Sequence[Question]) -> Line:
        """Return what the chunks reach."""
        documents = _reader(self._index)

        def search(question: str) -> Found:
            vector = self._embed([question], "query")[0]
            order = np.argsort(-(self._vectors @ vector), kind="stable").tolist()
            parts = [self._parts[row] for row in order]
            ids = list(dict.fromkeys(part.document_id for part in parts))[:FOUND]
            return [documents(key) for key in ids], partial(cut, parts, documents)

        return _measure(search, questions, documents, lambda: None)


def split(text: str) -> Iterator[tuple[int, int]]:
    """Yield the chunks of a text as ranges of characters, as a plain splitter cuts it."""
    start = 0
    while start < len(text):
        end = min(start + CHUNK, len(text))
        if end < len(text):
            end = _last_separator(text, start + OVERLAP + 1, end) or end
        if text[start:end].strip():
            yield start, end
        if end == len(text):
            return
        start = _last_separator(text, end - OVERLAP, end - OVERLAP // 2) or end - OVERLAP


def _last_separator(text: str, low: int, high: int) -> int | None:
    for separator in _SEPARATORS:
        place = text.rfind(separator, low, high)
        if place >= 0:
            return place + len(separator)
    return None


def cut(parts: Iterable[Part], documents: Callable[[str], Document], words: int) -> list[Part]:
    """Return the best parts until a budget of words is full; the last one is cut."""
    chosen = []
    for part in parts:
        of_part = documents(part.document_id).text[part.start : part.end].split()
        if len(of_part) > words:
            text = documents(part.document_id).text
            end = part.start
            for word in of_part[:words]:
                end = text.index(word, end) + len(word)
            chosen.append(part._replace(end=end))
            break
        chosen.append(part)
        words -= len(of_part)
    return chosen


def verdict(ours: Line, theirs: Line) -> str:
    """Say in a sentence which of both has more answers, at a budget of 600 words."""
    budget = BUDGETS[2]
    difference = ours.answered[budget].astype(float) - theirs.answered[budget].astype(float)
    gain = float(difference.mean())
    error = float(difference.std(ddof=1)) / len(difference) ** 0.5 if len(difference) > 1 else 1.0
    counts = f"{ours.answered[budget].sum()} and {theirs.answered[budget].sum()}"
    begin = f"With {budget} words, this index and the chunks have {counts}"
    begin += f" of {len(difference)} answers."
    if abs(gain) <= _CHANCE * error or not gain:
        return f"{begin} This may be chance. To be sure, ask more questions."
    better = "index is" if gain > 0 else "chunks are"
    return f"{begin} The {better} better, by more than chance."


def _reader(index: Index) -> Callable[[str], Document]:
    """Return what gives a document by its id, and reads each once."""
    return cache(lambda document_id: index.get(document_id) or Document(document_id, ""))


def _measure(
    search: Callable[[str], Found],
    questions: Sequence[Question],
    documents: Callable[[str], Document],
    on_question: Callable[[], None],
) -> Line:
    ranks, answered, seconds = [], [], []
    for question in questions:
        begin = time.perf_counter()
        best, within = search(question.text)
        seconds.append(time.perf_counter() - begin)
        answered.append([question.is_answered(within(budget), documents) for budget in BUDGETS])
        if question.document is not None:
            places = (rank for rank, document in enumerate(best) if question.is_about(document))
            ranks.append(next(places, FOUND))
        on_question()
    return Line(
        float(np.mean([rank == 0 for rank in ranks])) if ranks else None,
        float(np.mean([rank < FOUND for rank in ranks])) if ranks else None,
        dict(zip(BUDGETS, np.array(answered).T, strict=True)),
        1_000 * median(seconds),
    )


def _normal(text: str) -> str:
    return " ".join(text.casefold().split())
