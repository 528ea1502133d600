from __future__ import annotations

import numpy as np
import pytest

from longembed_index.document import Document, Units
from longembed_index.search.passages import best_passages, joined_runs, joined_windows
from longembed_index.search.runs import RunScores
from longembed_index.search.sentences import read_sentences

TEXT = "aaaaabbbbbcccccdddddeeeee"
RANGES = [(start, start + 5) for start in range(0, 25, 5)]
SENTENCES = ("One two.", "Three four.", "Five six.", "Seven eight.", "Nine ten.")


def chosen(scores: list[float], most: int, ranges=RANGES) -> list[tuple[str, float]]:
    passages = joined_windows(ranges, np.array(scores), Document("a", TEXT), most)
    assert all(TEXT[passage.start : passage.end] == passage.text for passage in passages)
    return [(passage.text, passage.score) for passage in passages]


def test_the_best_windows_are_chosen_and_neighbours_joined() -> None:
    scores = [0.1, 0.7, 0.8, 0.2, 0.9]
    assert chosen(scores, 1) == [("eeeee", 0.9)]
    assert chosen(scores, 3) == [("eeeee", 0.9), ("bbbbbccccc", 0.8)]
    assert chosen(scores, 9) == [(TEXT, 0.9)]
    assert chosen(scores, 0) == []
    assert chosen([0.5] * 5, 2) == [("aaaaabbbbb", 0.5)], "of equal ones the first"
    nearly = chosen([0.5, 0.5 + 1e-15, 0.1, 0.1, 0.5 + 2e-15], 1)
    assert nearly == [("aaaaa", 0.5)], "also where the processor rounds"
    assert chosen([3, 2, 1], 2, [(0, 10), (5, 15), (10, 25)]) == [("aaaaabbbbbccccc", 3)]
    assert chosen([], 2, np.empty((0, 2))) == []


def test_runs_that_follow_each_other_are_one() -> None:
    borders = np.array([4])
    assert list(joined_runs([0, 2, 4, 7], [2, 4, 6, 9], borders)) == [(0, 4), (4, 6), (7, 9)]
    assert list(joined_runs([], [], borders)) == []


def scores_of(name: str, cosines: list[float]) -> tuple[Document, RunScores]:
    """A document of five sentences, whose vectors have these cosines."""
    text = "\f".join((" ".join(SENTENCES[:3]), " ".join(SENTENCES[3:])))
    starts = [text.index(sentence) for sentence in SENTENCES]
    ranges = np.array([(a, a + len(s)) for a, s in zip(starts, SENTENCES, strict=True)])
    vectors = np.array([(c, (1 - c**2) ** 0.5) for c in cosines], dtype=np.float32)
    document = Document(name, text)
    sentences = read_sentences(document, Units(ranges, np.ones(5, dtype=int), vectors), "english")
    return document, RunScores(sentences, None, None, np.array([1, 0], dtype=np.float32), 1.0)


def test_a_passage_does_not_begin_with_its_heading() -> None:
    text = "# Money\n\nThe budget was approved by the board. Nobody spoke against it."
    document = Document("minutes.md", text)
    sentences = read_sentences(document, None, "english")
    vectors = np.tile(np.array([1, 0], dtype=np.float32), (len(sentences.ranges), 1))
    units = Units(sentences.ranges, np.ones(len(vectors), dtype=int), vectors)
    sentences = read_sentences(document, units, "english")
    scores = RunScores(sentences, None, None, vectors[0], 1.0)
    (passage,) = best_passages(document, scores, 1, 60)
    assert passage.text == "The budget was approved by the board. Nobody spoke against it."
    assert passage.heading == "Money"


def test_the_best_runs_do_not_overlap_and_have_their_best_sentence() -> None:
    document, scores = scores_of("notes.txt", [0.7, 0.9, 0.2, 0.3, 0.6])
    (first,) = best_passages(document, scores, 1, 4)
    assert first.text == "One two. Three four."
    assert document.text[slice(*first.sentence)] == "Three four."
    assert (first.page, first.heading) == (1, None)
    assert first.share == pytest.approx(first.sentence[0] / len(document.text))
    document, scores = scores_of("notes.txt", [0.1, 0.9, 0.2, 0.3, 0.8])
    first, second = best_passages(document, scores, 2, 2)
    assert [first.text, second.text] == ["Three four.", "Nine ten."]
    assert (first.page, second.page) == (1, 2)
    assert first.score > second.score
    (whole,) = best_passages(document, scores, 9, 2)
    assert whole.text == document.text, "neighbours are joined"
    assert best_passages(document, scores, 0, 2) == ()
