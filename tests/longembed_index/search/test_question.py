from __future__ import annotations

from longembed_index.search.question import Question, parse_question

QUERIES = [
    ('the "red house" now', "the red house now", ("red house",)),
    ("“zwei Worte” und", "zwei Worte und", ("zwei Worte",)),
    ("„zwei Worte“ «et» 「港」", "zwei Worte et 港", ("zwei Worte", "et", "港")),
    ("»Recht« und »Gesetz«", "Recht und Gesetz", ("Recht", "Gesetz")),
    ("”röda hus” och „stare domy”", "röda hus och stare domy", ("röda hus", "stare domy")),
    ('the 5" and the 6" pipe, "type 2"', 'the 5" and the 6" pipe, type 2', ("type 2",)),
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
    dialogue = 'Simon left town. "You might want to hold off on that," Katie said. He told her: '
    dialogue += '"I lost it all." She went home, and called nobody for the rest of the day.'
    assert not parse_question(dialogue).phrases
    question = "根据该公司二〇二二年年度报告，“研发费用”较上年增长的原因是什么？请说明金额。"
    assert not parse_question(question).phrases
    assert parse_question("“研发费用”增长的原因是什么？").phrases == ("研发费用",)
    sentence = (
        "Anyone accused of this crime will be subject to long-term involvement of social services"
    )
    assert parse_question(f'"{sentence}": who said so?').phrases == (sentence,)
    assert parse_question('Is "Governing Law" a heading of the contract?').phrases
