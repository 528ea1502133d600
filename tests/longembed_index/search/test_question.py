from __future__ import annotations

import pytest

from longembed_index.search.question import Question, check_query, parse_question
from longembed_st.errors import ConfigError


@pytest.mark.parametrize(
    ("query", "text", "phrases"),
    [
        ('the "red house" now', "the red house now", ("red house",)),
        ("“zwei Worte” und", "zwei Worte und", ("zwei Worte",)),
        ('one " two', 'one " two', ()),
        ('"" "  "', "   ", ()),
        ('"a  b" "c', 'a  b "c', ("a b",)),
    ],
)
def test_phrases_stand_in_quotes(query, text, phrases) -> None:
    assert parse_question(query) == Question(text, phrases)


def test_a_phrase_is_found_whatever_its_case_and_spacing() -> None:
    question = Question("", ("Große Straße", "x"))
    assert question.phrases_stand_in("X: die GROSSE\n  STRASSE")
    assert not question.phrases_stand_in("X: die Straße, große")
    assert not question.phrases_stand_in("die große Straße")
    assert Question("").phrases_stand_in("")


@pytest.mark.parametrize("query", ["", " \n\t", "\0\u200b\u00ad"])
def test_a_query_without_anything_to_see_is_refused(query) -> None:
    with pytest.raises(ConfigError, match="blank"):
        check_query(query)
    check_query("?")
