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

from longembed_index.document import FIELDS_OF_FILE, Document, Entry, Record, Units
from longembed_index.patterns import plain_prefix
from longembed_index.store.stored_values import (
    checked_units,
    damaged,
    left_out_to_json,
    make_entry,
)
from longembed_index.store.vectors import pack_units
from longembed_st.base.texts import escaped
from longembed_st.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from longembed_index.store.protocol import Where

ENTRY_COLUMNS = (
    "id, title, metadata, content_hash, characters, tokens, read, windows, unknown, left_out"
)
"""The columns of a document that `read_entry` takes."""

_PLAIN_KEY = re.compile(r"[\w -]+", re.ASCII)
"""Keys that stand in a JSON path as they are."""
_OWN_KEYS = frozenset((*Entry("", "", {}, "", 0, 0, 0, 0).fields, *FIELDS_OF_FILE))


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
        coverage.unknown,
        left_out_to_json(record.left_out),
    )


def read_entry(values: tuple[Any, ...]) -> Entry:
    """Return the entry whose values of `ENTRY_COLUMNS` these are.

    Raises:
        StoredValueError: If they are damaged.
    """
    document_id, title, metadata, content_hash, *counts, left_out = values
    return make_entry(
        document_id, _decode(title, "title", document_id), metadata, content_hash, counts, left_out
    )


def read_record(
    entry: Entry,
    text: bytes | None,
    digest: bytes,
    vector: NDArray[np.float32],
    units: Units | None,
) -> Record:
    """Return a record from its entry, text, vector and units.

    Raises:
        StoredValueError: If the text is damaged.
    """
    if not isinstance(text, bytes) or text_digest(text) != digest:
        raise damaged("text", entry.id)
    document = Document(entry.id, _decode(text, "text", entry.id), entry.metadata, entry.title)
    if len(document.text) != entry.characters:
        raise damaged("text", entry.id)
    return Record(document, vector, entry.content_hash, entry.coverage, units, entry.left_out)


def is_storable(document_id: str) -> bool:
    """Return whether a document can have this id: whether it is valid Unicode."""
    return document_id.isascii() or not any("\ud800" <= c <= "\udfff" for c in document_id)


def encode_text(text: str) -> bytes:
    """Return any text as bytes, lone surrogates included."""
    return text.encode("utf-8", "surrogatepass")


def _decode(text: bytes, what: str, document_id: str) -> str:
    try:
        return text.decode("utf-8", "surrogatepass")
    except (AttributeError, UnicodeDecodeError):
        raise damaged(what, document_id) from None


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


def decode_units(
    document_id: str, characters: int, places: bytes, vectors: bytes, checksum: int
) -> Units:
    """Return the units of `encode_units`.

    Raises:
        StoredValueError: If they are damaged.
    """
    is_ours = isinstance(places, bytes) and isinstance(vectors, bytes)
    if not is_ours or zlib.crc32(vectors, zlib.crc32(places)) != checksum:
        raise damaged("units", document_id)
    return checked_units(document_id, characters, places, vectors)


def narrow(where: Where) -> tuple[str, list[str | bytes | float]]:
    """Return a condition in SQL that every document meets which meets a filter, and its values.

    It cannot decide alone: the documents that are left are put to `filters.matches`.
    """
    conditions: list[str] = ["1"]
    values: list[str | bytes | float] = []
    for key, condition in where.items():
        start = plain_prefix(re.split("[*?]", condition)[0]) if isinstance(condition, str) else None
        # Only a text that has no other form in Unicode can be looked up.
        text = condition if start == condition else None
        if key in ("id", "source") and text is not None:
            conditions.append("id = ?")
            values.append(text)
        elif key in ("id", "source") and start:
            conditions += ["id >= ?", "id < ?"]
            values += [start, start[:-1] + chr(ord(start[-1]) + 1)]
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
