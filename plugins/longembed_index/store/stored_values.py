"""Values as a store has them, checked before they are used: anybody may have written the file."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from longembed_index.document import Entry, Units, plain_left_out
from longembed_index.documents.parsed import LeftOut
from longembed_index.errors import StoreError
from longembed_index.store.vectors import unpack_units
from longembed_st.base.texts import escaped

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DEEPEST = 100
"""Lists in lists, beyond which JSON is refused: programs that read ours may stop earlier."""
_LENGTH_TOLERANCE = 0.01
"""Of a stored vector, whose length is 1 or 0."""


class StoredValueError(StoreError):
    """A value in a store is not one that we have written; its message names no file yet."""


def damaged(what: str, document_id: object) -> StoredValueError:
    """Return the error that something of a document is damaged."""
    return StoredValueError(
        f"the {what} of the document {escaped(str(document_id))} cannot be read. Delete this "
        "document and index it again, or restore the store from a copy"
    )


def read_json(text: str) -> Any:
    """Return what stored JSON says.

    Raises:
        ValueError: If it is not JSON, has numbers that JSON does not know, or is nested too deep.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("the JSON is nested too deep") from None
    if text.count("[") + text.count("{") > _DEEPEST and _depth(value) > _DEEPEST:
        raise ValueError("the JSON is nested too deep")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"JSON does not know {name}")


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level:
        depth += 1
        nested = [part for part in level if isinstance(part, dict | list)]
        level = [
            item for part in nested for item in (part.values() if isinstance(part, dict) else part)
        ]
    return depth


def make_entry(
    document_id: str,
    title: str,
    metadata: str,
    content_hash: str,
    counts: Sequence[int],
    left_out: str | None,
) -> Entry:
    """Return an entry of stored values.

    Args:
        document_id: The document's id.
        title: Its title.
        metadata: Its metadata, as JSON.
        content_hash: As in `Record`.
        counts: Its characters, tokens, tokens that were read, windows and unknown tokens.
        left_out: Of `left_out_to_json`.

    Raises:
        StoredValueError: If they are not what we write.
    """
    try:
        values, parts = read_json(metadata), left_out_from_json(left_out)
        characters, tokens, tokens_read, windows, unknown = counts
    except (TypeError, ValueError):
        raise damaged("metadata", document_id) from None
    texts = (document_id, title, content_hash, *(p.where for p in parts), *(p.what for p in parts))
    is_ours = (
        isinstance(values, dict)
        and all(isinstance(text, str) for text in texts)
        and all(type(count) is int and count >= 0 for count in (*counts, *(p.count for p in parts)))
        and max(tokens_read, unknown) <= tokens
    )
    if not is_ours:
        raise damaged("metadata", document_id)
    return Entry(
        document_id,
        title,
        values,
        content_hash,
        characters,
        tokens,
        tokens_read,
        windows,
        unknown,
        parts,
    )


def left_out_to_json(left_out: Iterable[LeftOut]) -> str | None:
    """Return parts that were left out as JSON; None if there are none."""
    return json.dumps(plain_left_out(left_out)) if left_out else None


def left_out_from_json(stored: str | None) -> tuple[LeftOut, ...]:
    """Return the parts that `left_out_to_json` made JSON of."""
    return tuple(LeftOut(**part) for part in read_json(stored)) if stored else ()


def checked_vectors(ids: Sequence[str], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return stored vectors, each of length 1 or 0.

    Raises:
        StoredValueError: If one is not finite, or has another length.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.einsum("ij,ij->i", vectors, vectors)
    # Written so that it is wrong for NaN.
    right = (np.abs(lengths - 1) < 2 * _LENGTH_TOLERANCE) | (lengths == 0)
    if not right.all():
        raise damaged("vector", ids[int(np.argmin(right))])
    return vectors


def checked_units(document_id: str, characters: int, places: bytes, vectors: bytes) -> Units:
    """Return stored units of a document whose text has so many characters.

    Raises:
        StoredValueError: If they are not what we write, or end behind the text.
    """
    try:
        units = unpack_units(places, vectors)
    except (IndexError, KeyError, TypeError, ValueError, struct.error):
        raise damaged("units", document_id) from None
    ends = units.ranges[-1:, 1]
    if not np.isfinite(units.vectors).all() or (ends > characters).any():
        raise damaged("units", document_id)
    return units
