"""Documents out of the chunks that another program has cut them into."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from longembed_index.document import Document
from longembed_index.documents.parsed import PAGE_END
from longembed_st.base.texts import has_text

SOURCES = ("source", "file_path", "file_name", "url", "ref_doc_id", "document_id", "doc_id")
"""Keys of metadata that say which document a chunk is from; the first one that is there counts."""
STARTS = ("start_index", "start_char_idx", "split_idx_start")
"""Keys of metadata that say at which character of its page or document a chunk begins."""
PAGES = {"page": 0, "page_number": 1, "page_label": 1}
"""Keys of metadata that say on which page a chunk is, and the number of the first page."""

LONGEST_OVERLAP = 20_000
"""In characters."""
SHORTEST_OVERLAP = 10
"""A shorter common piece can be chance."""
_OF_CHUNKS = {*STARTS, *PAGES, "end_char_idx", "_node_content", "_node_type", "_split_overlap"}
_SAME_LINE = 2
"""So many characters between two chunks are white space that the splitter has dropped."""


@dataclass(frozen=True)
class Chunk:
    """A piece of a document.

    Attributes:
        id: Its id in the collection.
        text: The text; None if the collection has only its vector.
        metadata: What the collection says about it.
    """

    id: str
    text: str | None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Joined:
    """The documents that were joined from chunks, and what could not be done.

    Attributes:
        documents: One for each source.
        chunks: The number of chunks.
        without_text: Ids of chunks without a text, which are left out.
        without_source: Ids of chunks that do not say what they are from; each is a document.
        gaps: By document, the characters between its chunks that no chunk has.
        guessed: Documents whose chunks have neither a place nor an overlap, at least once: they
            are joined in the order of the collection.
    """

    documents: list[Document] = field(default_factory=list)
    chunks: int = 0
    without_text: list[str] = field(default_factory=list)
    without_source: list[str] = field(default_factory=list)
    gaps: dict[str, int] = field(default_factory=dict)
    guessed: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return what was done as plain data for JSON, without the documents."""
        plain = {name: value for name, value in vars(self).items() if name != "documents"}
        return {"documents": len(self.documents), **plain}


def join_chunks(chunks: Iterable[Chunk]) -> Joined:
    """Join the chunks of each source into one document, without their overlaps.

    Chunks that say where they begin are put there. Others are joined in their order, where the end
    of one is the beginning of the next.

    Args:
        chunks: In the order of the collection.
    """
    joined = Joined()
    by_source: dict[str, list[Chunk]] = {}
    for chunk in chunks:
        joined.chunks += 1
        if chunk.text is None or not has_text(chunk.text):
            joined.without_text.append(chunk.id)
            continue
        source = next((str(chunk.metadata[k]) for k in SOURCES if _is_said(chunk, k)), "")
        if not source:
            joined.without_source.append(chunk.id)
        by_source.setdefault(source or chunk.id, []).append(chunk)
    for source, of_source in by_source.items():
        text = _text_of(of_source, source, joined)
        joined.documents.append(Document(source, text, _common_metadata(of_source)))
    return joined


def chunk_of(value: Any, number: int = 0) -> Chunk:
    """Return a chunk of LangChain's `Document`, of a LlamaIndex node, or of a mapping.

    Args:
        value: The object; a mapping has `text`, `page_content` or `content`, and perhaps `id` and
            `metadata` or `meta`.
        number: Its number, for an id if it has none.
    """
    get = value.get if isinstance(value, Mapping) else lambda name: getattr(value, name, None)
    texts = (get(name) for name in ("text", "page_content", "content"))
    text = next((text for text in texts if isinstance(text, str)), None)
    metadata = {**(get("metadata") or get("meta") or {})}
    for key in ("start_char_idx", "ref_doc_id"):
        if get(key) is not None:
            metadata.setdefault(key, get(key))
    identifier = get("id") or get("id_") or get("node_id") or f"chunk {number}"
    return Chunk(str(identifier), text, metadata)


