"""Arguments and results of the tools for agents.

The docstring of an arguments class is the description of the tool that an agent reads.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MAX_WORDS = 100_000
"""The largest budget of a result, in words."""

MAX_QUERY = 10_000
"""The largest number of characters of a question."""


def _parsed(value: Any) -> Any:
    # Some clients send an object as a string of JSON.
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value


def _without_titles(schema: dict[str, Any]) -> None:
    # The titles repeat the names, and the tool has the description of the class.
    schema.pop("title", None)
    schema.pop("description", None)
    for field in schema["properties"].values():
        field.pop("title", None)


Query = Annotated[
    str,
    Field(
        max_length=MAX_QUERY,
        description='A question or a description in plain words. What stands in "double quotes" '
        "must be in the document word by word.",
    ),
]
Where = Annotated[
    dict[str, Any],
    BeforeValidator(_parsed),
    Field(
        description='Only documents whose metadata meets all of this: {"year": 2019}, '
        '{"year": {"gte": 2019, "lt": 2022}}, {"author": ["Smith", "Jones"]}, '
        '{"status": {"ne": "draft"}}, {"source": "*/2019/*"} (* stands for any characters).'
    ),
]
Words = Annotated[
    int, Field(strict=True, ge=50, le=MAX_WORDS, description="The most words of the whole result.")
]


class Arguments(BaseModel):
    """Hold the arguments of a tool; an unknown one is an error."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_without_titles)


class ContextArguments(Arguments):
    """Collect the passages of all documents that answer a question, as one text.

    Use it first when a question is to be answered from the documents. Each passage stands behind
    its number, page and heading; documents tells where the numbers are from. If is_answered is
    false, nothing seems to answer: ask once more in other words before you say so.
    """

    question: Query
    where: Where = {}
    max_words: Words = 900


class SearchArguments(Arguments):
    """Find the documents that answer a question, best first, with their best passages.

    Use it to find out which documents are about something; to answer a question, get_context has
    more of the text. Hits with is_answer false are only the nearest. Page, start and end say where
    a passage stands: get_document reads what is around it. not_shown names what max_words left no
    room for.
    """

    query: Query
    k: Annotated[int, Field(strict=True, ge=1, le=100, description="The most documents.")] = 5
    passages: Annotated[
        int, Field(strict=True, ge=0, le=20, description="The most passages of each document.")
    ] = 2
    where: Where = {}
    max_words: Words = 1_000


class DocumentArguments(Arguments):
    """Read a document: whole, or a range of its pages or of its characters.

    The text comes in parts, one for each page if the pages are known. If it does not fit max_words,
    it ends early: not_shown names the rest, and next_start is the start to go on with. left_out
    names what of the file could not be read, such as scanned pages.
    """

    source: Annotated[str, Field(description="As the other tools give it.")]
    first_page: Annotated[int | None, Field(strict=True, ge=1, description="From 1.")] = None
    last_page: Annotated[int | None, Field(strict=True, ge=1, description="Inclusive.")] = None
    start: Annotated[int | None, Field(strict=True, ge=0, description="First character.")] = None
    end: Annotated[
        int | None, Field(strict=True, ge=1, description="The character after the last.")
    ] = None
    max_words: Words = 3_000


class ListArguments(Arguments):
    """List the documents, sorted by source, with their lengths and metadata.

    Use it to see what there is, and by which metadata a search can filter. A long list comes in
    pieces: call it again with after = next_after.
    """

    where: Where = {}
    after: Annotated[str, Field(description="Only sources that sort after this one.")] = ""
    max_words: Words = 1_000


class Result(BaseModel):
    """Hold what a tool returns; a field that has its default is left out of the JSON."""

    def plain(self) -> dict[str, Any]:
        """Return the result as plain data for JSON."""
        return self.model_dump(mode="json", exclude_defaults=True)


class FoundPassage(Result):
    """A passage of a document: characters start to end of its text."""

    text: str
    start: int
    end: int
    page: int | None = None
    heading: str | None = None
    score: float


class FoundDocument(Result):
    """A document that a search found; `characters` is its length."""

    source: str
    title: str
    score: float
    is_answer: bool
    characters: int
    pages: int | None = None
    passages: list[FoundPassage] = []
    metadata: dict[str, Any] = {}
    left_out: list[str] = []
    copies: list[str] = []
    not_shown: list[str] = []


class SearchResult(Result):
    """The documents that answer a question, best first."""

    is_answered: bool
    hits: list[FoundDocument]
    not_shown: list[str] = []


class CitedPassage(Result):
    """The place of the passage with a number in a context."""

    number: int
    page: int | None = None
    start: int
    end: int


class CitedDocument(Result):
    """A document of a context, and the places of its passages."""

    source: str
    title: str
    passages: list[CitedPassage]
    left_out: list[str] = []


class ContextResult(Result):
    """Passages that answer a question, as one text, and the documents that they are from."""

    is_answered: bool
    text: str
    documents: list[CitedDocument]


class DocumentPart(Result):
    """A page of a document, or all that was asked for if the pages are not known."""

    page: int | None = None
    start: int
    text: str


class DocumentResult(Result):
    """A range of a document: characters start to end, of `characters`."""

    source: str
    title: str
    characters: int
    pages: int | None = None
    metadata: dict[str, Any] = {}
    left_out: list[str] = []
    start: int
    end: int
    parts: list[DocumentPart]
    next_start: int | None = None
    not_shown: list[str] = []


class ListedDocument(Result):
    """A document of the list; `share_read` is the share of its text that its vector is of."""

    source: str
    title: str
    characters: int
    share_read: float = 1.0
    metadata: dict[str, Any] = {}
    left_out: list[str] = []
    not_shown: list[str] = []


class ListResult(Result):
    """Documents in the order of their sources; `total` counts all that meet the filter."""

    total: int
    documents: list[ListedDocument]
    next_after: str | None = None
