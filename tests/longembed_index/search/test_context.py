"""A context is full, stays within its budget, and is made of whole sentences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longembed_index.document import Context, Document
from longembed_index.documents.sentences import words_in
from longembed_index.lexical.scores import QueryWeights, TermPlaces, WordScores
from longembed_index.search.context import Candidate, fill, measure_of
from longembed_index.search.runs import RunScores
from longembed_index.search.sentences import read_sentences
from longembed_st.errors import ConfigError

WORDS = ("budget", "garden", "the", "of", "approved", "an extraordinarily", "1984")


def candidate(name: str, text: str, score: float = 0.5) -> Candidate:
    """A document, and the scores of its runs for the question "budget approved"."""
    document = Document(name, text)
    terms = [(text.index(word), word) for word in text.split()]
    places, position = [], 0
    starts = []
    for _, word in terms:
        position = text.index(word, position)
        starts.append(position)
        term = word.strip(".").lower()
        if term in ("budget", "approved"):
            places.append((("budget", "approved").index(term), position))
        position += len(word)
    which, characters = np.array(places, dtype=np.int64).reshape(-1, 2).T
    weights = QueryWeights(np.arange(2), np.ones(2), np.ones(2), 1, 1, WordScores(2, 2))
    sentences = read_sentences(document, None, "english")
    term_places = TermPlaces(which, characters, np.array(starts, dtype=np.int32))
    return document, RunScores(sentences, term_places, weights, None, 0.2), score


def sentences_of(document: Document, scores: RunScores) -> list[str]:
    return [document.text[start:end] for start, end in scores.sentences.ranges]


sentence = st.lists(st.sampled_from(WORDS), min_size=1, max_size=30).map(
    lambda words: " ".join(words).capitalize() + "."
)
texts = st.lists(st.lists(sentence, min_size=1, max_size=12).map(" ".join), min_size=1, max_size=4)


@settings(max_examples=60)
@given(texts, st.integers(1, 200))
def test_a_context_is_within_its_budget_and_cuts_no_sentence_that_fits(parts, budget) -> None:
    candidates = [candidate(f"{number}.txt", text) for number, text in enumerate(parts)]
    measure = measure_of(budget, None, None)
    context = fill(candidates, measure)
    assert context.size == words_in(context.text) <= budget
    by_id = {document.id: (document, scores) for document, scores, _ in candidates}
    assert [c.number for c in context.citations] == list(range(1, len(context.citations) + 1))
    for citation in context.citations:
        document, scores = by_id[citation.document_id]
        passage = citation.passage
        assert passage.text == document.text[passage.start : passage.end]
        assert passage.text in context.text
        starts = {start for start, _ in scores.sentences.ranges.tolist()}
        ends = {end for _, end in scores.sentences.ranges.tolist()}
        assert passage.start in starts
        if passage.end not in ends:
            assert len(context.citations) == 1, "a sentence is cut only if it does not fit alone"
            end = min(end for end in ends if end > passage.end)
            whole = f"{document.title}\n[1] {document.text[passage.start : end]}"
            assert words_in(whole) > budget


@settings(max_examples=30)
@given(texts)
def test_a_large_budget_takes_everything_in_the_order_of_the_text(parts) -> None:
    candidates = [candidate(f"{number}.txt", text) for number, text in enumerate(parts)]
    context = fill(candidates, measure_of(None, 100_000, len))
    assert context.size == len(context.text)
    assert len(context.citations) == len(candidates)
    for document, scores, _ in candidates:
        (citation,) = [c for c in context.citations if c.document_id == document.id]
        assert citation.passage.text == " ".join(sentences_of(document, scores))


def test_passages_of_all_documents_compete() -> None:
    tail = "on that long and rainy day in the old town hall beside the river, as people say."
    both = f"The budget was approved {tail}"
    first = candidate("first.txt", f"{both} Nobody spoke {tail} Nothing happened {tail}")
    second = candidate("second.txt", both)
    context = fill([first, second], measure_of(60, None, None))
    assert [c.passage.text for c in context.citations] == [both, both]
    better = (*second[:2], 2.0)
    context = fill([first, better], measure_of(30, None, None))
    assert [citation.document_id for citation in context.citations] == ["second.txt"]


def test_the_text_names_documents_pages_and_headings() -> None:
    text = "# Money\n\nThe budget was approved.\f\n# Other\n\nRain fell on the town."
    context = fill([candidate("minutes.md", text)], measure_of(100, None, None))
    assert context.text == (
        "minutes.md\n[1] (p.1, Money) The budget was approved.\n"
        "[2] (p.2, Other) Rain fell on the town."
    )
    assert [citation.passage.page for citation in context.citations] == [1, 2]
    assert context.to_dict()["citations"][1]["heading"] == "Other"


def test_a_passage_on_two_pages_has_the_page_of_its_best_sentence() -> None:
    text = "Rain fell on the town.\fThe budget was approved by the board."
    context = fill([candidate("minutes.txt", text)], measure_of(100, None, None))
    (citation,) = context.citations
    assert citation.passage.text == text
    assert citation.passage.page == 2
    assert context.text.startswith("minutes.txt\n[1] (p.2) Rain fell")


def test_no_passage_is_a_heading_or_a_part_of_a_table_of_contents() -> None:
    text = (
        "# Budget\n\n## Contents\n\nBudget approved ........ 3\nBudget approved .......... 8\n\n"
        "## Budget approved\n\n## The budget\n\nThe board approved the budget in May of that year "
        "after a debate.\n\n## Budget approved\n\n## Roads\n\nThe budget of roads grew."
    )
    for budget in range(1, 60):
        context = fill([candidate("a.md", text)], measure_of(budget, None, None))
        for citation in context.citations:
            assert citation.passage.text.startswith("The")
            assert "\n" not in citation.passage.text
    assert [citation.passage.heading for citation in context.citations] == ["The budget", "Roads"]
    context = fill([candidate("a.md", "# The budget")], measure_of(60, None, None))
    assert context.citations, "a document without anything else is not hidden"


def test_a_transcript_gives_longer_passages() -> None:
    said = [f"Person: We talked about item {number} for some time today." for number in range(60)]
    for number in (5, 30, 55):
        said[number] = "Person: Was the budget approved in the end? It was approved."
    written = [line.removeprefix("Person: ") for line in said]
    counts = []
    for lines in (said, written):
        context = fill([candidate("a.txt", "\n".join(lines))], measure_of(150, None, None))
        counts.append(sum("budget approved" in c.passage.text for c in context.citations))
    assert counts == [2, 3]


def test_nothing_in_it_says_so() -> None:
    empty = fill([], measure_of(10, None, None))
    assert empty == Context("", (), 0, is_answered=False)
    unrelated = fill([candidate("a.txt", "Rain fell.")], measure_of(10, None, None))
    assert not unrelated.is_answered
    assert unrelated.citations, "the nearest is handed over anyhow"


def test_a_budget_that_cannot_be_used_is_refused() -> None:
    for budget, message in (
        ((None, None, None), "either"),
        ((5, 5, len), "either"),
        ((0, None, None), "max_words must be at least 1, not 0"),
        ((None, 5, None), "count_tokens"),
    ):
        with pytest.raises(ConfigError, match=message):
            measure_of(*budget)


def test_page_headers_do_not_fill_a_context() -> None:
    header = "Budget approved"
    pages = [f"{header}\n\n" + f"Page {n} has words of a garden. " * 9 for n in range(5)]
    pages[3] += "The budget grew, as everybody in the garden had hoped for such a long time."
    document, scores, score = candidate("a.txt", "\n\f".join(pages))
    context = fill([(document, scores, score)], measure_of(90, None, None))
    assert "The budget grew" in context.text
    assert header not in context.text
