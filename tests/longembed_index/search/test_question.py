from __future__ import annotations

from longembed_index.search.question import Question, parse_question

QUERIES = [
    ('the "red house" now', "the red house now", ("red house",)),
    ("“zwei Worte” und", "zwei Worte und", ("zwei Worte",)),
    ("„zwei Worte“ «et» 「港」", "zwei Worte et 港", ("zwei Worte", "et", "港")),
    ('one " two', 'one " two', ()),
    ('"" "  "', "   ", ()),
    ('"a  b" "c', 'a  b "c', ("a b",)),
]


def test_phrases_stand_in_quotes() -> None:
    for query, text, phrases in QUERIES:
        assert parse_question(query) == Question(text, phrases)


def test_a_quotation_in_a_long_question_is_not_required() -> None:
    question = (
        'Highlight the parts (if any) of this contract related to "Governing Law" that should be '
        "reviewed by a lawyer. Details: Which state's law governs the contract?"
    )
    assert parse_question(question) == Question(question.replace('"', ""))
    phrase = "the annual budget of the city council"
    assert parse_question(f'{question} "{phrase}"').phrases == ("Governing Law", phrase)
    assert parse_question('Is "Governing Law" a heading of the contract?').phrases
