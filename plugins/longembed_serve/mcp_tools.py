"""What the tools for agents do: search an index and read its documents; none of them writes."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypeVar

from longembed_index.documents.parsed import PAGE_END, LeftOut
from longembed_index.documents.sentences import words_in
from longembed_serve.mcp_schemas import (
    CitedDocument,
    CitedPassage,
    ContextArguments,
    ContextResult,
    DocumentArguments,
    DocumentPart,
    DocumentResult,
    FoundDocument,
    FoundPassage,
    ListArguments,
    ListedDocument,
    ListResult,
    Result,
    SearchArguments,
    SearchResult,
)
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from longembed_index.document import Citation, Entry, Hit
    from longembed_index.index import Index

_NAMES = 5
"""The most names in a list that is not what was asked for; the others are counted."""

_METADATA_WORDS = 60
"""The most words of the metadata of a document among others."""

_WORD_CHARACTERS = 40
"""No budget of n words holds more than this times n characters of ordinary text."""

AnyResult = TypeVar("AnyResult", bound=Result)


def search(index: Index, arguments: SearchArguments) -> SearchResult:
    """Return the documents that answer a question, best first, each with its best passages."""
    hits = index.search(
        arguments.query, arguments.k, passages=arguments.passages, where=arguments.where or None
    )
    documents = [_found(hit) for hit in hits]
    # Each passage is one step of the budget, and so is a document without passages.
    steps = [
        (number, count)
        for number, document in enumerate(documents)
        for count in range(1 if document.passages else 0, len(document.passages) + 1)
    ]

    def build(size: int) -> SearchResult:
        number, count = steps[size - 1] if size else (-1, 0)
        shown = documents[: number + 1]
        if shown and count < len(shown[-1].passages):
            shown[-1] = _with_fewer_passages(shown[-1], count)
        titles = [document.title for document in documents[number + 1 :]]
        return SearchResult(
            is_answered=any(document.is_answer for document in documents),
            hits=shown,
            not_shown=[f"documents ({len(titles)}): {_names(titles)}"] if titles else [],
        )

    return _largest_that_fits(build, len(steps), arguments.max_words)


def get_context(index: Index, arguments: ContextArguments) -> ContextResult:
    """Return the passages of all documents that answer a question, as one text."""
    # The budget is of the whole result: the text gets less of it until all fits.
    room = arguments.max_words
    while room > 0:
        context = index.context(arguments.question, room, where=arguments.where or None)
        result = ContextResult(
            is_answered=context.is_answered,
            text=context.text,
            documents=_cited(index, context.citations),
        )
        excess = words_of(result) - arguments.max_words
        if excess <= 0:
            return result
        room = min(room, context.size) - excess
    raise ConfigError(
        f"max_words is {arguments.max_words}, too few for a passage with its citation. Ask for more"
    )


def get_document(index: Index, arguments: DocumentArguments) -> DocumentResult:
    """Return a document, or a range of its pages or of its characters, as far as it fits."""
    record = index.record(arguments.source)
    if record is None:
        raise ConfigError(_unknown_document(index, arguments.source))
    document, left_out = record.document, [str(part) for part in record.left_out]
    text, page_starts = document.text, _page_starts(document.text)
    start, end = _range_of(arguments, text, page_starts)
    metadata, words = dict(document.metadata), _json_words(document.metadata)
    not_shown = []
    if words > arguments.max_words // 2:
        metadata = {}
        not_shown = [f"metadata ({words:,} words): ask with max_words={2 * words + 100}"]

    def build(size: int) -> DocumentResult:
        stop = start + size
        if stop < end:
            stop = _end_of_word(text, start, stop)
        parts = _parts(text, page_starts, start, stop)
        rest = f"characters {stop} to {end}"
        if page_starts is not None:
            rest += f" (from page {_page_of(page_starts, stop)} on)"
        return DocumentResult(
            source=document.id,
            title=document.title,
            characters=len(text),
            pages=None if page_starts is None else len(page_starts),
            metadata=metadata,
            left_out=left_out,
            start=start,
            end=stop,
            parts=parts,
            next_start=stop if stop < end else None,
            not_shown=[*not_shown, rest] if stop < end else not_shown,
        )

    most = min(end - start, _WORD_CHARACTERS * arguments.max_words)
    return _largest_that_fits(build, most, arguments.max_words)


def list_documents(index: Index, arguments: ListArguments) -> ListResult:
    """Return the documents that meet a filter, sorted by source, as many as fit."""
    entries = list(index.documents(where=arguments.where or None))
    following = [entry for entry in entries if entry.id > arguments.after]
    # No document takes less than two words.
    documents = [_listed(entry) for entry in following[: arguments.max_words // 2]]

    def build(size: int) -> ListResult:
        return ListResult(
            total=len(entries),
            documents=documents[:size],
            next_after=documents[size - 1].source if 0 < size < len(following) else None,
        )

    return _largest_that_fits(build, len(documents), arguments.max_words)


def words_of(result: Result) -> int:
    """Return the number of words of a result, as it is sent."""
    return _json_words(result.plain())


def _json_words(value: Any) -> int:
    return words_in(json.dumps(value, ensure_ascii=False).replace("\\n", " "))


def _largest_that_fits(build: Callable[[int], AnyResult], most: int, max_words: int) -> AnyResult:
    """Return the result with the largest size, from 1 to `most`, that fits a budget."""
    result = build(most)
    if words_of(result) <= max_words:
        return result
    sizes = range(1, most)
    fitting = bisect_right(sizes, max_words, key=lambda size: words_of(build(size)))
    if fitting == 0:
        least = words_of(build(min(1, most)))
        raise ConfigError(
            f"max_words is {max_words}, but the shortest result here has {least:,} words. Ask for "
            "more"
        )
    return build(sizes[fitting - 1])


def _names(names: Sequence[str]) -> str:
    more = f"; {len(names) - _NAMES:,} more" if len(names) > _NAMES else ""
    return "; ".join(names[:_NAMES]) + more


def _short_list(values: Iterable[object]) -> list[str]:
    texts = [str(value) for value in values]
    more = [f"{len(texts) - _NAMES:,} more"] if len(texts) > _NAMES else []
    return [*texts[:_NAMES], *more]


def _beside(metadata: Mapping[str, Any], left_out: Iterable[LeftOut]) -> dict[str, Any]:
    """Return the fields of a document among others that stand beside its text."""
    words = _json_words(metadata)
    is_short = words <= _METADATA_WORDS
    return {
        "metadata": dict(metadata) if is_short else {},
        "left_out": _short_list(left_out),
        "not_shown": [] if is_short else [f"metadata ({words:,} words): see get_document"],
    }


def _found(hit: Hit) -> FoundDocument:
    text = hit.document.text
    page_starts = _page_starts(text)
    passages = [
        FoundPassage(
            text=passage.text,
            start=passage.start,
            end=passage.end,
            page=passage.page,
            heading=passage.heading,
            score=round(passage.score, 3),
        )
        for passage in hit.passages
    ]
    return FoundDocument(
        source=hit.document.id,
        title=hit.document.title,
        score=round(hit.score, 3),
        is_answer=hit.is_answer,
        characters=len(text),
        pages=None if page_starts is None else len(page_starts),
        passages=passages,
        copies=_short_list(hit.copies),
        **_beside(hit.document.metadata, hit.left_out),
    )


def _cited(index: Index, citations: Iterable[Citation]) -> list[CitedDocument]:
    documents: dict[str, CitedDocument] = {}
    for citation in citations:
        passage, source = citation.passage, citation.document_id
        if source not in documents:
            record = index.record(source)
            documents[source] = CitedDocument(
                source=source,
                title=citation.title,
                passages=[],
                left_out=_short_list(record.left_out if record else ()),
            )
        documents[source].passages.append(
            CitedPassage(
                number=citation.number, page=passage.page, start=passage.start, end=passage.end
            )
        )
    return list(documents.values())


def _with_fewer_passages(document: FoundDocument, count: int) -> FoundDocument:
    more = f"passages ({len(document.passages) - count})"
    changes = {"passages": document.passages[:count], "not_shown": [*document.not_shown, more]}
    return document.model_copy(update=changes)


def _listed(entry: Entry) -> ListedDocument:
    return ListedDocument(
        source=entry.id,
        title=entry.title,
        characters=entry.characters,
        share_read=round(entry.share_read, 3),
        **_beside(entry.metadata, entry.left_out),
    )


def _unknown_document(index: Index, source: str) -> str:
    name = PurePath(source).name.casefold()
    similar = [
        entry.id
        for entry in index.documents()
        if name and (name in entry.id.casefold() or name in entry.title.casefold())
    ]
    hint = f"Similar: {_names(similar)}" if similar else "list_documents lists all"
    return f"there is no document {source[:200]!r}. {hint}"


def _page_starts(text: str) -> list[int] | None:
    """Return the first character of each page; None if the pages are not known."""
    if PAGE_END not in text:
        return None
    starts = [0]
    while (end := text.find(PAGE_END, starts[-1])) >= 0:
        starts.append(end + 1)
    return starts[:-1] if starts[-1] == len(text) else starts


def _page_of(starts: Sequence[int], position: int) -> int:
    return bisect_right(starts, position)


def _range_of(
    arguments: DocumentArguments, text: str, page_starts: Sequence[int] | None
) -> tuple[int, int]:
    """Return the range of characters that is asked for."""
    first, last = arguments.first_page, arguments.last_page
    start, end = arguments.start or 0, len(text)
    if arguments.end is not None:
        end = min(end, arguments.end)
    if first is not None or last is not None:
        if arguments.start is not None or arguments.end is not None:
            raise ConfigError("give pages or characters, and not both")
        if page_starts is None:
            raise ConfigError("the pages of this document are not known. Give start and end")
        first, last = first or 1, min(last or len(page_starts), len(page_starts))
        if first > len(page_starts):
            raise ConfigError(
                f"first_page is {first}, but the document has {len(page_starts)} pages"
            )
        if first > last:
            raise ConfigError(f"first_page is {first}, which is after last_page, {last}")
        start = page_starts[first - 1]
        end = page_starts[last] - 1 if last < len(page_starts) else len(text)
    if start >= end and text:
        raise ConfigError(
            f"there is no character from {start} to {end}: the document has {len(text)} characters"
        )
    return start, end


def _end_of_word(text: str, start: int, stop: int) -> int:
    """Return where a range that is cut at `stop` ends, so that no word is cut if it has several."""
    end = stop
    while end > start and not (text[end - 1].isspace() or text[end].isspace()):
        end -= 1
    return end if end > start else stop


def _parts(text: str, starts: Sequence[int] | None, start: int, stop: int) -> list[DocumentPart]:
    page = None if starts is None else _page_of(starts, start)
    parts: list[DocumentPart] = []
    for piece in text[start:stop].removesuffix(PAGE_END).split(PAGE_END):
        parts.append(DocumentPart(page=page, start=start, text=piece))
        page = None if page is None else page + 1
        start += len(piece) + 1
    return parts
