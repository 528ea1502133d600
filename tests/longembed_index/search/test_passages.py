from __future__ import annotations

import numpy as np
import pytest

from longembed_index.document import Document, Hit, Passage
from longembed_index.search.passages import (
    choose_passages,
    sentences_of,
    with_best_sentence,
    with_places,
)

TEXT = "aaaaabbbbbcccccdddddeeeee"
RANGES = [(start, start + 5) for start in range(0, 25, 5)]


def chosen(scores: list[float], most: int, ranges=RANGES) -> list[tuple[str, float]]:
    passages = choose_passages(ranges, np.array(scores), TEXT, most)
    assert all(TEXT[passage.start : passage.end] == passage.text for passage in passages)
    return [(passage.text, passage.score) for passage in passages]


def test_the_best_parts_are_chosen_and_neighbours_joined() -> None:
    scores = [0.1, 0.7, 0.8, 0.2, 0.9]
    assert chosen(scores, 1) == [("eeeee", 0.9)]
    assert chosen(scores, 3) == [("eeeee", 0.9), ("bbbbbccccc", 0.8)]
    assert chosen(scores, 9) == [(TEXT, 0.9)]
    assert chosen(scores, 0) == []
    assert chosen([0.5] * 5, 2) == [("aaaaabbbbb", 0.5)], "of equal ones the first"


def test_parts_that_overlap_are_joined() -> None:
    assert chosen([3, 2, 1], 2, [(0, 10), (5, 15), (10, 25)]) == [("aaaaabbbbbccccc", 3)]
    assert chosen([], 2, np.empty((0, 2))) == []


def hit(text: str, *passages: Passage, document_id: str = "a") -> Hit:
    return Hit(Document(document_id, text), 1.0, passages)


def test_the_best_sentence_is_looked_for_in_the_first_passage() -> None:
    text = "Before. Aa. Bb bb. Cc."
    first, second = Passage(8, 22, text[8:], 0.9), Passage(0, 7, text[:7], 0.5)

    def rank(passage: str, ranges) -> np.ndarray:
        return np.array([passage[start:end].count("b") for start, end in ranges])

    best, other = with_best_sentence(hit(text, first, second), rank, "english").passages
    assert text[slice(*best.sentence)] == "Bb bb."
    assert other == second
    blank = hit("  \n", Passage(0, 3, "  \n", 0.9))
    assert with_best_sentence(blank, rank, None) == blank
    assert with_best_sentence(hit(text), rank, None) == hit(text)


def test_a_passage_says_where_it_stands() -> None:
    text = "# Title\n\none\n\f\n## Deep\n\n  here it is"
    start = text.index("  here")
    passage = Passage(start, len(text), text[start:], 1.0)
    (placed,) = with_places(hit(text, passage, document_id="notes.md")).passages
    assert (placed.page, placed.heading) == (2, "Deep")
    assert placed.share == pytest.approx((start + 2) / len(text)), "blanks are passed over"
    sentence = (start + 7, start + 9)
    passage = Passage(start, len(text), text[start:], 1.0, sentence)
    (placed,) = with_places(hit(text, passage, document_id="notes.txt")).passages
    assert placed.share == pytest.approx(sentence[0] / len(text))
    assert placed.heading is None


def test_sentences_and_lines() -> None:
    text = "One. Two is here!\n\nThree\n  Four  \n你好。再见。"
    assert [text[start:end] for start, end in sentences_of(text)] == [
        "One.",
        "Two is here!",
        "Three",
        "Four",
        "你好。",
        "再见。",
    ]
    assert sentences_of(" \n ") == []


def test_a_wrapped_sentence_is_one() -> None:
    text = (
        "HEADING\nThen he had his very\n  last sail of\nall. Again, a number\n\nof feasts.\n- milk"
    )
    assert [" ".join(text[start:end].split()) for start, end in sentences_of(text)] == [
        "HEADING",
        "Then he had his very last sail of all.",
        "Again, a number",
        "of feasts.",
        "- milk",
    ]


@pytest.mark.parametrize(("language", "sentences"), [("german", 1), ("none", 2), (None, 2)])
def test_sentences_are_those_of_a_language(language, sentences) -> None:
    assert len(sentences_of("Er kam am 3. Mai.", language)) == sentences
