from __future__ import annotations

import pytest

from longembed_index.search.question import Question, check_query, parse_question
from longembed_st.errors import ConfigError


def test_phrases_stand_in_quotes() -> None:
    for query, text, phrases in (
        ('the "red house" now', "the red house now", ("red house",)),
        ("“zwei Worte” und", "zwei Worte und", ("zwei Worte",)),
        ("„zwei Worte“ «et» 「港」", "zwei Worte et 港", ("zwei Worte", "et", "港")),
        ('one " two', 'one " two', ()),
        ('"" "  "', "   ", ()),
        ('"a  b" "c', 'a  b "c', ("a b",)),
    ):
        assert parse_question(query) == Question(text, phrases)


def test_quotes_that_are_not_closed_take_no_square_time() -> None:
    """Square time would take minutes."""
    for query in ("“", "„«", '"“'):
        question = parse_question(query * 200_000)
        assert len(question.text) + 2 * len(question.phrases) <= len(query) * 200_000


def test_a_query_without_anything_to_see_is_refused() -> None:
    for query in ("", " \n\t", "\0\u200b\u00ad"):
        with pytest.raises(ConfigError, match="blank"):
            check_query(query)
    check_query("?")
