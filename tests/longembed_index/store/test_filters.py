from __future__ import annotations

import pytest

from longembed_index.store.filters import check_where, matcher, matches
from longembed_st.errors import ConfigError

FIELDS = {
    "year": 2019,
    "share": 0.5,
    "draft": True,
    "author": "Zoë [ed.]",
    "tags": ["red", 7, None],
    "none": None,
    "nested": {"year": 2019},
    "empty": [],
}


MATCHING = [
    ("year", 2019),
    ("year", 2019.0),
    ("year", "2019"),
    ("year", "20?9"),
    ("share", "0.5"),
    ("share", "0.*"),
    ("draft", True),
    ("draft", "true"),
    ("author", "Zoë [ed.]"),
    ("author", "Zo* [ed?]"),
    ("author", "Zoe\u0308 [ed.]"),
    ("author", ["Zoe\u0308*"]),
    ("author", "*"),
    ("tags", "red"),
    ("tags", "7"),
    ("tags", None),
    ("none", None),
    ("year", [1999, "2019"]),
    ("tags", ["blue", "r*"]),
    ("year", {"gt": 2018.5, "lte": 2019}),
    ("year", {"gte": 2019, "lt": 2020, "ne": "2018"}),
    ("author", {"gt": "A", "lt": "a"}),
    ("tags", {"gt": 6}),
    ("tags", {"ne": "blue"}),
    ("nested", {"ne": 2019}),
    ("empty", {"ne": "red"}),
]
OTHERS = [
    ("year", 2020),
    ("year", "2019.0"),
    ("year", "19"),
    ("year", True),
    ("draft", 1),
    ("draft", "True"),
    ("draft", False),
    ("author", "zoë [ed.]"),
    ("author", "Zoë [de.]*"),
    ("author", "Zo?"),
    ("tags", "blue"),
    ("tags", {"ne": "red"}),
    ("tags", {"ne": "r*"}),
    ("tags", {"gt": 7}),
    ("none", "None"),
    ("none", 0),
    ("nested", "*"),
    ("nested", 2019),
    ("empty", "*"),
    ("empty", {"lt": 1}),
    ("year", []),
    ("year", {"gt": "2018"}),
    ("year", {"gt": 2018, "lt": 2019}),
    ("year", {"ne": 2019}),
    ("author", {"gt": 1}),
    ("draft", {"gte": 0}),
    ("absent", None),
    ("absent", {"ne": 1}),
]


def test_a_document_matches_or_not() -> None:
    for key, condition in MATCHING:
        check_where({key: condition})
        assert matches(FIELDS, {key: condition}), (key, condition)
        assert not matches(FIELDS, {key: condition, "absent": condition})
    assert matches({}, {})
    for key, condition in OTHERS:
        check_where({key: condition})
        assert not matches(FIELDS, {key: condition}), (key, condition)


WRONG = [
    ("year=2019", "must map keys to conditions"),
    ({1: 2}, "keys must be strings, not 1"),
    ({"year": {"above": 3}}, "'year' has above; there are gt, gte, lt, lte, ne"),
    ({"year": {}}, "no operator"),
    ({"year": {"gt": None}}, "'year' compares with None by gt"),
    ({"year": {"lt": True}}, "'year' compares with True by lt"),
    ({"year": {"ne": [1]}}, r"'year' has \[1\], which is not a string"),
    ({"year": [[1]]}, r"'year' has \[1\], which is not a string"),
    ({"year": {1, 2}}, "'year' has {1, 2}, which is not a string"),
    (dict.fromkeys(map(str, range(101)), 1), "at most 100 keys, not 101"),
    ({"year": [*range(9_999)], "tags": {"gt": 1, "ne": 2}}, "10,000 values, not 10,001"),
    ({"tags": ["a" * 999_997]}, "1,000,000 characters, not 1,000,001"),
    ({"tags": [f"{number}*" for number in range(33)]}, r"32 values with \* or \?, not 33"),
    ({"tags": {"ne": "*a" * 501}}, r"\* or \? has at most 1,000 characters, not 1,002"),
]


def test_a_wrong_condition_is_named() -> None:
    for where, reason in WRONG:
        with pytest.raises(ConfigError, match=reason):
            check_where(where)


def test_a_document_is_compared_with_all_values_at_once() -> None:
    class Counted(str):
        compared = 0
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            Counted.compared += 1
            return str.__eq__(self, other)

    meets = matcher({"tags": [Counted(number) for number in range(10_000)]})
    Counted.compared = 0
    assert [meets({"tags": ["red", str(tag)]}) for tag in (9_999, 10_000)] == [True, False]
    assert Counted.compared < 10
