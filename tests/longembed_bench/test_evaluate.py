"""Questions of a person's own: what counts as answered, and beside what."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from command_line import longembed
from index_fakes import use_fake_models

from longembed_bench.evaluate import (
    BUDGETS,
    CHUNK,
    Chunks,
    Line,
    Part,
    Question,
    ask,
    cut,
    read_questions,
    split,
    unanswerable,
    verdict,
)
from longembed_index.document import Document
from longembed_index.index import Index
from longembed_st.errors import InputError

FILLER = "Nobody remembers much of the weather on that particular afternoon. " * 30
MINUTES = Document("minutes.pdf", f"{FILLER}\f{FILLER}The treasurer approved the budget.\f{FILLER}")
GARDEN = Document("garden.txt", f"{FILLER}Roses grow beside the southern wall.")


def part(document: Document, text: str) -> Part:
    start = document.text.index(text)
    return Part(document.id, start, start + len(text))


def documents(key: str) -> Document:
    return {MINUTES.id: MINUTES, GARDEN.id: GARDEN}[key]


def test_an_answer_is_a_text_or_a_page() -> None:
    said = "THE treasurer  approved"
    for question, shown, is_answered in (
        (Question("q", "minutes.pdf", (2,)), "approved", True),
        (Question("q", "minutes", (1, 3)), "approved", False),
        (Question("q", "minutes", (2,)), "\fNobody", True),
        (Question("q", "garden.txt", (2,)), "approved", False),
        (Question("q", "minutes.pdf", answer=said), "The treasurer app", False),
        (Question("q", answer=said), "The treasurer approved", True),
        (Question("q", "minutes.pdf"), "approved", True),
    ):
        answered = question.is_answered([part(MINUTES, shown)], documents)
        assert answered == is_answered, (question, shown)
        assert not question.is_answered([], documents)


def test_chunks_overlap_and_are_cut_between_words() -> None:
    text = FILLER + "x" * 3_000
    chunks = list(split(text))
    assert chunks[0][0] == 0
    assert chunks[-1][1] == len(text)
    for (start, end), (following, _) in itertools.pairwise(chunks):
        assert start < following <= end <= start + CHUNK
        assert 100 <= end - following <= 200
    assert text[chunks[0][1] - 1] == " "
    assert list(split("")) == []


def test_the_last_chunk_is_cut_at_the_budget() -> None:
    parts = [part(MINUTES, "The treasurer approved"), part(GARDEN, "Roses grow beside the")]
    first, second = cut(parts, documents, 5)
    assert first == parts[0]
    assert GARDEN.text[second.start : second.end] == "Roses grow"
    assert cut(parts, documents, 100) == parts


@pytest.fixture
def index(tmp_path, monkeypatch):
    use_fake_models(monkeypatch)
    with Index.open(tmp_path / "store", "some/one") as index:
        index.add_documents([MINUTES, GARDEN])
        yield index


def test_an_index_and_chunks_are_asked_the_same(index) -> None:
    questions = [
        Question("Who approved the budget?", "minutes.pdf", (2,)),
        Question("Where do roses grow?", answer="beside the southern wall"),
        Question("What does the moon weigh?", "minutes.pdf", answer="as much as 81 earths"),
    ]
    asked = []
    ours = ask(index, questions, lambda: asked.append(1))
    for line in (ours, Chunks(index, list).ask(questions)):
        assert line.found == 1
        assert line.milliseconds > 0
        for budget in BUDGETS:
            assert line.answered[budget].tolist()[2:] == [False]
    assert len(asked) == 3
    assert ours.answered[BUDGETS[0]].tolist() == [True, True, False]


def line(answered: list[bool]) -> Line:
    return Line(None, None, dict.fromkeys(BUDGETS, np.array(answered)), 1.0)


def test_the_verdict_says_what_may_be_chance() -> None:
    same, better = [True, False] * 20, [True] * 40
    assert "40 and 20 of 40 answers. The index is better" in verdict(line(better), line(same))
    assert "The chunks are better" in verdict(line(same), line(better))
    assert "may be chance" in verdict(line([*same[:-1], True]), line(same))
    assert "may be chance" in verdict(line([True]), line([False]))


def test_a_line_that_cannot_be_used_is_named(tmp_path) -> None:
    file = tmp_path / "questions.jsonl"
    for row, message in (
        ('{"question": "q"}', "line 2: say what answers"),
        ('{"question": "q", "page": 3}', "line 2: a page needs the document"),
        ('{"question": "q", "document": "a", "page": "3"}', "page must be a number"),
        ('{"question": "q", "reply": "a"}', "'reply' is not a key"),
        ('["q"]', "must be an object"),
        ("{", "line 2 is not JSON: "),
    ):
        file.write_text(f'{{"question": "q", "document": "a", "page": [1, 2]}}\n{row}\n')
        with pytest.raises(InputError, match=message):
            read_questions(file)
    file.write_text("\n")
    with pytest.raises(InputError, match="no questions"):
        read_questions(file)
    with pytest.raises(InputError, match=r"absent\.jsonl cannot be read: No such file"):
        read_questions(tmp_path / "absent.jsonl")


def test_questions_that_nothing_can_answer_are_named(index) -> None:
    questions = [
        Question("q1", "minutes", (2,)),
        Question("q2", answer="BESIDE the  southern wall"),
        Question("q3", "minuts.pdf", (2,)),
        Question("q4", "minutes.pdf", (4, 5)),
        Question("q5", "minutes.pdf", answer="beside the southern wall"),
        Question("q6", answer="as much as 81 earths"),
    ]
    assert unanswerable(index, questions) == [
        "'q3': the index does not have the document 'minuts.pdf'",
        "'q4': minutes.pdf has 3 pages, not 4",
        "'q5': minutes.pdf does not have the text 'beside the southern wall'",
        "'q6': no document has the text 'as much as 81 earths'",
    ]


def test_the_command_prints_a_table_and_a_verdict(index, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    file = tmp_path / "questions.jsonl"
    file.write_text(json.dumps({"question": "Who approved the budget?", "document": "minutes.pdf"}))
    result = longembed("evaluate", str(file), "--store", str(index.directory))
    assert result.exit_code == 0
    assert "right document among the first 5" in result.stdout
    assert "answer within 1,200 words" in result.stdout
    assert "chunks" in result.stdout
    assert "of 1 answers" in result.stdout
    assert "Warning" not in result.stderr
    result = longembed("evaluate", str(file), "--store", str(index.directory), "--json")
    assert json.loads(result.stdout)["this index"]["answered"]["600"] == 1
    file.write_text(json.dumps({"question": "Who approved the budget?", "document": "absent.pdf"}))
    result = longembed("evaluate", str(file), "--store", str(index.directory), "--json")
    assert json.loads(result.stdout)["this index"]["found"] == 0
    assert "nothing can answer 1 of the 1 questions" in result.stderr
    assert "the index does not have the document 'absent.pdf'" in result.stderr
