"""Filters of documents: which conditions there are, and which documents meet them.

A filter maps keys to conditions, all of which must be met. A condition is

- a value: equal to it. Strings are equal in composed and decomposed Unicode. A string also equals a
  number or a bool that is written like it: `"2019"`, `"true"`;
- a string with `*` or `?`: any characters, or any one, in their places; the whole value counts, and
  all other characters mean themselves;
- a list of these: any of them;
- a mapping with some of `gt`, `gte`, `lt`, `lte` (numbers with numbers, strings with strings) and
  `ne` (not equal).

If the document has a list, one of its members must meet the condition, and none be equal to `ne`.
A document without the key never meets a condition.

Filters may come from strangers, by the server: how long they are is limited, and a document is
compared with all values of a condition at once.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from longembed_index.patterns import compiled_pattern, composed, is_pattern
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from longembed_index.store.protocol import Where

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
OPERATORS = (*_COMPARISONS, "ne")


MAX_CONDITIONS, MAX_VALUES, MAX_CHARACTERS = 100, 10_000, 1_000_000
"""The most of a filter; the characters are those of all keys and values together."""

MAX_PATTERNS, MAX_PATTERN = 32, 1_000
"""The most values of a filter with `*` or `?`, and the most characters of each: every document is
compared with every one."""

_Test = Callable[[Any], bool]


def matches(fields: Mapping[str, Any], where: Where) -> bool:
    """Return whether a document meets a filter; `matcher` is faster for many documents.

    Args:
        fields: What is known of the document, by key; see `Entry.fields`.
        where: The filter.
    """
    return matcher(where)(fields)


def matcher(where: Where) -> Callable[[Mapping[str, Any]], bool]:
    """Return a function that says of the fields of a document whether they meet a filter."""
    tests = {key: _test_of(condition) for key, condition in where.items()}
    return lambda fields: all(key in fields and test(fields[key]) for key, test in tests.items())


def is_comparable(value: Any, condition: Any) -> bool:
    """Return whether a document's value is of the type that a condition compares it with."""
    if not isinstance(condition, Mapping):
        return True
    bounds = [bound for name, bound in condition.items() if name in _COMPARISONS]
    return not bounds or any(
        all(_is_comparable(member, bound) for bound in bounds) for member in _listed(value)
    )


def check_where(where: Where) -> None:
    """Raise `ConfigError`, naming the key, if a condition of a filter cannot be understood."""
    if not isinstance(where, Mapping):
        raise ConfigError(f"a filter must map keys to conditions, not be {where!r}")
    _check_size(where)
    for key, condition in where.items():
        if not isinstance(key, str):
            raise ConfigError(f"a filter's keys must be strings, not {key!r}")
        if isinstance(condition, Mapping):
            unknown = sorted(set(map(str, condition)) - set(OPERATORS))
            if unknown or not condition:
                raise ConfigError(
                    f"the filter of {key!r} has {', '.join(unknown) or 'no operator'}; there are "
                    f"{', '.join(OPERATORS)}"
                )
            for name, bound in condition.items():
                if name != "ne" and (isinstance(bound, bool) or not _is_ordered(bound)):
                    raise ConfigError(
                        f"the filter of {key!r} compares with {bound!r} by {name}; only numbers "
                        "and strings can be greater or less"
                    )
        for value in _values(condition):
            if value is not None and not isinstance(value, str | int | float):
                raise ConfigError(
                    f"the filter of {key!r} has {value!r}, which is not a string, a number, a "
                    "bool or None"
                )


def _check_size(where: Where) -> None:
    if len(where) > MAX_CONDITIONS:
        raise ConfigError(f"a filter has at most {MAX_CONDITIONS} keys, not {len(where):,}")
    values = [value for condition in where.values() for value in _values(condition)]
    if len(values) > MAX_VALUES:
        raise ConfigError(f"a filter has at most {MAX_VALUES:,} values, not {len(values):,}")
    length = sum(len(text) for text in (*where, *values) if isinstance(text, str))
    if length > MAX_CHARACTERS:
        raise ConfigError(f"a filter has at most {MAX_CHARACTERS:,} characters, not {length:,}")
    patterns = list(filter(is_pattern, values))
    if len(patterns) > MAX_PATTERNS:
        raise ConfigError(
            f"a filter has at most {MAX_PATTERNS} values with * or ?, not {len(patterns):,}"
        )
    longest = max(map(len, patterns), default=0)
    if longest > MAX_PATTERN:
        raise ConfigError(
            f"a value with * or ? has at most {MAX_PATTERN:,} characters, not {longest:,}"
        )


def _test_of(condition: Any) -> _Test:
    if not isinstance(condition, Mapping):
        equals = _equals_any(_listed(condition))
        return lambda value: any(map(equals, _listed(value)))
    bounds = [(_COMPARISONS[name], bound) for name, bound in condition.items() if name != "ne"]
    is_refused = _equals_any([condition["ne"]] if "ne" in condition else [])

    def is_between(member: Any) -> bool:
        return all(
            _is_comparable(member, bound) and compare(member, bound) for compare, bound in bounds
        )

    def test(value: Any) -> bool:
        members = _listed(value)
        if any(map(is_refused, members)):
            return False
        return not bounds or any(map(is_between, members))

    return test


def _equals_any(wanted: Iterable[Any]) -> _Test:
    """Return a function that says whether a member of a document's value is one of some values."""
    texts: set[str] = set()
    patterns: list[Callable[[str], object]] = []
    bools: set[bool] = set()
    others: set[Any] = set()
    for value in wanted:
        if is_pattern(value):
            patterns.append(compiled_pattern(value))
        elif isinstance(value, str):
            texts.add(composed(value))
        else:
            # True is equal to 1, and is not meant by it.
            (bools if isinstance(value, bool) else others).add(value)

    def test(member: Any) -> bool:
        if isinstance(member, bool):
            if member in bools:
                return True
            member = str(member).lower()
        elif member is None or isinstance(member, int | float):
            if member in others:
                return True
            member = None if member is None else str(member)
        if not isinstance(member, str):
            return False
        text = composed(member)
        return text in texts or any(matches_text(text) for matches_text in patterns)

    return test


def _listed(value: Any) -> list[Any] | tuple[Any, ...]:
    return value if isinstance(value, list | tuple) else [value]


def _values(condition: Any) -> Sequence[Any]:
    """Return what a condition compares with."""
    return list(condition.values()) if isinstance(condition, Mapping) else _listed(condition)


def _is_ordered(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _is_comparable(value: Any, bound: Any) -> bool:
    if isinstance(value, bool):
        return False
    return _is_ordered(value) and isinstance(value, str) == isinstance(bound, str)
