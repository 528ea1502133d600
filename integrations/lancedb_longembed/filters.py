"""Filters of documents as conditions in LanceDB's SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lancedb_longembed.tables import KEY, one_of, quoted
from longembed_index.patterns import composed, is_pattern, plain_prefix

if TYPE_CHECKING:
    from longembed_index.store.protocol import Where

_TEXTS = {"id": KEY, "source": KEY, "title": "title", "content_hash": "content_hash"}
_NUMBERS = {"tokens": "tokens", "read": "tokens_read", "windows": "windows"}
_MOST = 2**53
"""Numbers are written in SQL up to here: no count of tokens is greater."""
_MOST_TEXTS = 100
"""More comparisons by LIKE are not written: SQL nests each in the one before."""
_OPERATORS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def narrow(where: Where) -> str | None:
    """Return a condition that every document meets which meets a filter; None if there is none.

    A document that meets it need not meet the filter: what SQL cannot decide is left out.
    """
    conditions = [_condition(key, condition) for key, condition in where.items()]
    return " AND ".join(filter(None, conditions)) or None


def _condition(key: str, condition: Any) -> str | None:
    if key in _TEXTS:
        return _text_condition(_TEXTS[key], condition)
    if key in _NUMBERS:
        return _number_condition(_NUMBERS[key], condition)
    return None


def _text_condition(column: str, condition: Any) -> str | None:
    values = condition if isinstance(condition, list | tuple) else [condition]
    if not values or not all(isinstance(value, str) for value in values):
        return None
    if all(plain_prefix(value) == value and not is_pattern(value) for value in values):
        return one_of(values, column)
    if len(values) > _MOST_TEXTS:
        return None
    return f"({' OR '.join(f'{column} LIKE {quoted(_like(value))}' for value in values)})"


def _like(pattern: str) -> str:
    """Return a pattern of SQL; a character with more than one form in Unicode can be any."""
    return "".join(map(_like_character, composed(pattern)))


def _like_character(character: str) -> str:
    if is_pattern(character) or not plain_prefix(character):
        return "%"
    return f"\\{character}" if character in "\\%_" else character


def _number_condition(column: str, condition: Any) -> str | None:
    if _is_number(condition):
        return f"{column} = {condition!r}"
    if not isinstance(condition, Mapping):
        return None
    bounds = [(_OPERATORS.get(name), bound) for name, bound in condition.items()]
    parts = [f"{column} {sign} {bound!r}" for sign, bound in bounds if sign and _is_number(bound)]
    return " AND ".join(parts) or None


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < _MOST