def _is_said(chunk: Chunk, key: str) -> bool:
    # LlamaIndex writes the word "None".
    return chunk.metadata.get(key) not in (None, "", "None")


def _text_of(chunks: Sequence[Chunk], source: str, joined: Joined) -> str:
    pages: dict[Any, list[Chunk]] = {}
    for chunk in chunks:
        pages.setdefault(_page_of(chunk), []).append(chunk)
    texts = {page: _joined(group, source, joined) for page, group in pages.items()}
    if len(texts) == 1 and None in texts:
        return texts[None]
    if all(isinstance(page, int) for page in texts):
        # Pages without a text have no chunks.
        return "".join(texts.get(page, "") + PAGE_END for page in range(max(texts) + 1))
    return "".join(text + PAGE_END for text in texts.values())


def _page_of(chunk: Chunk) -> int | str | None:
    for key, first in PAGES.items():
        if _is_said(chunk, key):
            try:
                return max(int(chunk.metadata[key]) - first, 0)
            except (TypeError, ValueError):
                return str(chunk.metadata[key])
    return None


def _start_of(chunk: Chunk) -> int | None:
    node = chunk.metadata.get("_node_content")
    values = {**_json_object(node), **chunk.metadata} if node else chunk.metadata
    for key in STARTS:
        # LangChain writes -1 if it has not found the chunk.
        if isinstance(values.get(key), int) and values[key] >= 0:
            return int(values[key])
    return None


def _json_object(text: Any) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _joined(chunks: Sequence[Chunk], source: str, joined: Joined) -> str:
    """Return the text of the chunks of a page, or of a document without pages."""
    starts = [_start_of(chunk) for chunk in chunks]
    texts = [chunk.text or "" for chunk in chunks]
    known = [start for start in starts if start is not None]
    if len(known) == len(chunks) and len(set(known)) == len(chunks):
        return _by_start(sorted(zip(known, texts, strict=True)), source, joined)
    return _by_overlap(texts, source, joined)


def _by_start(pieces: Sequence[tuple[int, str]], source: str, joined: Joined) -> str:
    text, end = "", 0
    for start, piece in pieces:
        gap = start - end
        if gap > 0 and text:
            text += " " if gap < _SAME_LINE else "\n\n"
            if gap > _SAME_LINE:
                joined.gaps[source] = joined.gaps.get(source, 0) + gap
        text += piece if gap >= 0 else piece[-gap:]
        end = max(end, start + len(piece))
    return text


def _by_overlap(texts: Sequence[str], source: str, joined: Joined) -> str:
    text = texts[0]
    for piece in texts[1:]:
        shared = _overlap(text, piece)
        if not shared and source not in joined.guessed:
            joined.guessed.append(source)
        text += piece[shared:] if shared else f"\n\n{piece}"
    return text


def _overlap(before: str, after: str) -> int:
    """Return how many characters at the end of one text are the beginning of another."""
    after = after[:LONGEST_OVERLAP]
    before = before[-len(after) :]
    # In linear time, by the failures of Knuth, Morris and Pratt.
    failures = [0] * len(after)
    matched = 0
    for place in range(1, len(after)):
        while matched and after[place] != after[matched]:
            matched = failures[matched - 1]
        matched += after[place] == after[matched]
        failures[place] = matched
    matched = 0
    for character in before:
        while matched and (matched == len(after) or character != after[matched]):
            matched = failures[matched - 1]
        matched += character == after[matched]
    return matched if matched >= SHORTEST_OVERLAP else 0


def _common_metadata(chunks: Sequence[Chunk]) -> dict[str, Any]:
    """Return what all chunks of a document say, without what is about chunks."""
    first, *others = (chunk.metadata for chunk in chunks)
    return {
        key: value
        for key, value in first.items()
        if key not in _OF_CHUNKS and all(other.get(key) == value for other in others)
    }
