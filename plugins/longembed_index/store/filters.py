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
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from longembed_index.patterns import composed, is_pattern, matches_pattern
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


def matches(fields: Mapping[str, Any], where: Where) -> bool:
    """Return whether a document meets a filter.

    Args:
        fields: What is known of the document, by key; see `Entry.fields`.
        where: The filter.
    """
    return all(key in fields and _meets(fields[key], where[key]) for key in where)


def check_where(where: Where) -> None:
    """Raise `ConfigError`, naming the key, if a condition of a filter cannot be understood."""
    if not isinstance(where, Mapping):
        raise ConfigError(f"a filter must map keys to conditions, not be {where!r}")
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
        values = condition.values() if isinstance(condition, Mapping) else _listed(condition)
        for value in values:
            if value is not None and not isinstance(value, str | int | float):
                raise ConfigError(
                    f"the filter of {key!r} has {value!r}, which is not a string, a number, a "
                    "bool or None"
                )


def _meets(value: Any, condition: Any) -> bool:
    members = _listed(value)
    if not isinstance(condition, Mapping):
        return any(_equals(member, wanted) for member in members for wanted in _listed(condition))
    if "ne" in condition and any(_equals(member, condition["ne"]) for member in members):
        return False
    bounds = [(_COMPARISONS[name], bound) for name, bound in condition.items() if name != "ne"]
    return not bounds or any(
        all(_is_comparable(member, bound) and compare(member, bound) for compare, bound in bounds)
        for member in members
    )


def _listed(value: Any) -> list[Any] | tuple[Any, ...]:
    return value if isinstance(value, list | tuple) else [value]


def _equals(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, str):
        if isinstance(value, bool):
            value = str(value).lower()
        elif isinstance(value, int | float):
            value = str(value)
        if not isinstance(value, str):
            return False
        if is_pattern(wanted):
            return matches_pattern(value, wanted)
        return composed(value) == composed(wanted)
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    return bool(value == wanted)


def _is_ordered(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _is_comparable(value: Any, bound: Any) -> bool:
    if isinstance(value, bool):
        return False
    return _is_ordered(value) and isinstance(value, str) == isinstance(bound, str)
