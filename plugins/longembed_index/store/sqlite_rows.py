"""Between records and the rows of the SQLite file: columns, blobs and checksums."""

from __future__ import annotations

import hashlib
import json
import math
import re
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from longembed_index.document import Document, Entry, Record, Units
from longembed_index.errors import StoreError
from longembed_index.store.filters import is_pattern
from longembed_index.store.units import pack_units, unpack_units
from longembed_st.base.coverage import Coverage
from longembed_st.base.texts import escaped
from longembed_st.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from longembed_index.store.protocol import Where

ENTRY_COLUMNS = "id, title, metadata, content_hash, characters, tokens, read, windows"
"""The columns of a document that `read_entry` takes."""

_PLAIN_KEY = re.compile(r"[\w -]+", re.ASCII)
"""Keys that stand in a JSON path as they are."""
_OWN_KEYS = frozenset(Entry("", "", {}, "", 0, 0, 0, 0).fields)


def entry_values(record: Record) -> tuple[Any, ...]:
    """Return the values of `ENTRY_COLUMNS`.

    Raises:
        InputError: If the id or the metadata cannot be stored.
    """
    document, coverage = record.document, record.coverage
    if not is_storable(document.id):
        raise InputError(
            f"the id {escaped(document.id)} is not valid Unicode. Rename the file or the document"
        )
    try:
        metadata = json.dumps(dict(document.metadata), separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the metadata of {escaped(document.id)} cannot be stored as JSON: {error}"
        ) from None
    return (
        document.id,
        encode_text(document.title),
        metadata,
        record.content_hash,
        len(document.text),
        coverage.tokens,
        coverage.read,
        coverage.passes,
    )


def read_entry(values: tuple[Any, ...]) -> Entry:
    """Return the entry whose values of `ENTRY_COLUMNS` these are.

    Raises:
        StoreError: If they are damaged.
    """
    document_id, title, metadata, *rest = values
    try:
        return Entry(document_id, decode_text(title), json.loads(metadata), *rest)
    except ValueError:
        raise damaged("metadata", document_id) from None


def read_record(
    entry: Entry, text: bytes | None, digest: bytes, vector: NDArray[np.float32]
) -> Record:
    """Return a record from its entry, text and vector.

    Raises:
        StoreError: If the text is damaged.
    """
    if text is None or text_digest(text) != digest:
        raise damaged("text", entry.id)
    document = Document(entry.id, decode_text(text), entry.metadata, entry.title)
    coverage = Coverage(entry.tokens, entry.tokens_read, entry.windows)
    return Record(document, vector, entry.content_hash, coverage)


def is_storable(document_id: str) -> bool:
    """Return whether a document can have this id: whether it is valid Unicode."""
    return document_id.isascii() or not any("\ud800" <= c <= "\udfff" for c in document_id)


def encode_text(text: str) -> bytes:
    """Return any text as bytes, lone surrogates included."""
    return text.encode("utf-8", "surrogatepass")


def decode_text(text: bytes) -> str:
    """Return the text that `encode_text` made bytes of."""
    return text.decode("utf-8", "surrogatepass")


def text_digest(text: bytes) -> bytes:
    """Return what tells texts apart."""
    return hashlib.blake2b(text, digest_size=16).digest()


def pack_vectors(vectors: NDArray[np.float32]) -> bytes:
    """Return vectors in half precision, little-endian."""
    return np.asarray(vectors).astype("<f2").tobytes()


def unpack_vectors(data: bytes, dimensions: int) -> NDArray[np.float32]:
    """Return the vectors of `pack_vectors`, shape (vectors, dimensions)."""
    rows = len(data) // (2 * dimensions) if dimensions else 0
    return np.frombuffer(data, dtype="<f2").astype(np.float32).reshape(rows, dimensions)


def encode_units(units: Units) -> tuple[bytes, bytes, int]:
    """Return the places and vectors of sentence units, and the checksum of both."""
    places, vectors = pack_units(units)
    return places, vectors, zlib.crc32(vectors, zlib.crc32(places))


def decode_units(document_id: str, places: bytes, vectors: bytes, checksum: int) -> Units:
    """Return the units of `encode_units`.

    Raises:
        StoreError: If they are damaged.
    """
    if zlib.crc32(vectors, zlib.crc32(places)) != checksum:
        raise damaged("units", document_id)
    return unpack_units(places, vectors)


def damaged(what: str, document_id: str) -> StoreError:
    """Return the error that something of a document is damaged."""
    return StoreError(
        f"of the document {escaped(document_id)}, the {what} in the store cannot be read: the file "
        "is damaged there. Delete this document and index it again, or restore the store from a "
        "copy"
    )


def narrow(where: Where) -> tuple[str, list[str | bytes | float]]:
    """Return a condition in SQL that every document meets which meets a filter, and its values.

    It cannot decide alone: the documents that are left are put to `filters.matches`.
    """
    conditions: list[str] = ["1"]
    values: list[str | bytes | float] = []
    for key, condition in where.items():
        text = condition if isinstance(condition, str) and not is_pattern(condition) else None
        if text is not None and not is_storable(text):
            continue
        if key in ("id", "source") and text is not None:
            conditions.append("id = ?")
            values.append(text)
        elif key in ("id", "source") and is_pattern(condition):
            start = condition.replace("?", "*").partition("*")[0]
            if is_storable(start):
                conditions += ["id >= ?", "id < ?"]
                values += [start, _end_of_prefix(start)]
        elif key == "content_hash" and text is not None:
            conditions.append("content_hash = ?")
            values.append(text)
        elif key not in _OWN_KEYS:
            # A piece of the metadata's JSON; of a text without quotes, as a number can be meant.
            pieces = [json.dumps(key) + ":", *([] if text is None else [json.dumps(text)[1:-1]])]
            conditions += ["instr(metadata, ?)"] * len(pieces)
            values += pieces
            bounds = _number_bounds(condition)
            if bounds and _PLAIN_KEY.fullmatch(key):
                number = f"json_extract(metadata, '$.\"{key}\"')"
                # Lists are texts here.
                conditions.append(f"({number} BETWEEN ? AND ? OR typeof({number}) = 'text')")
                values += bounds
    return " AND ".join(conditions), values


def _number_bounds(condition: Any) -> tuple[float, float] | None:
    """Return between what two numbers a number that meets a condition is; None if any can."""
    if isinstance(condition, Mapping):
        low = [condition[name] for name in ("gt", "gte") if name in condition]
        high = [condition[name] for name in ("lt", "lte") if name in condition]
    else:
        low = high = [condition]
    if not low + high or not all(type(bound) in (int, float) for bound in low + high):
        return None
    try:
        # SQLite may read a decimal as the float beside the one that Python reads.
        widened = [float(max(low, default=-math.inf)), float(min(high, default=math.inf))]
    except OverflowError:
        return None
    return widened[0] - abs(widened[0]) * 1e-9, widened[1] + abs(widened[1]) * 1e-9


def _end_of_prefix(prefix: str) -> str | bytes:
    """Return a string or blob that is greater than all strings that begin with a prefix."""
    prefix = prefix.rstrip("\U0010ffff")
    if not prefix:
        # Every blob is greater than every text.
        return b""
    following = ord(prefix[-1]) + 1
    # Surrogates are not characters.
    return prefix[:-1] + chr(0xE000 if following == 0xD800 else following)
